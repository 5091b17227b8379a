#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""The client over QEMU's own Python package, qemu.qmp, in an asyncio loop."""

import asyncio

from qemu.qmp import QMPClient
from scripted import Bench, do_calls


async def run_calls(bench, client):
    what = bench.options.get('command', 'query-status'), bench.arguments(), bench.number('inflight', 1)
    await client.connect(bench.socket)
    await do_calls(client, *what, bench.warm)
    bench.begin()
    await do_calls(client, *what, bench.count)
    bench.end()
    await client.disconnect()


async def do_events(client, burst, count):
    """With a listener that reads the data of each."""
    with client.listener() as listener:
        for _ in range(count // burst):
            call = asyncio.ensure_future(client.execute('x-events', {'count': burst, 'data': 1}))
            for _ in range(burst):
                event = await listener.get()
                if event['data']['offset'] != 78:
                    raise ValueError('not the data that was sent')
            await call


async def run_events(bench, client):
    burst = bench.number('burst', 1000)
    await client.connect(bench.socket)
    await do_events(client, burst, burst)
    bench.begin()
    await do_events(client, burst, bench.count)
    bench.end()
    await client.disconnect()


async def do_connects(bench, count):
    for _ in range(count):
        client = QMPClient()
        await client.connect(bench.socket)
        await client.disconnect()


async def run_connects(bench, _client):
    await do_connects(bench, bench.warm)
    bench.begin()
    await do_connects(bench, bench.count)
    bench.end()


async def main():
    bench = Bench()
    run = {'calls': run_calls, 'events': run_events, 'connect': run_connects}[bench.work]
    await run(bench, QMPClient())

asyncio.run(main())
