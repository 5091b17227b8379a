#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""documented-programs.py BUILD_ROOT CC INTROSPECTION VAPI MARKDOWN...: what the documentation shows works.

Each fenced block marked c, python, js or vala is a whole program. It is run with the address of a QEMU of its own, and has
to print, in order, the lines of the block marked text in the same file. INTROSPECTION and VAPI are empty if not built.
"""

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

BLOCK = re.compile(r'^```(c|python|js|vala|text)\n(.*?)^```$', re.MULTILINE | re.DOTALL)

library = os.path.join(build_root, 'aqmp-glib')
env = {**os.environ,
       'PKG_CONFIG_PATH': os.path.join(build_root, 'meson-uninstalled'),
       'LD_LIBRARY_PATH': library,
       'GI_TYPELIB_PATH': library,
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
    return tap.have('gjs', name) and ['gjs', '-m', source]


def run(language, text, expected, name):
    with tempfile.TemporaryDirectory() as directory:
        command = command_for(language, directory, text, name)
        if not command:
            return
        with guest.stopped(directory) as path:
            try:
                process = subprocess.run([*command, path], env=env, timeout=20, text=True, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            except subprocess.TimeoutExpired as e:
                tap.ok(False, name, f'{e}\n{e.stdout}\n{e.stderr}')
                return
        tap.ok(process.returncode == 0 and process.stdout.splitlines() == expected and not process.stderr, name,
               f'expected: {expected}\nexit status: {process.returncode}\nprinted: {process.stdout}\nerrors: {process.stderr}')


if tap.have(guest.QEMU, 'QEMU'):
    for file in map(pathlib.Path, files):
        blocks = BLOCK.findall(file.read_text(encoding='utf-8'))
        expected = ''.join(text for language, text in blocks if language == 'text').splitlines()
        programs = [block for block in blocks if block[0] != 'text']
        languages = sorted({language for language, _ in programs})
        if file.name == 'README.md':
            tap.ok(languages == ['c', 'js', 'python'], f'{file.name} has programs in C, Python and JavaScript', languages)
        else:
            tap.ok(programs and expected, f'{file.name} has a program and what it prints')
        for language, text in programs:
            run(language, text, expected, f'{file.name}: {language}')
tap.done()
