#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""documented-programs.py BUILD_ROOT CC INTROSPECTION VAPI MARKDOWN...: what the documentation shows works.

Each fenced block marked c, python, js or vala is a whole program, and has to print, in order, the lines of the next block
marked text in the same file, or else of the last. It is run with the address of a QEMU of its own, which is started by the
command in the last block marked sh before it that has one. In a file without such a command it is started in the usual way;
before the first one the program starts it by itself. INTROSPECTION and VAPI are empty if not built.

A block marked sh that calls certtool is run first, and programs are also given the directory that it makes.
"""

import contextlib
import importlib.util
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'build'))
import guest  # noqa: E402
import tap  # noqa: E402

build_root, cc, introspection, vapi, *files = sys.argv[1:]

BLOCK = re.compile(r'^```(c|python|js|vala|text|sh)\n(.*?)^```$', re.MULTILINE | re.DOTALL)

# Where the documented QEMU listens or connects, and what the certificates are in.
PATH, PORT, CERTIFICATES = '/tmp/vm.sock', '4444', 'pki'

# What each page is about has to be shown in these at least.
LANGUAGES = {
    'README.md': {'c', 'js', 'python', 'vala'},
    'events.md': {'c', 'python'},
    'listening.md': {'c', 'python'},
    'tls.md': {'c', 'python'},
    'descriptors.md': {'c', 'python'},
    'out-of-band.md': {'c', 'python'},
}

# Those that are about a language show a program without a main loop, too.
BLOCKING = {'c.md', 'python.md', 'javascript.md', 'vala.md'}

library = os.path.join(build_root, 'aqmp-glib')
env = {**os.environ,
       'PKG_CONFIG_PATH': os.path.join(build_root, 'meson-uninstalled'),
       'LD_LIBRARY_PATH': library,
       'GI_TYPELIB_PATH': library,
       'PYTHONPATH': os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'bindings', 'python'),
       'GJS_PATH': os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'bindings', 'gjs'),
       'PYTHONUNBUFFERED': '1'}


def command_for(language, directory, text, name):
    """How to run the program, or None where that is not possible and has been told."""
    source = os.path.join(directory, 'program.' + {'python': 'py'}.get(language, language))
    program = os.path.join(directory, 'program')
    pathlib.Path(source).write_text(text, encoding='utf-8')
    if language == 'c':
        flags = subprocess.run(['pkg-config', '--cflags', '--libs', 'aqmp-glib-1'], env=env, check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        return tap.run([*shlex.split(cc), '-Wall', '-Wextra', '-Wno-unused-parameter', '-Werror', source, '-o', program,
                        *shlex.split(flags)], name + ': compiles', env=env) and [program]
    if language == 'vala':
        if not vapi or not tap.have('valac', name):
            return None
        return tap.run(['valac', '--fatal-warnings', '--cc', cc, '-X', '-w', '-d', directory, '-o', program,
                        '--vapidir', library, '--pkg', 'gio-unix-2.0', '--pkg', 'json-glib-1.0', '--pkg', 'aqmp-glib-1',
                        source], name + ': compiles', env=env) and [program]
    if not introspection:
        return None
    if language == 'python':
        if importlib.util.find_spec('gi') is None:
            return tap.missing('python3-gi', name)
        return [sys.executable, source]
    is_module = re.search('^import ', text, re.MULTILINE)
    return tap.have('gjs', name) and ['gjs', *(['-m'] if is_module else []), source]


class Page:
    """A file, read from its beginning to its end."""

    def __init__(self, file):
        self.name = file.name
        self.blocks = BLOCK.findall(file.read_text(encoding='utf-8'))
        self.programs = [i for i, (language, _) in enumerate(self.blocks) if language not in ('text', 'sh')]
        self.languages = {self.blocks[i][0] for i in self.programs}

    def _nearest(self, indices, wanted):
        return next((self.blocks[i][1] for i in indices if wanted(*self.blocks[i])), None)

    def expected(self, program):
        def wanted(language, _):
            return language == 'text'
        return self._nearest([*range(program, len(self.blocks)), *reversed(range(program))], wanted)

    def guest_command(self, program):
        """As a list; None if there is none, empty if the program comes before it."""
        def wanted(language, text):
            return language == 'sh' and text.startswith(guest.QEMU)
        if not self._nearest(range(len(self.blocks)), wanted):
            return None
        return shlex.split((self._nearest(reversed(range(program)), wanted) or '').replace('\\\n', ' '))

    def preparation(self):
        return self._nearest(range(len(self.blocks)), lambda language, text: language == 'sh' and 'certtool' in text)


@contextlib.contextmanager
def address_of_guest(command, directory, prepared):
    """Starts QEMU as the documentation says, if it does, with another address."""
    path = os.path.join(directory, 'vm.sock')
    if command is None:
        with guest.stopped(directory) as path:
            yield path
    elif not command:
        yield path
    else:
        port = str(guest.free_port())
        changed = [argument.replace(PATH, path).replace(f'port={PORT}', f'port={port}') for argument in command]
        assert changed != command, command
        host = '127.0.0.1' if any('server=off' in argument for argument in command) else 'localhost'
        # One that cannot connect yet tells about it.
        with guest.started(changed, directory, cwd=prepared, stderr=subprocess.DEVNULL):
            yield path if any(PATH in argument for argument in command) else f'{host}:{port}'


def run(page, program, prepared, directory, name):
    language, text = page.blocks[program]
    expected = page.expected(program).splitlines()
    command = command_for(language, directory, text, name)
    if not command:
        return
    with address_of_guest(page.guest_command(program), directory, prepared) as address:
        arguments = [address]
        if page.preparation():
            arguments.append(os.path.join(prepared, CERTIFICATES))
        try:
            process = subprocess.run([*command, *arguments], env=env, timeout=20, text=True, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except subprocess.TimeoutExpired as e:
            tap.ok(False, name, f'{e}\n{e.stdout}\n{e.stderr}')
            return
    tap.ok(process.returncode == 0 and process.stdout.splitlines() == expected and not process.stderr, name,
           f'expected: {expected}\nexit status: {process.returncode}\nprinted: {process.stdout}\nerrors: {process.stderr}')


def try_page(page):
    wanted = LANGUAGES.get(page.name, set())
    tap.ok(page.programs and page.languages >= wanted and all(map(page.expected, page.programs)),
           f'{page.name} has the programs that it should have, and what they print', page.languages)
    if page.name in BLOCKING:
        blocking = [i for i in page.programs if not re.search(r'MainLoop|main_loop|_async|await ', page.blocks[i][1])]
        tap.ok(0 < len(blocking) < len(page.programs), f'{page.name} has a program that blocks, and one that does not')
    if page.preparation() and not tap.have('certtool', page.name):
        return
    with tempfile.TemporaryDirectory() as prepared:
        if page.preparation():
            subprocess.run(['bash', '-e'], input=page.preparation(), cwd=prepared, text=True, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for n, program in enumerate(page.programs, 1):
            with tempfile.TemporaryDirectory() as directory:
                run(page, program, prepared, directory, f'{page.name}: program {n}, {page.blocks[program][0]}')


if tap.have(guest.QEMU, 'QEMU'):
    for file in map(pathlib.Path, files):
        try_page(Page(file))
tap.done()
