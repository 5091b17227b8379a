#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""overrides-dir.py FIND_OVERRIDES_DIR MESON SOURCE_ROOT: overrides are installed where PyGObject and gjs look, or where a packager
says."""

import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile

import tap

script, meson, source = sys.argv[1:]


def found(prefix):
    return subprocess.run([sys.executable, script, prefix], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def looked_at(directory):
    """Whether PyGObject looks there, given that somebody makes it. It does where gi is itself, and in all that Python looks at."""
    return os.path.dirname(os.path.dirname(directory)) in map(os.path.realpath, sys.path)


def installed_files(directory, *options):
    subprocess.run([*shlex.split(meson), 'setup', directory, source, '-Dtests=false', '-Dvapi=disabled', *options], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    introspected = subprocess.run([*shlex.split(meson), 'introspect', '--installed', directory], check=True,
                                  stdout=subprocess.PIPE, text=True).stdout
    return json.loads(introspected).values()


if importlib.util.find_spec('gi') is None:
    tap.missing('python3-gi', 'overrides')
    tap.done()

import gi.overrides  # noqa: E402

own = os.path.realpath(gi.overrides.__path__[0])
if own.startswith('/usr/lib'):
    tap.ok(os.path.realpath(found('/usr')) == own, 'prefix /usr: where those of PyGObject are', found('/usr'))
local = found('/usr/local')
tap.ok(local.startswith('/usr/local/') and (looked_at(local) or not os.path.isdir('/usr/local/lib')), 'prefix /usr/local: where Python looks', local)
tap.ok(found('/opt/there').startswith('/opt/there/lib/') and found('/opt/there').endswith('/gi/overrides'), 'another prefix: in it',
       found('/opt/there'))
with tempfile.TemporaryDirectory() as build:
    files = list(installed_files(os.path.join(build, 'other'), '-Dpython-overrides-dir=/opt/somewhere/gi/overrides',
                                 '-Dgjs-overrides-dir=/opt/elsewhere/overrides'))
    tap.ok('/opt/somewhere/gi/overrides/Aqmp.py' in files and '/opt/somewhere/gi-stubs/repository/Aqmp.pyi' in files,
           'python-overrides-dir: there', '\n'.join(files))
    tap.ok({'/opt/elsewhere/overrides/Aqmp.js', '/opt/elsewhere/overrides/_aqmpJson.js'} <= set(files),
           'gjs-overrides-dir: there', '\n'.join(files))
    # gjs looks in each directory of XDG_DATA_DIRS, which has that of the prefix.
    files = list(installed_files(os.path.join(build, 'usual'), '--prefix=/usr/local'))
    tap.ok({'/usr/local/share/gjs-1.0/overrides/Aqmp.js', '/usr/local/share/gjs-1.0/overrides/_aqmpJson.js'} <= set(files),
           'prefix /usr/local: where gjs looks', '\n'.join(files))
tap.done()
