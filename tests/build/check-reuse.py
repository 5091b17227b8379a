#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""check-reuse.py SOURCE_ROOT: every file says whose it is and under which licence (https://reuse.software)."""

import os
import subprocess
import sys

import tap

root = sys.argv[1]
NAME = 'reuse lint'

# Git tells what is ignored, such as build directories, also where the checkout belongs to somebody else.
os.environ |= {'GIT_CONFIG_COUNT': '1', 'GIT_CONFIG_KEY_0': 'safe.directory', 'GIT_CONFIG_VALUE_0': '*'}

if not os.path.exists(os.path.join(root, '.git')):
    print(f'1..0 # SKIP {root} is not a checkout: build directories in it would be checked too')
    sys.exit()
if tap.have('reuse', NAME) and tap.have('git', NAME):
    subprocess.run(['git', '-C', root, 'status', '--short'], check=True, stdout=subprocess.DEVNULL)
    tap.run(['reuse', '--root', root, 'lint'], NAME)
tap.done()
