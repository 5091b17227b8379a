#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""scenario_blocking.py QEMU STORAGE_DAEMON: what each language does in its own way, here in a script that waits for each step."""

import asyncio
import sys

import gi
gi.require_version('Aqmp', '1')
from gi.repository import Aqmp  # noqa: E402


def commands(client):
    greeting = client.get_greeting()
    version = [greeting.get_major(), greeting.get_minor(), greeting.get_micro()]
    print('greeting: QEMU', '7.2 or newer' if version >= [7, 2, 0] else version, 'with', *greeting.get_capabilities())

    print('query-status:', client.execute('query-status').wait()['status'])
    print('query-name:', client.execute('query-name').wait().get('name', 'no name'))
    qemu = client.execute('query-version').wait()['qemu']
    print('query-version:', 'that of the greeting' if [qemu['major'], qemu['minor'], qemu['micro']] == version else qemu)
    machine = client.execute('qom-get', path='/machine', property='type').wait()
    print('qom-get:', 'a machine' if machine.endswith('-machine') else machine)
    print('human-monitor-command:', client.execute('human-monitor-command', command_line='levitate').wait().strip())

    client.execute('blockdev-add', {'node-name': 'node0', 'driver': 'raw', 'file': {'driver': 'null-co', 'size': 2 ** 40}}).wait()
    node, = [node for node in client.execute('query-named-block-nodes').wait() if node['node-name'] == 'node0']
    print('blockdev-add:', node['node-name'], 'with', node['image']['virtual-size'], 'bytes')


def errors(client):
    for command, arguments in ('levitate', None), ('device_del', {'id': 'nothing'}):
        try:
            client.execute(command, arguments).wait()
        except Aqmp.ExecuteError as e:
            print(f'error: {e.error_class}: {e.desc}')


def in_flight(client):
    lines = [f'no{i}' for i in range(50)]
    calls = [client.execute('human-monitor-command', command_line=line) for line in lines]
    right = [call.wait() == f"unknown command: '{line}'\r\n" for line, call in zip(lines, calls)]
    print(f'in flight: {right.count(True)} of {len(lines)} right')


def events(client):
    with client.events('STOP', 'RESUME') as stream:
        client.execute('cont').wait()
        client.execute('stop').wait()
        for event in stream:
            print('event:', event.name)
            if event.name == 'STOP':
                break


def cancel(client):
    call = client.execute('query-name')
    call.cancel()
    try:
        call.wait()
        print('cancelled: no')
    except asyncio.CancelledError:
        print('cancelled: yes')
    print('query-status:', client.execute('query-status').wait()['status'])


def job(client):
    for name in 'from', 'to':
        client.execute('blockdev-add', node_name=name, driver='null-co', size=2 ** 20, read_zeroes=True).wait()
    job = client.job('copy0')
    client.execute('blockdev-backup', job_id=job.id, device='from', target='to', sync='full').wait()
    job.refresh().wait()
    print('job:', job.id, job.type)
    job.run().wait()
    print(f'job: {job.status}, {job.progress:.0%}'.replace('%', ' %'))


def main(qemu, storage_daemon):
    client = Aqmp.Client(name='vm0')
    client.connect_to(qemu).wait()
    print('connected:', client.get_runstate().value_nick)
    for part in commands, errors, in_flight, events, cancel:
        part(client)
    client.close().wait()
    print('disconnected:', client.get_runstate().value_nick)

    client = Aqmp.Client(name='storage')
    client.connect_to(storage_daemon).wait()
    print('storage daemon:', client.get_runstate().value_nick)
    job(client)
    client.close().wait()
    print('storage daemon:', client.get_runstate().value_nick)


main(*sys.argv[1:])
