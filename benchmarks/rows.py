# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""What is measured, and what the goals are.

A row compares entries that do the same work. A goal bounds the time of an operation by that of another entry of the row; or it bounds
a number that the client noted, by itself or by the other's time.
"""

import dataclasses


@dataclasses.dataclass
class Goal:
    most: float                 # times the other's
    of: str = 'limit'           # '': `most` of it
    note: str = ''              # this number of ours instead of the time
    against: str = 'seconds'    # what of the other: seconds or cpu (both of one operation)
    unit: str = ''              # without any other: what `most` is in


@dataclasses.dataclass
class Entry:
    name: str
    program: str
    does: str                   # with the JSON
    options: dict = dataclasses.field(default_factory=dict)
    goals: list = dataclasses.field(default_factory=list)
    work: str = ''              # if not the row's
    borrowed: bool = False      # from another row, to compare with: its counts are there


ALONE = 'call, the others idle'  # a single one, however many there are


@dataclasses.dataclass
class Row:
    name: str
    title: str
    unit: str
    work: str
    options: dict
    entries: list
    least: int = 16             # operations; counts are multiples of it
    most: int = 0               # operations; 0: as many as there is time for
    group: str = ''             # of rows that differ only in a size: how the cost grows with it
    size: int = 0
    per: str = 'call'           # what that cost is of: 'call' (`size` of them make the whole), 'byte' (likewise) or ALONE

    def options_of(self, entry):
        return self.options | entry.options


NOTHING = 'finds the ends of lines'
RAW = 'whole reply checked strictly, no tree'
TREE = 'checked strictly, JsonNode tree'
PARSER = 'checked strictly, then JsonParser'
OBVIOUS = 'JsonParser, JsonNode tree, lenient'
DICT = 'checked strictly, then json.loads'
PEER_DICT = 'json.loads, lenient'
PEER_OBJECT = 'JSON.parse, lenient; no ids'


def limit():
    return Entry('limit', 'limit', NOTHING)


def raw(*goals):
    return Entry('raw', 'aqmp', RAW, {'form': 'raw'}, list(goals))


def tree(*goals):
    return Entry('tree', 'aqmp', TREE, {'form': 'tree'}, list(goals))


def obvious():
    return Entry('obvious', 'obvious', OBVIOUS)


def scripted(*goals):
    return [
        Entry('await', 'aqmp-await', DICT, {}, list(goals)),
        Entry('python', 'aqmp-python', DICT, {}, list(goals)),
        Entry('qemu-python', 'qemu-python', PEER_DICT),
        Entry('node', 'node', PEER_OBJECT),
    ]


def make_calls():
    python = Goal(1 / 2, 'qemu-python')
    return [
        Row('sequential', 'Sequential call', 'calls', 'calls', {},
            [limit(), raw(Goal(1.35)), tree(Goal(1.5)), obvious(), *scripted(python)]),
        Row('blocking', 'Blocking call from the owner thread', 'calls', 'blocking', {},
            [Entry('limit', 'limit', NOTHING, work='calls'), raw(Goal(1.4)), tree(Goal(1.4))]),
        Row('in-flight', '64 calls in flight', 'calls', 'calls', {'inflight': 64, 'warm': 64},
            [limit(), raw(Goal(3.3)), tree(Goal(7.6)), obvious(), *scripted(python)], least=640),
        Row('connect', 'Connect, negotiate, close', 'cycles', 'connect', {},
            [limit(), Entry('aqmp', 'aqmp', RAW, {}, [Goal(2)]), obvious(), *scripted()]),
    ]


def make_events():
    return [
        Row('events', 'Events with data, in bursts of 1,000', 'events', 'events', {'burst': 1000},
            [limit(),
             Entry('unheard', 'aqmp', RAW, {'heard': 'none'}, [Goal(9)]),
             Entry('signal', 'aqmp', TREE, {'heard': 'signal'}, [Goal(55)]),
             Entry('listener', 'aqmp', TREE, {'heard': 'listener'}),
             obvious(), *scripted()], least=1000),
    ]


def make_schema():
    schema = {'command': 'query-qmp-schema', 'warm': 3}
    text = {'command': 'x-text', 'warm': 3}
    # With our check before it; the obvious client has the parser alone.
    parser = Entry('JsonParser', 'aqmp', PARSER, {'form': 'parser'})
    return [
        Row('schema', '207 kB schema reply', 'replies', 'calls', schema,
            [limit(), raw(Goal(7)), tree(Goal(130), Goal(1 / 1.9, 'JsonParser'), Goal(1 / 1.9, 'obvious')), parser, obvious(),
             *scripted()], least=1),
        Row('text', '207 kB reply of non-ASCII text', 'replies', 'calls', text,
            [limit(), raw(Goal(1.5, 'schema, raw')), tree(Goal(1.5, 'schema, tree')),
             Entry('schema, raw', 'aqmp', RAW, {'form': 'raw', 'command': 'query-qmp-schema'}, borrowed=True),
             Entry('schema, tree', 'aqmp', TREE, {'form': 'tree', 'command': 'query-qmp-schema'}, borrowed=True),
             parser, obvious(), *scripted()], least=1),
        Row('pauses', 'Main loop while a 207 kB reply arrives', 'replies', 'pauses', schema,
            [Entry('raw call', 'aqmp', RAW, {'form': 'raw'}, work='calls'),
             raw(Goal(1, 'raw call', note='pause_us', against='cpu')),
             tree(Goal(1, '', note='pause_in_builds', unit='tree builds'))], least=4),
    ]


BIG = 10 * 1024 * 1024 - 1024   # with what is around it, no more than is allowed without asking


def make_memory_row(name, title, times):
    kb = BIG / 1024
    return Row(name, title, 'replies', 'memory', {'command': 'x-size', 'bytes': BIG, 'form': 'raw'}, [
        Entry('limit', 'limit', NOTHING, {'warm': 1}, work='calls'),
        Entry('raw', 'aqmp', RAW, {}, [Goal(3 * kb, '', 'peak_kb', unit='kB'), Goal(kb / 10, '', 'after_kb', unit='kB')]),
    ], least=times, most=times)


def make_memory():
    return [
        make_memory_row('memory', 'One 10 MiB reply', 1),
        # The C library keeps more of what was freed once it knows that it will be wanted again.
        make_memory_row('memory-again', 'Four 10 MiB replies', 4),
        Row('idle', '1,000 sessions, a call on each in turn', 'calls', 'sessions', {'sessions': 1000},
            [limit(), Entry('raw', 'aqmp', RAW, {'form': 'raw'}, [
                Goal(24, '', 'session_kb', unit='kB'),
                Goal(4, '', 'threads', unit='threads'),
            ])], least=1000),
    ]


WHOLE = (1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 23, 1 << 26)
# Smaller pieces come up to a smaller size: each costs a change to the server and back.
PIECES = {
    1: (1 << 10, 1 << 13, 1 << 16),
    64: (1 << 10, 1 << 14, 1 << 18, 1 << 20),
    4096: (1 << 14, 1 << 18, 1 << 22, 1 << 26),
    65536: (1 << 17, 1 << 20, 1 << 23, 1 << 26),
}


def make_sessions(n):
    return [
        Row(f'sessions-{n}', f'{n:,} sessions, all busy', 'calls', 'sessions', {'sessions': n}, [limit(), raw(), tree()],
            least=1000, group='Sessions, all busy', size=n),
        Row(f'sessions-{n}-one', f'{n:,} sessions, one busy', 'calls', 'sessions', {'sessions': n, 'active': 1},
            [limit(), raw()], least=100, group='Sessions, one busy', size=n, per=ALONE),
    ]


def make_bytes(size):
    return Row(f'bytes-{size}', f'Reply of {size:,} bytes', 'replies', 'calls',
               {'command': 'x-size', 'bytes': size, 'warm': 1}, [limit(), raw(), tree()], least=1,
               group='Bytes, whole', size=size, per='byte')


def make_pieces(piece, size):
    return Row(f'pieces-{piece}-{size}', f'Reply of {size:,} bytes in pieces of {piece:,}', 'replies', 'calls',
               {'command': 'x-size', 'bytes': size, 'piece': piece, 'warm': 1}, [limit(), raw()], least=1,
               group=f'Bytes, in pieces of {piece:,}', size=size, per='byte')


def make_scaling():
    rows = [row for n in (1, 10, 100, 1000) for row in make_sessions(n)]
    rows += [make_bytes(size) for size in WHOLE]
    rows += [make_pieces(piece, size) for piece, sizes in PIECES.items() for size in sizes]
    return rows


def make_rows():
    return make_calls() + make_events() + make_schema() + make_memory() + make_scaling()
