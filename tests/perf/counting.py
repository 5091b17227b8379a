# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Counts what an operation of the benchmarks takes, for check-counts.py and print-bands."""

import contextlib
import math
import os
import sys
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'benchmarks'), os.path.join(HERE, '..', 'build')]

import clients      # noqa: E402
import counts       # noqa: E402
import measure      # noqa: E402
import rows         # noqa: E402

ROWS = ('sequential', 'blocking', 'in-flight', 'connect', 'events', 'schema', 'text')
BANDS = os.path.join(HERE, 'bands.toml')

# What would change the numbers and is not the library's doing. GLib's slices hide what they hand out, Meson has the C library fill
# what it frees.
PLAIN = {'G_SLICE': 'always-malloc', 'G_DEBUG': '', 'G_MESSAGES_DEBUG': '', 'GLIBC_TUNABLES': '', 'MALLOC_PERTURB_': '0'}

# What else the machine does can only add to a number, and does so now and then: where calls are in flight, a server that is
# interrupted answers in two parts what it would have answered in one.
ATTEMPTS = 3


def load(path):
    with open(path, 'rb') as file:
        return tomllib.load(file)


class Perf:
    """A build, and its numbers."""

    def __init__(self, build):
        self.build = build
        loaded = load(os.path.join(build, 'tests', 'perf', 'configuration.toml'))
        self.configuration = loaded['configuration']
        self.counters = {name: counts.Counter(name, ['env', f'LD_PRELOAD={loaded["counter"]}', 'AQMP_TEST_COUNTS=OUTPUT'],
                                              rf'(?m)^{name} (\d+)$', True, PLAIN)
                         for name in ('system calls', 'writes', 'allocations')}
        self.counters['instructions'] = counts.Counter(
            'instructions', ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', '--log-file=OUTPUT'],
            r'Collected\s*:\s*(\d+)', True, PLAIN)
        self._programs = clients.programs(build)
        # One core for server and client, as in the benchmarks; but not the same for all tests.
        cores = sorted(os.sched_getaffinity(0))
        self._core = cores[os.getpid() % len(cores)]

    @contextlib.contextmanager
    def contestants(self, row_name):
        """What this library does in that row; json-glib's parser may do as it likes."""
        row = next(row for row in rows.make_rows() if row.name == row_name)
        with measure.server(self.build, self._core) as socket:
            yield [measure.Contestant(row, entry, self._programs[entry.program], socket, self._core) for entry in row.entries
                   if entry.program == 'aqmp' and entry.name != 'JsonParser' and not entry.borrowed]


def lengths(counter, contestant):
    """Those of the benchmarks. Where nothing slows the program down there may be more, and what happens by chance is less of it."""
    few, many = counts.LENGTHS[contestant.row.name]
    return few, many if counter.wrapper[0] == 'valgrind' else few + 10 * (many - few)


def least(counter, contestant, enough):
    """The least of some attempts; of one, if that is not more than what is enough."""
    number = math.inf
    for _ in range(ATTEMPTS):
        number = min(number, counter.per_operation(contestant, lengths(counter, contestant)))
        if number <= enough:
            break
    return number
