// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// The client over the npm package qemu-qmp. It knows no ids: replies go to the calls in the order in which they come. The socket
// itself is its object; destroy() is what ends a session at once. See bench.h for the command line.

const QMP = require('qemu-qmp');

const [socket, work, countText, ...rest] = process.argv.slice(2);
const count = Number(countText);
const options = Object.fromEntries(rest.map(option => option.split('=')));
const warm = Number(options.warm ?? 10);

let start, cpuStart;

function begin() {
    cpuStart = process.cpuUsage();
    start = process.hrtime.bigint();
}

function end() {
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    const {user, system} = process.cpuUsage(cpuStart);
    console.log(JSON.stringify({count, seconds, cpu: (user + system) / 1e6}));
}

function open() {
    return new Promise((resolve, reject) => {
        const qmp = new QMP();
        qmp.connect(socket, error => error ? reject(error) : resolve(qmp));
    });
}

function calls(qmp, command, args, inFlight, n) {
    return new Promise((resolve, reject) => {
        let toStart = n, toFinish = n;

        function startNext() {
            toStart--;
            qmp.execute(command, args, onReply);
        }

        function onReply(error) {
            if (error)
                return reject(error);
            if (toStart > 0)
                startNext();
            if (--toFinish === 0)
                resolve();
        }

        if (n === 0)
            resolve();
        for (let i = 0; i < inFlight && toStart > 0; i++)
            startNext();
    });
}

async function runCalls() {
    const inFlight = Number(options.inflight ?? 1);
    const command = options.command ?? 'query-status';
    const args = options.bytes ? {bytes: Number(options.bytes), piece: Number(options.piece ?? 0)} : null;
    const qmp = await open();
    await calls(qmp, command, args, inFlight, warm);
    begin();
    await calls(qmp, command, args, inFlight, count);
    end();
    qmp.destroy();
}

async function runEvents() {
    const burst = Number(options.burst ?? 1000);
    const args = {count: burst, data: 1};
    const qmp = await open();
    let heard = 0;
    qmp.on('rtc_change', () => heard++); // the data is not passed on
    await calls(qmp, 'x-events', args, 1, 1);
    begin();
    await calls(qmp, 'x-events', args, 1, count / burst);
    end();
    if (heard !== count + burst)
        throw new Error('events are missing');
    qmp.destroy();
}

// Negotiation is not waited for by the package: a first command is, here.
async function connects(n) {
    for (let i = 0; i < n; i++) {
        const qmp = await open();
        await calls(qmp, 'query-status', null, 1, 1);
        qmp.destroy();
    }
}

async function runConnects() {
    await connects(warm);
    begin();
    await connects(count);
    end();
}

({calls: runCalls, events: runEvents, connect: runConnects})[work]().catch(error => {
    console.error(error);
    process.exit(1);
});
