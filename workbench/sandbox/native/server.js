'use strict';
// Answers calls of a candidate's functions. It knows of no tests.

const fs = require('node:fs');
const Module = require('node:module');
const vm = require('node:vm');
const wire = require('./wire.js');

const { candidate, plain } = JSON.parse(fs.readFileSync('./settings.json', 'utf8'));

/** The one package that a suite needs: HumanEval-X asks js-md5 for the digest of a text. */
function jsMd5() {
  const { createHash } = require('node:crypto');
  const md5 = (message) => createHash('md5').update(message).digest('hex');
  return Object.assign(md5, { md5, hex: md5 });
}

function giveModules() {
  const load = Module._load;
  Module._load = function (request, ...rest) {
    return request === 'js-md5' ? jsMd5() : load.call(this, request, ...rest);
  };
}

const flat = (name) => name.replaceAll('_', '').toLowerCase();

/** Return the objects that hold the candidate's functions, what it declares first. */
async function load() {
  globalThis.require = require;
  vm.runInThisContext(fs.readFileSync('./prelude.js', 'utf8'), 'prelude.js');
  const exported = candidate.endsWith('.mjs') ? await import(candidate) : require(candidate);
  const declared = globalThis[Symbol.for('workbench.declared')] ?? {};
  return [declared, exported, exported?.default, globalThis];
}

/** Return a function by its name; where calls are the same in all languages, in any style. */
function member(holder, name) {
  if (holder === null || !['object', 'function'].includes(typeof holder)) return undefined;
  if (typeof holder[name] === 'function') return holder[name];
  if (!plain) return undefined;
  const near = Object.keys(holder).find(
    (key) => flat(key) === flat(name) && typeof holder[key] === 'function');
  return near && holder[near];
}

/** Return the method that a class of the candidate has by this name, bound to an object of it. */
function method(declared, name) {
  for (const Holder of Object.values(declared)) {
    if (typeof Holder !== 'function' || !Holder.prototype) continue;
    const key = [Holder, Holder.prototype].flatMap(Object.getOwnPropertyNames)
      .find((near) => flat(near) === flat(name));
    if (key) return (...args) => (Object.hasOwn(Holder, key) ? Holder : new Holder())[key](...args);
  }
  return undefined;
}

function find(holders, name) {
  for (const holder of holders) {
    const found = member(holder, name);
    if (found) return found;
  }
  if (!plain) return undefined;
  // What is exported without a name is what was asked for.
  const [declared, ...exported] = holders.slice(0, 3);
  return exported.find((one) => typeof one === 'function') ?? method(declared, name);
}

function raised(error) {
  const named = error instanceof Error;
  const [type, message] = named ? [error.name, error.message] : ['Error', String(error)];
  return JSON.stringify({ raise: String(type), message: String(message).slice(0, 1000) });
}

function answer(holders, { call, args }) {
  const target = find(holders, call);
  if (!target) throw new ReferenceError(`${call} is not defined`);
  const given = args.map(plain ? wire.plainValue : wire.value);
  return `{"value":${wire.text(Reflect.apply(target, undefined, given), plain)}}`;
}

async function main() {
  const { parse } = JSON;
  giveModules();
  let holders;
  let broken;
  try {
    holders = await load();
  } catch (error) {
    broken = raised(error);
  }
  for (let frame; (frame = wire.read(3)) !== null;) {
    let said;
    try {
      said = broken ?? answer(holders, parse(frame));
    } catch (error) {
      said = raised(error);
    }
    wire.write(4, said);
  }
  process.exit(0); // whatever the candidate has still running
}

main();
