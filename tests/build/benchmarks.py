#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""benchmarks.py SOURCE_ROOT BUILD_ROOT: the compiled benchmarks can be run, each for a moment. How fast they are is not looked
at here: that is what scripts/bench is for."""

import os
import sys

import tap

source_root, build_root = sys.argv[1:]
sys.path.insert(0, os.path.join(source_root, 'benchmarks'))

import clients  # noqa: E402
import measure  # noqa: E402
import rows  # noqa: E402

LARGEST = 1 << 20
core = max(os.sched_getaffinity(0))
programs = clients.programs(build_root)

for row in rows.make_rows():
    if row.size > LARGEST:
        continue
    with measure.server(build_root, core) as socket:
        for entry in row.entries:
            if programs[entry.program].native:
                contestant = measure.Contestant(row, entry, programs[entry.program], socket, core)
                contestant.attempt(contestant.measure)
                tap.ok(not contestant.error, f'{row.name}, {entry.name}', contestant.error)
tap.done()
