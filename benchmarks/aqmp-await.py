#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""The client over this library as Python programs use it: what is awaited, and dictionaries."""

import gi
gi.require_version('Aqmp', '1')
from gi.repository import Aqmp  # noqa: E402

from scripted import Bench, do_calls  # noqa: E402


async def run_calls(bench, client):
    what = bench.options.get('command', 'query-status'), bench.arguments(), bench.number('inflight', 1)
    await client.connect_to(bench.socket)
    await do_calls(client, *what, bench.warm)
    bench.begin()
    await do_calls(client, *what, bench.count)
    bench.end()
    await client.close()


async def do_events(client, burst, count):
    """With a listener that reads the data of each."""
    with client.events() as events:
        for _ in range(count // burst):
            call = client.execute('x-events', {'count': burst, 'data': 1})
            heard = 0
            async for event in events:
                if event.data['offset'] != 78:
                    raise ValueError('not the data that was sent')
                heard += 1
                if heard == burst:
                    break
            await call


async def run_events(bench, client):
    burst = bench.number('burst', 1000)
    await client.connect_to(bench.socket)
    await do_events(client, burst, burst)
    bench.begin()
    await do_events(client, burst, bench.count)
    bench.end()
    await client.close()


async def do_connects(bench, count):
    for _ in range(count):
        client = Aqmp.Client()
        await client.connect_to(bench.socket)
        await client.close()


async def run_connects(bench, _client):
    await do_connects(bench, bench.warm)
    bench.begin()
    await do_connects(bench, bench.count)
    bench.end()


async def main():
    bench = Bench()
    run = {'calls': run_calls, 'events': run_events, 'connect': run_connects}[bench.work]
    await run(bench, Aqmp.Client())

Aqmp.run(main())
