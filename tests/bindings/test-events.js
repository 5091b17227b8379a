// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// Listeners, waiting and jobs in JavaScript, in the plain introspected form. test_gjs.py runs it:
// gjs -m test-events.js PATH_OF_A_MONITOR PATH_OF_A_STORAGE_DAEMON'S

import Aqmp from 'gi://Aqmp?version=1';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import System from 'system';
import {BOUND_MS, cancelled, equal, fails, failsSync, run} from './tap.js';

Gio._promisify(Aqmp.Protocol.prototype, 'connect_async', 'connect_finish');
Gio._promisify(Aqmp.Protocol.prototype, 'disconnect_async', 'disconnect_finish');
Gio._promisify(Aqmp.Client.prototype, 'execute_async', 'execute_finish');
Gio._promisify(Aqmp.Client.prototype, 'wait_event_async', 'wait_event_finish');
Gio._promisify(Aqmp.Client.prototype, 'execute_and_wait_async', 'execute_and_wait_finish');
Gio._promisify(Aqmp.EventListener.prototype, 'next_async', 'next_finish');
Gio._promisify(Aqmp.Job.prototype, 'run_async', 'run_finish');
Gio._promisify(Aqmp.Job.prototype, 'wait_status_async', 'wait_status_finish');
Gio._promisify(Aqmp.Job.prototype, 'refresh_async', 'refresh_finish');

const {NONE} = Aqmp.ExecuteFlags;
const [path, storagePath] = ARGV;
const directory = GLib.path_get_dirname(storagePath);

const parse = value => Aqmp.arguments_parse(JSON.stringify(value));

async function connected(address = path) {
    const client = new Aqmp.Client({name: 'vm0', call_timeout: BOUND_MS});
    await client.connect_async(Aqmp.address_parse(address), null);
    return client;
}

async function stopAndGo(client) {
    await client.execute_async('cont', null, NONE, null);
    await client.execute_async('stop', null, NONE, null);
}

function namesIn(history) {
    return Array.from({length: history.get_n_items()}, (_, i) => history.get_item(i).name);
}

function createFile(client, id, name) {
    const options = {driver: 'file', filename: GLib.build_filenamev([directory, name]), size: 65536};
    return client.execute_async('blockdev-create', parse({'job-id': id, options}), NONE, null);
}

const tests = {
    'event/matches'() {
        const event = Aqmp.Event.new('JOB', -1, parse({id: 'a', info: {b: 1, c: [1, 2]}}));
        equal([null, {}, {id: 'a'}, {info: {b: 1}}, {info: {c: [1, 2]}}].map(subset => event.matches(subset && parse(subset))),
            [true, true, true, true, true]);
        equal([{id: 'b'}, {name: 'a'}, {info: {c: [1]}}].map(subset => event.matches(parse(subset))), [false, false, false]);
        equal(Aqmp.Event.new('STOP', -1, null).matches(null), true);
    },

    async 'listener/next-async'() {
        const client = await connected();
        const listener = client.listen(['STOP', 'RESUME'], null);
        const waiting = [listener.next_async(null), listener.next_async(null)];
        await stopAndGo(client);
        equal((await Promise.all(waiting)).map(event => event.name), ['RESUME', 'STOP']);
        await fails(listener.next_async(cancelled()), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
        const last = listener.next_async(null);
        await client.disconnect_async(null);
        await fails(last, Aqmp.Error, Aqmp.Error.INTERRUPTED);
        await fails(listener.next_async(null), Aqmp.Error, Aqmp.Error.STATE, 'idle');
    },

    async 'listener/next-sync'() {
        const client = await connected();
        const listener = client.listen(null, null);
        client.execute_sync('cont', null, NONE, null);
        client.execute_sync('stop', null, NONE, null);
        equal([listener.next_sync(null).name, listener.next_sync(null).get_name()], ['RESUME', 'STOP']);
        failsSync(() => listener.next_sync(cancelled()), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
        await client.disconnect_async(null);
        failsSync(() => listener.next_sync(null), Aqmp.Error, Aqmp.Error.STATE);
    },

    async 'listener/filter'() {
        const client = await connected();
        const asked = [];
        const listener = client.listen(['RESUME', 'STOP'], event => {
            asked.push(event.name);
            return event.name === 'STOP';
        });
        // Nothing but the listener holds the closure.
        System.gc();
        await stopAndGo(client);
        equal(asked, ['RESUME', 'STOP']);
        equal(listener.nPending, 1);
        equal((await listener.next_async(null)).name, 'STOP');
        listener.stop();
        equal(listener.get_active(), false);
        await stopAndGo(client);
        equal(asked.length, 2);
        await client.disconnect_async(null);
    },

    async 'listener/properties'() {
        const client = await connected();
        const listener = client.listen(['RESUME', 'STOP'], null);
        equal([listener.maxPending, listener.historySize, listener.nPending, listener.nDropped], [1024, 0, 0, 0]);
        listener.max_pending = 1;
        await stopAndGo(client);
        equal([listener.n_pending, listener.n_dropped], [1, 1]);
        listener.clear();
        equal([listener.get_n_pending(), listener.get_n_dropped()], [0, 1]);
        await client.disconnect_async(null);
    },

    async 'listener/history'() {
        const client = await connected();
        const listener = client.listen(['RESUME', 'STOP'], null);
        const history = listener.get_history();
        const changes = [];
        equal([history instanceof Gio.ListModel, history.get_item_type() === Aqmp.Event.$gtype], [true, true]);
        history.connect('items-changed', (_, ...change) => changes.push(change));
        listener.historySize = 1;
        await stopAndGo(client);
        equal(namesIn(history), ['STOP']);
        equal(changes, [[0, 0, 1], [0, 1, 0], [0, 0, 1]]);
        client.execute_sync('cont', null, NONE, null);
        equal(namesIn(history), ['STOP']);
        await client.execute_async('stop', null, NONE, null);
        equal([namesIn(history), changes.length], [['STOP'], 7]);
        await client.disconnect_async(null);
    },

    async 'wait-event'() {
        const client = await connected();
        const waiting = client.wait_event_async(['STOP'], null, -1, null);
        await stopAndGo(client);
        equal((await waiting).name, 'STOP');
        await fails(client.wait_event_async(null, null, 10, null), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
        failsSync(() => client.wait_event_sync(['STOP'], parse({device: 'a'}), 10, null), Gio.IOErrorEnum,
            Gio.IOErrorEnum.TIMED_OUT);
        await fails(client.wait_event_async([''], null, 10, null), Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT);
        await client.disconnect_async(null);
    },

    async 'execute-and-wait'() {
        const client = await connected();
        const [event, reply] = await client.execute_and_wait_async('cont', null, ['RESUME'], null, null, -1, null);
        equal([event.name, reply.get_object().get_size()], ['RESUME', 0]);
        const [event_, reply_] = client.execute_and_wait_sync('stop', null, ['STOP'], ['RESUME'], null, BOUND_MS, null);
        equal([event_.name, reply_.get_object().get_size()], ['STOP', 0]);
        await fails(client.execute_and_wait_async('cont', null, ['STOP'], ['RESUME'], null, BOUND_MS, null), Aqmp.Error,
            Aqmp.Error.EVENT, 'RESUME');
        await client.execute_async('stop', null, NONE, null);
        await fails(client.execute_and_wait_async('device_del', parse({id: 'nothing'}), ['DEVICE_DELETED'], null,
            parse({device: 'nothing'}), BOUND_MS, null), Aqmp.ExecError, Aqmp.ExecError.DEVICE_NOT_FOUND);
        await client.disconnect_async(null);
    },

    async 'job/backup'() {
        const client = await connected(storagePath);
        const nodes = ['js-source', 'js-target'];
        for (const name of nodes) {
            const job = new Aqmp.Job({client, id: `create-${name}`});
            await createFile(client, job.id, name);
            equal(await job.run_async(null), true);
            equal([job.type, job.get_job_type(), job.status, job.progress, job.error], ['create', 'create', 'null', 1, null]);
            const options = {driver: 'file', 'node-name': name, filename: GLib.build_filenamev([directory, name])};
            client.execute_sync('blockdev-add', parse(options), NONE, null);
        }

        const job = Aqmp.Job.new(client, 'js-backup');
        const statuses = [];
        equal([job.status, job.type, job.client === client], [null, null, true]);
        job.progressInterval = 50;
        job.connect('notify::status', () => statuses.push(job.status));
        await client.execute_async('blockdev-backup', parse({'job-id': job.id, device: nodes[0], target: nodes[1], sync: 'full',
            'auto-finalize': false, 'auto-dismiss': false}), NONE, null);
        equal(await job.wait_status_async('pending', null), true);
        equal(await job.refresh_async(null), true);
        equal([job.status, job.type], ['pending', 'backup']);
        equal(await job.run_async(null), true);
        equal([job.status, job.progress], ['null', 1]);
        equal(statuses.includes('pending'), true);
        await client.disconnect_async(null);
    },

    async 'job/failure'() {
        const client = await connected(storagePath);
        const job = Aqmp.Job.new(client, 'js-failure');
        await createFile(client, job.id, 'no/such/directory');
        failsSync(() => job.run_sync(null), Aqmp.Error, Aqmp.Error.JOB, 'no/such/directory');
        equal(job.error.includes('no/such/directory'), true);
        await fails(Aqmp.Job.new(client, 'nothing').run_async(null), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_FOUND);
        await client.disconnect_async(null);
    },
};

await run(tests);
