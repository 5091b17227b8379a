# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""The results as tables for doc/performance.md."""

from report import growth_text, short


def table(header, lines, left=(0,)):
    """`left`: the columns that are no numbers."""
    aligned = ['---' if i in left else '---:' for i in range(len(header))]
    return '\n'.join(f'| {" | ".join(line)} |' for line in [header, aligned, *lines]) + '\n'


def goal_text(goal):
    met = {True: 'met', False: '**missed**', None: 'cannot tell'}[goal['met']]
    reached = f'{short(goal["reached"])}, ' if goal['goal'][0] != '≤' else ''
    return f'{goal["goal"]}: {reached}{met}'


def rates(results):
    """One table with all rows but those that only show growth."""
    grown = {row for growth in results['growth'] for row in growth['rows']}
    lines = []
    for row, entries in results['rows'].items():
        for name, f in entries.items():
            if row in grown:
                continue
            start = [results['titles'][row] if name == next(iter(entries)) else '', name]
            if 'rate' not in f:
                lines.append([*start, 'missing', '', '', '', ''])
                continue
            ratio = f['ratios'].get('limit')
            lines.append([*start, short(f['rate']), f'{short(f["rate_min"])}–{short(f["rate_max"])}', short(f['cpu_us']),
                          short(ratio) if ratio else '', '; '.join(goal_text(goal) for goal in f['goals'])])
    return table(['work', 'client', 'per second', 'min–max', 'CPU µs', '× limit', 'goal'], lines, (0, 1, 6))


def growth_table(growth):
    sizes = sorted({size for points in growth['entries'].values() for size, _ in points})
    lines = []
    for name, points in growth['entries'].items():
        lines.append([name, *(short(dict(points).get(size)) for size in sizes), growth_text(points, growth['per'])])
    return table([f'{growth["group"]}: ns of CPU for each {growth["per"]}', *(f'{size:,}' for size in sizes),
                  'the whole grows as'], lines)


def counts(results):
    names = list(dict.fromkeys(name for entries in results['counts'].values() for numbers in entries.values()
                               for name in numbers if name != 'error'))
    lines = [[results['titles'][row] if entry == next(iter(entries)) else '', entry,
              *(short(numbers.get(name)) for name in names)]
             for row, entries in results['counts'].items() for entry, numbers in entries.items()]
    return table(['work', 'client', *names], lines, (0, 1)) if names else ''


def write(results):
    return '\n'.join([rates(results), *(growth_table(growth) for growth in results['growth']), counts(results)])
