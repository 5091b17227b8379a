# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Builds and runs programs/ against a library that pkg-config, the typelib path and the like have been pointed at."""

import importlib.util
import os
import shlex
import subprocess
import sys

import tap

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'programs')
OUTPUT = 'program STOP\n'


def pkg_config(env):
    return shlex.split(subprocess.run(['pkg-config', '--cflags', '--libs', 'aqmp-glib-1'], env=env, check=True,
                                      stdout=subprocess.PIPE, text=True).stdout)


def c(env, directory, compiler, language='c'):
    source = os.path.join(DIRECTORY, 'program.c')
    program = os.path.join(directory, f'program-{language}')
    name = f'{language} program'
    if not compiler:
        return tap.missing(f'compiler for {language}', name)
    return (tap.run([*shlex.split(compiler), '-Wall', '-Wextra', '-Werror', '-x', language, source, '-x', 'none',
                     '-o', program, *pkg_config(env)], f'{name} compiles', env=env) and
            tap.run([program], f'{name} runs', expect=OUTPUT, env=env))


def vala(env, directory, compiler, vapidir, packages=()):
    source = os.path.join(DIRECTORY, 'program.vala')
    program = os.path.join(directory, 'program-vala')
    if tap.have('valac', 'Vala program'):
        # No warnings of the C compiler: it is generated code.
        if tap.run(['valac', '--fatal-warnings', '--cc', compiler, '-X', '-w', '--directory', directory, '-o', program,
                    '--vapidir', vapidir, '--pkg', 'aqmp-glib-1', *[f'--pkg={p}' for p in packages], source],
                   'Vala program compiles', env=env):
            tap.run([program], 'Vala program runs', expect=OUTPUT, env=env)


def python(env):
    if importlib.util.find_spec('gi') is None:
        return tap.missing('python3-gi', 'Python program')
    return tap.run([sys.executable, os.path.join(DIRECTORY, 'program.py')], 'Python program runs', expect=OUTPUT, env=env)


def javascript(env):
    if tap.have('gjs', 'JavaScript program'):
        tap.run(['gjs', '-m', os.path.join(DIRECTORY, 'program.js')], 'JavaScript program runs', expect=OUTPUT, env=env)
