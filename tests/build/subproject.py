#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""subproject.py MESON SOURCE_ROOT INTROSPECTION: the library works as a Meson subproject."""

import os
import shlex
import shutil
import sys
import tempfile

import tap

meson, source_root, introspection = sys.argv[1:]
meson = shlex.split(meson)
here = os.path.dirname(os.path.abspath(__file__))

with tempfile.TemporaryDirectory() as root:
    source = os.path.join(root, 'super')
    build = os.path.join(root, 'build')
    shutil.copytree(os.path.join(here, 'subproject'), source)
    shutil.copy(os.path.join(here, 'programs', 'program.c'), source)
    os.mkdir(os.path.join(source, 'subprojects'))
    os.symlink(source_root, os.path.join(source, 'subprojects', 'aqmp-glib'))

    feature = 'enabled' if introspection == 'true' else 'disabled'
    (tap.run([*meson, 'setup', '--wrap-mode=forcefallback', '-Dwerror=true', f'-Dintrospection={feature}', build, source],
             'set up with its own option "tests"') and
     tap.run([*meson, 'compile', '-C', build], 'compile', timeout=300) and
     tap.run([*meson, 'test', '-C', build], 'run'))
    # Ours were not asked for.
    tests = os.path.join(build, 'subprojects', 'aqmp-glib', 'tests')
    tap.ok(not os.path.exists(tests), 'the tests of the subproject are not built', tests)

tap.done()
