#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""scenario_async.py QEMU STORAGE_DAEMON: what each language does in its own way, here with async and await."""

import asyncio
import sys

import gi
gi.require_version('Aqmp', '1')
from gi.repository import Aqmp  # noqa: E402


async def commands(client):
    greeting = client.get_greeting()
    version = [greeting.get_major(), greeting.get_minor(), greeting.get_micro()]
    print('greeting: QEMU', '7.2 or newer' if version >= [7, 2, 0] else version, 'with', *greeting.get_capabilities())

    print('query-status:', (await client.execute('query-status'))['status'])
    print('query-name:', (await client.execute('query-name')).get('name', 'no name'))
    qemu = (await client.execute('query-version'))['qemu']
    print('query-version:', 'that of the greeting' if [qemu['major'], qemu['minor'], qemu['micro']] == version else qemu)
    machine = await client.execute('qom-get', path='/machine', property='type')
    print('qom-get:', 'a machine' if machine.endswith('-machine') else machine)
    print('human-monitor-command:', (await client.execute('human-monitor-command', command_line='levitate')).strip())

    await client.execute('blockdev-add', {'node-name': 'node0', 'driver': 'raw', 'file': {'driver': 'null-co', 'size': 2 ** 40}})
    node, = [node for node in await client.execute('query-named-block-nodes') if node['node-name'] == 'node0']
    print('blockdev-add:', node['node-name'], 'with', node['image']['virtual-size'], 'bytes')


async def errors(client):
    for command, arguments in ('levitate', None), ('device_del', {'id': 'nothing'}):
        try:
            await client.execute(command, arguments)
        except Aqmp.ExecuteError as e:
            print(f'error: {e.error_class}: {e.desc}')


async def in_flight(client):
    lines = [f'no{i}' for i in range(50)]
    answers = await asyncio.gather(*(client.execute('human-monitor-command', command_line=line) for line in lines))
    right = [answer == f"unknown command: '{line}'\r\n" for line, answer in zip(lines, answers)]
    print(f'in flight: {right.count(True)} of {len(lines)} right')


async def events(client):
    with client.events('STOP', 'RESUME') as stream:
        await client.execute('cont')
        await client.execute('stop')
        async for event in stream:
            print('event:', event.name)
            if event.name == 'STOP':
                break


async def cancel(client):
    task = asyncio.ensure_future(client.execute('query-name'))
    task.cancel()
    try:
        await task
        print('cancelled: no')
    except asyncio.CancelledError:
        print('cancelled: yes')
    print('query-status:', (await client.execute('query-status'))['status'])


async def job(client):
    for name in 'from', 'to':
        await client.execute('blockdev-add', node_name=name, driver='null-co', size=2 ** 20, read_zeroes=True)
    job = client.job('copy0')
    await client.execute('blockdev-backup', job_id=job.id, device='from', target='to', sync='full')
    await job.refresh()
    print('job:', job.id, job.type)
    await job.run()
    print(f'job: {job.status}, {job.progress:.0%}'.replace('%', ' %'))


async def main(qemu, storage_daemon):
    client = Aqmp.Client(name='vm0')
    await client.connect_to(qemu)
    print('connected:', client.get_runstate().value_nick)
    for part in commands, errors, in_flight, events, cancel:
        await part(client)
    await client.close()
    print('disconnected:', client.get_runstate().value_nick)

    client = Aqmp.Client(name='storage')
    await client.connect_to(storage_daemon)
    print('storage daemon:', client.get_runstate().value_nick)
    await job(client)
    await client.close()
    print('storage daemon:', client.get_runstate().value_nick)


Aqmp.run(main(*sys.argv[1:]))
