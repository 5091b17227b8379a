#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""installed.py MESON BUILD_ROOT PREFIX LIBDIR INTROSPECTION VAPI CC CXX: programs build and run against what is installed.

INTROSPECTION and VAPI are "true" or "false"; PREFIX and LIBDIR (relative to it) are the options of the build.
"""

import os
import shlex
import sys
import tempfile

import languages
import tap

meson, build_root, prefix, libdir, introspection, vapi, cc, cxx = sys.argv[1:]

def python_path(top):
    """Of the prefix, which Python does not look at by itself."""
    for directory, _, files in os.walk(top):
        if directory.endswith(os.path.join('gi', 'overrides')) and 'Aqmp.py' in files:
            return os.path.dirname(os.path.dirname(directory))
    return ''


with tempfile.TemporaryDirectory() as root:
    if not tap.run([*shlex.split(meson), 'install', '-C', build_root, '--no-rebuild', '--destdir', root],
                   'meson install'):
        tap.done()
    installed = root + prefix

    headers = []
    for directory, _, files in os.walk(os.path.join(installed, 'include')):
        headers += [os.path.join(directory, name) for name in files]
    versioned = os.path.join(installed, 'include', 'aqmp-glib-1', 'aqmp-glib')
    tap.ok(headers and {os.path.dirname(h) for h in headers} == {versioned}, 'headers are in the versioned directory',
           '\n'.join(headers))
    tap.ok(not [h for h in headers if 'private' in h], 'no private header is installed', '\n'.join(headers))
    libraries = sorted(os.listdir(os.path.join(installed, libdir)))
    tap.ok(not [name for name in libraries if name.endswith('.a')], 'no internal library is installed', libraries)

    # What DESTDIR installs is meant to be moved to the prefix; here the prefix is moved instead.
    pkgconfig = os.path.join(installed, libdir, 'pkgconfig')
    pc = os.path.join(pkgconfig, 'aqmp-glib-1.pc')
    with open(pc, encoding='utf-8') as f:
        text = f.read()
    with open(pc, 'w', encoding='utf-8') as f:
        f.write(text.replace(f'prefix={prefix}\n', f'prefix={installed}\n', 1))
    tap.ok('Requires: gio-unix-2.0' in text and 'json-glib-1.0' in text and 'aqmp-internal' not in text,
           'aqmp-glib-1.pc names what the headers need, and nothing internal', text)

    libpath = os.path.join(installed, libdir)
    env = {**os.environ,
           'PKG_CONFIG_PATH': pkgconfig,
           'LD_LIBRARY_PATH': libpath,
           'GI_TYPELIB_PATH': os.path.join(libpath, 'girepository-1.0'),
           'PYTHONPATH': python_path(installed),
           'XDG_DATA_DIRS': os.path.join(installed, 'share') + ':/usr/local/share:/usr/share'}
    languages.c(env, root, cc)
    languages.c(env, root, cxx, 'c++')
    if vapi == 'true':
        languages.vala(env, root, cc, os.path.join(installed, 'share', 'vala', 'vapi'))
    if introspection == 'true':
        languages.python(env)
        languages.javascript(env)

tap.done()
