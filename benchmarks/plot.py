# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Draws the results as SVG: how many times the limit's time each client takes, and how the cost grows with size."""

import bisect
import html
import math

from rows import ALONE

WIDTH = 900
LEFT, RIGHT = 150, 70
LINE = 18
CURVE_HEIGHT = 220
ROWS = ('sequential', 'blocking', 'in-flight', 'connect', 'events', 'schema', 'text')
OURS = ('raw', 'tree', 'aqmp', 'unheard', 'signal', 'listener', 'python', 'await')
COLOURS = {'limit': '#888888', 'raw': '#1a5fb4', 'tree': '#e66100'}
OUR_COLOUR, PEER_COLOUR = '#1a5fb4', '#b0b0b0'
AXIS_COLOUR, GRID_COLOUR = '#888888', '#e8e8e8'


class Drawing:
    """Elements, and how far down they reach."""

    def __init__(self):
        self.elements = []
        self.y = 10

    def text(self, x, y, text, anchor='start', weight='normal', size=12, colour='#000000'):
        self.elements.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
                             f'font-size="{size}" fill="{colour}">{html.escape(text)}</text>')

    def rect(self, x, y, width, height, colour):
        self.elements.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>')

    def line(self, points, colour, width=1):
        path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in points)
        self.elements.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')

    def title(self, text):
        self.y += 2 * LINE
        self.text(10, self.y, text, weight='bold', size=14)
        self.y += LINE / 2

    def finish(self):
        height = self.y + LINE
        return '\n'.join([
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<!--', # the tags in two parts, or they would be taken for this file's
            f'SPDX-{""}FileCopyrightText: 2026 The aqmp-glib authors',
            f'SPDX-{""}License-Identifier: LGPL-2.1-or-later',
            '-->',
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif">',
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
            *self.elements,
            '</svg>\n',
        ])


def scale(values, low, high):
    """A function from a value to a place between low and high, by its logarithm."""
    first, last = math.log10(min(values)), math.log10(max(values))
    span = (last - first) or 1
    return lambda value: low + (math.log10(value) - first) / span * (high - low)


def draw_bars(drawing, ratios, place):
    for name, ratio in ratios.items():
        drawing.y += LINE
        drawing.text(LEFT - 8, drawing.y, name, 'end')
        end = max(place(max(ratio, 1)), LEFT + 1)
        drawing.rect(LEFT, drawing.y - 11, end - LEFT, 13, OUR_COLOUR if name in OURS else PEER_COLOUR)
        drawing.text(end + 5, drawing.y, f'{ratio:.3g} ×')


def draw_rows(drawing, results):
    found = {row: {name: f['ratios']['limit'] for name, f in results['rows'][row].items()
                   if 'limit' in f.get('ratios', {})} for row in ROWS if row in results['rows']}
    values = [ratio for ratios in found.values() for ratio in ratios.values()]
    if not values:
        return
    place = scale([1, *values], LEFT, WIDTH - RIGHT)
    drawing.title('Time of one operation, as multiple of the limit’s (logarithmic)')
    for row, ratios in found.items():
        drawing.y += LINE * 1.5
        drawing.text(LEFT, drawing.y, results['titles'][row], weight='bold')
        draw_bars(drawing, ratios, place)


def ticks(low, high):
    """Round numbers that have both between them, three to a decade."""
    steps = [digit * 10.0 ** power for power in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
             for digit in (1, 2, 5)]
    return steps[bisect.bisect_right(steps, low) - 1:bisect.bisect_left(steps, high) + 1]


def cost_ticks(costs):
    """At least a decade, so that what hardly changes does not look as if it did."""
    low, high = min(costs), max(costs)
    wanting = max(1, math.sqrt(10 * low / high))
    return ticks(low / wanting, high * wanting)


def time_text(ns):
    return f'{ns:g} ns' if ns < 1000 else f'{ns / 1000:g} µs'


def size_text(size, per):
    if per != 'byte':
        return f'{size:,}'
    return f'{size >> 20} MiB' if size >= 1 << 20 else f'{size >> 10} KiB'


def draw_axes(drawing, sizes, per, costs, place_x, place_y, bottom):
    for cost in costs:
        drawing.text(LEFT - 8, place_y(cost) + 4, time_text(cost), 'end', size=10)
        drawing.line([(LEFT, place_y(cost)), (WIDTH - RIGHT, place_y(cost))], GRID_COLOUR)
    for size in sizes:
        drawing.text(place_x(size), bottom + LINE, size_text(size, per), 'middle', size=10)
        drawing.line([(place_x(size), bottom), (place_x(size), bottom + 4)], AXIS_COLOUR)
    drawing.line([(LEFT, bottom - CURVE_HEIGHT + LINE), (LEFT, bottom), (WIDTH - RIGHT, bottom)], AXIS_COLOUR)


def spread(places, least):
    """The same places, moved so that neighbours are that far apart; from the lowest on the page upwards."""
    moved, last = {}, math.inf
    for name, y in sorted(places.items(), key=lambda item: -item[1]):
        last = moved[name] = min(y, last - least)
    return moved


def draw_curves(drawing, entries, place_x, place_y):
    labels = spread({name: place_y(points[-1][1]) for name, points in entries.items()}, LINE * 2 / 3)
    for name, points in entries.items():
        colour = COLOURS.get(name, PEER_COLOUR)
        places = [(place_x(size), place_y(cost)) for size, cost in points]
        drawing.line(places, colour, 2)
        for x, y in places:
            drawing.rect(x - 2.5, y - 2.5, 5, 5, colour)
        drawing.text(WIDTH - RIGHT + 8, labels[name] + 4, name, colour=colour)


def draw_growth(drawing, growth):
    points = [point for line in growth['entries'].values() for point in line]
    sizes, costs = sorted({size for size, _ in points}), cost_ticks([cost for _, cost in points])
    level = 'constant' if growth['per'] == ALONE else 'linear growth'
    drawing.title(f'{growth["group"]}: CPU of the client for each {growth["per"]} (logarithmic; level is {level})')
    bottom = drawing.y + CURVE_HEIGHT
    place_x = scale(sizes, LEFT, WIDTH - RIGHT)
    place_y = scale(costs, bottom, bottom - CURVE_HEIGHT + LINE)
    draw_axes(drawing, sizes, growth['per'], costs, place_x, place_y, bottom)
    draw_curves(drawing, growth['entries'], place_x, place_y)
    drawing.y = bottom + LINE


def draw(results):
    drawing = Drawing()
    machine = results['machine']
    drawing.text(10, drawing.y + LINE, f'{machine["cpu"]}, server and client on one core, medians of {machine["rounds"]} rounds')
    drawing.y += LINE
    draw_rows(drawing, results)
    for growth in results['growth']:
        draw_growth(drawing, growth)
    return drawing.finish()
