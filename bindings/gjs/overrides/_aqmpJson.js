// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// JSON for commands and replies, where that of JavaScript loses something without a word: JSON.stringify() leaves out undefined and
// functions, and makes null of NaN; JSON.parse() rounds integers beyond 2⁵³.

/* exported read, write */

const MAX_DEPTH = 1024;                 // that of the library
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

// --- Writing ---

/** Where in a value something is: `arguments.file['node-name'][3]`. */
function pathOf(path) {
    return path.map((key, i) => {
        if (typeof key === 'number')
            return `[${key}]`;
        if (i > 0 && !IDENTIFIER.test(key))
            return `[${JSON.stringify(key)}]`;
        return i > 0 ? `.${key}` : key;
    }).join('');
}

function refuse(path, problem) {
    throw new TypeError(`${pathOf(path)} ${problem}`);
}

function writeNumber(number, path) {
    if (!Number.isFinite(number))
        refuse(path, `is ${number}, but JSON has finite numbers only: leave it out, or use null`);
    // Beyond 2⁵³ JavaScript prints an integer that is near the one that it has; from 10²¹ on it is not printed as an integer.
    if (Number.isInteger(number) && !Number.isSafeInteger(number) && Math.abs(number) < 1e21)
        return BigInt(number).toString();
    return JSON.stringify(number);
}

/** Whether its own properties are all that is in it: those of objects of GObject, of a Map or of a Promise are not. */
function isPlain(object) {
    const prototype = Object.getPrototypeOf(object);
    if (prototype === null || prototype === Object.prototype)
        return true;
    return Object.prototype.toString.call(object) === '[object Object]' && !object.constructor?.$gtype;
}

function nameOfClass(object) {
    return object.constructor?.name?.replace('_', '.') || 'another object';
}

function checkObject(object, path, ancestors) {
    if (ancestors.includes(object))
        refuse(path, 'is an object that it is inside of itself: JSON has no cycles');
    if (ancestors.length >= MAX_DEPTH)
        refuse(path, `is nested too deeply: ${MAX_DEPTH} levels are allowed`);
    if (object instanceof Promise)
        refuse(path, 'is a promise: use await to get what it will be');
    if (!Array.isArray(object) && !isPlain(object))
        refuse(path, `is of the class ${nameOfClass(object)}, which cannot be written as JSON: make a plain object or an array of it`);
    if (Object.getOwnPropertySymbols(object).length > 0)
        refuse(path, 'has a property whose name is a symbol: the names of JSON are strings');
}

function writeArray(array, path, ancestors) {
    // Not map(), which skips what was never set.
    const items = Array.from(array, (item, i) => writeValue(item, [...path, i], ancestors));
    return `[${items.join(',')}]`;
}

function writeMembers(object, path, ancestors) {
    const members = Object.keys(object).map(key => `${JSON.stringify(key)}:${writeValue(object[key], [...path, key], ancestors)}`);
    return `{${members.join(',')}}`;
}

function writeObject(object, path, ancestors) {
    const replaced = typeof object.toJSON === 'function' ? object.toJSON(String(path[path.length - 1])) : object;
    if (replaced !== object)
        return writeValue(replaced, path, ancestors);
    if (object instanceof Number || object instanceof String || object instanceof Boolean || object instanceof BigInt)
        return writeValue(object.valueOf(), path, ancestors);
    checkObject(object, path, ancestors);
    const inside = [...ancestors, object];
    return Array.isArray(object) ? writeArray(object, path, inside) : writeMembers(object, path, inside);
}

function writeValue(value, path, ancestors) {
    switch (typeof value) {
    case 'string':
        return JSON.stringify(value);
    case 'number':
        return writeNumber(value, path);
    case 'bigint':
    case 'boolean':
        return String(value);
    case 'object':
        return value === null ? 'null' : writeObject(value, path, ancestors);
    case 'undefined':
        return refuse(path, 'is undefined, which JSON does not have: leave it out, or use null');
    default:
        return refuse(path, `is a ${typeof value}, which JSON does not have: leave it out`);
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
    return writeValue(value, [name], []);
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
