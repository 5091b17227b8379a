#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Measures this library and its peers against the fastest client there can be. scripts/bench builds what it needs."""

import argparse
import json
import os
import platform
import sys

import clients
import counts
import markdown
import measure
import plot
import report
import rows as rows_module

def parse_arguments():
    parser = argparse.ArgumentParser(prog='scripts/bench', description=__doc__)
    parser.add_argument('--build', required=True, help=argparse.SUPPRESS)
    parser.add_argument('--quick', action='store_true', help='3 short rounds: to see that it works, not to compare')
    parser.add_argument('--rounds', type=int, help='how often each client has its turn (9)')
    parser.add_argument('--seconds', type=float, help='how long a turn takes, about (0.3)')
    parser.add_argument('--only', action='append', metavar='ROW', help='only this row, or those whose names begin like '
                        'this and a dash; may be repeated')
    parser.add_argument('--core', type=int, default=max(os.sched_getaffinity(0)), help='for server and client (the last)')
    parser.add_argument('--json', metavar='FILE', help='write everything there, too')
    parser.add_argument('--markdown', metavar='FILE', help='write the tables of doc/performance.md there, too')
    parser.add_argument('--svg', metavar='FILE', help='draw it there, too')
    parser.add_argument('--profile', action='store_true', help='print where the instructions of our entries go, instead')
    parser.add_argument('--no-counts', action='store_true', help='count no system calls, instructions and allocations')
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (3 if arguments.quick else 9)
    arguments.seconds = arguments.seconds or (0.05 if arguments.quick else 0.3)
    return arguments


def select(rows, only):
    if not only:
        return rows
    names = {row.name for row in rows for name in only if row.name == name or row.name.startswith(f'{name}-')}
    unknown = [name for name in only if not any(found == name or found.startswith(f'{name}-') for found in names)]
    if unknown:
        sys.exit(f'No such row: {", ".join(unknown)}. There are: {", ".join(row.name for row in rows)}')
    return [row for row in rows if row.name in names]


def cpu_model():
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        models = [line.split(':', 1)[1].strip() for line in file if line.startswith('model name')]
    return models[0] if models else platform.machine()


def describe_machine(arguments):
    return {
        'cpu': cpu_model(),
        'cores': os.cpu_count(),
        'kernel': platform.release(),
        'load': os.getloadavg()[0],
        'core': arguments.core,
        'rounds': arguments.rounds,
        'seconds': arguments.seconds,
    }


def measure_all(rows, programs, arguments):
    results, all_figures = {}, {}
    for row in rows:
        # A server for each row, so that none inherits the other's memory.
        with measure.server(arguments.build, arguments.core) as socket:
            results[row.name] = measure.measure_row(row, programs, socket, arguments.core, arguments.rounds,
                                                    arguments.seconds)
        all_figures[row.name] = {name: report.figures(results, row, contestant)
                                 for name, contestant in results[row.name].items()}
        report.print_row(row, all_figures[row.name])
        sys.stdout.flush()
    return all_figures


def count_all(rows, programs, arguments):
    counted = {}
    for row in rows:
        if row.name in counts.LENGTHS:
            with measure.server(arguments.build, arguments.core) as socket:
                counted[row.name] = counts.count_row(row, programs, socket, arguments.core)
            report.print_counts(row, counted[row.name], [counter.name for counter in counts.COUNTERS])
            sys.stdout.flush()
    return counted


def profile_all(rows, programs, arguments):
    for row in rows:
        for entry in row.entries:
            program = programs[entry.program]
            if row.name in counts.LENGTHS and program.ours and program.native:
                with measure.server(arguments.build, arguments.core) as socket:
                    report.print_profile(f'{row.title}: {entry.name}',
                                         *counts.profile(row, entry, programs, socket, arguments.core))
                sys.stdout.flush()


def write_results(arguments, results):
    for path, text in ((arguments.json, lambda: json.dumps(results, indent=1, ensure_ascii=False)),
                       (arguments.svg, lambda: plot.draw(results)),
                       (arguments.markdown, lambda: markdown.write(results))):
        if path:
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text())


def main():
    arguments = parse_arguments()
    rows = select(rows_module.make_rows(), arguments.only)
    machine = describe_machine(arguments)
    programs = clients.programs(arguments.build)
    if arguments.profile:
        profile_all(rows, programs, arguments)
        return

    print('Machine: ' + ', '.join(f'{key} {value}' for key, value in machine.items()))
    print('Columns "× limit" and the like: how many times the time of that client an operation takes (median of the rounds).')
    all_figures = measure_all(rows, programs, arguments)
    curves = report.growth(rows, all_figures)
    report.print_growth(curves)
    counted = {} if arguments.no_counts else count_all(rows, programs, arguments)
    report.print_clients(rows)
    report.print_summary(all_figures, curves)

    write_results(arguments, {
        'machine': machine,
        'rows': all_figures,
        'titles': {row.name: row.title for row in rows},
        'growth': [{'group': group, 'per': per, 'entries': entries, 'rows': [row.name for row in rows if row.group == group]}
                   for (group, per), entries in curves.items()],
        'counts': counted,
    })


if __name__ == '__main__':
    main()
