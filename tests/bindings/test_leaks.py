#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""100,000 commands leave no more memory behind than 100,000 asynchronous calls of GIO, of which PyGObject 3.42 leaks something of
each by itself; nor do fewer of other kinds. Each kind is measured in a process of its own: test_leaks.py KIND COUNT prints how many
bytes a call has left."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import unittest

from lines import Aqmp, Gio, GLib
import answering
import tap

AT_ONCE = 64


def memory():
    gc.collect()
    with open('/proc/self/statm', encoding='ascii') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


async def in_flight(call, count):
    async def work():
        nonlocal count
        while count > 0:
            count -= 1
            await call()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def measure(call):
    count = int(sys.argv[2])
    await in_flight(call, count // 5)
    before = memory()
    await in_flight(call, count)
    return (memory() - before) / count


async def measure_gio(_):
    loop = asyncio.get_running_loop()

    def call():
        stream = Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new(b'0123456789'))
        future = loop.create_future()
        stream.read_bytes_async(10, GLib.PRIORITY_DEFAULT, Gio.Cancellable(),
                                lambda stream, result: future.set_result(stream.read_bytes_finish(result).get_data()))
        return future
    return await measure(call)


async def measure_execute(client):
    return await measure(lambda: client.execute('query-status'))


async def measure_arguments(client):
    return await measure(lambda: client.execute('query-status', some_thing={'a': [1, 2, 3]}))


async def measure_cancelled(client):
    async def call():
        execution = client.execute('query-status')
        await asyncio.sleep(0)
        execution.cancel()
        await asyncio.sleep(0)
    return await measure(call)


async def measure_events(client):
    """With a listener for each; and what one waits for is not what comes."""
    async def call():
        with client.events('STOP') as events:
            waiting = events.next()
            await asyncio.sleep(0)
            waiting.cancel()
    return await measure(call)


async def main(measured):
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        answering.serve(theirs)
        os._exit(0)
    theirs.close()
    ours.setblocking(False)
    client = Aqmp.Client()
    await client.open(Gio.Socket.new_from_fd(ours.detach()).connection_factory_create_connection())
    print(await measured(client))
    await client.close()


def bytes_left(kind, count=20000):
    output = subprocess.run([sys.executable, __file__, kind, str(count)], check=True, stdout=subprocess.PIPE, timeout=100).stdout
    print(f'# {kind}: {float(output):.0f} bytes a call')
    return float(output)


class Leaks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.allowed = bytes_left('gio', 100000)

    def test_execute(self):
        # Some pages more or less, now and then.
        self.assertLess(bytes_left('execute', 100000), self.allowed + 8)

    def test_arguments(self):
        self.assertLess(bytes_left('arguments'), self.allowed + 32)

    def test_cancelled(self):
        self.assertLess(bytes_left('cancelled'), self.allowed + 32)

    def test_events(self):
        self.assertLess(bytes_left('events'), self.allowed + 32)


if __name__ == '__main__':
    if len(sys.argv) > 1:
        Aqmp.run(main(globals()[f'measure_{sys.argv[1]}']))
    else:
        tap.main()
