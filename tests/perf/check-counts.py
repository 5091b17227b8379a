#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""check-counts.py BUILD_ROOT ROW: an operation of the benchmarks takes as many system calls, allocations and instructions as it did
when bands.toml was written. More is a loss; far less is a gain, to be written there so that it is kept."""

import math
import sys

import counting
import tap  # after counting, which knows where it is

# By counter: which part of the recorded number it may be less, and more.
TOLERANCES = {
    'system calls': (0.25, 0.05),
    'writes': (0.25, 0.05),
    'allocations': (0.02, 0.01),
    'instructions': (0.25, 0.10),
}

# So much is still nothing, for each operation and in a whole run: not every run begins and ends the same.
NOTHING = 0.005
ONCE = 2

# What was promised, whatever is recorded. A call in sequence waits, reads and writes; 64 in flight together take that, and some more
# where a buffer is full. Nothing wakes up a main loop that runs already.
PROMISED = {
    'system calls': {'sequential': 3, 'blocking': 3, 'in-flight': 5 / 64},
    'writes': {name: 0 for name in ('sequential', 'blocking', 'in-flight', 'events', 'schema', 'text')},
}

# What of the configuration a number does not depend on.
INDEPENDENT = {
    'system calls': ('machine', 'compiler', 'glib', 'json-glib'),
    'writes': ('machine', 'compiler', 'glib', 'json-glib'),
    'allocations': ('machine', 'compiler'),
    'instructions': (),
}


def incomparable(name, bands, configuration):
    """Why a number cannot be compared with what was recorded; empty if it can."""
    return '; '.join(f'{key} is {configuration[key]}, and {recorded} was recorded' for key, recorded in bands['recorded'].items()
                     if key not in INDEPENDENT[name] and recorded != configuration[key])


def limits(name, contestant, recorded, operations):
    below, above = TOLERANCES[name]
    slack = NOTHING + ONCE / operations
    promised = PROMISED.get(name, {}).get(contestant.row.name, math.inf)
    return recorded * (1 - below) - slack, min(recorded * (1 + above), promised) + slack


def check(perf, contestant, name, bands):
    row = contestant.row.name
    point = f'{row}, {contestant.entry.name}: {name}'
    counter = perf.counters[name]
    if not counter.usable(contestant.program):
        tap.missing(counter.wrapper[0], point)
        return
    reason = incomparable(name, bands, perf.configuration)
    if reason:
        tap.skip(reason, point)
        return

    recorded = bands.get(row, {}).get(contestant.entry.name, {}).get(name.replace(' ', '-'))
    if recorded is None:
        tap.ok(False, point, f'bands.toml has no number: {RENEW}')
        return
    few, many = counting.lengths(counter, contestant)
    low, high = limits(name, contestant, recorded, many - few)
    number = counting.least(counter, contestant, high)
    tap.ok(low <= number <= high, point,
           f'{number:,} for each operation; {recorded:,} was recorded, and {low:,.6g} to {high:,.6g} is allowed.\n' +
           ('That is less than it was: to keep it so, ' if number < low else 'If that is meant, ') + RENEW)
    print(f'# {number:,}', flush=True)


build, row_name = sys.argv[1:]
RENEW = f'renew it: tests/perf/print-bands {build} >bands.new && mv bands.new tests/perf/bands.toml'

if tap.have('taskset', row_name):
    perf_of_build = counting.Perf(build)
    all_bands = counting.load(counting.BANDS)
    with perf_of_build.contestants(row_name) as contestants:
        for each in contestants:
            for counter_name in perf_of_build.counters:
                check(perf_of_build, each, counter_name, all_bands)
tap.done()
