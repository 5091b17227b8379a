// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// scenario.js QEMU STORAGE_DAEMON: what each language does in its own way, here with promises.

import Aqmp from 'gi://Aqmp?version=1';
import Gio from 'gi://Gio';
import {programArgs} from 'system';

const nick = client => ['idle', 'connecting', 'running', 'disconnecting'][client.runstate];

async function commands(client) {
    const {greeting} = client;
    const version = [greeting.get_major(), greeting.get_minor(), greeting.get_micro()];
    const isNew = version[0] > 7 || (version[0] === 7 && version[1] >= 2);
    print('greeting: QEMU', isNew ? '7.2 or newer' : version, 'with', ...greeting.get_capabilities());

    print('query-status:', (await client.execute('query-status')).status);
    print('query-name:', (await client.execute('query-name')).name ?? 'no name');
    const {qemu} = await client.execute('query-version');
    const isSame = `${[qemu.major, qemu.minor, qemu.micro]}` === `${version}`;
    print('query-version:', isSame ? 'that of the greeting' : JSON.stringify(qemu));
    const machine = await client.execute('qom-get', {path: '/machine', property: 'type'});
    print('qom-get:', machine.endsWith('-machine') ? 'a machine' : machine);
    print('human-monitor-command:', (await client.execute('human-monitor-command', {'command-line': 'levitate'})).trim());

    await client.execute('blockdev-add', {'node-name': 'node0', driver: 'raw', file: {driver: 'null-co', size: 2n ** 40n}});
    const node = (await client.execute('query-named-block-nodes')).find(each => each['node-name'] === 'node0');
    print('blockdev-add:', node['node-name'], 'with', node.image['virtual-size'], 'bytes');
}

async function errors(client) {
    for (const [command, args] of [['levitate'], ['device_del', {id: 'nothing'}]]) {
        try {
            await client.execute(command, args);
        } catch (error) {
            if (!(error instanceof Aqmp.ExecuteError))
                throw error;
            print(`error: ${error.errorClass}: ${error.desc}`);
        }
    }
}

async function inFlight(client) {
    const lines = Array.from({length: 50}, (_, i) => `no${i}`);
    const answers = await Promise.all(lines.map(line => client.execute('human-monitor-command', {'command-line': line})));
    const right = answers.filter((answer, i) => answer === `unknown command: '${lines[i]}'\r\n`);
    print(`in flight: ${right.length} of ${lines.length} right`);
}

async function events(client) {
    const stream = client.events('STOP', 'RESUME');
    await client.execute('cont');
    await client.execute('stop');
    for await (const event of stream) {
        print('event:', event.name);
        if (event.name === 'STOP')
            break;
    }
}

async function cancel(client) {
    const cancellable = new Gio.Cancellable();
    const call = client.execute('query-name', null, {cancellable});
    cancellable.cancel();
    try {
        await call;
        print('cancelled: no');
    } catch (error) {
        print('cancelled:', error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED) ? 'yes' : error);
    }
    print('query-status:', (await client.execute('query-status')).status);
}

async function job(client) {
    for (const name of ['from', 'to'])
        await client.execute('blockdev-add', {'node-name': name, driver: 'null-co', size: 2 ** 20, 'read-zeroes': true});
    const copy = client.job('copy0');
    await client.execute('blockdev-backup', {'job-id': copy.id, device: 'from', target: 'to', sync: 'full'});
    await copy.refresh();
    print('job:', copy.id, copy.type);
    await copy.run();
    print(`job: ${copy.status}, ${Math.round(100 * copy.progress)} %`);
}

const client = new Aqmp.Client({name: 'vm0'});
await client.connectTo(programArgs[0]);
print('connected:', nick(client));
for (const part of [commands, errors, inFlight, events, cancel])
    await part(client);
await client.close();
print('disconnected:', nick(client));

const storage = new Aqmp.Client({name: 'storage'});
await storage.connectTo(programArgs[1]);
print('storage daemon:', nick(storage));
await job(storage);
await storage.close();
print('storage daemon:', nick(storage));
