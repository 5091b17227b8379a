// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// Blocking calls and out-of-band execution in JavaScript, in the plain introspected form; no main loop runs. test_gjs.py runs
// it: gjs -m test-sync.js PATH_OF_A_MONITOR

import Aqmp from 'gi://Aqmp?version=1';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GObject from 'gi://GObject';
import {BOUND_MS, cancelled, equal, failsSync as fails, runSync} from './tap.js';

const {NONE, OOB} = Aqmp.ExecuteFlags;
const path = ARGV[0];
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function connected(properties = {}) {
    const client = new Aqmp.Client({call_timeout: BOUND_MS, ...properties});
    equal(client.connect_sync(Aqmp.address_parse(path), null), true);
    return client;
}

function executeRaw(client, message, fds = null) {
    return JSON.parse(decoder.decode(client.execute_raw_sync(JSON.stringify(message), fds, null).get_data()));
}

function works(client) {
    equal(client.execute_sync('query-status', null, NONE, null).get_object().get_boolean_member('running'), false);
}

function dispatchPending() {
    while (GLib.MainContext.default().iteration(false));
}

const tests = {
    'session'() {
        const client = new Aqmp.Client({name: 'vm0'});
        const states = [];
        client.connect('runstate-changed', (_, runstate) => states.push(runstate));
        equal(client.connect_sync(Aqmp.address_parse(path), null), true);
        equal(client.greeting.get_major(), 7);
        works(client);
        equal(client.flush_sync(null), true);
        equal(client.disconnect_sync(null), true);
        equal(states, [Aqmp.Runstate.CONNECTING, Aqmp.Runstate.RUNNING, Aqmp.Runstate.DISCONNECTING, Aqmp.Runstate.IDLE]);
    },

    'open'() {
        const connection = new Gio.SocketClient().connect(Aqmp.address_parse(path), null);
        const client = new Aqmp.Client();
        equal(client.open_sync(connection, null), true);
        works(client);
        client.disconnect_sync(null);
    },

    'execute'() {
        const client = connected();
        const args = Aqmp.arguments_parse('{"path": "/machine", "property": "type"}');
        equal(client.execute_sync('qom-get', args, NONE, null).get_string(), 'pc-q35-7.2-machine');
        equal(client.execute_full_sync('qom-get', args, null, NONE, BOUND_MS, null).get_string(), 'pc-q35-7.2-machine');
        equal(executeRaw(client, {execute: 'query-status', id: 'mine'}).id, 'mine');
        equal(executeRaw(client, {execute: 'levitate'}).error.class, 'CommandNotFound');
        client.disconnect_sync(null);
    },

    'descriptors'() {
        const client = connected();
        const socket = Gio.Socket.new(Gio.SocketFamily.UNIX, Gio.SocketType.STREAM, Gio.SocketProtocol.DEFAULT);
        const fds = new Gio.UnixFDList();
        fds.append(socket.fd);
        client.execute_full_sync('getfd', Aqmp.arguments_parse('{"fdname": "ours"}'), fds, NONE, -1, null);
        equal(executeRaw(client, {execute: 'closefd', arguments: {fdname: 'ours'}}).return, {});
        equal(executeRaw(client, {execute: 'getfd', arguments: {fdname: 'ours'}}, fds).return, {});
        equal(executeRaw(client, {execute: 'closefd', arguments: {fdname: 'ours'}}).return, {});
        client.disconnect_sync(null);
    },

    'errors'() {
        const client = connected();
        const args = Aqmp.arguments_parse('{"id": "nothing"}');
        const error = fails(() => client.execute_sync('device_del', args, NONE, null), Aqmp.ExecError,
            Aqmp.ExecError.DEVICE_NOT_FOUND);
        equal(error.message, "Device 'nothing' not found");
        equal(Aqmp.exec_error_get_class(error), 'DeviceNotFound');
        equal(JSON.parse(decoder.decode(Aqmp.exec_error_get_reply(error).get_data())).error.class, 'DeviceNotFound');
        fails(() => client.execute_full_sync('levitate', null, null, NONE, -1, null), Aqmp.ExecError,
            Aqmp.ExecError.COMMAND_NOT_FOUND);
        fails(() => client.execute_raw_sync('{"execute": 1}', null, null), Aqmp.Error, Aqmp.Error.INVALID_MESSAGE);
        fails(() => client.connect_sync(Aqmp.address_parse(path), null), Aqmp.Error, Aqmp.Error.STATE, 'running');
        client.disconnect_sync(null);
        fails(() => client.execute_sync('query-name', null, NONE, null), Aqmp.Error, Aqmp.Error.STATE, 'idle');
        fails(() => client.flush_sync(null), Aqmp.Error, Aqmp.Error.STATE, 'idle');
        fails(() => client.connect_sync(Aqmp.address_parse('/nowhere/qmp.sock'), null), Gio.IOErrorEnum,
            Gio.IOErrorEnum.NOT_FOUND, 'Could not establish the connection');
    },

    'cancelled'() {
        const CANCELLED = [Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED];
        fails(() => new Aqmp.Client().connect_sync(Aqmp.address_parse(path), cancelled()), ...CANCELLED);
        const client = connected();
        fails(() => client.execute_sync('query-name', null, NONE, cancelled()), ...CANCELLED);
        fails(() => client.execute_full_sync('query-name', null, null, NONE, -1, cancelled()), ...CANCELLED);
        fails(() => client.execute_raw_sync('{"execute": "query-name"}', null, cancelled()), ...CANCELLED);
        fails(() => client.flush_sync(cancelled()), ...CANCELLED);
        works(client);
        fails(() => client.disconnect_sync(cancelled()), ...CANCELLED);
        client.disconnect_sync(null);
    },

    'listening'() {
        const client = new Aqmp.Client();
        fails(() => client.accept_sync(null), Aqmp.Error, Aqmp.Error.STATE, 'no server was started');
        fails(() => client.start_server_and_accept_sync(Aqmp.address_parse('127.0.0.1:0'), cancelled()), Gio.IOErrorEnum,
            Gio.IOErrorEnum.CANCELLED);
        client.start_server(Aqmp.address_parse(`${path}.listening`));
        const guest = Gio.Subprocess.new(['setpriv', '--pdeathsig', 'KILL',
            'qemu-system-x86_64', '-M', 'none', '-S', '-display', 'none',
            '-chardev', `socket,id=qmp,server=off,path=${path}.listening`, '-mon', 'chardev=qmp,mode=control'],
        Gio.SubprocessFlags.NONE);
        try {
            equal(client.accept_sync(null), true);
            equal(executeRaw(client, {execute: 'query-status'}).return.status, 'prelaunch');
            client.disconnect_sync(null);
        } finally {
            guest.force_exit();
            guest.wait(null);
        }
    },

    'events-and-callbacks'() {
        const client = connected();
        const told = [];
        client.connect('event', (_, event) => told.push(event.name));
        client.execute_sync('cont', null, NONE, null);
        client.execute_async('query-name', null, NONE, null, () => told.push('called back'));
        client.execute_sync('stop', null, NONE, null);
        equal(told, []);
        dispatchPending();
        equal(told, ['RESUME', 'called back', 'STOP']);
        client.disconnect_sync(null);
    },

    'virtual-function'() {
        const client = new Filtering();
        const errors = [];
        client.connect_sync(Aqmp.address_parse(path), null);
        client.inbound = () => {
            for (const call of [() => client.execute_sync('query-name', null, NONE, null), () => client.disconnect_sync(null)])
                errors.push(fails(call, Aqmp.Error, Aqmp.Error.STATE, 'use the asynchronous form'));
        };
        works(client);
        client.inbound = () => {};
        equal(errors.length, 2);
        client.disconnect_sync(null);
    },

    'handler'() {
        const client = new Aqmp.Client();
        const names = [];
        client.connect('runstate-changed', (_, runstate) => {
            if (runstate === Aqmp.Runstate.RUNNING)
                names.push(executeRaw(client, {execute: 'query-name'}).return);
        });
        client.connect_sync(Aqmp.address_parse(path), null);
        equal(names, [{}]);
        client.disconnect_sync(null);
    },

    'protocol'() {
        const process = Gio.Subprocess.new(['cat'], Gio.SubprocessFlags.STDIN_PIPE | Gio.SubprocessFlags.STDOUT_PIPE);
        const stream = new Gio.SimpleIOStream({input_stream: process.get_stdout_pipe(), output_stream: process.get_stdin_pipe()});
        const line = new Line();
        equal(line.open_sync(stream, null), true);
        line.send_message(new GLib.Bytes(encoder.encode('one\n')));
        equal(line.flush_sync(null), true);
        equal(line.disconnect_sync(null), true);
        equal(line.ended, 1);
    },

    'out-of-band'() {
        equal(OOB, 1);
        const client = connected();
        equal(client.oobEnabled, true);
        equal(client.execute_sync('query-yank', null, OOB, null).get_array().get_length(), 1);
        equal(client.execute_full_sync('query-yank', null, null, OOB, -1, null).get_array().get_length(), 1);
        equal(executeRaw(client, {'exec-oob': 'query-yank'}).return.length, 1);
        fails(() => client.execute_sync('query-name', null, OOB, null), Aqmp.ExecError, Aqmp.ExecError.GENERIC_ERROR, 'OOB');
        works(client);
        client.disconnect_sync(null);
    },

    'out-of-band/not-negotiated'() {
        const client = connected({enable_oob: false});
        fails(() => client.execute_sync('query-yank', null, OOB, null), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_SUPPORTED);
        works(client);
        client.disconnect_sync(null);
    },
};

const Filtering = GObject.registerClass(class Filtering extends Aqmp.Client {
    vfunc_filter_inbound(message) {
        this.inbound?.();
        return super.vfunc_filter_inbound(message);
    }
});

const Line = GObject.registerClass(class Line extends Aqmp.Protocol {
    vfunc_session_ended(_cause) {
        this.ended = (this.ended ?? 0) + 1;
    }
});

/** Throws if it ran the main context: whoever does that dispatches what springs this trap. */
function withoutMainContext(name, test) {
    let sprung = 0;
    const trap = GLib.idle_add(GLib.PRIORITY_HIGH, () => {
        sprung++;
        return GLib.SOURCE_REMOVE;
    });
    try {
        test();
    } finally {
        if (sprung === 0)
            GLib.source_remove(trap);
    }
    if (sprung > 0 && name !== 'events-and-callbacks')
        throw new Error('the main context was run');
}

runSync(Object.fromEntries(Object.entries(tests).map(([name, test]) => [name, () => withoutMainContext(name, test)])));
