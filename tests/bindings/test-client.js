// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// The client and a subclass of Protocol in JavaScript, in the plain introspected form. test_gjs.py runs it:
// gjs -m test-client.js PATH_OF_A_MONITOR

import Aqmp from 'gi://Aqmp?version=1';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GObject from 'gi://GObject';
import {equal, fails, run} from './tap.js';

Gio._promisify(Aqmp.Protocol.prototype, 'connect_async', 'connect_finish');
Gio._promisify(Aqmp.Protocol.prototype, 'open_async', 'open_finish');
Gio._promisify(Aqmp.Protocol.prototype, 'accept_async', 'accept_finish');
Gio._promisify(Aqmp.Protocol.prototype, 'start_server_and_accept_async', 'start_server_and_accept_finish');
Gio._promisify(Aqmp.Protocol.prototype, 'disconnect_async', 'disconnect_finish');
Gio._promisify(Aqmp.Protocol.prototype, 'flush_async', 'flush_finish');
Gio._promisify(Aqmp.Protocol.prototype, 'read_message_async', 'read_message_finish');
Gio._promisify(Aqmp.Protocol.prototype, 'write_message_async', 'write_message_finish');
Gio._promisify(Aqmp.Client.prototype, 'execute_async', 'execute_finish');
Gio._promisify(Aqmp.Client.prototype, 'execute_raw_async', 'execute_raw_finish');

const path = ARGV[0];
const certificates = GLib.getenv('AQMP_TEST_CERTIFICATES');
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function hasState(protocol, runstate) {
    return new Promise(resolve => {
        const id = protocol.connect('runstate-changed', () => protocol.runstate === runstate && done());
        const done = () => {
            protocol.disconnect(id);
            resolve();
        };
        if (protocol.runstate === runstate)
            done();
    });
}

// --- the client ---

async function connected(properties = {}) {
    const client = new Aqmp.Client(properties);
    equal(await client.connect_async(Aqmp.address_parse(path), null), true);
    return client;
}

async function executeRaw(client, message) {
    const reply = await client.execute_raw_async(JSON.stringify(message), null, null);
    return JSON.parse(decoder.decode(reply.get_data()));
}

const tests = {
    async 'client/session'() {
        const client = new Aqmp.Client({name: 'vm0', call_timeout: 5000});
        const states = [];
        client.connect('runstate-changed', (_, runstate) => states.push(runstate));
        equal([client.name, client.callTimeout, client.runstate], ['vm0', 5000, Aqmp.Runstate.IDLE]);
        equal(await client.connect_async(Aqmp.address_parse(path), null), true);
        equal(client.greeting.get_major(), 7);
        equal(client.greeting.get_capabilities(), ['oob']);
        equal(client.oobEnabled, true);
        equal(await client.disconnect_async(null), true);
        equal(states, [Aqmp.Runstate.CONNECTING, Aqmp.Runstate.RUNNING, Aqmp.Runstate.DISCONNECTING, Aqmp.Runstate.IDLE]);
    },

    async 'client/execute'() {
        const client = await connected();
        const node = await client.execute_async('qom-get',
            Aqmp.arguments_parse('{"path": "/machine", "property": "type"}'), Aqmp.ExecuteFlags.NONE, null);
        equal(node.get_string(), 'pc-q35-7.2-machine');
        equal((await executeRaw(client, {execute: 'query-status', id: 'mine'})).id, 'mine');
        const replies = await Promise.all([...Array(50).keys()].map(id => executeRaw(client, {execute: 'query-name', id})));
        equal(replies.map(reply => reply.id), [...Array(50).keys()]);
        await client.disconnect_async(null);
    },

    async 'client/errors'() {
        const client = await connected();
        const error = await fails(client.execute_async('device_del', Aqmp.arguments_parse('{"id": "nothing"}'), 0, null),
            Aqmp.ExecError, Aqmp.ExecError.DEVICE_NOT_FOUND);
        equal(error.message, "Device 'nothing' not found");
        equal(Aqmp.exec_error_get_class(error), 'DeviceNotFound');
        equal(JSON.parse(decoder.decode(Aqmp.exec_error_get_reply(error).get_data())).error.class, 'DeviceNotFound');
        equal((await executeRaw(client, {execute: 'levitate'})).error.class, 'CommandNotFound');
        await fails(client.connect_async(Aqmp.address_parse(path), null), Aqmp.Error, Aqmp.Error.STATE, 'running');
        await client.disconnect_async(null);
        await fails(client.execute_async('query-name', null, 0, null), Aqmp.Error, Aqmp.Error.STATE, 'idle');
        await fails(client.connect_async(Aqmp.address_parse('/nowhere/qmp.sock'), null), Gio.IOErrorEnum,
            Gio.IOErrorEnum.NOT_FOUND, 'Could not establish the connection');
    },

    async 'client/events'() {
        const client = await connected();
        const events = [];
        client.connect('event::STOP', (_, event) => events.push(event));
        for (const command of ['cont', 'stop', 'cont', 'stop'])
            await client.execute_async(command, null, Aqmp.ExecuteFlags.NONE, null);
        equal(events.map(event => event.name), ['STOP', 'STOP']);
        equal(JSON.parse(decoder.decode(events[0].to_bytes().get_data())).event, 'STOP');
        await client.disconnect_async(null);
    },

    async 'client/cancelled'() {
        const client = await connected();
        const cancellable = new Gio.Cancellable();
        const call = client.execute_async('query-status', null, Aqmp.ExecuteFlags.NONE, cancellable);
        cancellable.cancel();
        await fails(call, Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
        await executeRaw(client, {execute: 'query-status'});
        await client.disconnect_async(null);
    },
};

// --- listening, TLS and file descriptors ---

// Runs test() while there is a QEMU whose monitor is on the chardev.
async function withGuest(chardev, args, test) {
    // A test that gives up leaves nobody behind.
    const guest = Gio.Subprocess.new(['setpriv', '--pdeathsig', 'KILL',
        'qemu-system-x86_64', '-M', 'none', '-S', '-display', 'none', ...args,
        '-chardev', `socket,id=qmp,server=off,${chardev}`, '-mon', 'chardev=qmp,mode=control'], Gio.SubprocessFlags.NONE);
    try {
        await test();
    } finally {
        guest.force_exit();
        guest.wait(null);
    }
}

function pem(directory, name) {
    return GLib.build_filenamev([certificates, directory, `${name}.pem`]);
}

const listeningPath = `${path}.listening`;

tests['client/listening'] = async () => {
    const client = new Aqmp.Client();
    equal(client.listenAddress, null);
    const [started, address] = client.start_server(Aqmp.address_parse(listeningPath));
    equal([started, address.path, client.listen_address.path, client.runstate],
        [true, listeningPath, listeningPath, Aqmp.Runstate.CONNECTING]);
    await withGuest(`path=${listeningPath}`, [], async () => {
        equal(await client.accept_async(null), true);
        equal(client.listenAddress, null);
        equal((await executeRaw(client, {execute: 'query-status'})).return.status, 'prelaunch');
        await client.disconnect_async(null);
    });
    await fails(client.accept_async(null), Aqmp.Error, Aqmp.Error.STATE, 'no server was started');
};

tests['client/listening/cancelled'] = async () => {
    const client = new Aqmp.Client();
    const cancellable = new Gio.Cancellable();
    const call = client.start_server_and_accept_async(Aqmp.address_parse('127.0.0.1:0'), cancellable);
    equal(client.listenAddress.port > 0, true);
    cancellable.cancel();
    await fails(call, Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    equal(client.runstate, Aqmp.Runstate.IDLE);
};

tests['client/tls/properties'] = async () => {
    const tlsServerIdentity = Gio.NetworkAddress.new('vm.example', 0);
    const client = new Aqmp.Client({tls: true, tlsServerIdentity, tlsRecordSize: 1});
    equal([client.tls, client.tlsServerIdentity === tlsServerIdentity, client.tlsRecordSize, client.tlsAuthMode],
        [true, true, 1, Gio.TlsAuthenticationMode.NONE]);
    client.tls_auth_mode = Gio.TlsAuthenticationMode.REQUESTED;
    client.tlsInteraction = new Gio.TlsInteraction();
    client.tlsServerIdentity = null;
    equal([client.get_tls_auth_mode(), client.tlsInteraction instanceof Gio.TlsInteraction, client.tlsServerIdentity,
        client.tlsCertificate, client.tlsDatabase], [Gio.TlsAuthenticationMode.REQUESTED, true, null, null, null]);
};

if (certificates) {
    tests['client/tls'] = async () => {
        const known = Gio.TlsCertificate.new_from_file(pem('good', 'client-cert'));
        const asked = [];
        const client = new Aqmp.Client({
            tls: true,
            tls_certificate: Gio.TlsCertificate.new_from_files(pem('good', 'server-cert'), pem('good', 'server-key')),
            tls_database: Gio.TlsFileDatabase.new(pem('other-ca', 'ca-cert')),
            tls_auth_mode: Gio.TlsAuthenticationMode.REQUIRED,
        });
        client.connect('accept-certificate', (_, certificate, errors) => {
            asked.push(errors);
            return certificate.is_same(known);
        });
        const call = client.start_server_and_accept_async(Aqmp.address_parse('127.0.0.1:0'), null);
        const directory = GLib.build_filenamev([certificates, 'good']);
        await withGuest(`host=localhost,port=${client.listenAddress.port},tls-creds=tls0`,
            ['-object', `tls-creds-x509,id=tls0,dir=${directory},endpoint=client`], async () => {
                equal(await call, true);
                equal(asked, [Gio.TlsCertificateFlags.UNKNOWN_CA]);
                equal((await executeRaw(client, {execute: 'query-status'})).return.status, 'prelaunch');
                await client.disconnect_async(null);
            });
    };
}

tests['client/descriptors'] = async () => {
    const client = await connected();
    const socket = Gio.Socket.new(Gio.SocketFamily.UNIX, Gio.SocketType.STREAM, Gio.SocketProtocol.DEFAULT);
    const fds = new Gio.UnixFDList();
    fds.append(socket.fd);
    const message = {execute: 'getfd', arguments: {fdname: 'ours'}};
    const reply = await client.execute_raw_async(JSON.stringify(message), fds, null);
    equal(JSON.parse(decoder.decode(reply.get_data())).return, {});
    equal((await executeRaw(client, {execute: 'closefd', arguments: {fdname: 'ours'}})).return, {});
    equal((await executeRaw(client, {execute: 'closefd', arguments: {fdname: 'ours'}})).error.class, 'GenericError');
    await client.disconnect_async(null);
};

// --- a subclass; "cat" is a peer that echoes ---

const Line = GObject.registerClass(class Line extends Aqmp.Protocol {
    _init(behaviours = {}) {
        super._init();
        this.behaviours = behaviours;
        this.received = [];
        this.ended = 0;
    }

    _run(name, parent, ...args) {
        return this.behaviours[name] ? this.behaviours[name](this, parent, ...args) : parent(...args);
    }

    vfunc_establish_session(task) {
        return this._run('establish_session', t => super.vfunc_establish_session(t), task);
    }

    vfunc_message_received(message) {
        this.received.push(decoder.decode(message.get_data()));
        return this._run('message_received', m => super.vfunc_message_received(m), message);
    }

    vfunc_filter_inbound(message) {
        return this._run('filter_inbound', m => super.vfunc_filter_inbound(m), message);
    }

    vfunc_filter_outbound(message) {
        return this._run('filter_outbound', m => super.vfunc_filter_outbound(m), message);
    }

    vfunc_session_ended(cause) {
        this.ended++;
        return this._run('session_ended', () => {}, cause);
    }
});

async function opened(protocol) {
    const process = Gio.Subprocess.new(['cat'], Gio.SubprocessFlags.STDIN_PIPE | Gio.SubprocessFlags.STDOUT_PIPE);
    const stream = new Gio.SimpleIOStream({input_stream: process.get_stdout_pipe(), output_stream: process.get_stdin_pipe()});
    return protocol.open_async(stream, null);
}

function send(protocol, text) {
    return protocol.send_message(new GLib.Bytes(encoder.encode(text)));
}

async function works(protocol) {
    protocol.behaviours = {};
    protocol.received = [];
    equal(await opened(protocol), true);
    const received = new Promise(resolve => {
        protocol.behaviours.message_received = () => {
            resolve();
            return true;
        };
    });
    send(protocol, 'again\n');
    await received;
    equal(protocol.received, ['again']);
    equal(await protocol.disconnect_async(null), true);
}

function refuse() {
    throw new GLib.Error(Gio.IOErrorEnum, Gio.IOErrorEnum.BUSY, 'refused by the test');
}

function mistake() {
    throw new TypeError('by the test');
}

tests['protocol/echo'] = async () => {
    const protocol = new Line({filter_inbound: (_, parent, message) => parent(message)});
    await works(protocol);
    equal(protocol.ended, 1);
};

tests['protocol/replacing'] = async () => {
    const protocol = new Line({
        filter_inbound: (_, __, message) => new GLib.Bytes(encoder.encode(`[${decoder.decode(message.get_data())}]`)),
        filter_outbound: (_, __, message) => new GLib.Bytes(encoder.encode(decoder.decode(message.get_data()).toUpperCase())),
    });
    await opened(protocol);
    const received = new Promise(resolve => {
        protocol.behaviours.message_received = (_, parent, message) => {
            resolve();
            return parent(message);
        };
    });
    send(protocol, 'quiet\n');
    await received;
    equal(protocol.received, ['[QUIET]']);
    await protocol.disconnect_async(null);
};

tests['protocol/handshake'] = async () => {
    const protocol = new Line({
        establish_session(self, _, task) {
            (async () => {
                await self.write_message_async(new GLib.Bytes(encoder.encode('hello\n')), null);
                const answer = await self.read_message_async(null);
                self.answer = decoder.decode(answer.get_data());
                task.return_boolean(true);
            })();
            return true;
        },
    });
    equal(await opened(protocol), true);
    equal(protocol.answer, 'hello');
    await protocol.disconnect_async(null);
    await works(protocol);
};

// What a function of the subclass does wrong, and what has to come of it. gjs has a domain for other exceptions, and makes
// them what they were when they come back.
async function failsByMistake(promise) {
    try {
        await promise;
    } catch (error) {
        if (error instanceof TypeError && error.message.includes('by the test'))
            return error;
        throw new Error(`failed in another way: ${error}`);
    }
    throw new Error('did not fail');
}

const faults = {
    'raises-error': [refuse, promise => fails(promise, Gio.IOErrorEnum, Gio.IOErrorEnum.BUSY, 'refused by the test')],
    'raises-exception': [mistake, failsByMistake],
};

for (const [fault, [behaviour, check]] of Object.entries(faults)) {
    tests[`protocol/establish_session/${fault}`] = async () => {
        const protocol = new Line({establish_session: behaviour});
        const error = await check(opened(protocol));
        equal(error.message.startsWith('Could not establish the session'), true);
        await works(protocol);
    };

    for (const name of ['filter_inbound', 'filter_outbound', 'message_received']) {
        tests[`protocol/${name}/${fault}`] = async () => {
            const protocol = new Line();
            await opened(protocol);
            protocol.behaviours[name] = behaviour;
            send(protocol, 'not fine\n');
            await hasState(protocol, Aqmp.Runstate.DISCONNECTING);
            await check(protocol.disconnect_async(null));
            await works(protocol);
        };
    }

    tests[`protocol/session_ended/${fault}`] = async () => {
        const protocol = new Line();
        await opened(protocol);
        protocol.behaviours.session_ended = behaviour;
        equal(await protocol.disconnect_async(null), true);
        equal(protocol.ended, 1);
        await works(protocol);
    };
}

tests['protocol/message_received/refuses'] = async () => {
    const protocol = new Line({message_received: () => false});
    await opened(protocol);
    send(protocol, 'not wanted\n');
    await hasState(protocol, Aqmp.Runstate.DISCONNECTING);
    await fails(protocol.disconnect_async(null), Aqmp.Error, Aqmp.Error.FAILED, 'message_received()');
    await works(protocol);
};

tests['protocol/filter_inbound/returns-nothing'] = async () => {
    const protocol = new Line({filter_inbound: () => null});
    await opened(protocol);
    send(protocol, 'lost\n');
    await hasState(protocol, Aqmp.Runstate.DISCONNECTING);
    await fails(protocol.disconnect_async(null), Aqmp.Error, Aqmp.Error.FAILED, 'filter_inbound()');
    await works(protocol);
};

await run(tests);
