#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""check-floors.py SOURCE_ROOT: no file includes a header of a floor above its own.

The library is built in floors, each of which knows only those below:
  4  examples (and what else uses the public interface and nothing more)
  3  client: QMP
  2  protocol: states, sessions, queues; no JSON
  1  mechanism: bytes, streams, limits; no states, no JSON
  0  values
"""

import pathlib
import re
import sys

import tap

# By the name without "aqmp-", suffix and "-private": the longest of these that it is, or begins with and a "-".
FLOORS = {
    'address': 0, 'alloc': 0, 'enum-types': 0, 'enums': 0, 'error': 0, 'event': 0, 'greeting': 0, 'init': 0, 'json': 0, 'spare': 0,
    'version': 0, 'weak-ref': 0,
    'block': 1, 'blocking': 1, 'channel': 1, 'connector': 1, 'framing': 1, 'listener': 1, 'nested-context': 1, 'result': 1, 'tls': 1, 'transport': 1,
    'waiters': 1, 'watch': 1, 'write-queue': 1,
    'protocol': 2,
    'client': 3, 'command': 3, 'event-history': 3, 'event-listener': 3, 'event-queue': 3, 'job': 3, 'message': 3, 'pending': 3,
}
UMBRELLA = 'aqmp-glib.h'

# What a floor must not see though it is lower down.
JSON = re.compile(r'aqmp-json|json-glib')
STATES = re.compile(r'aqmp-enums')
BLIND = {1: [(JSON, 'knows no JSON'), (STATES, 'knows no states')], 2: [(JSON, 'knows no JSON')]}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def floor_of(filename):
    stem = re.sub(r'(-private)?\.(c|h|h\.in)$', '', filename).removeprefix('aqmp-')
    while stem:
        if stem in FLOORS:
            return FLOORS[stem]
        stem = stem.rpartition('-')[0]
    return None


def violations(path, floor):
    for included in INCLUDE.findall(path.read_text(encoding='utf-8')):
        name = included.rpartition('/')[2]
        for pattern, why in BLIND.get(floor, []):
            if pattern.search(included):
                yield f'{path} includes {included}, but floor {floor} {why}'
        if floor == 4:
            if name.startswith('aqmp-') and name != UMBRELLA:
                yield f'{path} includes {included}, but may use <aqmp-glib/{UMBRELLA}> only'
        elif name == UMBRELLA:
            yield f'{path} includes {included}, which is for programs'
        elif name.startswith('aqmp-') and (floor_of(name) or 0) > floor:
            yield f'{path} (floor {floor}) includes {included} (floor {floor_of(name)})'


root = pathlib.Path(sys.argv[1])
unknown = []
silent = []
wrong = []
count = 0

for path in sorted((root / 'aqmp-glib').iterdir()):
    if path.name == UMBRELLA or not path.name.endswith(('.c', '.h', '.h.in')):
        continue
    floor = floor_of(path.name)
    if floor is None:
        unknown.append(path.name)
    else:
        wrong += violations(path, floor)
        # Every decision about threads is written where it counts. Values share nothing.
        if floor > 0 and path.suffix == '.c' and '/* Threads: ' not in path.read_text(encoding='utf-8'):
            silent.append(path.name)
    count += 1

for directory in ('examples', 'tools', 'bindings'):
    for path in sorted((root / directory).rglob('*.[ch]')):
        wrong += violations(path, 4)
        count += 1

tap.ok(count > 10, f'found the sources ({count})')
tap.ok(not unknown, 'every file has a floor', f'Add to FLOORS in {__file__}: {" ".join(unknown)}')
tap.ok(not wrong, 'no file looks up', '\n'.join(wrong))
tap.ok(not silent, 'every file above floor 0 says which threads run it', ' '.join(silent))
tap.done()
