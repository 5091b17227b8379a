// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// JSON for commands and replies, where that of JavaScript loses something without a word: JSON.stringify() leaves out undefined and
// functions, and makes null of NaN; JSON.parse() rounds integers beyond 2⁵³.

/* exported read, write */

const MAX_DEPTH = 1024;                 // that of the library
const LONG_HALF = 60;                   // of how much errors tell of a path
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

// --- Writing ---

/** Its beginning and its end, if it is long. */
function shorten(text) {
    return text.length > 2 * LONG_HALF ? `${text.slice(0, LONG_HALF)} … ${text.slice(-LONG_HALF)}` : text;
}

/** Where in a value something is: `arguments.file['node-name'][3]`. */
function pathOf(path) {
    return shorten(path.map((key, i) => {
        if (typeof key === 'number')
            return `[${key}]`;
        if (i > 0 && !IDENTIFIER.test(key))
            return `[${JSON.stringify(key)}]`;
        return i > 0 ? `.${key}` : key;
    }).join(''));
}

/** Whether its own properties are all that is in it: those of objects of GObject, of a Map or of a Promise are not. */
function isPlain(object) {
    const prototype = Object.getPrototypeOf(object);
    if (prototype === null || prototype === Object.prototype)
        return true;
    return Object.prototype.toString.call(object) === '[object Object]' && !object.constructor?.$gtype;
}

function isBoxed(object) {
    return object instanceof Number || object instanceof String || object instanceof Boolean || object instanceof BigInt;
}

function nameOfClass(object) {
    return object.constructor?.name?.replace('_', '.') || 'another object';
}

/** One value that is written. */
class Writer {
    constructor(name) {
        this.path = [name];             // to where it is now
        this.ancestors = [];            // the objects on that path
    }

    refuse(problem) {
        throw new TypeError(`${pathOf(this.path)} ${problem}`);
    }

    write(value) {
        switch (typeof value) {
        case 'string':
            return JSON.stringify(value);
        case 'number':
            return this.writeNumber(value);
        case 'bigint':
        case 'boolean':
            return String(value);
        case 'object':
            return value === null ? 'null' : this.writeObject(value);
        case 'undefined':
            return this.refuse('is undefined, which JSON does not have: leave it out, or use null');
        default:
            return this.refuse(`is a ${typeof value}, which JSON does not have: leave it out`);
        }
    }

    writeNumber(number) {
        if (!Number.isFinite(number))
            this.refuse(`is ${number}, but JSON has finite numbers only: leave it out, or use null`);
        // Beyond 2⁵³ JavaScript prints an integer that is near the one that it has; from 10²¹ on it is not printed as an integer.
        if (Number.isInteger(number) && !Number.isSafeInteger(number) && Math.abs(number) < 1e21)
            return BigInt(number).toString();
        return JSON.stringify(number);
    }

    writeObject(object) {
        const replaced = typeof object.toJSON === 'function' ? object.toJSON(String(this.path[this.path.length - 1])) : object;
        if (replaced !== object)
            return this.write(replaced);
        if (isBoxed(object))
            return this.write(object.valueOf());
        this.checkObject(object);
        this.ancestors.push(object);
        const text = Array.isArray(object) ? this.writeArray(object) : this.writeMembers(object);
        this.ancestors.pop();
        return text;
    }

    checkObject(object) {
        if (this.ancestors.includes(object))
            this.refuse('is an object that it is inside of itself: JSON has no cycles');
        if (this.ancestors.length >= MAX_DEPTH)
            this.refuse(`is nested too deeply: ${MAX_DEPTH} levels are allowed`);
        if (object instanceof Promise)
            this.refuse('is a promise: use await to get what it will be');
        if (!Array.isArray(object) && !isPlain(object))
            this.refuse(`is of the class ${nameOfClass(object)}, which cannot be written as JSON: make a plain object or an array of it`);
        if (Object.getOwnPropertySymbols(object).length > 0)
            this.refuse('has a property whose name is a symbol: the names of JSON are strings');
    }

    writeArray(array) {
        const items = [];
        // Also what was never set, which forEach() and map() skip.
        for (let i = 0; i < array.length; i++)
            items.push(this.writeAt(i, array[i]));
        return `[${items.join(',')}]`;
    }

    // No callbacks in what is called a thousand times inside of itself: they take up more of the stack.
    writeMembers(object) {
        const members = [];
        for (const key of Object.keys(object))
            members.push(`${JSON.stringify(key)}:${this.writeAt(key, object[key])}`);
        return `{${members.join(',')}}`;
    }

    writeAt(key, value) {
        this.path.push(key);
        const text = this.write(value);
        this.path.pop();
        return text;
    }
}

/**
 * A value as JSON, or a TypeError that says where in it there is something that JSON does not have. Integers are written exactly.
 *
 * @param {*} value - a value; for integers beyond 2⁵³ with BigInt in it
 * @param {string} name - what errors call it
 * @returns {string}
 */
function write(value, name) {
    return new Writer(name).write(value);
}

// --- Reading ---

const LONG_INTEGER = /\d{16}/;
const TOKEN = /\\.|"|-?\d[\d.eE+-]*/g;
const COLON = /\s*:/y;
const INTEGER = /^-?\d+$/;

function isBig(token) {
    return INTEGER.test(token) && !Number.isSafeInteger(Number(token));
}

function isKey(text, end) {
    COLON.lastIndex = end;
    return COLON.test(text);
}

/**
 * The same JSON in which big integers are strings that end with "n", and strings, except for keys, end with "s": what is in a string
 * can never be mistaken.
 */
function mark(text) {
    let inString = false;
    return text.replace(TOKEN, (token, offset) => {
        if (token === '"') {
            inString = !inString;
            return inString || isKey(text, offset + 1) ? token : 's"';
        }
        return !inString && isBig(token) ? `"${token}n"` : token;
    });
}

function revive(_key, value) {
    if (typeof value !== 'string')
        return value;
    const content = value.slice(0, -1);
    return value.endsWith('n') ? BigInt(content) : content;
}

/**
 * What is in a JSON text.
 *
 * @param {string} text - JSON
 * @param {boolean} bigint - whether integers beyond 2⁵³ are BigInt, and not rounded
 * @returns {*}
 */
function read(text, bigint) {
    if (bigint && LONG_INTEGER.test(text))
        return JSON.parse(mark(text), revive);
    return JSON.parse(text);
}
