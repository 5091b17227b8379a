# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""System calls, instructions and allocations of one operation: the difference of a long run and a short one, divided by that of
their lengths. These do not depend on what else the machine does."""

import operator
import os
import re
import shutil
import tempfile

import measure

# Of the row: how many operations the short run and the long one do.
LENGTHS = {
    'sequential': (200, 1200),
    'blocking': (200, 1200),
    'in-flight': (640, 6400),
    'connect': (50, 250),
    'events': (1000, 5000),
    'schema': (2, 6),
    'text': (2, 6),
}


class Counter:
    """One way of counting."""

    def __init__(self, name, wrapper, pattern, native_only, env=None):
        self.name, self.wrapper, self.pattern, self.native_only = name, wrapper, pattern, native_only
        self.env = env or {}

    def usable(self, program):
        return shutil.which(self.wrapper[0]) is not None and (program.native or not self.native_only)

    def total(self, contestant, count):
        with tempfile.NamedTemporaryFile('r', encoding='utf-8') as file:
            wrapper = ['env', *(f'{key}={value}' for key, value in self.env.items()),
                       *(word.replace('OUTPUT', file.name) for word in self.wrapper)]
            contestant.run(count, wrapper)
            found = re.findall(self.pattern, file.read())
        if not found:
            raise measure.ClientError(f'{self.wrapper[0]} counted nothing')
        return int(found[-1].replace(',', ''))

    def per_operation(self, contestant, lengths):
        few, many = (self.total(contestant, n) for n in lengths)
        return round((many - few) / (lengths[1] - lengths[0]), 4)


# Set at all, GLib uses its slices also where it sees valgrind, as it does for users.
SLICES = {'G_SLICE': ''}

COUNTERS = [
    Counter('system calls', ['strace', '--follow-forks', '--summary-only', '--summary-columns=calls,name', '--output=OUTPUT'],
            r'(\d+)\s+total', False),
    Counter('instructions', ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', '--log-file=OUTPUT'],
            r'Collected\s*:\s*(\d+)', True, SLICES),
    # GLib's slices would hide what they hand out.
    Counter('allocations', ['valgrind', '--tool=memcheck', '--leak-check=no', '--undef-value-errors=no', '--log-file=OUTPUT'],
            r'total heap usage: ([\d,]+) allocs', True, {'G_SLICE': 'always-malloc'}),
]


def count_row(row, programs, socket, core):
    """By name of the entry, then of the counter; what could not be counted is left out."""
    counted = {}
    for entry in row.entries:
        contestant = measure.Contestant(row, entry, programs[entry.program], socket, core)
        if contestant.error or entry.borrowed:
            continue
        numbers = counted[entry.name] = {}
        for counter in COUNTERS:
            if counter.usable(contestant.program):
                try:
                    numbers[counter.name] = counter.per_operation(contestant, LENGTHS[row.name])
                except measure.ClientError as e:
                    numbers['error'] = str(e)
    return counted


def parse_profile(text, operations, merge):
    """callgrind_annotate's lines as {function: instructions for each operation}. A function that calls itself, or has others
    inlined, has several: what becomes of them depends on what is counted."""
    functions = {}
    for line in text.splitlines():
        found = re.match(r'\s*([\d,]+) \([^)]*\)\s+\S*?:(\(?[A-Za-z_][^\[]*)', line)
        if found:
            name = re.sub(r"@@.*|'\d+$", '', found[2].strip())
            functions[name] = merge(functions.get(name, 0), int(found[1].replace(',', '')) / operations)
    return functions


def profile(row, entry, programs, socket, core):
    """Where the instructions of an entry go, by function: with those of the functions it calls, and without."""
    contestant = measure.Contestant(row, entry, programs[entry.program], socket, core)
    if contestant.error:
        raise measure.ClientError(contestant.error)
    operations = 4 * LENGTHS[row.name][1]
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'callgrind.out')
        contestant.run(operations, ['env', *(f'{key}={value}' for key, value in SLICES.items()), 'valgrind', '--tool=callgrind',
                                    f'--callgrind-out-file={path}', '--log-file=/dev/null'])
        annotate = ['callgrind_annotate', '--auto=no', '--threshold=99']
        return (parse_profile(measure.output_of([*annotate, '--inclusive=yes', path]), operations, max),
                parse_profile(measure.output_of([*annotate, '--inclusive=no', path]), operations, operator.add))
