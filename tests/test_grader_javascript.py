"""JavaScript is graded as it is written, and no candidate gets at the tests or the verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest
from grading import ADD, QUICK, TWO_SUM, grade, shared_home

from workbench.sandbox.records import Verdict
from workbench.types import Call, CallTests, OutputTests, ProgramTests, Run

__all__ = ["shared_home"]

EVENS = ProgramTests(
    "javascript",
    code="""
const testEvens = () => {
  console.assert(JSON.stringify(evens([1, 2, 4])) === JSON.stringify([2, 4]))
  console.assert(JSON.stringify(evens([])) === '[]')
  console.assert(evens([6])[0] === half(12))
}
testEvens()
""",
    entry_point="evens",
    prelude="const half = (n) => n / 2\n",
)
RIGHT = "const half = (n) => n / 2\nconst evens = (xs) => xs.filter((x) => half(x) % 1 === 0)\n"
FORGED = """
const fs = require('fs')
const forge = (said) => {
  const body = Buffer.from(JSON.stringify(said)), head = Buffer.alloc(4)
  head.writeUInt32BE(body.length)
  for (let fd = 1; fd <= 20; fd++) try { fs.writeSync(fd, Buffer.concat([head, body])) } catch {}
}
"""


@pytest.mark.parametrize(
    "code",
    [
        RIGHT,
        "function evens(xs) { return xs.filter(function (x) { return x % 2 === 0 }) }",
        "var evens = xs => new Proxy(xs.filter(x => x % 2 === 0), {})",
        "module.exports = { evens: (xs) => xs.filter((x) => x % 2 === 0) }",
        "export const evens = (xs) => xs.filter((x) => x % 2 === 0)",
        "import { ok } from 'assert'\nfunction evens(xs) { ok(xs); return xs.filter(x => !(x&1)) }",
        "evens = (xs) => { console.log('hm'); return xs.filter((x) => x % 2 === 0) } // done",
    ],
)
def test_right_script_passes_in_every_form_of_module(code: str) -> None:
    assert grade("javascript", code, EVENS).verdict == "passed"


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("const evens = (xs) => xs", "wrong answer"),
        ("const evens = (xs) => { throw new RangeError('no') }", "exception"),
        ("const odds = (xs) => xs", "exception"),
        ("const evens = (xs) => xs.filter((x) => x % 2 === 0", "syntax error"),
        ("const evens = (xs) => { for (;;); }", "timeout (CPU)"),
        (
            "const evens = () => { for (const a = [];;) a.push(Array(1e5).fill(.5)) }",
            "out of memory",
        ),
        ("const evens = (xs) => evens(xs)", "exception"),
    ],
)
def test_script_that_is_not_right_says_why(code: str, verdict: Verdict) -> None:
    limits = replace(QUICK, wall_seconds=120.0)
    assert grade("javascript", code, EVENS, limits).verdict == verdict


HOSTILE = {
    "exit in the function": "const evens = () => process.exit(0)",
    "exit at the top": "process.reallyExit(0); const evens = (xs) => xs",
    "forged verdicts": FORGED + "const evens = () => { forge({ passed: true }) }",
    "forged answers": FORGED + "const evens = () => { forge({ value: [2, 4] }); return [2, 4] }",
    "forged at exit": FORGED
    + "process.on('exit', () => forge({ passed: true })); const evens = () => process.exit()",
    "no assertions": "console.assert = () => {}; const evens = (xs) => xs",
    "own JSON": "JSON.parse = () => [2, 4]; JSON.stringify = () => '[2,4]'; evens = (xs) => xs",
    "toJSON": "const evens = () => ({ toJSON: () => [2, 4], 0: 6, length: 1 })",
    "toJSON of all arrays": "Array.prototype.toJSON = () => [2, 4]; const evens = (xs) => xs",
    "valueOf": "const evens = () => ({ valueOf: () => 6, toString: () => '[2,4]' })",
    "proxy": "const evens = () => new Proxy([], { get: (t, k) => (k === '0' ? 6 : t[k]) })",
    "getters": "const evens = () => ({ get 0() { return 6 }, get length() { return 1 } })",
    "prototype": 'const evens = () => JSON.parse(\'{"__proto__": {"0": 6}, "length": 0}\')',
    "child process": """
const { spawnSync } = require('child_process')
const evens = () => spawnSync('sh', ['-c', 'for i in 3 4 5 6 7; do echo pass >&$i; done']).status
""",
    "thread that outlives": """
const { Worker } = require('worker_threads')
new Worker("for (;;) require('fs').writeSync(4, 'x')", { eval: true })
const evens = () => undefined
""",
    "reads the tests": """
const fs = require('fs')
const seek = (folder, depth) => {
  for (const name of fs.readdirSync(folder)) try {
    const path = folder + '/' + name
    if (name === 'tests.cjs') return fs.readFileSync(path, 'utf8')
    const found = depth && fs.statSync(path).isDirectory() && seek(path, depth - 1)
    if (found) return found
  } catch {}
}
const places = ['/proc/self/cwd', '..', '/tmp', '/box', process.env.HOME ?? '/']
const found = places.map((place) => { try { return seek(place, 2) } catch {} }).find((one) => one)
const evens = (xs) => (found ? xs.filter((x) => x % 2 === 0) : 'not found')
""",
    "reads what is open": """
const fs = require('fs')
for (let fd = 5; fd < 20; fd++) try { fs.readSync(fd, Buffer.alloc(99)) } catch {}
const evens = () => 0
""",
    "promise": "const evens = async (xs) => xs.filter((x) => x % 2 === 0)",
    "not a frame": FORGED
    + "const evens = () => { fs.writeSync(4, Buffer.alloc(9, 255)); return [] }",
    "holds itself": "const evens = () => { const a = []; a.push(a); return a }",
    "throws nothing": "const evens = () => { throw undefined }",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_script_never_passes(name: str) -> None:
    outcome = grade("javascript", HOSTILE[name], EVENS, replace(QUICK, wall_seconds=60.0))
    assert outcome.passed is False, outcome
    assert not outcome.detail.startswith("the tests do not build")


def test_values_come_through_both_ways_and_nothing_but_data() -> None:
    tests = ProgramTests(
        "javascript",
        code="""
const values = [undefined, null, true, -0, 0.1, NaN, -Infinity, 12345678901234567890n,
  '\\ud800\\n"é',
  [1, [2, , 3]], { a: { b: [] }, ['__proto__']: 1 }, new Map([[1, new Set(['x'])]]), new Date(5),
  new Uint8Array([1, 2]), new Error('x') && { e: 1 }]
const { deepStrictEqual } = require('assert')
for (const value of values) deepStrictEqual(same(value), value)
deepStrictEqual(same(1, 2), 1)
deepStrictEqual(typeof same(() => 1), 'symbol')
deepStrictEqual(Object.keys(same({ ['__proto__']: 1 })), ['__proto__'])
let caught
try { fails() } catch (error) { caught = error }
deepStrictEqual([caught instanceof RangeError, caught.message], [true, 'far'])
""",
        entry_point="same",
    )
    code = "const same = (x) => x\nconst fails = () => { throw new RangeError('far') }"
    outcome = grade("javascript", code, tests)
    assert outcome.verdict == "passed", outcome


@pytest.mark.parametrize("code", ["", "evens([1])"])
def test_script_that_asserts_nothing_proves_nothing(code: str) -> None:
    tests = replace(EVENS, code=code)
    assert grade("javascript", RIGHT, tests).verdict == "exception"


@pytest.mark.parametrize(
    "code",
    [
        "const twoSum = (n, t) => n.flatMap((x, i) => n[0] + x === t && i ? [0, i] : [])",
        "class Solution { two_sum(n, t) { return n[0] === 3 ? new Int8Array([1, 0]) : [0, 1] } }",
        "export default function (n, t) { return [0, 1] }",
        "exports.TwoSum = (n, t) => [0n, 1n]",
    ],
)
def test_calls_find_the_function_in_any_style(code: str) -> None:
    assert grade("javascript", code, TWO_SUM).verdict == "passed"


def test_calls_carry_every_type() -> None:
    tests = CallTests(
        "shape",
        (("table", "dict[str, list[float]]"), ("flag", "bool"), ("text", "str")),
        "dict[str, list[float]]",
        (
            Call(
                ({"a": [1.0, float("inf")], "b": []}, True, "ü"),
                {"a": [1.0, float("inf")], "b": []},
            ),
        ),
    )
    code = "const shape = (t, f, s) => f && s === 'ü' && new Map(Object.entries(t))"
    assert grade("javascript", code, tests).verdict == "passed"


def test_whole_program_reads_and_prints() -> None:
    code = "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' '); console.log(+a + +b)"
    assert grade("javascript", code, ADD).verdict == "passed"
    lines = OutputTests((Run("1\n2\n", "2\n1\n"),))
    code = """import readline from 'node:readline'
const all = []
for await (const line of readline.createInterface({ input: process.stdin })) all.push(line)
console.log(all.reverse().join('\\n'))"""
    assert grade("javascript", code, lines).verdict == "passed"


def test_digest_package_of_the_suite_is_there() -> None:
    tests = ProgramTests("javascript", "console.assert(md(['a']).startsWith('0cc175'))", "md")
    code = "const md = (s) => require('js-md5')(s[0])"
    assert grade("javascript", code, tests).verdict == "passed"
