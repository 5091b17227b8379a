#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""check-gir.py GIR: every public symbol is documented and says since when it exists."""

import sys
import xml.etree.ElementTree as ET

import tap

CORE = '{http://www.gtk.org/introspection/core/1.0}'
GLIB = '{http://www.gtk.org/introspection/glib/1.0}'

# The kinds of elements that are public symbols, or have such inside.
SYMBOLS = {CORE + kind for kind in (
    'alias', 'bitfield', 'callback', 'class', 'constant', 'constructor', 'enumeration', 'function', 'function-macro',
    'interface', 'method', 'property', 'record', 'union', 'virtual-method')} | {GLIB + 'signal'}

undocumented = []
undated = []
count = 0


def is_trivial_class_struct(element):
    """That of a final class, which G_DECLARE_FINAL_TYPE writes: nothing to say, and nowhere to say it."""
    return element.get(GLIB + 'is-gtype-struct-for') and len(element.findall(CORE + 'field')) <= 1


def check(element, path):
    global count
    signals = {signal.get('name').replace('-', '_') for signal in element.findall(GLIB + 'signal')}
    for child in element:
        name = f'{path}.{child.get("name")}'
        if child.tag == CORE + 'member' and child.find(CORE + 'doc') is None:
            undocumented.append(name)
        if child.tag not in SYMBOLS or child.get('moved-to') or is_trivial_class_struct(child):
            continue
        if child.tag == CORE + 'virtual-method' and child.get('name') in signals:
            continue  # the class handler of a signal: the signal is documented
        count += 1
        if child.find(CORE + 'doc') is None:
            undocumented.append(name)
        if child.get('version') is None:
            undated.append(name)
        check(child, name)


namespace = ET.parse(sys.argv[1]).getroot().find(CORE + 'namespace')
check(namespace, namespace.get('name'))

tap.ok(count > 50, f'found the public symbols ({count})')
tap.ok(not undocumented, 'every public symbol is documented', '\n'.join(undocumented))
tap.ok(not undated, 'every public symbol has a "Since:"', '\n'.join(undated))
tap.done()
