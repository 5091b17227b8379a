# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""The library, installed in a directory of the test's own."""

import os
import pathlib
import shlex

import tap


def install(meson, build_root, root):
    return tap.run([*shlex.split(meson), 'install', '-C', build_root, '--no-rebuild', '--destdir', root], 'meson install')


def _parent_of(prefix, name):
    """The directory below the prefix that has such a path in it, for those who do not look there by themselves."""
    found = pathlib.Path(prefix).rglob(name)
    return next((str(path)[:-len(name) - 1] for path in found), '')


def environment(root, prefix, libdir):
    """In it compilers, typelibs and programs find the library below the root; prefix and libdir are the options of the build.

    What DESTDIR installs is meant to be moved to the prefix; here the prefix is moved instead.
    """
    installed = root + prefix
    libraries = os.path.join(installed, libdir)
    pc = pathlib.Path(libraries, 'pkgconfig', 'aqmp-glib-1.pc')
    text = pc.read_text(encoding='utf-8')
    pc.write_text(text.replace(f'prefix={prefix}\n', f'prefix={installed}\n', 1), encoding='utf-8')
    return {**os.environ,
            'PKG_CONFIG_PATH': str(pc.parent),
            'LD_LIBRARY_PATH': libraries,
            'GI_TYPELIB_PATH': os.path.join(libraries, 'girepository-1.0'),
            'PYTHONPATH': _parent_of(installed, 'gi/overrides/Aqmp.py'),
            'GJS_PATH': _parent_of(installed, 'overrides/Aqmp.js'),
            # Of Vala's bindings, too.
            'XDG_DATA_DIRS': os.path.join(installed, 'share') + ':/usr/local/share:/usr/share'}
