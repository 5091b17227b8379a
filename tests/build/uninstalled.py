#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""uninstalled.py MESON BUILD_ROOT INTROSPECTION VAPI CC: programs build and run in "meson devenv", nothing installed."""

import os
import shlex
import subprocess
import sys
import tempfile

import languages
import tap

meson, build_root, introspection, vapi, cc = sys.argv[1:]

# What the environment is inside, NUL-separated, and nothing else on its standard output.
devenv = subprocess.run([*shlex.split(meson), 'devenv', '-C', build_root, 'env', '-0'], check=True,
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout
env = dict(entry.split('=', 1) for entry in devenv.split('\0') if '=' in entry)

with tempfile.TemporaryDirectory() as directory:
    languages.c(env, directory, cc)
    if vapi == 'true':
        languages.vala(env, directory, cc, languages.uninstalled_vala(build_root))
    if introspection == 'true':
        languages.python(env)
        languages.javascript(env)

tap.done()
