#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""test_vala.py SOURCE BUILD_ROOT CC [SERVER...]: builds it, and runs it with servers of its own: "qemu", "storage" (the daemon), or
"answering", which returns arguments.

Its output is the output of this.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, '..', 'qemu'))
import guest  # noqa: E402

source, build_root, cc, *servers = sys.argv[1:]
library = os.path.join(build_root, 'aqmp-glib')


@contextlib.contextmanager
def server(name, directory):
    if name == 'answering':
        import answering
        with answering.listening(directory) as path:
            yield path
    else:
        with {'qemu': guest.stopped, 'storage': guest.storage}[name](directory) as path:
            yield path


programs = {'qemu': guest.QEMU, 'storage': guest.STORAGE_DAEMON}
needed = ['valac', *(programs[name] for name in servers if name in programs)]
missing = [program for program in needed if not shutil.which(program)]
if missing:
    if os.environ.get('AQMP_TEST_REQUIRE_ALL'):
        sys.exit(f'{", ".join(missing)} is missing and AQMP_TEST_REQUIRE_ALL is set')
    print(f'1..0 # SKIP no {", ".join(missing)}')
    sys.exit()

env = {**os.environ, 'PKG_CONFIG_PATH': os.path.join(build_root, 'meson-uninstalled')}
with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as running:
    paths = [running.enter_context(server(name, directory)) for name in servers]
    program = os.path.join(directory, 'program')
    # No warnings of the C compiler: it is generated code.
    subprocess.run(['valac', '--fatal-warnings', '--cc', cc, '-X', '-w', '-d', directory, '-o', program, '--vapidir', library,
                    '--pkg', 'gio-unix-2.0', '--pkg', 'json-glib-1.0', '--pkg', 'aqmp-glib-1', os.path.join(here, source), os.path.join(here, 'util.vala')],
                   env=env, stdout=sys.stderr, check=True)
    sys.exit(subprocess.run([program, '--tap', *paths], env=env).returncode)
