// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// What makes the library at home in JavaScript: gjs runs _init() when a program imports Aqmp, with "gi://Aqmp" as well as with
// imports.gi. All that is not here is as it is in C.
//
// Commands and replies are objects of JavaScript; between it and the library they are JSON text, so that nothing is lost and no tree
// is walked. What takes time has two forms: execute() returns a promise, executeSync() blocks.

/* exported _init */

const {Gio, GLib, GObject} = imports.gi;
const System = imports.system;
const json = imports.overrides._aqmpJson;

/** The namespace. Other functions than _init() run when there is one. */
let Aqmp = null;

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

const MAX_UINT = 2 ** 32 - 1;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', {fatal: true});

// --- Errors ---

/**
 * A class of errors of one domain that others can extend. gjs has none: what C makes is an error, whatever `this` is.
 *
 * @param {Function} domain - such as Aqmp.Error
 * @returns {Function}
 */
function extensible(domain) {
    function Base(code, message) {
        return Object.setPrototypeOf(new GLib.Error(domain, code, message), new.target.prototype);
    }
    Base.prototype = domain.prototype;
    return Base;
}

function defineExecuteError() {
    const CODES = {
        GenericError: Aqmp.ExecError.GENERIC_ERROR,
        CommandNotFound: Aqmp.ExecError.COMMAND_NOT_FOUND,
        DeviceNotActive: Aqmp.ExecError.DEVICE_NOT_ACTIVE,
        DeviceNotFound: Aqmp.ExecError.DEVICE_NOT_FOUND,
        KVMMissingCap: Aqmp.ExecError.KVM_MISSING_CAP,
    };

    /** The server's error reply to a command: its class, its description, and all of the reply. Also a GLib.Error. */
    Aqmp.ExecuteError = class ExecuteError extends extensible(Aqmp.ExecError) {
        constructor(errorClass, desc, reply) {
            super(CODES[errorClass] ?? Aqmp.ExecError.OTHER, desc);
            Object.assign(this, {errorClass, desc, reply});
        }

        get name() {
            return 'Aqmp.ExecuteError';
        }

        toString() {
            return `${this.name}: ${this.errorClass}: ${this.desc}`;
        }
    };
}

function defineStateError() {
    /** Something that cannot be done in the `state` that the session is in; `required` is the one that it takes, if there is a
     * certain one. Also a GLib.Error. */
    Aqmp.StateError = class StateError extends extensible(Aqmp.Error) {
        constructor(message, state, required = null) {
            super(Aqmp.Error.STATE, message);
            Object.assign(this, {state, required});
        }

        get name() {
            return 'Aqmp.StateError';
        }

        toString() {
            return `${this.name}: ${this.message}`;
        }
    };
}

function failure(code, message) {
    return new GLib.Error(Aqmp.Error, code, message);
}

function isError(error, code) {
    return error instanceof GLib.Error && error.matches(Aqmp.Error, code);
}

/** What hooks have thrown, by session: it comes back out of C as the cause of a failure, when the state is another one. */
const causes = new WeakMap();

function toStateError(error, protocol, required) {
    const cause = protocol && causes.get(protocol);
    if (cause && error.message.endsWith(cause.message))
        return new Aqmp.StateError(error.message, cause.state, cause.required);
    return new Aqmp.StateError(error.message, protocol?.runstate ?? Aqmp.Runstate.IDLE, required);
}

/** The error that C gave, as one of the classes that are made here. */
function nativeError(error, protocol, required) {
    if (isError(error, Aqmp.Error.STATE) && !(error instanceof Aqmp.StateError))
        return toStateError(error, protocol, required);
    if (error instanceof Aqmp.ExecError && !(error instanceof Aqmp.ExecuteError)) {
        const reply = Aqmp.exec_error_get_reply(error);
        return new Aqmp.ExecuteError(Aqmp.exec_error_get_class(error), error.message, reply && readBytes(reply));
    }
    return error;
}

// --- Garbage ---

// gjs collects garbage when it has been idle for some seconds. If so much comes together before that SpiderMonkey begins by itself, in
// steps, then gjs 1.74 drops each callback that is due between two steps, and the program hangs; with plain calls of GIO as well, after
// some 50,000. So garbage is collected here before there is as much.

const GARBAGE_PER_CALL = 2048;
const GARBAGE_PER_BYTE = 12;            // of a text: its copies, and what is made out of it
const MUCH_GARBAGE = 8 * 1024 * 1024;

let garbage = 0;

function addGarbage(bytes) {
    garbage += bytes;
    if (garbage > MUCH_GARBAGE) {
        garbage = 0;
        System.gc();
    }
}

// --- Values, to the library ---

function kindOf(value) {
    if (value === null || value === undefined)
        return String(value);
    if (typeof value !== 'object')
        return `a ${typeof value}`;
    return Array.isArray(value) ? 'an array' : `a ${value.constructor?.name?.replace('_', '.') ?? 'bare object'}`;
}

function checkString(what, value) {
    if (typeof value !== 'string')
        throw new TypeError(`${what} is a string, not ${kindOf(value)}: ${describe(value)}`);
    return value;
}

/** Short, and for each value, even one that cannot be made a string. */
function describe(value) {
    try {
        const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
        return text.length > 80 ? `${text.slice(0, 80)}…` : text;
    } catch (_) {
        return Object.prototype.toString.call(value);
    }
}

function isObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof GObject.Object);
}

function toAddress(address) {
    if (typeof address === 'string')
        return Aqmp.address_parse(address);
    if (address instanceof GObject.Object && GObject.type_is_a(address.constructor.$gtype, Gio.SocketConnectable.$gtype))
        return address;
    throw new TypeError(`an address is a string, such as "/run/vm.sock", or a Gio.SocketConnectable, not ${kindOf(address)}`);
}

function toListenAddress(address) {
    const parsed = toAddress(address);
    if (!(parsed instanceof Gio.SocketAddress))
        throw new TypeError(`to listen, a path or a numeric address is needed, such as 127.0.0.1:4444, not ${describe(address)}`);
    return parsed;
}

function toBytes(what, message) {
    if (message instanceof GLib.Bytes)
        return message;
    if (typeof message === 'string')
        return new GLib.Bytes(encoder.encode(message));
    if (message instanceof Uint8Array)
        return new GLib.Bytes(message);
    throw new TypeError(`${what} is a string, a Uint8Array or a GLib.Bytes, not ${kindOf(message)}`);
}

function descriptorOf(object) {
    const fd = typeof object === 'number' ? object : object?.fd ?? object?.get_fd?.();
    if (!Number.isInteger(fd) || fd < 0)
        throw new TypeError(`a file descriptor is a number, or in an object that has one, such as a Gio.Socket; not ${describe(object)}`);
    return fd;
}

function toDescriptors(fds) {
    if (fds === undefined || fds === null || fds instanceof Gio.UnixFDList)
        return fds ?? null;
    if (!Array.isArray(fds))
        throw new TypeError(`fds is an array of file descriptors, or a Gio.UnixFDList, not ${kindOf(fds)}`);
    const list = new Gio.UnixFDList();
    fds.map(descriptorOf).forEach(fd => list.append(fd));
    return list;
}

/** An object as JSON. What toJSON() has made of it, and what is boxed, has to be one, too. */
function objectText(value, name, sentence) {
    const refuse = other => {
        throw new TypeError(`${sentence}, not ${kindOf(other)}: ${describe(other)}`);
    };
    if (!isObject(value))
        refuse(value);
    const text = json.write(value, name);
    if (!text.startsWith('{'))
        refuse(JSON.parse(text));
    return text;
}

function commandText(key, command, args) {
    checkString('the name of a command', command);
    const beginning = `{"${key}":${JSON.stringify(command)}`;
    if (args === undefined || args === null)
        return `${beginning}}`;
    return `${beginning},"arguments":${objectText(args, `${command}: arguments`, `the arguments of "${command}" are an object`)}}`;
}

function rawText(message) {
    if (isObject(message))
        return objectText(message, 'command', 'a command is a string or an object');
    checkString('a command', message);
    if (message.includes('\0'))         // which would end it
        throw new TypeError('a command is JSON text, which has no NUL in it');
    return message;
}

function checkBig(value) {
    if (typeof value === 'bigint' && (value > INT64_MAX || value < INT64_MIN))
        throw new RangeError(`${value} has more than 64 bits with a sign, and would be rounded here`);
    if (typeof value === 'object' && value !== null)
        Object.values(value).forEach(checkBig);
}

/** For functions of C that take a tree, which has integers of 64 bits with a sign. */
function toTree(what, value) {
    if (value === undefined || value === null)
        return null;
    const text = objectText(value, what, `${what} is an object`);
    checkBig(value);
    return Aqmp.arguments_parse(text);
}

function checkNames(names) {
    names.forEach(name => checkString('the name of an event', name));
    return names;
}

// --- Values, from the library ---

/** The text that is in a GLib.Bytes. */
function toText(bytes) {
    // Not bytes.get_size(), which leaks in gjs 1.74.
    const array = bytes.toArray();
    addGarbage(GARBAGE_PER_BYTE * array.length);
    try {
        return decoder.decode(array);
    } catch (error) {
        throw failure(Aqmp.Error.BAD_REPLY, `This is not UTF-8: ${error.message}`);
    }
}

function readBytes(bytes, bigint = false) {
    try {
        return json.read(toText(bytes), bigint);
    } catch (error) {
        throw error instanceof GLib.Error ? error
            : failure(Aqmp.Error.BAD_REPLY, `JavaScript cannot hold what the server sent: ${error.message}`);
    }
}

function errorOf(reply) {
    const {class: errorClass, desc} = reply.error ?? {};
    if (typeof errorClass === 'string' && typeof desc === 'string')
        return new Aqmp.ExecuteError(errorClass, desc, reply);
    return failure(Aqmp.Error.BAD_REPLY, `The server sent an error without class and description: ${describe(reply.error)}`);
}

/** What a command returned, out of the bytes of the reply. */
function resultOf(bytes, {bigint}) {
    const reply = readBytes(bytes, bigint);
    if ('error' in reply)
        throw errorOf(reply);
    if (!('return' in reply))
        throw failure(Aqmp.Error.BAD_REPLY, 'The server sent a reply that is neither a result nor an error');
    return reply.return;
}

// --- Options ---

const CHECKS = {
    cancellable: [value => value instanceof Gio.Cancellable, 'a Gio.Cancellable'],
    timeout: [value => Number.isInteger(value) && value >= 0 && value < 2 ** 31, 'a whole number of milliseconds, 0 for no limit'],
    oob: [value => typeof value === 'boolean', 'true or false'],
    bigint: [value => typeof value === 'boolean', 'true or false'],
    fds: [value => Array.isArray(value) || value instanceof Gio.UnixFDList, 'an array of file descriptors, or a Gio.UnixFDList'],
    data: [isObject, 'an object'],
    where: [value => typeof value === 'function', 'a function'],
    maxPending: [value => Number.isInteger(value) && value > 0 && value < 2 ** 32, 'a positive whole number'],
    failureNames: [Array.isArray, 'an array of names of events'],
};

function checkOption(what, name, value, known) {
    if (!known.includes(name))
        throw new TypeError(`${what} has no option "${name}": there are ${known.join(', ')}`);
    const [isRight, wanted] = CHECKS[name];
    if (value !== undefined && value !== null && !isRight(value))
        throw new TypeError(`the option ${name} of ${what} is ${wanted}, not ${describe(value)}`);
}

/** The options that somebody gave: those that there are, each with a value that makes sense. */
function checkOptions(what, options, known) {
    if (options === undefined || options === null)
        return {};
    if (options instanceof Gio.Cancellable || !isObject(options))
        throw new TypeError(`the options of ${what} are an object, such as {${known[0]}: …}, not ${kindOf(options)}`);
    Object.entries(options).forEach(([name, value]) => checkOption(what, name, value, known));
    return options;
}

// --- Operations ---

/** For the client that has the property, while call() begins something: that is when it is looked at. */
function withCallTimeout(client, timeout, call) {
    const before = client.call_timeout;
    if (timeout === undefined || timeout === null || timeout === before)
        return call();
    client.call_timeout = timeout;
    try {
        return call();
    } finally {
        client.call_timeout = before;
    }
}

/** Functions of C that do something that takes time, and how they are called from JavaScript. */
class Operation {
    /**
     * @param {string} name - what it is called in JavaScript
     * @param {Function} type - the class whose method it is
     * @param {string} stem - what the functions of C are called, without `_async`, `_finish` and `_sync`
     * @param {object} [how] - what is particular about it
     * @param {number} [how.positional] - how many arguments come before the options
     * @param {string[]} [how.options] - the options that there are
     * @param {Function} [how.prepare] - makes an array of what C is given out of the arguments and the options
     * @param {Function} [how.convert] - makes the result out of what C gave, and the options
     * @param {number} [how.required] - the state of the session that it takes
     * @param {boolean} [how.samplesTimeout] - whether C takes the time to wait from a property, as it has no parameter for that
     * @param {Function} [how.protocol] - whose session it is, if not that of `this`
     * @param {Function} [how.check] - refuses an object that cannot do it
     */
    constructor(name, type, stem, how = {}) {
        const {positional = 0, options = ['cancellable'], prepare = (...given) => given.slice(0, positional)} = how;
        Object.assign(this, {positional, options, prepare, convert: () => undefined, required: null, protocol: self => self, check() {}},
            how, {name});
        // As they are in C, whatever becomes of them: subclasses and Gio._promisify() replace methods.
        this.begin = type.prototype[`${stem}_async`];
        this.finish = type.prototype[`${stem}_finish`];
        this.block = type.prototype[`${stem}_sync`];
    }

    read(self, what, given) {
        this.check(self);
        if (given.length > this.positional + 1)
            throw new TypeError(`${what} takes ${this.positional + 1} arguments at the most, not ${given.length}`);
        const options = checkOptions(what, given[this.positional], this.options);
        const args = this.prepare(...Array.from({length: this.positional}, (_, i) => given[i]), options);
        return [args, options];
    }

    /** Calls what begins it, or blocks. */
    call(self, given, {timeout}, start) {
        return this.samplesTimeout ? withCallTimeout(self, timeout, start) : start();
    }

    started(self, args, options) {
        addGarbage(GARBAGE_PER_CALL);
        return new Promise((resolve, reject) => {
            const onDone = (_source, result) => {
                try {
                    resolve(this.finish.call(self, result));
                } catch (error) {
                    reject(error);
                }
            };
            this.call(self, args, options, () => this.begin.call(self, ...args, options.cancellable ?? null, onDone));
        });
    }

    blocked(self, args, options) {
        return this.call(self, args, options, () => this.block.call(self, ...args, options.cancellable ?? null));
    }

    /** As a promise. Errors come out of here, and not out of the callback, where nobody could see who has called. */
    async promise(self, given) {
        const [args, options] = this.read(self, `${this.name}()`, given);
        try {
            return this.convert(await this.started(self, args, options), options);
        } catch (error) {
            throw this.told(error, self);
        }
    }

    /** As a call that blocks. */
    blocking(self, given) {
        const [args, options] = this.read(self, `${this.name}Sync()`, given);
        try {
            return this.convert(this.blocked(self, args, options), options);
        } catch (error) {
            throw this.told(error, self);
        }
    }

    told(error, self) {
        const told = nativeError(error, this.protocol(self), this.required);
        if (told instanceof GLib.Error)
            told.stack = new Error().stack;
        return told;
    }

    /** The methods that a class has for it: that with a promise, and, where there is one in C, that which blocks. */
    methods() {
        const operation = this;
        const methods = {
            [this.name](...given) {
                return operation.promise(this, given);
            },
        };
        if (this.block) {
            methods[`${this.name}Sync`] = function (...given) {
                return operation.blocking(this, given);
            };
        }
        return methods;
    }
}

/** An event that completes a command, or says that it has failed. */
class Completion {
    /**
     * @param {Aqmp.Client} client - whose it is
     * @param {object} wanted - which events those are
     * @param {string[]} wanted.names - what they are called, of both kinds
     * @param {?string[]} wanted.failureNames - what those are called that say that it has failed
     * @param {?Json.Object} wanted.data - what their data has to have
     * @param {{cancellable: Gio.Cancellable, timeout: number}} options - what gives up waiting
     */
    constructor(client, wanted, {cancellable, timeout}) {
        Object.assign(this, {client}, wanted, {cancellable: cancellable ?? null, timeout: timeout ?? client.call_timeout});
        this.deadline = GLib.get_monotonic_time() + 1000 * this.timeout;
        this.listener = client.listen(this.names, null);
        this.listener.max_pending = MAX_UINT;
        this.isLate = false;
    }

    isWanted(event) {
        return this.data === null || event.matches(this.data);
    }

    timedOut() {
        return new GLib.Error(Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT, `Timed out after ${this.timeout} ms`);
    }

    /** The event, unless that is one of a failure. */
    check(event) {
        if (!this.failureNames?.includes(event.name))
            return event;
        const data = event.data === null ? '' : `: ${describe(event.data)}`;
        throw failure(Aqmp.Error.EVENT, `The server reports a failure by the event ${event.name}${data}`);
    }

    startTimer() {
        if (this.timeout === 0)
            return;
        this.timer = GLib.timeout_add(GLib.PRIORITY_DEFAULT, this.timeout, () => {
            this.timer = null;
            this.isLate = true;
            this.listener.stop();
            return GLib.SOURCE_REMOVE;
        });
    }

    next() {
        addGarbage(GARBAGE_PER_CALL);
        return new Promise((resolve, reject) => {
            this.listener.next_async(this.cancellable, (listener, result) => {
                try {
                    resolve(listener.next_finish(result));
                } catch (error) {
                    reject(this.isLate ? this.timedOut() : error);
                }
            });
        });
    }

    /** Waits from now on. */
    async come() {
        this.startTimer();
        for (;;) {
            const event = await this.next();
            if (this.isWanted(event))
                return event;
        }
    }

    /** Blocks until there is an event in the listener, but not for longer than there is time; the listener alone has no limit. */
    waitForAny() {
        const {CONNECTING, RUNNING} = Aqmp.Runstate;
        const isAlive = [CONNECTING, RUNNING].includes(this.client.runstate);
        if (this.timeout === 0 || this.listener.get_n_pending() > 0 || !isAlive)
            return;
        const left = Math.ceil((this.deadline - GLib.get_monotonic_time()) / 1000);
        try {
            this.client.wait_event_sync(this.names, null, Math.max(left, 1), this.cancellable);
        } catch (error) {
            const isTimeout = error instanceof GLib.Error && error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
            throw isTimeout ? this.timedOut() : error;
        }
    }

    /** Blocks until it has come. */
    comeSync() {
        for (;;) {
            this.waitForAny();
            const event = this.listener.next_sync(this.cancellable);
            if (this.isWanted(event))
                return event;
        }
    }

    stop() {
        if (this.timer)
            GLib.source_remove(this.timer);
        this.timer = null;
        this.listener.stop();
    }
}

/** A command, and the event that completes it. As in C, but that the reply is read here: nothing in it is lost. */
class CompletedCommand extends Operation {
    /** What the command says goes first: without it the event would not be there. */
    async started(self, [wanted, ...command], options) {
        const completion = new Completion(self, wanted, options);
        try {
            const replied = super.started(self, command, options);
            const coming = completion.come();
            coming.catch(() => {});         // if the command fails, nobody waits for it
            const reply = resultOf(await replied, options);
            return {event: completion.check(await coming), reply};
        } finally {
            completion.stop();
        }
    }

    blocked(self, [wanted, ...command], options) {
        const completion = new Completion(self, wanted, options);
        try {
            const reply = resultOf(super.blocked(self, command, options), options);
            return {event: completion.check(completion.comeSync()), reply};
        } finally {
            completion.stop();
        }
    }
}

function nameOf(object) {
    return (object.constructor.name || GObject.type_name(object.constructor.$gtype)).replace('_', '.');
}

/** Adds methods and getters to a class, which for loops over what it has do not see. */
function extend(type, members) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(members)))
        Object.defineProperty(type.prototype, name, {...property, enumerable: false});
    for (const symbol of Object.getOwnPropertySymbols(members))
        type.prototype[symbol] = members[symbol];
}

function addOperations(type, operations) {
    for (const [name, [stem, how]] of Object.entries(operations))
        extend(type, new Operation(name, type, stem, how).methods());
}

// --- Virtual functions ---

function isPromise(value) {
    return typeof value?.then === 'function';
}

/** An exception as the library can hand it on. It is logged, too, as only there its stack is seen. */
function thrown(protocol, hook, exception) {
    if (exception instanceof Aqmp.StateError)
        causes.set(protocol, exception);
    if (exception instanceof GLib.Error)
        return exception;
    const what = `${hook}() of ${nameOf(protocol)}`;
    logError(exception instanceof Error ? exception : new Error(describe(exception)), what);
    return failure(Aqmp.Error.FAILED, `${what} threw ${exception instanceof Error ? exception : describe(exception)}`);
}

function refusePromise(result) {
    if (isPromise(result)) {
        result.then(undefined, () => {});
        throw new TypeError('it returned a promise, but messages do not wait: only establishSession() can be asynchronous');
    }
    return result;
}

/** Calls what a subclass has; not asynchronously, as the messages that come next do not wait. */
function callHook(protocol, hook, method, ...args) {
    try {
        return refusePromise(method.apply(protocol, args));
    } catch (exception) {
        throw thrown(protocol, hook, exception);
    }
}

/** Promises go on in the main context only, which is not run while a call blocks. */
function isBlocking() {
    return GLib.MainContext.get_thread_default() !== null;
}

function checkPromise(protocol) {
    if (isBlocking()) {
        throw failure(Aqmp.Error.FAILED, `establishSession() of ${nameOf(protocol)} is asynchronous, and nothing asynchronous goes ` +
            'on while a call blocks: use the form that returns a promise, such as connectTo()');
    }
}

function refusal(protocol) {
    return failure(Aqmp.Error.FAILED, `establishSession() of ${nameOf(protocol)} returned false`);
}

function finishLater(protocol, task, promise) {
    promise.then(result => result === false ? task.return_error(refusal(protocol)) : task.return_boolean(true),
        exception => task.return_error(thrown(protocol, 'establishSession', exception)));
    checkPromise(protocol);
    return true;
}

/** What GObject.registerClass() finds where a subclass has one of the methods below. They are given that method: not what an object
 * has by this name, which may be that of a class further down. */
const IMPLEMENTATIONS = {
    establishSession(method, task) {
        let result;
        try {
            result = method.call(this, task.get_cancellable());
        } catch (exception) {
            throw thrown(this, 'establishSession', exception);
        }
        if (isPromise(result))
            return finishLater(this, task, result);
        if (result === false)
            throw refusal(this);
        task.return_boolean(true);
        return true;
    },

    messageReceived(method, message) {
        return callHook(this, 'messageReceived', method, message.toArray()) !== false;
    },

    filterInbound(method, message) {
        return filtered(this, 'filterInbound', method, message);
    },

    filterOutbound(method, message) {
        return filtered(this, 'filterOutbound', method, message);
    },

    sessionEnded(method, cause) {
        notify(this, 'sessionEnded', method, cause);
    },

    runstateChanged(method, runstate) {
        notify(this, 'runstateChanged', method, runstate);
    },

    event(method, event) {
        notify(this, 'event', method, event);
    },
};

/** For those that cannot fail: the session goes on. */
function notify(protocol, hook, method, argument) {
    try {
        method.call(protocol, argument);
    } catch (exception) {
        thrown(protocol, hook, exception);
    }
}

function filtered(protocol, hook, method, message) {
    const result = callHook(protocol, hook, method, message.toArray());
    try {
        return toBytes('the result', result);
    } catch (exception) {
        throw thrown(protocol, hook, exception);
    }
}

function vfuncName(hook) {
    return `vfunc_${hook.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)}`;
}

/** What a class does by the names that virtual functions have in C, for subclasses that do more than that:
 * `super.establishSession()` and so on. */
function chainUps(type) {
    const {prototype} = type;
    const call = (protocol, hook, argument) => prototype[vfuncName(hook)].call(protocol, argument);
    return {
        establishSession(cancellable = null) {
            return new Promise((resolve, reject) => {
                const onDone = (_source, task) => {
                    try {
                        resolve(void task.propagate_boolean());
                    } catch (error) {
                        reject(error);
                    }
                };
                if (!call(this, 'establishSession', Gio.Task.new(this, cancellable, onDone)))
                    reject(refusal(this));
            });
        },

        messageReceived(message) {
            return Boolean(call(this, 'messageReceived', toBytes('a message', message)));
        },

        filterInbound(message) {
            return toBytes('the result', call(this, 'filterInbound', toBytes('a message', message))).toArray();
        },

        filterOutbound(message) {
            return toBytes('the result', call(this, 'filterOutbound', toBytes('a message', message))).toArray();
        },

        sessionEnded(cause) {
            call(this, 'sessionEnded', cause);
        },

        runstateChanged(runstate) {
            call(this, 'runstateChanged', runstate);
        },

        event(event) {
            call(this, 'event', event);
        },
    };
}

/** What a class is called that GObject does not know yet. */
function nameOfNew(type) {
    return type.name || (Object.hasOwn(type, GObject.GTypeName) ? type[GObject.GTypeName] : 'A class');
}

/** Gives a class both names of a virtual function, if it has one of them: C calls the one, and subclasses chain up to either. */
function implement(type, hook) {
    const {prototype} = type;
    const vfunc = vfuncName(hook);
    const [hasHook, hasVfunc] = [hook, vfunc].map(name => Object.hasOwn(prototype, name));
    if (hasHook && hasVfunc)
        throw new TypeError(`${nameOfNew(type)} has both ${hook}() and ${vfunc}(), which are the same: leave one of them out`);
    if (hasHook) {
        prototype[vfunc] = function (argument) {
            return IMPLEMENTATIONS[hook].call(this, prototype[hook], argument);
        };
    } else if (hasVfunc) {
        extend(type, {[hook]: chainUps(type)[hook]});
    }
}

/** What is in an object, such as a class field, is never called: C knows classes. */
function checkFields(protocol) {
    const hooks = Object.keys(IMPLEMENTATIONS);
    const field = [...hooks, ...hooks.map(vfuncName)].find(name => Object.hasOwn(protocol, name));
    if (field)
        throw new TypeError(`${field} is a field of this object of ${nameOf(protocol)}, and never called: make it a method of the class`);
}

/** Those whose result decides about a message. */
const PROMPT = ['messageReceived', 'filterInbound', 'filterOutbound'];

/** A function with the name that it has in C must not return a promise, which would be as good as true. */
function refusePromises(type, hook) {
    const name = vfuncName(hook);
    if (!Object.hasOwn(type.prototype, name))
        return;
    const vfunc = type.prototype[name];
    type.prototype[name] = function (message) {
        const result = vfunc.call(this, message);
        try {
            return refusePromise(result);
        } catch (exception) {
            throw thrown(this, name, exception);
        }
    };
}

/** Hears of what the promise of a function with the name that it has in C comes to; it returns the task by itself. */
function watchPromise(type) {
    const {vfunc_establish_session: vfunc} = type.prototype;
    if (!Object.hasOwn(type.prototype, 'vfunc_establish_session'))
        return;
    type.prototype.vfunc_establish_session = function (task) {
        const result = vfunc.call(this, task);
        if (!isPromise(result))
            return result;
        result.then(undefined, exception => this.fail(thrown(this, 'vfunc_establish_session', exception)));
        checkPromise(this);
        return true;
    };
}

function registerSubclasses() {
    Aqmp.Protocol._classInit = function (type) {
        watchPromise(type);
        PROMPT.forEach(hook => refusePromises(type, hook));
        Object.keys(IMPLEMENTATIONS).forEach(hook => implement(type, hook));
        return GObject.Object._classInit.call(this, type);
    };
}

// --- Sessions ---

const RUNSTATES = ['idle', 'connecting', 'running', 'disconnecting'];

function extendProtocol() {
    const {IDLE, CONNECTING, RUNNING} = Aqmp.Runstate;
    const accept = new Operation('acceptFrom', Aqmp.Protocol, 'accept', {required: CONNECTING, check: checkFields});
    const listen = new Operation('acceptFrom', Aqmp.Protocol, 'start_server_and_accept',
        {positional: 1, prepare: address => [toListenAddress(address)], required: IDLE, check: checkFields});

    addOperations(Aqmp.Protocol, {
        /** connectTo(address, {cancellable}): connects to "/run/vm.sock", "localhost:4444" or a Gio.SocketConnectable. */
        connectTo: ['connect', {positional: 1, prepare: address => [toAddress(address)], required: IDLE, check: checkFields}],
        /** open(stream, {cancellable}): begins a session on a Gio.IOStream that is connected. */
        open: ['open', {positional: 1, required: IDLE, check: checkFields}],
        /** close({cancellable}): ends the session, or the attempt at one; if the session has failed, the error says why. */
        close: ['disconnect'],
        /** flush({cancellable}): finishes when all that was queued is written. */
        flush: ['flush', {required: RUNNING}],
        /** waitRunstate(known, {cancellable}): the state, when it is another than this. */
        waitRunstate: ['wait_runstate', {positional: 1, convert: result => result[1]}],
        /** readMessage({cancellable}): the next message, while the session is being established. */
        readMessage: ['read_message', {required: CONNECTING, convert: message => message.toArray()}],
        /** writeMessage(message, {cancellable}): writes a message, while the session is being established. */
        writeMessage: ['write_message', {positional: 1, required: CONNECTING, prepare: message => [toBytes('a message', message)]}],
    });

    extend(Aqmp.Protocol, {
        ...chainUps(Aqmp.Protocol),

        /**
         * Listens at an address, and accepts the first peer. Without one, that which start_server() was given.
         *
         * @param {string|Gio.SocketAddress} [address] - where
         * @param {{cancellable: Gio.Cancellable}} [options] - what gives up
         * @returns {Promise}
         */
        acceptFrom(address, options) {
            return isMissing(address) ? accept.promise(this, [options]) : listen.promise(this, [address, options]);
        },

        /** The same, but it blocks. */
        acceptFromSync(address, options) {
            return isMissing(address) ? accept.blocking(this, [options]) : listen.blocking(this, [address, options]);
        },

        /**
         * Queues a message, in a session that runs.
         *
         * @param {string|Uint8Array|GLib.Bytes} message - all of it, with what its end is marked by
         */
        sendMessage(message) {
            try {
                this.send_message(toBytes('a message', message));
            } catch (error) {
                throw nativeError(error, this, RUNNING);
            }
        },

        toString() {
            return `[${nameOf(this)}${isMissing(this.name) ? '' : ` "${this.name}"`} ${RUNSTATES[this.runstate]}]`;
        },
    });
    registerSubclasses();
}

function isMissing(value) {
    return value === undefined || value === null;
}

// --- Clients ---

/** Names, and then perhaps options. */
function splitNames(what, given, known) {
    const last = given[given.length - 1];
    const hasOptions = given.length > 0 && typeof last !== 'string' && !Array.isArray(last) && typeof last === 'object';
    return [checkNames(hasOptions ? given.slice(0, -1) : given), checkOptions(what, hasOptions ? last : null, known)];
}

/** Which events executeAndWait() waits for. */
function wantedEvents(given, {failureNames, data}) {
    const completing = checkNames([given].flat());
    if (completing.length === 0)
        throw new TypeError('executeAndWait() takes at least one name of an event, which completes the command');
    const names = [...completing, ...checkNames(failureNames ?? [])];
    if (names.includes(''))
        throw new GLib.Error(Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT, 'An event with an empty name never comes');
    return {names, failureNames: failureNames ?? null, data: toTree('data', data)};
}

function predicate(where) {
    return event => {
        try {
            return Boolean(where(event));
        } catch (exception) {
            logError(exception, 'the function that says which events are wanted');
            return false;
        }
    };
}

const EXECUTE_OPTIONS = ['cancellable', 'timeout', 'oob', 'fds', 'bigint'];

function extendClient() {
    const {RUNNING} = Aqmp.Runstate;
    const command = {
        positional: 2,
        options: EXECUTE_OPTIONS,
        required: RUNNING,
        samplesTimeout: true,
        prepare: (name, args, {oob, fds}) => [commandText(oob ? 'exec-oob' : 'execute', name, args), toDescriptors(fds)],
        convert: resultOf,
    };
    const waitEvent = new Operation('waitEvent', Aqmp.Client, 'wait_event', {
        positional: 1,
        options: ['data', 'timeout', 'cancellable'],
        required: RUNNING,
        prepare: (names, {data, timeout}) => [names, toTree('data', data), timeout ?? -1],
        convert: event => event,
    });
    const split = (what, given) => splitNames(what, given, waitEvent.options);

    addOperations(Aqmp.Client, {
        /** execute(command, arguments, {cancellable, timeout, oob, fds, bigint}): what the command returns. The server's error reply
         * is an ExecuteError. */
        execute: ['execute_raw', command],
        /** executeOob(command, arguments, {cancellable, timeout, fds, bigint}): the same out of band, overtaking others. */
        executeOob: ['execute_raw', {
            ...command,
            options: EXECUTE_OPTIONS.filter(name => name !== 'oob'),
            prepare: (name, args, {fds}) => [commandText('exec-oob', name, args), toDescriptors(fds)],
        }],
        /** executeRaw(message, {cancellable, timeout, fds}): sends a command as JSON text, or an object; the result is the text of
         * the whole reply, also if that is an error. */
        executeRaw: ['execute_raw', {
            positional: 1,
            options: ['cancellable', 'timeout', 'fds'],
            required: RUNNING,
            samplesTimeout: true,
            prepare: (message, {fds}) => [rawText(message), toDescriptors(fds)],
            convert: toText,
        }],
    });

    /* executeAndWait(command, arguments, names, {failureNames, data, timeout, cancellable, bigint}): executes a command, and waits for
     * the event that completes what it has begun. The result is {event, reply}. */
    extend(Aqmp.Client, new CompletedCommand('executeAndWait', Aqmp.Client, 'execute_raw', {
        positional: 3,
        options: ['failureNames', 'data', 'timeout', 'cancellable', 'bigint'],
        required: RUNNING,
        samplesTimeout: true,
        prepare: (name, args, names, options) => [wantedEvents(names, options), commandText('execute', name, args), null],
        convert: result => result,
    }).methods());

    extend(Aqmp.Client, {
        ...chainUps(Aqmp.Client),

        /**
         * Listens for events, from now on. To be iterated over, with `for await`, or `for`, which blocks; when that is left, the
         * listener is stopped.
         *
         * @param {...(string|object)} given - the names of those that are wanted, or none for all; then perhaps options:
         * @param {Function} given.where - says whether an event is wanted
         * @param {number} given.maxPending - how many are kept that nobody has taken yet
         * @param {Gio.Cancellable} given.cancellable - ends a wait for the next with an error
         * @returns {Aqmp.EventListener}
         */
        events(...given) {
            const [names, {where, maxPending, cancellable}] = splitNames('events()', given, ['where', 'maxPending', 'cancellable']);
            const listener = this.listen(names.length > 0 ? names : null, where ? predicate(where) : null);
            listeners.set(listener, {client: this, cancellable});
            if (maxPending)
                listener.max_pending = maxPending;
            return listener;
        },

        /**
         * Waits for the next event.
         *
         * @param {...(string|object)} given - names that it can have, or none for any; then perhaps options:
         * @param {object} given.data - what its data has to have
         * @param {number} given.timeout - how many milliseconds to wait, at the most
         * @param {Gio.Cancellable} given.cancellable - gives up waiting
         * @returns {Promise<Aqmp.Event>}
         */
        async waitEvent(...given) {
            return waitEvent.promise(this, split('waitEvent()', given));
        },

        /** The same, but it blocks. */
        waitEventSync(...given) {
            return waitEvent.blocking(this, split('waitEventSync()', given));
        },

        /**
         * The job with this id, whether there is one yet or not. Ask for it before the command that begins it.
         *
         * @param {string} id - as the command that begins it is given it
         * @returns {Aqmp.Job}
         */
        job(id) {
            return Aqmp.Job.new(this, checkString('the id of a job', id));
        },
    });
}

// --- Events ---

/** What events() was called with, by listener. The client is kept by those who iterate. */
const listeners = new WeakMap();

/** What the data of events is, once somebody has looked. */
const parsedData = new WeakMap();

function extendEvent() {
    extend(Aqmp.Event, {
        /** As an object, or null. */
        get data() {
            if (!parsedData.has(this))
                parsedData.set(this, this.getData());
            return parsedData.get(this);
        },

        /**
         * The data, made anew.
         *
         * @param {{bigint: boolean}} [options] - whether integers beyond 2⁵³ are BigInt, and not rounded
         * @returns {?object}
         */
        getData(options) {
            const {bigint} = checkOptions('getData()', options, ['bigint']);
            return readBytes(this.to_bytes(), bigint).data ?? null;
        },

        toString() {
            return `[Aqmp.Event ${this.name} ${describe(this.data)}]`;
        },
    });
}

/** A session that was closed, or a listener that was stopped, is the end of the events. That of one that failed, or has never begun, is
 * an error, which this throws. */
function throwUnlessOver(listener, error) {
    const isInterrupted = isError(error, Aqmp.Error.INTERRUPTED);
    const isState = isError(error, Aqmp.Error.STATE);
    if (!isInterrupted && !isState)
        throw error;
    if (!listener.get_active())
        return;
    const {client} = listeners.get(listener) ?? {};
    if (!client)                // it comes from listen()
        throw error;
    if (isInterrupted && client.get_error())
        throw client.get_error();
    if (isState && !client.greeting)
        throw error;
}

function extendListener() {
    const next = new Operation('next', Aqmp.EventListener, 'next', {
        convert: event => ({value: event, done: false}),
        required: Aqmp.Runstate.RUNNING,
        protocol: listener => listeners.get(listener)?.client,
    });
    const options = listener => ({cancellable: listeners.get(listener)?.cancellable});
    const END = {value: undefined, done: true};

    extend(Aqmp.EventListener, {
        /** The next event, as iterators give it: {value, done}. */
        async next() {
            try {
                return await next.promise(this, [options(this)]);
            } catch (error) {
                throwUnlessOver(this, error);
                return {...END};
            }
        },

        /** The same, but it blocks. */
        nextSync() {
            try {
                return next.blocking(this, [options(this)]);
            } catch (error) {
                throwUnlessOver(this, error);
                return {...END};
            }
        },

        /** What "for await" does at its end: it stops to listen. */
        async return(value) {
            this.stop();
            return {value, done: true};
        },

        [Symbol.asyncIterator]() {
            return this;
        },

        [Symbol.iterator]() {
            return {
                next: () => this.nextSync(),
                return: value => {
                    this.stop();
                    return {value, done: true};
                },
            };
        },
    });
}

// --- Jobs and greetings ---

function extendJob() {
    const how = {protocol: job => job.client, required: Aqmp.Runstate.RUNNING};
    addOperations(Aqmp.Job, {
        /** run({cancellable}): takes the job to its end, whatever that needs; if it fails, that is the error. */
        run: ['run', how],
        /** waitStatus(status, {cancellable}): finishes when the job has this status. */
        waitStatus: ['wait_status', {...how, positional: 1, prepare: status => [checkString('a status', status)]}],
        /** refresh({cancellable}): asks the server for what is not told by events. */
        refresh: ['refresh', how],
    });
    extend(Aqmp.Job, {
        toString() {
            return `[Aqmp.Job "${this.id}" ${this.status}]`;
        },
    });
}

function extendGreeting() {
    Aqmp.Greeting.prototype.toString = function () {
        return `[${['Aqmp.Greeting', this.get_version_string(), ...this.get_capabilities()].join(' ')}]`;
    };
}

// --- What there is in C ---

/** Each function with a callback returns a promise if it is given none. */
function promisify() {
    for (const {prototype} of [Aqmp.Protocol, Aqmp.Client, Aqmp.EventListener, Aqmp.Job]) {
        for (const name of Object.getOwnPropertyNames(prototype).filter(method => method.endsWith('_async')))
            Gio._promisify(prototype, name);
    }
}

function _init() {
    Aqmp = this;
    defineExecuteError();
    defineStateError();
    extendProtocol();
    extendClient();
    extendEvent();
    extendListener();
    extendJob();
    extendGreeting();
    promisify();
}
