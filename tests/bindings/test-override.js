// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// The client as programs in JavaScript use it: native values, errors, events, promises and blocking calls. test_gjs.py runs it:
// gjs -m test-override.js PATH_OF_A_MONITOR PATH_OF_A_SERVER, which is one that answering.py has

import Aqmp from 'gi://Aqmp?version=1';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import System from 'system';
import {BOUND_MS, cancelled, equal, fails, failsSync, run} from './tap.js';

const [qemu, server] = ARGV;
const {IDLE, CONNECTING, RUNNING} = Aqmp.Runstate;
const TWO_EVENTS = '{"event": "A", "data": {"n": 1}}{"event": "B", "data": {"n": 2}}{"return": {}, "id": ID}';

async function connected(address = server) {
    const client = new Aqmp.Client({name: 'vm0', callTimeout: BOUND_MS});
    await client.connectTo(address);
    return client;
}

function say(client, text, options) {
    return client.execute('say', {text}, options);
}

async function works(client) {
    equal(await client.execute('echo', {a: 1}), {a: 1});
}

/** Both ways to be of no use: a promise that is rejected, or a call that throws. */
async function refuses(call, type, pattern) {
    try {
        await call();
    } catch (error) {
        if (error instanceof type && pattern.test(error.message))
            return error;
        throw new Error(`failed in another way: ${error}`);
    }
    throw new Error(`did not fail, which had to say ${pattern}`);
}

/** equal() cannot see those. */
function same(got, expected) {
    const differs = typeof got !== typeof expected || (typeof got === 'object' && got !== null
        ? Object.keys(expected).length !== Object.keys(got).length || Array.isArray(got) !== Array.isArray(expected)
        : !Object.is(got, expected));
    if (differs)
        throw new Error(`got ${typeof got} ${String(got)}, expected ${String(expected)}`);
    if (typeof got === 'object' && got !== null)
        Object.keys(expected).forEach(key => same(got[key], expected[key]));
}

const tests = {};

// --- Values ---

tests['values/both-ways'] = async () => {
    const values = [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0, -1, 0.1, -1.5e300, null, true, false, '', {}, [], [[]],
        {'': null}, {__proto__: null, a: 1}, 'Grüße €', '😀', 'a\0b', '\x7f\x1f"\\/\u2028', 'x'.repeat(300000), '1234567890123456789'];
    const client = await connected();
    for (const value of values)
        same((await client.execute('echo', {value})).value, value);
    same((await client.execute('echo', {values})).values, values);
    same(await client.execute('echo', {}), {});
    same(await client.execute('echo'), null);
    await client.close();
};

tests['values/bigint'] = async () => {
    const client = await connected();
    const text = ['1234567890123456789', '12345678901234567890n', 'x"1234567890123456789"', '\\', '\\"', 's', 'n', '', ': 12345678901234567',
        '\u0000\\u0000', '[12345678901234567890,', '1e400'];
    const values = [2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n, 2n ** 53n + 1n, -(2n ** 53n), 2n ** 200n,
        1, -1, 0.5, 1e22, 12345678.12345678912345, null, true, ...text];
    const keys = Object.fromEntries(text.map((key, i) => [key, i]));
    same((await client.execute('echo', {values, keys, big: 2n ** 53n}, {bigint: true})), {values, keys, big: 2n ** 53n});
    same((await client.execute('echo', {a: 2n ** 53n + 1n})).a, 2 ** 53);
    // Small ones stay what they are.
    same((await client.execute('echo', {a: 5n, b: '1234567890123456'}, {bigint: true})), {a: 5, b: '1234567890123456'});
    same(await say(client, '{"return" : {"a" \n:[ 9007199254740993 ,"9007199254740993" ] , "9007199254740993"\t : ""}, "id": ID}',
        {bigint: true}), {a: [9007199254740993n, '9007199254740993'], '9007199254740993': ''});
    const raw = await client.executeRaw({execute: 'echo', arguments: {a: 2n ** 64n - 1n, b: 2 ** 63, c: new Number(1), d: Object(2n)}});
    for (const part of ['"a": 18446744073709551615', '"b": 9223372036854775808', '"c": 1', '"d": 2'])
        equal([part, raw.includes(part)], [part, true]);
    await client.close();
};

tests['values/of-other-classes'] = async () => {
    const client = await connected();
    class Point {
        constructor() {
            this.x = 1;
        }
    }
    const replaced = {toJSON: key => `${key}!`};
    same(await client.execute('echo', {date: new Date(0), point: new Point(), replaced, list: [replaced]}),
        {date: '1970-01-01T00:00:00.000Z', point: {x: 1}, replaced: 'replaced!', list: ['0!']});
    await client.close();
};

tests['values/deep'] = async () => {
    const client = await connected();
    const value = Array(900).fill().reduce((a, _, i) => i % 2 ? {a} : [a], {});
    same((await client.execute('echo', {value})).value, value);
    await client.close();
};

tests['values/replies'] = async () => {
    const client = await connected();
    let value = await say(client, `{"return": ${'['.repeat(900)}${']'.repeat(900)}, "id": ID}`);
    for (let i = 0; i < 899; i++)
        [value] = value;
    same(value, []);
    for (const reply of ['{"id": ID}', '{"error": 1, "id": ID}', '{"error": {"class": "X"}, "id": ID}',
        '{"error": {"class": 1, "desc": ""}, "id": ID}'])
        await fails(say(client, reply), Aqmp.Error, Aqmp.Error.BAD_REPLY);
    await refuses(() => say(client, '{"return": 1, "error": {"class": "X", "desc": "Y"}, "id": ID}'), Aqmp.ExecuteError, /Y/);
    await works(client);
    await client.close();
};

tests['values/raw'] = async () => {
    const client = await connected();
    for (const message of ['{"execute": "echo", "id": 7}', ' {"execute": "echo", "id": 7}\n', {execute: 'echo', id: 7}])
        same(JSON.parse(await client.executeRaw(message)), {return: null, id: 7});
    same(JSON.parse(client.executeRawSync({execute: 'echo', id: 8})), {return: null, id: 8});
    const error = {class: 'X', desc: 'Ü'};
    const text = `{"error": ${JSON.stringify(error)}, "id": ID}`;
    same(JSON.parse(await client.executeRaw({execute: 'say', arguments: {text}})).error, error);
    await client.close();
};

tests['values/schema'] = async () => {
    const client = await connected(qemu);
    const raw = await client.executeRaw({execute: 'query-qmp-schema'});
    equal(raw.length > 150000, true);
    equal(await client.execute('query-qmp-schema'), JSON.parse(raw).return);
    equal(client.executeSync('query-qmp-schema', null, {bigint: true}), JSON.parse(raw).return);
    await client.close();
};

// --- Input that is of no use ---

tests['input/arguments'] = async () => {
    const client = await connected();
    const circle = {a: {list: []}};
    circle.a.list.push(circle.a);
    for (const [args, pattern] of [
        [{a: undefined}, /^echo: arguments\.a is undefined, .*leave it out, or use null/],
        [{a: [1, , 2]}, /arguments\.a\[1\] is undefined/],                          // eslint-disable-line no-sparse-arrays
        [{'b-c': {d: () => {}}}, /arguments\["b-c"\]\.d is a function/],
        [{a: Symbol('s')}, /arguments\.a is a symbol/],
        [{[Symbol('s')]: 1}, /arguments has a property whose name is a symbol/],
        [{a: NaN}, /arguments\.a is NaN, but JSON has finite numbers only/],
        [{a: [-Infinity]}, /arguments\.a\[0\] is -Infinity/],
        [circle, /arguments\.a\.list\[0\] .* no cycles/],
        [{a: new Map([[1, 2]])}, /arguments\.a is of the class Map/],
        [{a: new Uint8Array(1)}, /arguments\.a is of the class Uint8Array/],
        [{a: client}, /arguments\.a is of the class Aqmp.Client/],
        [{a: new GLib.Bytes([1])}, /arguments\.a is of the class GLib.Bytes/],
        [{a: Promise.resolve(1)}, /arguments\.a is a promise: use await/],
        [[1], /the arguments of "echo" are an object, not an array: \[1\]/],
        ['{}', /the arguments of "echo" are an object, not a string/],
        [Array(2000).fill().reduce(a => ({a}), {}), /^echo: arguments[.a]+ … [.a]+ is nested too deeply.{0,40}$/],
        [{[`${'x'.repeat(500)}`]: {b: {c: NaN}}}, /^echo: arguments\.x+ … x+\.b\.c is NaN/],
        [new Date(0), /^the arguments of "echo" are an object, not a string: "?1970/],
        [new String('abc'), /the arguments of "echo" are an object, not a string: "?abc/],  // eslint-disable-line no-new-wrappers
        [Object(5n), /the arguments of "echo" are an object, not a number: 5/],
        [{toJSON: () => [1]}, /the arguments of "echo" are an object, not an array: \[1\]/],
        [{toJSON: () => null}, /the arguments of "echo" are an object, not null/],
    ]) {
        await refuses(() => client.execute('echo', args), TypeError, pattern);
        await refuses(() => client.executeSync('echo', args), TypeError, pattern);
    }
    // The same object twice is no cycle.
    const twice = {};
    same(await client.execute('echo', {a: [twice, twice]}), {a: [{}, {}]});
    await fails(client.execute('echo', {a: '\ud800'}), Aqmp.Error, Aqmp.Error.INVALID_MESSAGE);
    await works(client);
    await client.close();
};

tests['input/commands'] = async () => {
    const client = await connected();
    for (const command of [1, null, undefined, ['echo'], Symbol('s')])
        await refuses(() => client.execute(command), TypeError, /the name of a command is a string, not /);
    for (const message of [1, null, ['x'], new Uint8Array(1).buffer.byteLength])
        await refuses(() => client.executeRaw(message), TypeError, /a command is a string/);
    await refuses(() => client.executeRaw('{"execute": "a"}\0'), TypeError, /no NUL/);
    await refuses(() => client.executeRaw({toJSON: () => ['x']}), TypeError, /a command is a string or an object, not an array/);
    await refuses(() => client.waitEvent('A', {data: new Date(0)}), TypeError, /data is an object, not a string/);
    same(await client.execute('echo', {toJSON: () => ({a: 1})}), {a: 1});
    await fails(client.executeRaw('{"execute": 1}'), Aqmp.Error, Aqmp.Error.INVALID_MESSAGE);
    await fails(client.executeRaw(''), Aqmp.Error, Aqmp.Error.INVALID_MESSAGE);
    await refuses(() => client.job(1), TypeError, /the id of a job is a string/);
    await refuses(() => client.executeAndWait('echo', {}, 'A', {data: {a: 2n ** 64n}}), RangeError, /would be rounded/);
    await refuses(() => client.executeAndWait('echo', {}, []), TypeError, /at least one name of an event/);
    await refuses(() => client.executeAndWait('echo', {}), TypeError, /the name of an event is a string/);
    await fails(client.executeAndWait('echo', {}, ['A', '']), Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT, 'empty name');
    await refuses(() => client.executeAndWait('echo', {a: [undefined]}, 'A'), TypeError, /echo: arguments\.a\[0\] is undefined/);
    await works(client);
    await client.close();
};

tests['input/options'] = async () => {
    const client = await connected();
    for (const [options, pattern] of [
        [new Gio.Cancellable(), /options of execute\(\) are an object, such as {cancellable/],
        [5, /options of execute\(\) are an object/],
        [{timeOut: 5}, /execute\(\) has no option "timeOut": there are cancellable, timeout/],
        [{timeout: '5'}, /timeout of execute\(\) is a whole number of milliseconds/],
        [{timeout: -1}, /timeout of execute\(\)/],
        [{cancellable: {}}, /cancellable of execute\(\) is a Gio.Cancellable/],
        [{oob: 1}, /oob of execute\(\) is true or false/],
        [{fds: 5}, /fds of execute\(\) is an array/],
        [{fds: ['x']}, /a file descriptor is a number/],
    ])
        await refuses(() => client.execute('echo', null, options), TypeError, pattern);
    await refuses(() => client.execute('echo', null, {}, {}), TypeError, /execute\(\) takes 3 arguments at the most, not 4/);
    await refuses(() => client.events('A', {whatever: 1}), TypeError, /events\(\) has no option "whatever"/);
    await refuses(() => client.close('now'), TypeError, /options of close\(\)/);
    await works(client);
    await client.close();
};

tests['input/addresses'] = async () => {
    const client = new Aqmp.Client();
    for (const address of [1, null, undefined, {}, new Gio.Cancellable()])
        await refuses(() => client.connectTo(address), TypeError, /an address is a string, such as/);
    await fails(client.connectTo(''), Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT);
    await refuses(() => client.acceptFrom('localhost:4444'), TypeError, /numeric address/);
    await fails(client.connectTo('/nowhere/qmp.sock'), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_FOUND, 'Could not establish');
    failsSync(() => client.connectToSync('/nowhere/qmp.sock'), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_FOUND, 'Could not establish');
};

tests['input/names-of-events'] = async () => {
    const client = new Aqmp.Client();
    await refuses(() => client.events(['STOP']), TypeError, /the name of an event is a string, not an array/);
    await refuses(() => client.waitEvent(1), TypeError, /the name of an event is a string/);
};

tests['input/before-connecting'] = async () => {
    const client = new Aqmp.Client();
    for (const call of [() => client.execute('a'), () => client.executeSync('a'), () => client.executeRaw('{"execute":"a"}'),
        () => client.waitEvent('A'), () => client.events().next(), () => client.flush(), () => client.executeAndWait('a', null, 'A'),
        () => client.sendMessage('a')]) {
        const error = await refuses(call, Aqmp.StateError, /idle/);
        equal([error instanceof GLib.Error, error.matches(Aqmp.Error, Aqmp.Error.STATE), error.state, error.required],
            [true, true, IDLE, RUNNING]);
    }
    equal((await refuses(() => client.execute('a'), Aqmp.StateError, /connect it first/)).name, 'Aqmp.StateError');
    equal((await refuses(() => client.acceptFrom(), Aqmp.StateError, /no server was started/)).required, CONNECTING);
    await client.connectTo(server);
    const error = await refuses(() => client.connectTo('/nowhere'), Aqmp.StateError, /running/);
    equal([error.state, error.required], [RUNNING, IDLE]);
    await works(client);
    await client.close();
};

tests['input/mistake-in-handler'] = async () => {
    const client = await connected();
    client.connect('event', () => {
        throw new Error('by the test');
    });
    await say(client, TWO_EVENTS);
    const events = client.events({where: () => {
        throw new Error('by the test');
    }});
    await say(client, TWO_EVENTS);
    equal(events.nPending, 0);
    await works(client);
    await client.close();
};

// --- Errors ---

tests['errors/of-the-server'] = async () => {
    const client = await connected();
    for (const [name, code] of Object.entries({
        GenericError: Aqmp.ExecError.GENERIC_ERROR, CommandNotFound: Aqmp.ExecError.COMMAND_NOT_FOUND,
        DeviceNotActive: Aqmp.ExecError.DEVICE_NOT_ACTIVE, DeviceNotFound: Aqmp.ExecError.DEVICE_NOT_FOUND,
        KVMMissingCap: Aqmp.ExecError.KVM_MISSING_CAP, Novel: Aqmp.ExecError.OTHER,
    })) {
        const text = `{"error": {"class": "${name}", "desc": "Why"}, "id": ID}`;
        const error = await refuses(() => say(client, text), Aqmp.ExecuteError, /^Why$/);
        equal([error instanceof GLib.Error, error instanceof Aqmp.ExecError, error.matches(Aqmp.ExecError, code), error.code],
            [true, true, true, code]);
        equal([error.errorClass, error.desc, error.reply.error], [name, 'Why', {class: name, desc: 'Why'}]);
        equal([error.name, String(error)], ['Aqmp.ExecuteError', `Aqmp.ExecuteError: ${name}: Why`]);
        equal(error.stack.includes('test-override.js'), true);
        equal((await refuses(() => client.executeSync('say', {text}), Aqmp.ExecuteError, /^Why$/)).errorClass, name);
    }
    await client.close();
};

tests['errors/through-c'] = async () => {
    const client = await connected(qemu);
    const error = await refuses(() => client.executeAndWait('device_del', {id: 'nothing'}, 'DEVICE_DELETED'), Aqmp.ExecuteError,
        /Device 'nothing' not found/);
    equal([error.errorClass, error.reply.error.class], ['DeviceNotFound', 'DeviceNotFound']);
    await client.close();
};

tests['errors/session-that-fails'] = async () => {
    const client = await connected();
    const calls = [client.execute('leave'), client.execute('echo')].map(call => fails(call, Aqmp.Error, Aqmp.Error.INTERRUPTED));
    await Promise.all(calls);
    await fails(client.close(), Gio.IOErrorEnum, Gio.IOErrorEnum.CONNECTION_CLOSED);
    await client.connectTo(server);
    await works(client);
    await client.close();
};

// --- Waiting ---

tests['waiting/all'] = async () => {
    const client = await connected();
    const results = await Promise.allSettled([client.execute('echo', {a: 1}), client.execute('echo', {a: 2}),
        say(client, '{"error": {"class": "X", "desc": "Y"}, "id": ID}')]);
    equal([results[0].value, results[1].value, results[2].reason.errorClass], [{a: 1}, {a: 2}, 'X']);
    const many = await Promise.all(Array.from({length: 200}, (_, i) => client.execute('echo', {i})));
    equal(many.map(({i}) => i), [...Array(200).keys()]);
    await client.close();
};

tests['waiting/cancelled'] = async () => {
    const CANCELLED = [Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED];
    const client = new Aqmp.Client();
    await fails(client.connectTo(server, {cancellable: cancelled()}), ...CANCELLED);
    await client.connectTo(server);
    const cancellable = new Gio.Cancellable();
    const calls = [client.execute('hang', null, {cancellable}), client.executeRaw({execute: 'hang'}, {cancellable}),
        client.waitEvent('A', {cancellable}), client.events({cancellable}).next(),
        client.waitRunstate(RUNNING, {cancellable})].map(call => fails(call, ...CANCELLED));
    GLib.timeout_add(GLib.PRIORITY_DEFAULT, 1, () => {
        cancellable.cancel();
        return GLib.SOURCE_REMOVE;
    });
    await Promise.all(calls);
    failsSync(() => client.executeSync('hang', null, {cancellable}), ...CANCELLED);
    await works(client);
    await client.close();
};

tests['waiting/timeout'] = async () => {
    const TIMED_OUT = [Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT];
    const client = await connected();
    await fails(client.execute('hang', null, {timeout: 1}), ...TIMED_OUT);
    await fails(client.executeRaw({execute: 'hang'}, {timeout: 1}), ...TIMED_OUT);
    await fails(client.waitEvent('A', {timeout: 1}), ...TIMED_OUT);
    failsSync(() => client.executeSync('hang', null, {timeout: 1}), ...TIMED_OUT);
    failsSync(() => client.waitEventSync('A', {timeout: 1}), ...TIMED_OUT);
    equal(client.callTimeout, BOUND_MS);
    client.callTimeout = 1;
    await fails(client.execute('hang'), ...TIMED_OUT);
    const call = client.execute('hang', null, {timeout: 0});
    await fails(client.execute('hang'), ...TIMED_OUT);
    await client.close();
    await fails(call, Aqmp.Error, Aqmp.Error.INTERRUPTED);
};

tests['waiting/blocking'] = async () => {
    const client = new Aqmp.Client();
    client.connectToSync(server);
    equal(client.executeSync('echo', {a: 1}), {a: 1});
    client.flushSync();
    const text = TWO_EVENTS;
    const listener = client.events('A');
    client.executeSync('say', {text});
    equal(listener.nextSync().value.data, {n: 1});
    client.closeSync();
    equal([client.runstate, listener.nextSync().done], [IDLE, true]);
};

tests['waiting/runstate'] = async () => {
    const client = new Aqmp.Client();
    const waiting = client.waitRunstate(IDLE);
    await client.connectTo(server);
    equal(await waiting !== IDLE, true);
    await client.flush();
    await client.close();
};

tests['waiting/accepting'] = async () => {
    const client = new Aqmp.Client();
    const cancellable = new Gio.Cancellable();
    const call = client.acceptFrom('127.0.0.1:0', {cancellable});
    equal(client.listenAddress.port > 0, true);
    cancellable.cancel();
    await fails(call, Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    failsSync(() => client.acceptFromSync('127.0.0.1:0', {cancellable}), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);

    client.start_server(Aqmp.address_parse(`${server}.listening`));
    const guest = Gio.Subprocess.new(['setpriv', '--pdeathsig', 'KILL', 'qemu-system-x86_64', '-M', 'none', '-S', '-display', 'none',
        '-chardev', `socket,id=qmp,server=off,path=${server}.listening`, '-mon', 'chardev=qmp,mode=control'], Gio.SubprocessFlags.NONE);
    try {
        await client.acceptFrom();
        equal((await client.execute('query-status')).status, 'prelaunch');
        await client.close();
    } finally {
        guest.force_exit();
        guest.wait(null);
    }
};

tests['waiting/stream'] = async () => {
    const stream = new Gio.SocketClient().connect(Aqmp.address_parse(server), null);
    const client = new Aqmp.Client();
    await client.open(stream);
    await works(client);
    await client.close();
};

tests['waiting/out-of-band-and-descriptors'] = async () => {
    const client = await connected(qemu);
    equal(await client.execute('query-yank', null, {oob: true}), await client.executeOob('query-yank'));
    await refuses(() => client.execute('query-name', null, {oob: true}), Aqmp.ExecuteError, /OOB/);
    const socket = Gio.Socket.new(Gio.SocketFamily.UNIX, Gio.SocketType.STREAM, Gio.SocketProtocol.DEFAULT);
    for (const fds of [[socket], [socket.fd]]) {
        await client.execute('getfd', {fdname: 'ours'}, {fds});
        await client.execute('closefd', {fdname: 'ours'});
    }
    await client.close();
};

tests['waiting/as-in-c'] = async () => {
    // Without a callback a promise; and Gio._promisify(), which programs have called so far, does no harm.
    Gio._promisify(Aqmp.Client.prototype, 'execute_raw_async');
    const client = new Aqmp.Client();
    equal(await client.connect_async(Aqmp.address_parse(server), null), true);
    equal((await client.execute_raw_async('{"execute": "echo"}', null, null)).get_size() > 0, true);
    await new Promise(resolve => client.disconnect_async(null, (_, result) => resolve(client.disconnect_finish(result))));
};

// --- Events ---

tests['events/for-await'] = async () => {
    const client = await connected();
    const names = [];
    const events = client.events();
    await say(client, TWO_EVENTS);
    for await (const event of events) {
        names.push(event.name);
        if (names.length === 2)
            break;
    }
    equal([names, events.get_active()], [['A', 'B'], false]);
    equal(await events.next(), {done: true});
    await client.close();
};

tests['events/for'] = async () => {
    const client = await connected();
    const names = [];
    const events = client.events();
    await say(client, TWO_EVENTS);
    for (const event of events) {
        names.push(event.name);
        if (names.length === 2)
            break;
    }
    equal([names, events.get_active()], [['A', 'B'], false]);
    await client.close();
};

tests['events/data'] = async () => {
    const client = await connected();
    const events = client.events();
    await say(client, '{"event": "A", "data": {"n": 18446744073709551615, "s": "a\\u0000b"}, ' +
        '"timestamp": {"seconds": 1, "microseconds": 2}}{"event": "B"}{"return": {}, "id": ID}');
    const a = (await events.next()).value;
    const b = (await events.next()).value;
    equal([a.name, a.data, a.timestamp, b.name, b.data, b.timestamp],
        ['A', {n: 2 ** 64, s: 'a\0b'}, 1000002, 'B', null, -1]);
    same(a.getData({bigint: true}), {n: 2n ** 64n - 1n, s: 'a\0b'});
    equal([a.data === a.data, String(b)], [true, '[Aqmp.Event B null]']);
    await client.close();
};

tests['events/those-that-are-wanted'] = async () => {
    const client = await connected();
    const heard = [];
    client.connect('event::B', (_, event) => heard.push(event.data));
    const b = client.events('B');
    const one = client.events({where: event => event.data.n === 1});
    const last = client.events({maxPending: 1});
    System.gc();
    await say(client, TWO_EVENTS);
    equal([b.nPending, one.nPending, last.nPending, last.nDropped], [1, 1, 1, 1]);
    equal([(await b.next()).value.name, (await one.next()).value.name, (await last.next()).value.name], ['B', 'A', 'B']);
    equal(heard, [{n: 2}]);
    await client.close();
};

async function collect(events) {
    const names = [];
    for await (const event of events)
        names.push(event.name);
    return names;
}

tests['events/end-of-the-session'] = async () => {
    const client = await connected();
    const collecting = collect(client.events());
    const rest = client.events();
    await say(client, TWO_EVENTS);
    await client.close();
    equal([await collecting, await collect(rest), await collect(rest)], [['A', 'B'], ['A', 'B'], []]);
};

tests['events/failure-of-the-session'] = async () => {
    const client = await connected();
    const collecting = fails(collect(client.events()), Gio.IOErrorEnum, Gio.IOErrorEnum.CONNECTION_CLOSED);
    await fails(client.execute('leave'), Aqmp.Error, Aqmp.Error.INTERRUPTED);
    await collecting;
    await client.close().catch(() => {});
};

tests['events/stopped-while-waiting'] = async () => {
    const client = await connected();
    const events = client.events();
    const collecting = collect(events);
    equal(await events.return('value'), {value: 'value', done: true});
    equal(await collecting, []);
    await client.close();
    const early = new Aqmp.Client().events();
    await early.return();
    equal(await collect(early), []);
};

tests['events/in-order'] = async () => {
    const client = await connected();
    const events = client.events();
    const waiting = [events.next(), events.next()];
    await say(client, TWO_EVENTS);
    equal((await Promise.all(waiting)).map(({value}) => value.name), ['A', 'B']);
    await client.close();
};

tests['events/wait'] = async () => {
    const client = await connected();
    const waiting = client.waitEvent('A', 'B', {data: {n: 2}});
    const any = client.waitEvent();
    await say(client, TWO_EVENTS);
    equal([(await waiting).name, (await any).name], ['B', 'A']);
    await client.close();
};

tests['events/execute-and-wait'] = async () => {
    const client = await connected(qemu);
    const {event, reply} = await client.executeAndWait('cont', null, 'RESUME');
    equal([event.name, reply], ['RESUME', {}]);
    equal(client.executeAndWaitSync('stop', null, ['STOP'], {failureNames: ['RESUME'], timeout: BOUND_MS}).event.name, 'STOP');
    await fails(client.executeAndWait('cont', null, ['STOP'], {failureNames: ['RESUME']}), Aqmp.Error, Aqmp.Error.EVENT, 'RESUME');
    await client.execute('stop');
    await client.close();
};

/** Both forms of a call of executeAndWait(). */
function bothForms(client, ...given) {
    return [() => client.executeAndWait(...given), async () => client.executeAndWaitSync(...given)];
}

tests['completion/reply-as-sent'] = async () => {
    const client = await connected();
    const text = '{"return": {"n": 18446744073709551615, "s": "a\\u0000b"}, "id": ID}{"event": "A"}';
    for (const call of bothForms(client, 'say', {text, n: 2n ** 64n}, 'A', {bigint: true})) {
        const result = await call();
        same(result.reply, {n: 2n ** 64n - 1n, s: 'a\0b'});
        equal([Object.keys(result), result.event.name], [['event', 'reply'], 'A']);
    }
    await client.close();
};

tests['completion/event'] = async () => {
    const client = await connected();
    const reply = '{"return": 1, "id": ID}';
    const events = '{"event": "B"}{"event": "A"}{"event": "A", "data": {"n": 1, "m": 1}}{"event": "A", "data": {"n": 2, "m": 2}}';
    for (const text of [events + reply, reply + events]) {
        for (const timeout of [0, BOUND_MS]) {
            for (const call of bothForms(client, 'say', {text}, ['C', 'A'], {data: {n: 2}, timeout, failureNames: ['B']})) {
                const result = await call();
                equal([result.event.data, result.reply], [{n: 2, m: 2}, 1]);
            }
        }
        for (const call of bothForms(client, 'say', {text}, 'A', {failureNames: ['B']}))
            await fails(call(), Aqmp.Error, Aqmp.Error.EVENT, 'The server reports a failure by the event B');
        for (const call of bothForms(client, 'say', {text}, 'C', {data: {n: 1}, failureNames: ['A']}))
            await fails(call(), Aqmp.Error, Aqmp.Error.EVENT, 'by the event A: {"n":1,"m":1}');
    }
    await works(client);
    await client.close();
};

tests['completion/error-reply'] = async () => {
    const client = await connected();
    const text = '{"event": "A"}{"error": {"class": "X", "desc": "Why"}, "id": ID}';
    for (const name of ['A', 'B']) {
        for (const call of bothForms(client, 'say', {text}, name, {timeout: 0}))
            equal((await refuses(call, Aqmp.ExecuteError, /^Why$/)).errorClass, 'X');
    }
    await client.close();
};

tests['completion/given-up'] = async () => {
    const client = await connected();
    const text = '{"return": {}, "id": ID}{"event": "A", "data": {"n": 1}}';
    for (const command of ['hang', 'say']) {
        const given = [command, {text}, 'A', {timeout: 20, data: {n: 2}}];
        for (const call of bothForms(client, ...given))
            await fails(call(), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT, 'Timed out after 20 ms');
        for (const call of bothForms(client, command, {text}, 'B', {cancellable: cancelled()}))
            await fails(call(), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
        const cancellable = new Gio.Cancellable();
        const waiting = fails(client.executeAndWait(command, {text}, 'B', {cancellable}), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
        await works(client);
        cancellable.cancel();
        await waiting;
    }
    equal(client.callTimeout, BOUND_MS);
    await client.close();
};

tests['completion/end-of-the-session'] = async () => {
    const INTERRUPTED = [Aqmp.Error, Aqmp.Error.INTERRUPTED];
    for (const form of [0, 1]) {
        const client = await connected();
        await fails(bothForms(client, 'leave', null, 'A')[form](), ...INTERRUPTED);
        await client.close().catch(() => {});
    }
    const client = await connected();
    const waiting = fails(client.executeAndWait('echo', null, 'A'), ...INTERRUPTED);
    await works(client);
    await client.close();
    await waiting;
};

/** The listeners that calls make, of which none may go on. */
tests['completion/listener-is-stopped'] = async () => {
    const client = await connected();
    const listeners = [];
    client.listen = function (...given) {
        listeners.push(Aqmp.Client.prototype.listen.apply(this, given));
        return listeners[listeners.length - 1];
    };
    const text = '{"return": {}, "id": ID}{"event": "A"}';
    for (const given of [['say', {text}, 'A'], ['say', {text}, 'B', {failureNames: ['A']}], ['hang', null, 'A', {timeout: 1}],
        ['say', {text}, 'B', {timeout: 1}], ['say', {text: '{"error": {"class": "X", "desc": "Y"}, "id": ID}'}, 'A'],
        ['say', {text}, 'A', {cancellable: cancelled()}], ['echo', {a: '\ud800'}, 'A']]) {
        for (const call of bothForms(client, ...given))
            await call().catch(() => {});
    }
    equal(listeners.map(listener => listener.get_active()), Array(14).fill(false));
    await client.close();
};

// --- Jobs, and what things are called ---

tests['names'] = async () => {
    const client = new Aqmp.Client({name: 'vm0'});
    equal([String(client), String(new Aqmp.Client()), String(client.job('j'))],
        ['[Aqmp.Client "vm0" idle]', '[Aqmp.Client idle]', '[Aqmp.Job "j" null]']);
    await client.connectTo(server);
    equal([String(client), String(client.greeting)], ['[Aqmp.Client "vm0" running]', '[Aqmp.Greeting 7.2.1 (test)]']);
    await client.close();
    const seen = [];
    for (const name in client)
        seen.push(name);
    equal(seen.includes('execute'), false);
};

tests['jobs'] = async () => {
    const client = await connected(qemu);
    const error = await fails(client.job('nothing').run(), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_FOUND);
    equal(error.stack.includes('test-override.js'), true);
    await refuses(() => client.job('nothing').waitStatus(1), TypeError, /a status is a string/);
    await client.close();
    await refuses(() => client.job('a').run(), Aqmp.StateError, /idle/);
};

await run(tests);
