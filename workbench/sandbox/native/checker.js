'use strict';
// Runs a test script against functions that live in another process.

const assert = require('node:assert');
const fs = require('node:fs');
const Module = require('node:module');
const vm = require('node:vm');
const wire = require('./wire.js');

const { entry } = JSON.parse(fs.readFileSync('./settings.json', 'utf8'));

let assertions = 0;

/** Say how it went, and end: no test script can catch this. */
function end(verdict) {
  wire.write(5, JSON.stringify(verdict));
  process.reallyExit(0);
}

function fail(kind, message) {
  end({ failed: kind, message: String(message).slice(0, 1000) });
}

const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

/** Ask the other process. What it sends is data, and what is no answer ends the test. */
function ask(name, args) {
  let said;
  try {
    wire.write(4, `{"call":${JSON.stringify(name)},"args":[${args.map((arg) => wire.text(arg))}]}`);
    const frame = wire.read(3);
    if (frame === null) throw new Error('the program ended before it answered');
    said = JSON.parse(frame);
    if (Object.hasOwn(said, 'value')) return wire.value(said.value);
    if (!Object.hasOwn(said, 'raise')) throw new Error('the program gave no answer');
  } catch (error) {
    fail('exception', error.message);
  }
  const kind = String(said.raise);
  const error = new (Object.hasOwn(ERRORS, kind) ? ERRORS[kind] : Error)(String(said.message));
  throw Object.defineProperty(error, 'name', { value: kind });
}

/** Put a stub in the place of every function that the script calls and nothing declares. */
function makeStubs(source) {
  const called = Array.from(source.matchAll(/([\p{L}_$][\p{L}\d_$]*)\s*\(/gu), ([, name]) => name);
  for (const name of called) {
    if (!(name in globalThis)) globalThis[name] = (...args) => ask(name, args);
  }
  if (entry) globalThis[entry] = globalThis.candidate = (...args) => ask(entry, args);
}

function countAssertions() {
  console.assert = (holds, ...message) => {
    assertions += 1;
    if (!holds) fail('wrong answer', [`assertion ${assertions} failed`, ...message].join(': '));
  };
  const counted = new Proxy(assert, {
    apply(target, self, args) { assertions += 1; return Reflect.apply(target, self, args); },
    get(target, key) { assertions += 1; return target[key]; },
  });
  const load = Module._load;
  Module._load = function (request, ...rest) {
    const loaded = load.call(this, request, ...rest);
    return [assert, assert.strict].includes(loaded) ? counted : loaded;
  };
}

function onError(error) {
  const wrong = error instanceof assert.AssertionError;
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  fail(wrong ? 'wrong answer' : 'exception', message);
}

process.on('uncaughtException', onError);
process.on('exit', () => {
  if (assertions === 0) fail('exception', 'the tests asserted nothing');
  end({ passed: true });
});
countAssertions();
globalThis.require = require;
makeStubs(fs.readFileSync('./tests.cjs', 'utf8'));
vm.runInThisContext(fs.readFileSync('./prelude.js', 'utf8'), 'prelude.js');
require('./tests.cjs');
