#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""test_scenario.py BUILD_ROOT MESON EXPECTED PROGRAM [COMMAND...]: a program, run by the command if there is one and with the
addresses of a QEMU and of a storage daemon, prints what is expected; with what is in the build directory, and, if MESON is not
empty, with what is installed from it in another place."""

import difflib
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(here, '..', 'qemu'), os.path.join(here, '..', 'build')]
import guest  # noqa: E402
import tap  # noqa: E402

build_root, meson, expected, program, *command = sys.argv[1:]
if program.endswith('.py'):
    # With gi, whatever python3 is the first on PATH.
    command = [sys.executable]
elif program.endswith('_sync.js'):
    command = ['gjs']
elif program.endswith('.js'):
    command = ['gjs', '-m']


def scenario(name, env):
    with tempfile.TemporaryDirectory() as directory, guest.stopped(directory) as qemu, guest.storage(directory) as storage:
        process = subprocess.run([*command, program, qemu, storage], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, timeout=60)
    wanted = pathlib.Path(expected).read_text(encoding='utf-8')
    difference = '\n'.join(difflib.unified_diff(wanted.splitlines(), process.stdout.splitlines(), 'expected', 'printed', lineterm=''))
    tap.ok(process.returncode == 0 and not difference and not process.stderr, name,
           f'exit status: {process.returncode}\n{difference}\n{process.stderr}')


def parent_of(root, name):
    """The directory under the root that has that name in it."""
    return next(str(path)[:-len(name) - 1] for path in pathlib.Path(root).rglob(os.path.basename(name)) if str(path).endswith(name))


def installed_env(root):
    library = parent_of(root, 'libaqmp-glib-1.so')
    return {**os.environ,
            'LD_LIBRARY_PATH': library,
            'GI_TYPELIB_PATH': parent_of(root, 'Aqmp-1.typelib'),
            'PYTHONPATH': parent_of(root, 'gi/overrides/Aqmp.py'),
            'GJS_PATH': parent_of(root, 'overrides/Aqmp.js')}


missing = [name for name in (guest.QEMU, guest.STORAGE_DAEMON, *command[:1]) if not shutil.which(name)]
if missing:
    tap.missing(', '.join(missing), 'scenario')
    tap.done()

scenario('uninstalled', os.environ)
if meson:
    with tempfile.TemporaryDirectory() as root:
        if tap.run([*shlex.split(meson), 'install', '-C', build_root, '--no-rebuild', '--destdir', root], 'meson install'):
            scenario('installed', installed_env(root))
tap.done()
