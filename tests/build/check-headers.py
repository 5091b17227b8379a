#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""check-headers.py SOURCE_ROOT BUILD_ROOT C_COMPILER CXX_COMPILER HEADER...

The public headers compile without a warning in every dialect that a program may be written in.
The compilers are command lines; that of C++ is empty if there is none.
"""

import os
import shlex
import subprocess
import sys

import tap

source_root, build_root, cc, cxx, *headers = sys.argv[1:]

flags = subprocess.run(['pkg-config', '--cflags', 'gio-unix-2.0', 'json-glib-1.0'],
                       check=True, stdout=subprocess.PIPE, text=True).stdout
# As system headers: it is our own that are checked.
flags = [f.replace('-I', '-isystem', 1) if f.startswith('-I') else f for f in shlex.split(flags)]
flags += ['-I', source_root, '-I', build_root, '-Wall', '-Wextra', '-Werror', '-pedantic', '-fsyntax-only', '-']


def compile_text(compiler, language, standard, text):
    return subprocess.run([*shlex.split(compiler), '-x', language, f'-std={standard}', *flags], input=text,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def compiles(compiler, language, standard, text, name):
    process = compile_text(compiler, language, standard, text)
    tap.ok(process.returncode == 0, name, process.stdout)


MAIN = '#include <aqmp-glib/aqmp-glib.h>\nint main (void) { return aqmp_client_new (NULL) == NULL; }\n'

for standard in ('c99', 'c11', 'gnu17'):
    compiles(cc, 'c', standard, MAIN, f'aqmp-glib.h as {standard}')
for standard in ('c++11', 'c++17'):
    name = f'aqmp-glib.h as {standard}'
    if cxx:
        compiles(cxx, 'c++', standard, MAIN, name)
    else:
        tap.missing('C++ compiler', name)

for header in sorted(os.path.basename(h) for h in headers):
    text = f'#include <aqmp-glib/{header}>\n'
    # The order of the includes in aqmp-glib.h must not matter.
    compiles(cc, 'c', 'c99', f'#define AQMP_GLIB_INSIDE\n{text}typedef int not_empty;\n', f'{header} needs no other header')
    if header != 'aqmp-glib.h':
        process = compile_text(cc, 'c', 'c99', text)
        tap.ok('Only <aqmp-glib/aqmp-glib.h> can be included directly' in process.stdout,
               f'{header} cannot be included directly', process.stdout or 'it compiles')

tap.done()
