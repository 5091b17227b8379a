// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// scenario_sync.js QEMU STORAGE_DAEMON: what each language does in its own way, here without a main loop, in a script that is no
// module. Fifty calls at once, and a call that is cancelled, need promises: they are made one after the other, or before they begin.

imports.gi.versions.Aqmp = '1';
const {Aqmp, Gio} = imports.gi;

const nick = client => ['idle', 'connecting', 'running', 'disconnecting'][client.runstate];

function commands(client) {
    const {greeting} = client;
    const version = [greeting.get_major(), greeting.get_minor(), greeting.get_micro()];
    const isNew = version[0] > 7 || (version[0] === 7 && version[1] >= 2);
    print('greeting: QEMU', isNew ? '7.2 or newer' : version, 'with', ...greeting.get_capabilities());

    print('query-status:', client.executeSync('query-status').status);
    print('query-name:', client.executeSync('query-name').name ?? 'no name');
    const {qemu} = client.executeSync('query-version');
    const isSame = `${[qemu.major, qemu.minor, qemu.micro]}` === `${version}`;
    print('query-version:', isSame ? 'that of the greeting' : JSON.stringify(qemu));
    const machine = client.executeSync('qom-get', {path: '/machine', property: 'type'});
    print('qom-get:', machine.endsWith('-machine') ? 'a machine' : machine);
    print('human-monitor-command:', client.executeSync('human-monitor-command', {'command-line': 'levitate'}).trim());

    client.executeSync('blockdev-add', {'node-name': 'node0', driver: 'raw', file: {driver: 'null-co', size: 2 ** 40}});
    const node = client.executeSync('query-named-block-nodes', null, {bigint: true}).find(each => each['node-name'] === 'node0');
    print('blockdev-add:', node['node-name'], 'with', node.image['virtual-size'], 'bytes');
}

function errors(client) {
    for (const [command, args] of [['levitate'], ['device_del', {id: 'nothing'}]]) {
        try {
            client.executeSync(command, args);
        } catch (error) {
            if (!(error instanceof Aqmp.ExecuteError))
                throw error;
            print(`error: ${error.errorClass}: ${error.desc}`);
        }
    }
}

function inTurn(client) {
    const lines = Array.from({length: 50}, (_, i) => `no${i}`);
    const right = lines.filter(line =>
        client.executeSync('human-monitor-command', {'command-line': line}) === `unknown command: '${line}'\r\n`);
    print(`in flight: ${right.length} of ${lines.length} right`);
}

function events(client) {
    const stream = client.events('STOP', 'RESUME');
    client.executeSync('cont');
    client.executeSync('stop');
    for (const event of stream) {
        print('event:', event.name);
        if (event.name === 'STOP')
            break;
    }
}

function cancel(client) {
    const cancellable = new Gio.Cancellable();
    cancellable.cancel();
    try {
        client.executeSync('query-name', null, {cancellable});
        print('cancelled: no');
    } catch (error) {
        print('cancelled:', error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED) ? 'yes' : error);
    }
    print('query-status:', client.executeSync('query-status').status);
}

function job(client) {
    for (const name of ['from', 'to'])
        client.executeSync('blockdev-add', {'node-name': name, driver: 'null-co', size: 2 ** 20, 'read-zeroes': true});
    const copy = client.job('copy0');
    client.executeSync('blockdev-backup', {'job-id': copy.id, device: 'from', target: 'to', sync: 'full'});
    copy.refreshSync();
    print('job:', copy.id, copy.type);
    copy.runSync();
    print(`job: ${copy.status}, ${Math.round(100 * copy.progress)} %`);
}

const client = new Aqmp.Client({name: 'vm0'});
client.connectToSync(ARGV[0]);
print('connected:', nick(client));
for (const part of [commands, errors, inTurn, events, cancel])
    part(client);
client.closeSync();
print('disconnected:', nick(client));

const storage = new Aqmp.Client({name: 'storage'});
storage.connectToSync(ARGV[1]);
print('storage daemon:', nick(storage));
job(storage);
storage.closeSync();
print('storage daemon:', nick(storage));
