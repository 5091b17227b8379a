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


def uninstalled_vala(build_root):
    """What valac has to be told of a binding that is not installed. Meson has the .deps file, which names the packages that it needs,
    in a place of its own."""
    return ['--vapidir', os.path.join(build_root, 'aqmp-glib'), '--pkg', 'gio-unix-2.0', '--pkg', 'json-glib-1.0']


def pkg_config(env):
    return shlex.split(subprocess.run(['pkg-config', '--cflags', '--libs', 'aqmp-glib-1'], env=env, check=True,
                                      stdout=subprocess.PIPE, text=True).stdout)


def compile_c(env, source, program, compiler, name, language='c'):
    return tap.run([*shlex.split(compiler), '-Wall', '-Wextra', '-Wno-unused-parameter', '-Werror', '-x', language, source,
                    '-x', 'none', '-o', program, *pkg_config(env)], name, env=env)


def compile_vala(env, source, program, compiler, name, options=()):
    """Of the C compiler's warnings about what valac generates, those that a binding can be to blame for are errors."""
    return tap.run(['valac', '--fatal-warnings', '--target-glib', '2.74', '--pkg', 'aqmp-glib-1', *options, '--cc', compiler,
                    '-X', '-Werror=incompatible-pointer-types', '-X', '-Werror=discarded-qualifiers',
                    '--directory', os.path.dirname(program), '-o', program, source], name, env=env)


def c(env, directory, compiler, language='c'):
    program = os.path.join(directory, f'program-{language}')
    name = f'{language} program'
    if not compiler:
        return tap.missing(f'compiler for {language}', name)
    return (compile_c(env, os.path.join(DIRECTORY, 'program.c'), program, compiler, f'{name} compiles', language) and
            tap.run([program], f'{name} runs', expect=OUTPUT, env=env))


def vala(env, directory, compiler, options=()):
    program = os.path.join(directory, 'program-vala')
    if tap.have('valac', 'Vala program'):
        if compile_vala(env, os.path.join(DIRECTORY, 'program.vala'), program, compiler, 'Vala program compiles', options):
            tap.run([program], 'Vala program runs', expect=OUTPUT, env=env)


def python(env):
    if importlib.util.find_spec('gi') is None:
        return tap.missing('python3-gi', 'Python program')
    return tap.run([sys.executable, os.path.join(DIRECTORY, 'program.py')], 'Python program runs', expect=OUTPUT, env=env)


def javascript(env):
    if tap.have('gjs', 'JavaScript program'):
        tap.run(['gjs', '-m', os.path.join(DIRECTORY, 'program.js')], 'JavaScript program runs', expect=OUTPUT, env=env)
