// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// Subclasses in JavaScript, as the override makes them. test_gjs.py runs it: gjs -m test-subclass.js PATH_OF_A_MONITOR ANSWERS GREETS,
// which are paths of servers in Python: one that answers, and one that greets and then echoes.

import Aqmp from 'gi://Aqmp?version=1';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GObject from 'gi://GObject';
import {BOUND_MS, equal, fails, failsSync, run} from './tap.js';

const [, answers, greets] = ARGV;
const {DISCONNECTING, IDLE} = Aqmp.Runstate;
const FAILED = [Aqmp.Error, Aqmp.Error.FAILED];
const decoder = new TextDecoder();
const TWO_EVENTS = '{"event": "A"}{"event": "B"}{"return": {}, "id": ID}';

let number = 0;

/** Classes are registered with names, of which there is one each. */
function register(type) {
    return GObject.registerClass({GTypeName: `Test${number++}`}, type);
}

const Greeted = register(class Greeted extends Aqmp.Protocol {
    received = new Promise(resolve => {
        this.resolve = resolve;
    });

    async establishSession() {
        if (decoder.decode(await this.readMessage()) !== 'hello')
            throw new Error('this is no greeting');
        await new Promise(resolve => GLib.idle_add(GLib.PRIORITY_LOW, () => resolve()));
        await this.writeMessage('hello yourself\n');
        await this.readMessage();
    }

    messageReceived(message) {
        this.resolve(decoder.decode(message));
    }
});

const tests = {};

// --- establishSession() ---

tests['establish/asynchronously'] = async () => {
    const protocol = new Greeted();
    await protocol.open(new Gio.SocketClient().connect(Aqmp.address_parse(greets), null));
    for (const message of ['a\n', new Uint8Array([97, 10]), new GLib.Bytes([97, 10])]) {
        protocol.received = new Promise(resolve => {
            protocol.resolve = resolve;
        });
        protocol.sendMessage(message);
        equal(await protocol.received, 'a');
    }
    await protocol.close();
};

tests['establish/chain-up'] = async () => {
    const steps = [];
    const First = register(class extends Aqmp.Client {
        async establishSession(cancellable) {
            steps.push('before', cancellable instanceof Gio.Cancellable);
            await super.establishSession();
            steps.push(this.greeting.get_version_string());
        }
    });
    const Second = register(class extends First {
        async establishSession(...given) {
            await super.establishSession(...given);
            steps.push('after');
        }
    });
    const client = new Second();
    await client.connectTo(answers);
    equal(await client.execute('echo', {a: 1}), {a: 1});
    equal(steps, ['before', true, '7.2.1 (test)', 'after']);
    await client.close();
};

tests['establish/chain-up-fails'] = async () => {
    const client = new (register(class extends Aqmp.Client {
        async establishSession() {
            await super.establishSession();
        }
    }))();
    await fails(client.connectTo(greets), Aqmp.Error, Aqmp.Error.PARSE);
};

tests['establish/at-once'] = async () => {
    const Once = register(class extends Aqmp.Protocol {
        establishSession() {
            this.calls = (this.calls ?? 0) + 1;
        }
    });
    const protocol = new Once();
    await protocol.connectTo(greets);
    await protocol.close();
    protocol.connectToSync(greets);
    protocol.closeSync();
    equal(protocol.calls, 2);
};

tests['establish/promise-in-blocking-call'] = async () => {
    const protocol = new Greeted();
    failsSync(() => protocol.connectToSync(greets), ...FAILED, 'is asynchronous, and nothing asynchronous goes on while a call blocks');
    equal(protocol.runstate, IDLE);
    await protocol.connectTo(greets);
    await protocol.close();
};

tests['establish/given-up'] = async () => {
    let given;
    const Slow = register(class extends Aqmp.Protocol {
        async establishSession(cancellable) {
            given = cancellable;
            await new Promise(() => {});
        }
    });
    await fails(new Slow({connectTimeout: 20}).connectTo(greets), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    equal(given.is_cancelled(), true);
    const protocol = new Slow();
    const attempt = fails(protocol.connectTo(greets), Aqmp.Error, Aqmp.Error.INTERRUPTED);
    await protocol.close();
    await attempt;
};

tests['establish/chain-up-given-up'] = async () => {
    let heard;
    const Chaining = register(class extends Aqmp.Client {
        async establishSession() {
            await super.establishSession().finally(() => heard());
        }
    });
    // Nobody answers here.
    const listener = Gio.SocketListener.new();
    const port = listener.add_any_inet_port(null);
    const silent = `localhost:${port}`;
    const ended = new Promise(resolve => {
        heard = resolve;
    });
    await fails(new Chaining({connectTimeout: 20}).connectTo(silent), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    await ended;
    listener.close();
};

for (const [fault, throws] of Object.entries({
    'throws': () => {
        throw new TypeError('by the test');
    },
    'rejects': async () => {
        await null;
        throw new TypeError('by the test');
    },
})) {
    tests[`establish/${fault}`] = async () => {
        const Faulty = register(class Faulty extends Aqmp.Client {
            establishSession() {
                return throws();
            }
        });
        const client = new Faulty();
        await fails(client.connectTo(answers), ...FAILED, 'establishSession() of Faulty threw TypeError: by the test');
        equal(client.runstate, IDLE);
    };
}

tests['establish/gives-an-error'] = async () => {
    const client = new (register(class extends Aqmp.Client {
        async establishSession() {
            await null;
            throw new GLib.Error(Gio.IOErrorEnum, Gio.IOErrorEnum.BUSY, 'refused by the test');
        }
    }))();
    await fails(client.connectTo(answers), Gio.IOErrorEnum, Gio.IOErrorEnum.BUSY, 'refused by the test');
};

tests['establish/as-in-c'] = async () => {
    const client = new (register(class Old extends Aqmp.Client {
        async vfunc_establish_session(task) {
            await null;
            if (this.isFaulty)
                throw new TypeError('by the test');
            super.vfunc_establish_session(task);
        }
    }))();
    await client.connectTo(answers);
    equal(await client.execute('echo', {a: 1}), {a: 1});
    await client.close();
    client.isFaulty = true;
    await fails(client.connectTo(answers), ...FAILED, 'vfunc_establish_session() of Old threw TypeError: by the test');
};

// --- The others ---

/** A class with one more method, which is not called before a session is established. */
function withHook(hook, method) {
    class Faulty extends Aqmp.Client {}
    Faulty.prototype[hook] = function (argument) {
        return this.isFaulty ? method.call(this, argument) : Aqmp.Client.prototype[hook].call(this, argument);
    };
    return register(Faulty);
}

function hasFailed(client) {
    return new Promise(resolve => {
        const id = client.connect('runstate-changed', (_, runstate) => {
            if (runstate !== DISCONNECTING)
                return;
            client.disconnect(id);
            resolve();
        });
    });
}

async function failsIn(hook, method, text, error = FAILED) {
    const client = new (withHook(hook, method))({callTimeout: BOUND_MS});
    await client.connectTo(answers);
    client.isFaulty = true;
    const failed = hasFailed(client);
    await fails(client.execute('echo'), Aqmp.Error, Aqmp.Error.INTERRUPTED);
    await failed;
    equal([client.get_error().message.includes(text), client.runstate], [true, DISCONNECTING]);
    await fails(client.close(), ...error, text);
    // It can be used again.
    client.isFaulty = false;
    await client.connectTo(answers);
    await client.close();
}

for (const hook of ['messageReceived', 'filterInbound', 'filterOutbound']) {
    tests[`${hook}/throws`] = () => failsIn(hook, () => {
        throw new TypeError('by the test');
    }, `${hook}() of Faulty threw TypeError: by the test`);

    tests[`${hook}/throws-something-else`] = () => failsIn(hook, () => {
        throw 'words';                  // eslint-disable-line no-throw-literal
    }, `${hook}() of Faulty threw words`);

    tests[`${hook}/gives-an-error`] = () => failsIn(hook, () => {
        throw new GLib.Error(Gio.IOErrorEnum, Gio.IOErrorEnum.BUSY, 'refused by the test');
    }, 'refused by the test', [Gio.IOErrorEnum, Gio.IOErrorEnum.BUSY]);

    tests[`${hook}/is-asynchronous`] = () => failsIn(hook, async () => {
        await null;
        throw new Error('nobody would hear of');
    }, `${hook}() of Faulty threw TypeError: it returned a promise`);
}

for (const hook of ['filterInbound', 'filterOutbound']) {
    tests[`${hook}/returns-nothing`] = () => failsIn(hook, () => {},
        `${hook}() of Faulty threw TypeError: the result is a string, a Uint8Array or a GLib.Bytes, not undefined`);
}

tests['messageReceived/refuses'] = () => failsIn('messageReceived', () => false, 'message_received()');

for (const hook of ['event', 'runstateChanged', 'sessionEnded']) {
    tests[`${hook}/throws`] = async () => {
        let calls = 0;
        const client = new (withHook(hook, () => {
            calls++;
            throw new Error('by the test');
        }))();
        await client.connectTo(answers);
        client.isFaulty = true;
        equal(await client.execute('say', {text: TWO_EVENTS}), {});
        equal(await client.execute('echo', {a: 1}), {a: 1});
        await client.close();
        equal(calls > 0, true);
    };
}

tests['all/chain-up'] = async () => {
    const seen = new Set();
    class Chaining extends Aqmp.Client {}
    for (const hook of ['messageReceived', 'filterInbound', 'filterOutbound', 'sessionEnded', 'runstateChanged', 'event']) {
        Chaining.prototype[hook] = function (argument) {
            seen.add(hook);
            return Aqmp.Client.prototype[hook].call(this, argument);
        };
    }
    const client = new (register(Chaining))();
    await client.connectTo(answers);
    equal(await client.execute('say', {text: TWO_EVENTS}), {});
    await client.close();
    equal(seen.size, 6);
};

/** Each class adds a letter to what is echoed, and asks the one above; by a name of its own style. */
const STYLES = {
    camel: (base, letter) => register(class extends base {
        filterInbound(message) {
            const text = decoder.decode(super.filterInbound(message));
            return new TextEncoder().encode(text.replace('"a": "', `"a": "${letter}`));
        }
    }),
    vfunc: (base, letter) => register(class extends base {
        vfunc_filter_inbound(message) {
            const text = decoder.decode(super.vfunc_filter_inbound(message).toArray());
            return new GLib.Bytes(new TextEncoder().encode(text.replace('"a": "', `"a": "${letter}`)));
        }
    }),
};

for (const styles of [['camel', 'camel', 'camel'], ['camel', 'camel', 'vfunc'], ['camel', 'vfunc', 'camel'], ['camel', 'vfunc', 'vfunc'],
    ['vfunc', 'camel', 'camel'], ['vfunc', 'camel', 'vfunc'], ['vfunc', 'vfunc', 'camel'], ['vfunc', 'vfunc', 'vfunc']]) {
    tests[`styles/${styles.join('-')}`] = async () => {
        const Last = styles.reduce((base, style, i) => STYLES[style](base, i), Aqmp.Client);
        const client = new Last();
        await client.connectTo(answers);
        equal(await client.execute('echo', {a: ''}), {a: '210'});
        await client.close();
    };
}

/** A class that has all virtual functions in the style of C, and notes which were called. */
function allAsInC(seen) {
    class Parent extends Aqmp.Client {}
    for (const name of ['establish_session', 'message_received', 'filter_inbound', 'filter_outbound', 'session_ended',
        'runstate_changed', 'event']) {
        Parent.prototype[`vfunc_${name}`] = function (argument) {
            seen.add(name);
            return Aqmp.Client.prototype[`vfunc_${name}`].call(this, argument);
        };
    }
    return register(Parent);
}

tests['styles/all-hooks'] = async () => {
    const seen = new Set();
    const Parent = allAsInC(seen);
    class Child extends Parent {}
    for (const hook of ['establishSession', 'messageReceived', 'filterInbound', 'filterOutbound', 'sessionEnded', 'runstateChanged',
        'event']) {
        Child.prototype[hook] = function (argument) {
            return Parent.prototype[hook].call(this, argument);
        };
    }
    const client = new (register(Child))();
    await client.connectTo(answers);
    equal(await client.execute('say', {text: TWO_EVENTS}), {});
    await client.close();
    equal(seen.size, 7);
};

for (const name of ['message_received', 'filter_inbound', 'filter_outbound']) {
    tests[`as-in-c/${name}-is-asynchronous`] = () => failsIn(`vfunc_${name}`, async () => {
        await null;
        throw new Error('nobody would hear of');
    }, `vfunc_${name}() of Faulty threw TypeError: it returned a promise, but messages do not wait`);
}

for (const [form, establishSession] of Object.entries({
    'at-once': () => false,
    'asynchronously': async () => false,
})) {
    tests[`establish/returns-false-${form}`] = async () => {
        class Refusing extends Aqmp.Client {}
        Refusing.prototype.establishSession = establishSession;
        const client = new (register(Refusing))();
        await fails(client.connectTo(answers), ...FAILED, 'establishSession() of Refusing returned false');
        equal(client.runstate, IDLE);
    };
}

for (const result of [false, undefined]) {
    tests[`establish/parent-as-in-c-returns-${result}`] = async () => {
        const Parent = register(class extends Aqmp.Client {
            vfunc_establish_session() {
                return result;
            }
        });
        const client = new (register(class Child extends Parent {
            async establishSession() {
                await super.establishSession();
            }
        }))();
        await fails(client.connectTo(answers), ...FAILED, 'establishSession() of Child returned false');
    };
}

tests['filters/replace'] = async () => {
    const client = new (register(class extends Aqmp.Client {
        filterInbound(message) {
            return decoder.decode(message).replace('"a": 1', '"a": 2');
        }

        filterOutbound(message) {
            return new GLib.Bytes(new TextEncoder().encode(decoder.decode(message).replace('"a":3', '"a":1')));
        }
    }))();
    await client.connectTo(answers);
    equal(await client.execute('echo', {a: 3}), {a: 2});
    await client.close();
};

tests['sessionEnded/cause'] = async () => {
    const causes = [];
    const client = new (register(class extends Aqmp.Client {
        sessionEnded(cause) {
            causes.push(cause?.message ?? null);
            super.sessionEnded(cause);
        }
    }))();
    await client.connectTo(answers);
    await client.close();
    await client.connectTo(answers);
    await client.execute('leave').catch(() => {});
    await client.close().catch(() => {});
    equal([causes[0], typeof causes[1]], [null, 'string']);
};

tests['registering/both-names'] = () => {
    try {
        register(class Both extends Aqmp.Client {
            messageReceived() {}

            vfunc_message_received() {}
        });
    } catch (error) {
        equal([error instanceof TypeError, error.message.startsWith('Both has both messageReceived() and vfunc_message_received()')],
            [true, true]);
        return;
    }
    throw new Error('did not fail');
};

tests['registering/fields'] = async () => {
    for (const name of ['filterInbound', 'vfunc_event']) {
        const protocol = new (register(class Fielded extends Aqmp.Client {
            [name] = message => message;
        }))();
        for (const begin of [() => protocol.connectTo(answers), async () => protocol.connectToSync(answers), () => protocol.open(null),
            () => protocol.acceptFrom(), () => protocol.acceptFrom('127.0.0.1:0')]) {
            const error = await begin().then(() => null, exception => exception);
            equal([error instanceof TypeError, error?.message],
                [true, `${name} is a field of this object of Fielded, and never called: make it a method of the class`]);
        }
    }
};

/** Something that a hook cannot do; the error of it, when the state has long been another. */
tests['registering/state-of-a-cause'] = async () => {
    const client = new (withHook('filterInbound', function () {
        this.connectToSync(answers);
    }))();
    await client.connectTo(answers);
    client.isFaulty = true;
    await client.execute('echo').catch(() => {});
    const error = await client.close().catch(exception => exception);
    equal([error instanceof Aqmp.StateError, error.state, error.required, client.runstate],
        [true, Aqmp.Runstate.RUNNING, IDLE, IDLE]);
};

tests['registering/without-a-name'] = async () => {
    const client = new (GObject.registerClass({GTypeName: 'TestNameless'}, class extends Aqmp.Client {
        async establishSession() {
            throw new TypeError('by the test');
        }
    }))();
    await fails(client.connectTo(answers), ...FAILED, 'establishSession() of TestNameless threw TypeError: by the test');
    equal(String(client), '[TestNameless idle]');
    try {
        GObject.registerClass({GTypeName: 'TestNamelessToo'}, class extends Aqmp.Client {
            event() {}

            vfunc_event() {}
        });
    } catch (error) {
        equal(error.message.startsWith('TestNamelessToo has both event() and vfunc_event()'), true);
        return;
    }
    throw new Error('did not fail');
};

await run(tests);
