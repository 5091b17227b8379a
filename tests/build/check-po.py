#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""check-po.py SOURCE_ROOT: all text for users can be translated, and is in each language that there is."""

import pathlib
import re
import subprocess
import sys
import tempfile

import tap

# With a string: the macro that marks it.
MARKED = re.compile(r'\bN?_ ?\("')

root = pathlib.Path(sys.argv[1])
po = root / 'po'


def lines(path):
    return [line for line in path.read_text(encoding='utf-8').splitlines() if line and not line.startswith('#')]


listed = lines(po / 'POTFILES.in')
marked = sorted(str(path.relative_to(root)) for path in (root / 'aqmp-glib').glob('*.c')
                if MARKED.search(path.read_text(encoding='utf-8')))
tap.ok(listed == marked, 'POTFILES.in has every file with text for users, in order, and no others',
       '\n'.join(sorted(set(listed) ^ set(marked))))

if all(tap.have(program, program) for program in ('xgettext', 'msgcmp', 'msgfmt')):
    with tempfile.TemporaryDirectory() as directory:
        pot = str(pathlib.Path(directory) / 'all.pot')
        subprocess.run(['xgettext', '--from-code=UTF-8', '--keyword=_', '--keyword=N_', '-o', pot, *marked], cwd=root, check=True)
        for language in lines(po / 'LINGUAS'):
            path = str(po / f'{language}.po')
            tap.run(['msgfmt', '--check', '-o', '/dev/null', path], f'{language}: the file is sound')
            # Neither what is missing nor what is fuzzy passes.
            tap.run(['msgcmp', path, pot], f'{language}: everything is translated')
tap.done()
