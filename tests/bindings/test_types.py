#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""test_types.py SOURCE_ROOT: the types that are declared are those that there are, and mypy accepts what uses them rightly."""

import ast
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from lines import Aqmp
import tap

source = pathlib.Path(sys.argv[1])
STUB = source / 'bindings' / 'python' / 'gi-stubs' / 'repository' / 'Aqmp.pyi'

# As much of PyGObject's types as ours need: its stubs are in no package of Debian 12.
OTHERS = {
    '__init__': 'def require_version(namespace: str, version: str) -> None: ...',
    'repository/__init__': '',
    'repository/GLib': 'from typing import Any\n'
                       'class Error(RuntimeError):\n    domain: str\n    code: int\n    message: str\n'
                       '    def matches(self, domain: int | str, code: int) -> bool: ...\n'
                       'class Bytes:\n    def get_data(self) -> bytes: ...\n'
                       'def __getattr__(name: str) -> Any: ...',
    'repository/Gio': 'from typing import Any\ndef __getattr__(name: str) -> Any: ...',
    'repository/GObject': 'from typing import Any\n'
                          'class GBoxed: ...\n'
                          'class Object:\n    def connect(self, signal: str, handler: Any, *args: Any) -> int: ...',
    'repository/Json': 'from typing import Any\ndef __getattr__(name: str) -> Any: ...',
}

HEAD = "import gi\ngi.require_version('Aqmp', '1')\nfrom gi.repository import Aqmp\nfrom gi.repository import Gio, GLib\n"

RIGHT = HEAD + '''
class Filtering(Aqmp.Client):
    def do_filter_inbound(self, message: GLib.Bytes) -> bytes:
        return message.get_data()

    async def do_establish_session(self, task: Gio.Task) -> None:
        await self.establish_session()


async def main() -> int:
    async with Filtering(name='vm0') as client:
        await client.connect_to('/run/vm.sock')
        status: str = (await client.execute('query-status', {'a': 1}, b=2))['status']
        raw: bytes = await client.execute_raw({'execute': 'query-status'}, fds=[1])
        async with client.events('STOP', where=lambda event: event.data is not None) as events:
            async for event in events:
                print(event.name.upper(), event.timestamp + 1, status, raw)
        event, reply = await client.execute_and_wait('cont', None, 'RESUME', failure_names=['STOP'], data={}, timeout=1.5)
        print(event.name.upper(), reply['a'])
        job = client.job('a')
        await job.run()
        print(job.progress + 1.0)
        state: Aqmp.Runstate = await client.wait_runstate(Aqmp.Runstate.IDLE)
        return state.value


def blocking(client: Aqmp.Client) -> None:
    try:
        with client.events() as events:
            for event in events:
                print(event.name)
        client.close().wait(1.5)
    except Aqmp.ExecuteError as e:
        print(e.error_class + e.desc, e.reply['error'], e.matches(Aqmp.exec_error_quark(), Aqmp.ExecError.OTHER))
    except Aqmp.StateError as e:
        print(e.state.value_nick, e.required)


number: int = Aqmp.run(main())
number = Aqmp.spawn(main()).wait()
'''

# Each line has one mistake.
WRONG = HEAD + '''
client = Aqmp.Client(nam='vm0')
client = Aqmp.Client()
client.execute(1)
client.execute('a', [1])
client.events(1)
client.execute_and_wait('a', None)
text: str = client.execute_raw('a').wait()
client.levitate()
Aqmp.run(1)
'''


def mypy(directory, name, text):
    for module, stub in OTHERS.items():
        path = pathlib.Path(directory, 'gi', module + '.pyi')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stub, encoding='utf-8')
    shutil.copy(STUB, os.path.join(directory, 'gi', 'repository'))
    program = pathlib.Path(directory, name)
    program.write_text(text, encoding='utf-8')
    return subprocess.run(['mypy', '--strict', '--no-error-summary', '--cache-dir', os.path.join(directory, 'cache'), program],
                          env={**os.environ, 'MYPYPATH': directory}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=100)


@unittest.skipUnless(shutil.which('mypy'), 'no mypy')
class Mypy(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = temporary.name

    def test_right(self):
        process = mypy(self.directory, 'right.py', RIGHT)
        self.assertEqual((process.returncode, process.stdout), (0, ''))

    def test_wrong(self):
        process = mypy(self.directory, 'wrong.py', WRONG)
        found = {int(line.split(':')[1]) for line in process.stdout.splitlines() if 'error:' in line}
        mistakes = {number for number, line in enumerate(WRONG.splitlines(), 1) if number > 5 and line != 'client = Aqmp.Client()'}
        self.assertEqual(found, mistakes, process.stdout)


class Names(unittest.TestCase):
    def setUp(self):
        self.tree = ast.parse(STUB.read_text(encoding='utf-8'))

    @staticmethod
    def names(body):
        found = set()
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.AnnAssign):
                found.add(node.target.id)
            elif isinstance(node, ast.Assign):
                found.update(target.id for target in node.targets)
        return {name for name in found if not name.startswith('_')}

    @staticmethod
    def implemented(cls):
        """What is not inherited from GObject or asyncio."""
        return {name for base in cls.__mro__ if base.__module__.startswith(('gi.repository.Aqmp', 'gi.overrides.Aqmp'))
                for name in base.__dict__ if not name.startswith('_')}

    def test_module(self):
        expected = {name for name in dir(Aqmp) if not name.startswith('_') and not name.endswith('Class')}
        self.assertEqual(self.names(self.tree.body), expected)

    def test_classes(self):
        internal = {'parent_instance', 'ref', 'unref'}
        classes = {node.name: self.names(node.body) for node in self.tree.body if isinstance(node, ast.ClassDef)}
        classes['Client'] |= classes['Protocol']
        for name in 'Protocol', 'Client', 'Event', 'EventListener', 'Job', 'Greeting':
            with self.subTest(name):
                self.assertEqual(classes[name], self.implemented(getattr(Aqmp, name)) - internal)


if __name__ == '__main__':
    tap.main()
