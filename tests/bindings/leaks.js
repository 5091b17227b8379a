// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// test_gjs_leaks.py runs it: gjs -m leaks.js KIND COUNT FD; prints how many bytes a call of that kind has left behind. FD is the
// socket of a server.

import Aqmp from 'gi://Aqmp?version=1';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import System from 'system';

const AT_ONCE = 64;
const [kind, countText, fd] = ARGV;
const count = Number(countText);

const client = new Aqmp.Client();
let collected = 0;

function nextTurn() {
    return new Promise(resolve => GLib.idle_add(GLib.PRIORITY_DEFAULT, () => {
        resolve();
        return GLib.SOURCE_REMOVE;
    }));
}

const kinds = {
    gio() {
        // Or gjs 1.74 hangs, as the override says.
        if (++collected % 1000 === 0)
            System.gc();
        const stream = Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new([1, 2, 3]));
        return new Promise((resolve, reject) => stream.read_bytes_async(3, GLib.PRIORITY_DEFAULT, null, (_, result) => {
            try {
                resolve(stream.read_bytes_finish(result).toArray());
            } catch (error) {
                reject(error);
            }
        }));
    },

    execute() {
        return client.execute('query-status');
    },

    arguments() {
        return client.execute('query-status', {some: {a: [1, 2n ** 63n, null]}}, {bigint: true});
    },

    async cancelled() {
        const cancellable = new Gio.Cancellable();
        const call = client.execute('query-status', null, {cancellable});
        cancellable.cancel();
        await call.catch(() => {});
    },

    async error() {
        await client.execute(1).catch(() => {});
    },

    async events() {
        const cancellable = new Gio.Cancellable();
        const events = client.events('STOP', {cancellable, where: event => event.data !== null});
        const next = events.next().catch(() => {});
        cancellable.cancel();
        await next;
        events.return();
    },
};

async function inFlight(n) {
    const work = async () => {
        while (n-- > 0)
            await kinds[kind]();
    };
    await Promise.all(Array.from({length: AT_ONCE}, work));
}

async function memory() {
    // What a callback was closed over is freed in the turn after the one in which it is collected.
    for (let i = 0; i < 3; i++) {
        System.gc();
        await nextTurn();
    }
    const [, contents] = GLib.file_get_contents('/proc/self/statm');
    return Number(new TextDecoder().decode(contents).split(' ')[1]) * 4096;
}

const socket = Gio.Socket.new_from_fd(Number(fd));
await client.open(socket.connection_factory_create_connection());
await inFlight(count / 5);
const before = await memory();
const began = GLib.get_monotonic_time();
await inFlight(count);
printerr(`${((GLib.get_monotonic_time() - began) / count).toFixed(1)} µs a call`);
print((await memory() - before) / count);
await client.close();
