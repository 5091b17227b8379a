# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""The programs that are compared, and how each is started. All take "SOCKET WORK COUNT [KEY=VALUE]..." (see bench.h)."""

import dataclasses
import os
import shutil

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclasses.dataclass
class Program:
    command: list
    missing: str = ''                                   # why it cannot be run
    env: dict = dataclasses.field(default_factory=dict)
    native: bool = True                                 # valgrind can count what it does
    ours: bool = False

    def argv(self, socket, work, count, options):
        return [*self.command, socket, work, str(count), *(f'{key}={value}' for key, value in options.items())]

    def environment(self):
        return os.environ | self.env


def compiled(build, name, ours=False):
    path = os.path.join(build, 'benchmarks', name)
    return Program([path], '' if os.path.exists(path) else f'{name} is not built', ours=ours)


def qemu_python(build):
    package = os.path.join(build, 'peers', 'qemu', 'python')
    return Program(['/usr/bin/python3', os.path.join(HERE, 'qemu-client.py')],
                   '' if os.path.isdir(os.path.join(package, 'qemu', 'qmp')) else "QEMU's source could not be fetched",
                   {'PYTHONPATH': package, 'PYTHONDONTWRITEBYTECODE': '1'}, native=False)


def aqmp_python(build, script):
    library = os.path.join(build, 'aqmp-glib')
    return Program(['/usr/bin/python3', os.path.join(HERE, script)],
                   '' if os.path.exists(os.path.join(library, 'Aqmp-1.typelib')) else 'introspection is not built',
                   {'GI_TYPELIB_PATH': library, 'LD_LIBRARY_PATH': library, 'PYTHONDONTWRITEBYTECODE': '1',
                    'PYTHONPATH': os.path.join(HERE, '..', 'bindings', 'python')},
                   native=False, ours=True)


def node(build):
    modules = os.path.join(build, 'peers', 'node', 'node_modules')
    missing = ''
    if not shutil.which('node'):
        missing = 'there is no node'
    elif not os.path.isdir(os.path.join(modules, 'qemu-qmp')):
        missing = 'npm could not install qemu-qmp'
    # Otherwise it warns of what the package uses.
    return Program(['node', '--no-deprecation', os.path.join(HERE, 'node-client.js')], missing, {'NODE_PATH': modules},
                   native=False)


def programs(build):
    return {
        'limit': compiled(build, 'bench-limit'),
        'aqmp': compiled(build, 'bench-aqmp', ours=True),
        'obvious': compiled(build, 'bench-obvious'),
        'aqmp-await': aqmp_python(build, 'aqmp-await.py'),
        'aqmp-python': aqmp_python(build, 'aqmp-client.py'),
        'qemu-python': qemu_python(build),
        'node': node(build),
    }
