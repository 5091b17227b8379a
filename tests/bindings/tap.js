// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// A little of what a test framework has, told as TAP.

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import System from 'system';

export const BOUND_S = 10 * Number(GLib.getenv('AQMP_TEST_TIMEOUT_SCALE') ?? 1);
export const BOUND_MS = 1000 * BOUND_S;

export function equal(got, expected) {
    if (JSON.stringify(got) !== JSON.stringify(expected))
        throw new Error(`got ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}`);
}

function check(error, domain, code, text) {
    if (error instanceof GLib.Error && error.matches(domain, code) && error.message.includes(text))
        return error;
    throw new Error(`failed in another way: ${error.domain} ${error.code} ${error}`);
}

/** The error that a promise is rejected with, which has to be this one. */
export async function fails(promise, domain, code, text = '') {
    try {
        await promise;
    } catch (error) {
        return check(error, domain, code, text);
    }
    throw new Error('did not fail');
}

/** The error that a call throws, which has to be this one. */
export function failsSync(call, domain, code, text = '') {
    try {
        call();
    } catch (error) {
        return check(error, domain, code, text);
    }
    throw new Error('did not fail');
}

/** A cancellable that was cancelled already. */
export function cancelled() {
    const cancellable = new Gio.Cancellable();
    cancellable.cancel();
    return cancellable;
}

class Points {
    constructor() {
        this.number = 0;
        this.status = 0;
    }

    begin() {
        this.number++;
    }

    ok(name) {
        print(`ok ${this.number} ${name}`);
    }

    notOk(name, error) {
        this.status = 1;
        print(`not ok ${this.number} ${name}`);
        for (const line of `${error}\n${error.stack}`.split('\n'))
            print(`# ${line}`);
    }

    end() {
        print(`1..${this.number}`);
        System.exit(this.status);
    }
}

async function runOne(points, name, test) {
    points.begin();
    const bound = GLib.timeout_add(GLib.PRIORITY_DEFAULT, BOUND_MS, () => {
        points.notOk(name, new Error('waited in vain'));
        return points.end();
    });
    try {
        await test();
        points.ok(name);
    } catch (error) {
        points.notOk(name, error);
    }
    GLib.source_remove(bound);
}

/** Runs tests, functions by name that may be asynchronous, in a main loop. */
export async function run(tests) {
    const points = new Points();
    for (const [name, test] of Object.entries(tests))
        await runOne(points, name, test);
    points.end();
}

/** Runs tests in no main loop. */
export function runSync(tests) {
    const points = new Points();
    for (const [name, test] of Object.entries(tests)) {
        points.begin();
        try {
            test();
            points.ok(name);
        } catch (error) {
            points.notOk(name, error);
        }
    }
    points.end();
}
