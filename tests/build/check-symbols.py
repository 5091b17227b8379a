#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""check-symbols.py MAP LIBRARY: what the library exports is exactly what the committed map lists."""

import subprocess
import sys

import tap

map_path, library = sys.argv[1:]

with open(map_path, encoding='utf-8') as f:
    listed = [line.strip() for line in f if not line.startswith('#')]
nm = subprocess.run(['nm', '-D', '--defined-only', library], check=True, stdout=subprocess.PIPE, text=True).stdout
exported = {line.split()[-1] for line in nm.splitlines()}

tap.ok(listed == sorted(set(listed)), 'the map is sorted', 'sort it with LC_ALL=C sort -u')

new = sorted(exported - set(listed))
tap.ok(not new, 'nothing is exported that the map does not list',
       f'Add to {map_path} if they are meant to be public (for ever), otherwise make them static or drop their '
       'AQMP_AVAILABLE_IN_*:\n' + '\n'.join(new))

gone = sorted(set(listed) - exported)
tap.ok(not gone, 'nothing is listed that the library does not export',
       'Programs may use these. If one is only not declared AQMP_AVAILABLE_IN_*, do so; if it was never released, remove '
       f'it from {map_path}:\n' + '\n'.join(gone))

tap.done()
