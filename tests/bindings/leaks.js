// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// gjs -m leaks.js KIND COUNT FD: prints how many bytes a call of that kind has left behind. FD is the socket of a server.
// test_gjs_leaks.py runs it.

import Aqmp from 'gi://Aqmp?version=1';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import System from 'system';

const AT_ONCE = 64;
const COLLECT_EVERY = 1000;
const WARM_UP = 20000;
const AS_MANY_AS_HANG = 60000;
const ROUNDS = 10;
const PAGE_SIZE = 4096;
const [kind, countText, fd] = ARGV;
const count = Number(countText);
const client = new Aqmp.Client();

const kinds = {
    gio() {
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

    // The same, and the program itself does nothing about garbage.
    uncollected() {
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

    async events() {
        const cancellable = new Gio.Cancellable();
        const events = client.events('STOP', {cancellable, where: event => event.data !== null});
        const next = events.next().catch(() => {});
        cancellable.cancel();
        await next;
        await events.return();
    },
};

async function inFlight(n) {
    const call = kinds[kind];
    const work = async () => {
        while (n-- > 0) {
            await call();
            // gjs 1.74 hangs if garbage comes together; the override says why.
            if (n % COLLECT_EVERY === 0 && kind !== 'uncollected')
                System.gc();
        }
    };
    await Promise.all(Array.from({length: AT_ONCE}, work));
}

function nextTurn() {
    return new Promise(resolve => GLib.idle_add(GLib.PRIORITY_LOW, () => resolve()));
}

async function memory() {
    // What a callback was closed over is freed later than the callback.
    for (let i = 0; i < 3; i++) {
        System.gc();
        await nextTurn();
    }
    const [, statm] = GLib.file_get_contents('/proc/self/statm');
    return Number(new TextDecoder().decode(statm).split(' ')[1]) * PAGE_SIZE;
}

const socket = Gio.Socket.new_from_fd(Number(fd));
await client.open(socket.connection_factory_create_connection());
await inFlight(kind === 'uncollected' ? AS_MANY_AS_HANG : WARM_UP);
// What is taken and given back again by the heap comes and goes; the least of each half is what stays.
const measured = [];
for (let i = 0; i < ROUNDS; i++) {
    await inFlight(count / ROUNDS);
    measured.push(await memory());
}
const [first, second] = [measured.slice(0, ROUNDS / 2), measured.slice(ROUNDS / 2)].map(half => Math.min(...half));
print((second - first) / (count / 2));
await client.close();
