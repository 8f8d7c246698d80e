'use strict';
// Frames, and values as JSON, for both ends of the wire (see workbench/sandbox/runtimes.py).
//
// Between two Nodes a value is JSON, and what JSON lacks is {"$": KIND, "v": ...}. "Plain" is what
// the same calls in all languages are written in: null for undefined, {"$float": "nan"}. Only
// data come out of either: no getter, proxy, toJSON, valueOf or prototype gets through.

const fs = require('node:fs');
const { types } = require('node:util');

const LONGEST = 64 << 20; // bytes of a frame

function readFully(fd, bytes) {
  for (let at = 0; at < bytes.length;) {
    try {
      const count = fs.readSync(fd, bytes, at, bytes.length - at, null);
      if (count === 0) return null;
      at += count;
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error; // the pipe may have been made non-blocking
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
  return bytes;
}

/** Return the text of the next frame, or null at the end. */
function read(fd) {
  const head = readFully(fd, Buffer.alloc(4));
  if (head === null) return null;
  const length = head.readUInt32BE(0);
  if (length > LONGEST) throw new RangeError(`a frame of ${length} bytes`);
  const body = readFully(fd, Buffer.alloc(length));
  return body === null ? null : body.toString('utf8');
}

function write(fd, text) {
  const body = Buffer.from(text, 'utf8');
  const frame = Buffer.alloc(4 + body.length);
  frame.writeUInt32BE(body.length, 0);
  body.copy(frame, 4);
  for (let at = 0; at < frame.length;) {
    try {
      at += fs.writeSync(fd, frame, at, frame.length - at, null);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

const tag = (kind, body) => (body === undefined ? `{"$":"${kind}"}` : `{"$":"${kind}","v":${body}}`);
const other = (kind) => tag('other', JSON.stringify(kind));
const float = (value) => (Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf');

function numberText(value, plain) {
  if (Number.isFinite(value) && (plain || !Object.is(value, -0))) return JSON.stringify(value);
  if (plain) return `{"$float":"${float(value)}"}`;
  return tag('number', `"${Object.is(value, -0) ? '-0' : value}"`);
}

/** Write a value as JSON. Throws where it holds itself. */
function text(value, plain, above = []) {
  switch (typeof value) {
    case 'undefined': return plain ? 'null' : tag('undefined');
    case 'boolean': return value ? 'true' : 'false';
    case 'string': return JSON.stringify(value);
    case 'number': return numberText(value, plain);
    case 'bigint': return plain ? `${value}` : tag('bigint', `"${value}"`);
    case 'object': break;
    default: return other(typeof value);
  }
  if (value === null) return 'null';
  if (above.includes(value)) throw new TypeError('a value that holds itself cannot be compared');
  above.push(value);
  const written = objectText(value, plain, above);
  above.pop();
  return written;
}

function objectText(value, plain, above) {
  const inner = (part) => text(part, plain, above);
  const pairs = (entries) => `[${Array.from(entries, ([k, v]) => `[${inner(k)},${inner(v)}]`)}]`;
  const members = (entries) =>
    `{${Array.from(entries, ([k, v]) => `${JSON.stringify(String(k))}:${inner(v)}`)}}`;
  if (Array.isArray(value)) {
    const hole = plain ? 'null' : tag('hole');
    return `[${Array.from(value, (part, i) => (i in value ? inner(part) : hole))}]`;
  }
  if (types.isTypedArray(value)) {
    const items = `[${Array.from(value, inner)}]`;
    return plain ? items : tag('typed', `["${value[Symbol.toStringTag]}",${items}]`);
  }
  if (types.isMap(value)) return plain ? members(value) : tag('map', pairs(value));
  if (types.isSet(value)) return tag('set', `[${Array.from(value, inner)}]`);
  if (types.isDate(value)) return tag('date', inner(Number(value)));
  if (types.isPromise(value) || types.isRegExp(value) || types.isBoxedPrimitive(value)) {
    return other(value.constructor.name);
  }
  return plain ? members(Object.entries(value)) : tag('object', pairs(Object.entries(value)));
}

const TYPED = { Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array,
  Uint32Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array };

const KINDS = {
  undefined: () => undefined,
  number: Number,
  bigint: BigInt,
  date: (v) => new Date(value(v)),
  set: (v) => new Set(v.map(value)),
  map: (v) => new Map(v.map(([k, part]) => [value(k), value(part)])),
  object: (v) => objectOf(v.map(([k, part]) => [k, value(part)])),
  typed: ([name, items]) => TYPED[name].from(items.map(value)),
  other: (v) => Symbol(v), // truthy, and equal to nothing
};

/** Build an object whose keys are all its own, "__proto__" too. */
function objectOf(entries) {
  const made = {};
  for (const [key, part] of entries) {
    Object.defineProperty(made, key,
      { value: part, writable: true, enumerable: true, configurable: true });
  }
  return made;
}

/** Turn parsed JSON of the tagged form back into a value. */
function value(json) {
  if (Array.isArray(json)) {
    const made = new Array(json.length);
    json.forEach((part, i) => { if (part === null || part.$ !== 'hole') made[i] = value(part); });
    return made;
  }
  if (json === null || typeof json !== 'object') return json;
  if (!Object.hasOwn(KINDS, json.$)) throw new TypeError('not a value');
  return KINDS[json.$](json.v);
}

/** Turn parsed plain JSON into a value. */
function plainValue(json) {
  if (Array.isArray(json)) return json.map(plainValue);
  if (json === null || typeof json !== 'object') return json;
  if (Object.hasOwn(json, '$float')) return { nan: NaN, inf: Infinity, '-inf': -Infinity }[json.$float];
  return objectOf(Object.entries(json).map(([key, part]) => [key, plainValue(part)]));
}

module.exports = { read, write, text, value, plainValue };
