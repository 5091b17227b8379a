#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""test_scenario.py BUILD_ROOT PREFIX LIBDIR CC MESON EXPECTED PROGRAM [COMMAND...]: a program, run by the command if
there is one and with the addresses of a QEMU and of a storage daemon, prints what is expected; with what is in the build directory,
and, if MESON is not empty, with what is installed from it in another place. Those in C and Vala are compiled for each."""

import difflib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(here, '..', 'qemu'), os.path.join(here, '..', 'build')]
import guest  # noqa: E402
import languages  # noqa: E402
import staged  # noqa: E402
import tap  # noqa: E402

build_root, prefix, libdir, cc, meson, expected, program, *command = sys.argv[1:]
if program.endswith('.py'):
    # With gi, whatever python3 is the first on PATH.
    command = [sys.executable]
elif program.endswith('_sync.js'):
    command = ['gjs']
elif program.endswith('.js'):
    command = ['gjs', '-m']


def runnable(name, env, vala_options, directory):
    """How to run the program; nothing if it does not compile."""
    executable = os.path.join(directory, 'scenario')
    if program.endswith('.c'):
        return languages.compile_c(env, program, executable, cc, f'{name}: compiles') and [executable]
    if program.endswith('.vala'):
        return languages.compile_vala(env, program, executable, cc, f'{name}: compiles', vala_options) and [executable]
    return [*command, program]


def scenario(name, env, vala_options=()):
    with tempfile.TemporaryDirectory() as directory:
        program_command = runnable(name, env, vala_options, directory)
        if not program_command:
            return
        with guest.stopped(directory) as qemu, guest.storage(directory) as storage:
            process = subprocess.run([*program_command, qemu, storage], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True, timeout=60)
    wanted = pathlib.Path(expected).read_text(encoding='utf-8')
    difference = '\n'.join(difflib.unified_diff(wanted.splitlines(), process.stdout.splitlines(), 'expected', 'printed', lineterm=''))
    tap.ok(process.returncode == 0 and not difference and not process.stderr, name,
           f'exit status: {process.returncode}\n{difference}\n{process.stderr}')


needed = [guest.QEMU, guest.STORAGE_DAEMON, *command[:1], *(['valac'] if program.endswith('.vala') else [])]
missing = [name for name in needed if not shutil.which(name)]
if missing:
    tap.missing(', '.join(missing), 'scenario')
    tap.done()

scenario('uninstalled', {**os.environ, 'PKG_CONFIG_PATH': os.path.join(build_root, 'meson-uninstalled')},
         languages.uninstalled_vala(build_root))
if meson:
    with tempfile.TemporaryDirectory() as root:
        if staged.install(meson, build_root, root):
            scenario('installed', staged.environment(root, prefix, libdir))
tap.done()
