#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""check-threading.py MAP PAGE SOURCE...: the table of threads in the manual has every public function, once.

It is the one with a column "function". What it says about who may call a function has to be what its own documentation says.
"""

import collections
import pathlib
import re
import sys

import tap

HEADING = ['function', 'thread', 'blocks', 'what it calls, and where']
FUNCTION = re.compile(r'`(aqmp_\w+)`|\[id@(aqmp_\w+)\]')
COMMENT = re.compile(r'/\*\*\n \* (aqmp_\w+):.*?\*/', re.DOTALL)

# As documentation comments put it, and how the second column then begins.
RULES = {
    'May be called from any thread': 'any',
    "To be called in the owner's context": "the owner's",
    'To be called from the thread that runs it': ('the one that runs', 'likewise'),
}


def rows_of(page):
    """The cells of the rows of the table."""
    rows = None
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip().strip('|').split('|')] if line.startswith('|') else None
        if rows is None:
            rows = [] if cells == HEADING else None
        elif cells is None:
            break
        elif not re.fullmatch(r'[-\s|]+', line):
            rows.append(cells)
    return rows or []


def rules_of(sources):
    """By function, where its comment has one."""
    for source in sources:
        for comment in COMMENT.finditer(source.read_text(encoding='utf-8')):
            text = re.sub(r'\s*\n \*\s*', ' ', comment.group(0))
            for rule, beginning in RULES.items():
                if rule in text:
                    yield comment.group(1), beginning


map_path, page_path, *sources = map(pathlib.Path, sys.argv[1:])
public = [line for line in map_path.read_text(encoding='utf-8').splitlines() if not line.startswith('#')]
rows = rows_of(page_path.read_text(encoding='utf-8'))

tap.ok(rows and all(len(row) == len(HEADING) and all(row) for row in rows), 'the table is there, and filled',
       '\n'.join(' | '.join(row) for row in rows if len(row) != len(HEADING) or not all(row)))

row_of = {}
times = collections.Counter()
for row in rows:
    for names in FUNCTION.findall(row[0]):
        row_of[''.join(names)] = row
        times[''.join(names)] += 1

missing = [name for name in public if not times[name]]
tap.ok(not missing, 'every public function is in the table', f'Add to {page_path}:\n' + '\n'.join(missing))
repeated = [name for name in times if times[name] > 1]
tap.ok(not repeated, 'none is there twice', '\n'.join(repeated))
unknown = sorted(set(times) - set(public))
tap.ok(not unknown, 'nothing else is in the table', f'Remove from {page_path}:\n' + '\n'.join(unknown))

rules = dict(rules_of(sources))
wrong = [f'{name}: “{row_of[name][1]}”' for name, rule in rules.items()
         if name in row_of and not row_of[name][1].startswith(rule)]
tap.ok(len(rules) > 50 and not wrong, 'the table and the documentation of each function agree on who may call it',
       f'{len(rules)} have a rule\n' + '\n'.join(wrong))

blocking = [name for name, row in row_of.items() if name.endswith('_sync') != (row[2] != 'no')]
tap.ok(not blocking, 'those with “_sync” block, and no others', '\n'.join(blocking))

tap.done()
