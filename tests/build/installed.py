#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""installed.py MESON BUILD_ROOT PREFIX LIBDIR INTROSPECTION VAPI CC CXX: programs build and run against what is installed.

INTROSPECTION and VAPI are "true" or "false"; PREFIX and LIBDIR (relative to it) are the options of the build.
"""

import os
import sys
import tempfile

import languages
import staged
import tap

meson, build_root, prefix, libdir, introspection, vapi, cc, cxx = sys.argv[1:]

with tempfile.TemporaryDirectory() as root:
    if not staged.install(meson, build_root, root):
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

    with open(os.path.join(installed, libdir, 'pkgconfig', 'aqmp-glib-1.pc'), encoding='utf-8') as f:
        text = f.read()
    tap.ok('Requires: gio-unix-2.0' in text and 'json-glib-1.0' in text and 'aqmp-internal' not in text,
           'aqmp-glib-1.pc names what the headers need, and nothing internal', text)

    env = staged.environment(root, prefix, libdir)
    languages.c(env, root, cc)
    languages.c(env, root, cxx, 'c++')
    if vapi == 'true':
        languages.vala(env, root, cc)
    if introspection == 'true':
        languages.python(env)
        languages.javascript(env)

tap.done()
