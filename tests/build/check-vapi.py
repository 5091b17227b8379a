#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""check-vapi.py VAPI SYMBOLS PROTOCOL_HEADER: nothing is missing in Vala, and what can be left out or be null is said to be."""

import pathlib
import re
import sys

import tap

vapi, symbols, header = (pathlib.Path(name).read_text(encoding='utf-8') for name in sys.argv[1:])

# The name of a type or namespace, and what it has.
TYPE = re.compile(r'^\tpublic (?:abstract |sealed )*(?:class|errordomain) (\w+)[^\n]*\{\n(.*?)^\t\}$', re.MULTILINE | re.DOTALL)
METHOD = re.compile(r'public ([\w .?\[\]]*?)@?\b(\w+) \((.*)\)(?: throws GLib\.Error)?;$', re.MULTILINE)
PROPERTY = re.compile(r'public ([\w.\[\]]+)(\??) (\w+) \{')
GETTER = re.compile(r'public (?:unowned )?([\w.\[\]]+)(\??) get_(\w+) \(\);')

# How a property differs in name from its getter.
RENAMED = {'job_type': 'type'}


def snake(name):
    return re.sub(r'(?<=[a-z])(?=[A-Z])', '_', name).lower()


def parameters(text):
    """Without what is said to the C compiler about them."""
    text = re.sub(r'\[CCode \(.*?\)\] ', '', text)
    return [parameter for parameter in text.split(', ') if parameter]


def has_default(parameter):
    return ' = ' in parameter


def can_be_left_out(parameter):
    return '? ' in parameter or parameter.startswith('out ') or re.search(r'\b(flags|timeout_ms)\b', parameter)


types = dict(TYPE.findall(vapi))
outside = TYPE.sub('', vapi)

# --- all of it ---

exported = {line.strip() for line in symbols.splitlines() if re.fullmatch(r'aqmp_\w+', line.strip())}
bound = {f'aqmp_{name}' for _, name, _ in METHOD.findall(outside)}
for type_name, body in types.items():
    names = {name for _, name, _ in METHOD.findall(body)}
    prefix = f'aqmp_{snake(type_name)}_'
    bound |= {prefix + ('new' if name == type_name else name) for name in names}
    bound |= {prefix + re.sub('_async$', '_finish', name) for name in names if name.endswith('_async')}
missing = sorted(name for name in exported - bound if not name.endswith('_get_type'))
tap.ok(exported and not missing, 'every function is there', missing)

slots = re.findall(r'\(\*(\w+)\)', header)
virtual = re.findall(r'public virtual .*?(\w+) \(', types['Protocol'])
tap.ok(slots and sorted(slots) == sorted(virtual), 'every virtual function is there', f'{slots}\n{virtual}')

filters = re.findall(r'public virtual ([\w.?]+) filter_\w+ \(', types['Protocol'])
tap.ok(filters == ['GLib.Bytes'] * 2, 'filters return a message, and cannot return null: they throw', filters)

tap.ok('ProtocolError' in types and 'Error' not in types, 'no error domain hides GLib.Error', list(types))

# --- what can be left out ---

wrong = []
for type_name, body in types.items():
    for kind, name, text in METHOD.findall(body):
        if not (name.endswith(('_async', '_sync')) or name in (type_name, 'listen')):
            continue
        for parameter in reversed(parameters(text)):
            if not can_be_left_out(parameter) and not has_default(parameter):
                break
            if not has_default(parameter) or ('timeout_ms' in parameter and not parameter.endswith('= -1')):
                wrong.append(f'{type_name}.{name}: {parameter}')
        if name.endswith('_async') and 'async ' not in kind:
            wrong.append(f'{type_name}.{name} is not async')
tap.ok(not wrong, 'what comes last and can be left out has a default', '\n'.join(wrong))

# --- what can be null ---

wrong = []
n_compared = 0
for type_name, body in types.items():
    getters = {RENAMED.get(name, name): nullable for _, nullable, name in GETTER.findall(body)}
    for _, nullable, name in PROPERTY.findall(body):
        n_compared += name in getters
        if getters.get(name, nullable) != nullable:
            wrong.append(f'{type_name}.{name}')
tap.ok(n_compared > 30 and not wrong, 'properties can be null where their getters say so', f'{n_compared} compared\n{wrong}')
tap.done()
