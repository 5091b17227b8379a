# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Ratios, goals and tables."""

import itertools
import math
import statistics

from rows import ALONE

PEERS = ('obvious', 'JsonParser', 'qemu-python', 'node')


def numbers(contestant, what):
    """Of each round: the time of one operation ("seconds" or "cpu") in µs, or what was noted under that name."""
    if what in ('seconds', 'cpu'):
        return [time * 1e6 for time in contestant.times(what)]
    return contestant.notes(what)


def ratio(ours, other, what='seconds', against='seconds'):
    """How many times the other's time an operation takes; of each round, as the machine's speed drifts, and of these the median."""
    pairs = zip(numbers(ours, what), numbers(other, against))
    return statistics.median(a / b for a, b in pairs)


def measured(contestant):
    return contestant is not None and not contestant.error and contestant.results


def judge(results, row, contestant, goal):
    """What a goal asks for, what was reached, and whether that is enough (None: cannot be told)."""
    if not goal.of:
        reached = statistics.median(numbers(contestant, goal.note))
        return {'goal': f'{goal.note} ≤ {short(goal.most)} {goal.unit}', 'reached': reached, 'met': reached <= goal.most}
    other = results[row.name].get(goal.of)
    wanted = f'{goal.note} ≤ {goal.most:.3g} × {goal.against} of {goal.of}' if goal.note else f'≤ {goal.most:.3g} × {goal.of}'
    if not measured(other):
        return {'goal': wanted, 'reached': None, 'met': None}
    reached = ratio(contestant, other, goal.note or 'seconds', goal.against)
    return {'goal': wanted, 'reached': reached, 'met': reached <= goal.most}


def figures(results, row, contestant):
    """All there is to say of one contestant, ready for JSON."""
    out = {'does': contestant.entry.does, 'error': contestant.error}
    if not measured(contestant):
        return out
    times = contestant.times()
    out |= {
        'rate': 1 / statistics.median(times),
        'rate_min': 1 / max(times),
        'rate_max': 1 / min(times),
        'cpu_us': contestant.median('cpu') * 1e6,
        'ratios': {name: ratio(contestant, other) for name, other in results[row.name].items()
                   if measured(other) and name != contestant.entry.name},
        'notes': {key: statistics.median(contestant.notes(key)) for key in contestant.results[0]
                  if key not in ('count', 'seconds', 'cpu')},
        'goals': [judge(results, row, contestant, goal) for goal in contestant.entry.goals],
        'rounds': contestant.results,
    }
    return out


def short(number):
    """Three significant digits."""
    if number is None:
        return '–'
    if number >= 99.5:
        return f'{number:,.0f}'
    return f'{number:.3g}'


def verdict(goal):
    met = {True: 'met', False: 'MISSED', None: 'cannot tell'}[goal['met']]
    return f'{goal["goal"]}: {short(goal["reached"])} {met}'


def print_table(header, lines):
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    for line in [header, *lines]:
        cells = [cell.ljust(width) if i in (0, len(header) - 1) else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))]
        print('  ' + '  '.join(cells).rstrip())


def print_row(row, figures_of_row):
    """`figures_of_row`: by name of the entry."""
    others = ['limit', *(name for name in PEERS if name in figures_of_row)]
    print(f'\n{row.title} ({row.name}; {row.unit}/s)')
    lines = []
    for name, f in figures_of_row.items():
        if 'rate' not in f:
            lines.append([name, 'missing', '', '', *('' for _ in others), f['error']])
            continue
        notes = [f'{key} {short(value)}' for key, value in f['notes'].items()]
        lines.append([name, short(f['rate']), f'{short(f["rate_min"])}–{short(f["rate_max"])}', short(f['cpu_us']),
                      *(short(f['ratios'].get(other)) for other in others),
                      '; '.join([verdict(goal) for goal in f['goals']] or notes)])
    print_table(['client', 'median', 'min–max', 'CPU µs', *(f'× {other}' for other in others), 'goal'], lines)


def print_counts(row, counted, names):
    print(f'\n{row.title}: of one operation')
    print_table(['client', *names, ''], [[entry, *(short(numbers.get(name)) for name in names), numbers.get('error', '')]
                                         for entry, numbers in counted.items()])


PROFILE_LINES = 45


def print_profile(title, inclusive, own):
    """The two lists side by side. What happens once, at the start, is in it too."""
    print(f'\n{title}: instructions for each operation')
    columns = [sorted(functions.items(), key=lambda item: -item[1])[:PROFILE_LINES] for functions in (inclusive, own)]
    lines = [[name, f'{n:,.0f}', own_name, f'{own_n:,.0f}'] for (name, n), (own_name, own_n) in
             itertools.zip_longest(*columns, fillvalue=('', 0))]
    print_table(['with those it calls', '', 'without', ''], lines)


def growth(rows, all_figures):
    """By group, then entry: points (size, ns of the client's CPU for each call or byte)."""
    curves = {}
    for row in rows:
        if not row.group:
            continue
        for name, f in all_figures[row.name].items():
            if 'cpu_us' in f:
                cost = f['cpu_us'] * 1000 / (row.size if row.per == 'byte' else 1)
                curves.setdefault((row.group, row.per), {}).setdefault(name, []).append((row.size, cost))
    return curves


def exponent(points, per):
    """Of the whole, from the last but one size to the last; 1 is linear."""
    if len(points) < 2:
        return math.nan
    (size_a, cost_a), (size_b, cost_b) = points[-2:]
    of_one = math.log(cost_b / cost_a) / math.log(size_b / size_a)
    return of_one if per == ALONE else 1 + of_one


# What is beyond is not explained by caches that are too small.
LINEAR = 1.15


def growth_text(points, per):
    power = exponent(points, per)
    if math.isnan(power):
        return ''
    return f'size^{power:.2f}' + (', worse than linear' if power > LINEAR else '')


def print_growth(curves):
    for (group, per), entries in curves.items():
        print(f'\n{group}: CPU of the client, ns for each {per}')
        sizes = sorted({size for points in entries.values() for size, _ in points})
        print_table(['client', *(f'{size:,}' for size in sizes), 'the whole grows as'],
                    [[name, *(short(dict(points).get(size)) for size in sizes), growth_text(points, per)]
                     for name, points in entries.items()])


def print_clients(rows):
    """What each client does with the JSON it gets."""
    does = {}
    for row in rows:
        for entry in row.entries:
            does.setdefault((entry.name, entry.program, entry.does), None)
    print('\nWhat they do')
    print_table(['client', 'program', 'with the JSON'], [list(key) for key in does])


def print_summary(all_figures, curves):
    goals = [(row, name, goal) for row, entries in all_figures.items() for name, f in entries.items()
             for goal in f.get('goals', ())]
    missed = [item for item in goals if item[2]['met'] is False]
    untold = [item for item in goals if item[2]['met'] is None]
    print(f'\n{len(goals) - len(missed) - len(untold)} goals met, {len(missed)} missed, {len(untold)} cannot be told')
    for row, name, goal in missed + untold:
        print(f'  {row}, {name}: {verdict(goal)}')
    for (group, per), entries in curves.items():
        for name, points in entries.items():
            if exponent(points, per) > LINEAR:
                print(f'  {group}, {name}: {growth_text(points, per)}')
