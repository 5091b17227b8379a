#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""check-shell.py SOURCE_ROOT: shellcheck has nothing to say about the shell scripts."""

import pathlib
import sys

import tap

root = pathlib.Path(sys.argv[1])
scripts = [path for directory in ('scripts', '.ci') for path in sorted((root / directory).iterdir())
           if path.is_file() and path.read_text(encoding='utf-8').startswith(('#!/bin/bash\n', '#!/bin/sh\n'))]

tap.ok(len(scripts) > 3, f'found the scripts ({len(scripts)})')
for script in scripts:
    name = f'shellcheck {script.relative_to(root)}'
    if tap.have('shellcheck', name):
        tap.run(['shellcheck', script], name)
tap.done()
