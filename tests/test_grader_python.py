"""Right programs pass, wrong ones say why, and the pool survives whatever it runs."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from workbench.cancel import cancelled_by
from workbench.errors import BadInput, Cancelled
from workbench.sandbox import Grader, Limits, Outcome, warm
from workbench.sandbox.assembling import defines
from workbench.sandbox.grader import decide
from workbench.sandbox.jail import NoSandbox
from workbench.sandbox.tiers import TIERS, probe
from workbench.sandbox.warm import End, Told
from workbench.settings import settings
from workbench.types import Call, CallTests, OutputTests, ProgramTests, Run

DATA = settings().data
WORKING = [state.name for state in probe() if state.works]
pytestmark = pytest.mark.skipif(not WORKING, reason="no sandbox works here")

LINKED = """
class ListNode:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next

class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val = val
        self.left = left
        self.right = right

def list_node(values):
    head = None
    for value in reversed(values):
        head = ListNode(value, head)
    return head

def values(node):
    found = []
    while node:
        found.append(node.val)
        node = node.next
    return found
"""


@pytest.fixture(scope="module", params=TIERS)
def grader(request: pytest.FixtureRequest) -> Iterator[Grader]:
    if request.param not in WORKING:
        pytest.skip(f"{request.param} does not work here")
    with Grader(2, Limits(cpu_seconds=5, wall_seconds=30), request.param) as grader:
        yield grader


@pytest.fixture(scope="module")
def best() -> Iterator[Grader]:
    with Grader(2, Limits(cpu_seconds=5, wall_seconds=30)) as grader:
        yield grader


def program(code: str, entry: str | None = None, prelude: str = "") -> ProgramTests:
    return ProgramTests("python", code, entry, prelude)


def left_over(since: set[int]) -> list[psutil.Process]:
    """Return the descendants that were not there before, once they had time to go."""
    until = time.monotonic() + 10
    while True:
        found = [
            one
            for one in psutil.Process().children(recursive=True)
            if one.pid not in since and one.status() != psutil.STATUS_ZOMBIE
        ]
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.05)


# --- verdicts --------------------------------------------------------------------------

ADD = program(
    "def check(f):\n    assert f(1, 2) == 3\n    assert f(2, 2) == 4\n\ncheck(add)", "add"
)


@pytest.mark.parametrize(
    ("code", "verdict", "word"),
    [
        ("def add(a, b): return a + b", "passed", ""),
        ("def add(a, b): return 3", "wrong answer", "assert f(2, 2) == 4; it returned 3"),
        ("def add(a, b): return None", "wrong answer", "it returned None"),
        ("def add(a, b): raise KeyError('x')", "exception", "KeyError: 'x'"),
        ("def add(a): return a", "exception", "TypeError"),
        ("def sub(a, b): return a", "exception", "NameError: name 'add' is not defined"),
        ("import nothing_like_it", "exception", "ModuleNotFoundError"),
        ("def add(a, b) return", "syntax error", "line 1"),
        ("", "no code", ""),
        (" \n\t\n", "no code", ""),
        ("def add(a, b): return add(a, b)", "exception", "RecursionError"),
        ("def add(a, b): return lambda: 3", "exception", "returned a function"),
    ],
)
def test_verdict_says_what_went_wrong(grader: Grader, code: str, verdict: str, word: str) -> None:
    outcome = grader.grade(code, ADD, "python")
    assert (outcome.verdict, outcome.tier) == (verdict, grader.tier)
    assert word in outcome.detail


def test_cpu_time_counts_and_waiting_does_not(grader: Grader) -> None:
    code = "import time\ndef add(a, b):\n    time.sleep(0.7)\n    return a + b"
    outcome = grader.grade(code, ADD, "python")
    assert outcome.passed and outcome.cpu_seconds < 0.5 and outcome.wall_seconds > 1.3


def test_passed_and_too_slow_is_too_slow() -> None:
    end = End(code=0, cpu=1.0, memory=1, started=True, over=True, failure="")
    told = Told({"passed": True}, end, end, answered=True, ended=True, late=False, wall=1.0)
    assert decide(told, Limits(cpu_seconds=1))[0] == "timeout (CPU)"


# --- what crosses ----------------------------------------------------------------------

ECHO = "def echo(x): return x"
SAME = """
import datetime, decimal, fractions, math
from collections import Counter, OrderedDict, defaultdict, deque
values = [
    None, True, False, 0, 1, -1, 2**63, -2**70, 10**4200, 0.1, -0.0, 1e308, float("inf"), 1+2j,
    "", "a", "\\u00e9\\u4e2d", "\\ud800", "\\ud83d\\ude00", "\\U0001f600", "\\0\\n", b"",
    b"\\x00\\xff",
    bytearray(b"x"), [], [1, [2, [3]]], (), (1,), ((1, 2), [3]), set(), {1, "a", (2, 3)},
    frozenset([1, frozenset([2])]), {}, {"a": 1, 2: [3], (4, 5): {"b": None}},
    range(0, 10, 3), range(2**70), deque([1, 2], 5), Counter("aab"), OrderedDict(a=1, b=2),
    defaultdict(list, a=[1]), decimal.Decimal("1.10"), fractions.Fraction(1, 3),
    datetime.date(2020, 2, 29), datetime.time(1, 2, 3, 4), datetime.timedelta(1, 2, 3),
    datetime.datetime(2020, 1, 2, 3, 4, 5, 6),
    datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc),
    [1, True, 1.0, "1"], list(range(10_000)), [[n, n + 1] for n in range(1000)],
]
for value in values:
    back = echo(value)
    assert type(back) is type(value), (type(back), type(value))
    assert back == value and repr(back) == repr(value), value
assert math.isnan(echo(float("nan"))) and math.copysign(1, echo(-0.0)) == -1
assert list(echo(iter([1, 2]))) == [1, 2] and echo(10**5000) == 10**5000
assert echo(len) is len and echo({"f": int})["f"] is int
shared = [1]
both = echo([shared, shared])
assert both[0] is both[1] is shared
loop = []
loop.append(loop)
assert echo(loop) is loop
"""


def test_values_come_back_as_they_went(grader: Grader) -> None:
    outcome = grader.grade(ECHO, program(SAME), "python")
    assert outcome.passed, outcome


MADE = """
def names(): return {"a": 1}.keys()
def pairs(): return {"a": 1}.items()
def counts(): return {"a": 1}.values()
def squares(n): return (k * k for k in range(n))
def endless():
    k = 0
    while True:
        yield k
        k += 1
def broken():
    yield 1
    raise ValueError("after one")
def zipped(): return zip([1, 2], "ab")
def match():
    import re
    return re.match("a", "ab")
class Point:
    def __init__(self, x): self.x = x
    def moved(self, by): return self.x + by
class Odd(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def odd(): return Odd(3)
def named():
    from collections import namedtuple
    return namedtuple("P", "x y")(1, 2)
"""
OF_MADE = """
import itertools
assert names() == {"a"} and list(names()) == ["a"]
assert pairs() == {("a", 1)} and list(counts()) == [1] == sorted(counts())
assert list(squares(4)) == [0, 1, 4, 9] and next(squares(2)) == 0
assert [*itertools.islice(endless(), 3)] == [0, 1, 2]
found = []
try:
    for one in broken(): found.append(one)
except ValueError as error:
    found.append(str(error))
assert found == [1, "after one"]
assert list(zipped()) == [(1, "a"), (2, "b")]
assert match()
point = Point(3)
assert point.x == 3 and point.moved(2) == 5 and point.moved(by=1) == 4
assert odd() == 3 and odd() != 4 and type(odd()) is int
assert named() == (1, 2)
"""


def test_what_candidates_return_is_plain_data(grader: Grader) -> None:
    outcome = grader.grade(MADE, program(OF_MADE), "python")
    assert outcome.passed, outcome


def test_arguments_are_changed_in_place(best: Grader) -> None:
    code = (
        "def sort(x): x.sort()\n"
        "def put(d): d['new'] = [1]; d['list'].append(2); d['set'].add(3)\n"
        "def same(x): x[0] = 9; return x\n"
        "def nested(m):\n    for row in m: row.reverse()\n"
        "def clear(x): x.clear()\n"
    )
    tests = program(
        "x = [3, 1, 2]\nsort(x)\nassert x == [1, 2, 3]\n"
        "d = {'list': [1], 'set': set()}\ninner = d['list']\nput(d)\n"
        "assert d == {'list': [1, 2], 'set': {3}, 'new': [1]} and d['list'] is inner\n"
        "y = [1]\nassert same(y) is y and y == [9]\n"
        "m = [[1, 2], [3, 4]]\nfirst = m[0]\nnested(m)\nassert m == [[2, 1], [4, 3]]\n"
        "assert m[0] is first\nclear(m)\nassert m == []\n"
    )
    outcome = best.grade(code, tests, "python")
    assert outcome.passed, outcome


def test_functions_of_the_tests_are_called_back(best: Grader) -> None:
    code = "def apply(f, xs, key=None): return sorted((f(x) for x in xs), key=key)"
    tests = program(
        "seen = []\ndef double(x):\n    seen.append(x)\n    return 2 * x\n"
        "assert apply(double, [2, 1]) == [2, 4] and seen == [2, 1]\n"
        "assert apply(lambda x: x, [1, 2], key=lambda x: -x) == [2, 1]\n"
        "assert apply(str, [1]) == ['1']\n"
        "def bad(x): raise KeyError(x)\n"
        "try:\n    apply(bad, [7])\n    assert False\nexcept KeyError as error:\n"
        "    assert error.args == (7,)\n"
    )
    outcome = best.grade(code, tests, "python")
    assert outcome.passed, outcome


def test_functions_that_are_called_back_may_call_the_program(best: Grader) -> None:
    code = "def g(x): return x + 1\ndef apply(h, x): return h(x)"
    tests = program(
        "assert apply(g, 1) == 2\nassert apply(lambda y: g(y) + g(y), 1) == 4\n"
        "assert apply(lambda y: apply(g, y), 1) == 2 == g(1)"
    )
    assert best.grade(code, tests, "python").passed
    assert not best.grade(code.replace("+ 1", "+ 2"), tests, "python").passed


HANDED_ON = program("assert far(make(1)) == 3\nassert far(make(2)) == 4")


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (
            "class make:\n    def __init__(self, x): self.x = x\ndef far(p): return p.x + 2",
            "passed",
        ),
        ("class make:\n    def __init__(self, x): pass\ndef far(p): return 3", "wrong answer"),
        ("def make(x): return lambda: 1\ndef far(p): return 3", "exception"),
        ("def make(x): return [object()]\ndef far(p): return 3", "exception"),
    ],
)
def test_what_the_program_returned_is_handed_on_to_it(
    best: Grader, made: str, verdict: str
) -> None:
    """What cannot be handed on is the program's fault, as the tests did not make it."""
    assert best.grade(made, HANDED_ON, "python").verdict == verdict


def test_data_takes_no_methods_place(best: Grader) -> None:
    prelude = (
        "class Box:\n    def __init__(self, v=0): self.v = v\n    def full(self): return self.v"
    )
    tests = program("assert f(1).full() and not f(0).full()", "f", prelude)
    assert best.grade("def f(x): return Box(x)", tests, "python").passed
    for lie in ("object", "list"):
        code = f"def f(x):\n    box = Box(0)\n    box.full = {lie}\n    return box"
        assert best.grade(code, tests, "python").verdict == "exception"


@pytest.mark.parametrize(
    ("raised", "caught"),
    [
        ("ValueError('a')", "ValueError"),
        ("ZeroDivisionError", "ArithmeticError"),
        ("UnicodeDecodeError('utf-8', b'', 0, 1, 'x')", "ValueError"),
        ("type('Own', (ValueError,), {})('a')", "Exception"),
        ("SystemExit(0)", "Exception"),
        ("GeneratorExit", "Exception"),
        ("StopIteration", "Exception"),
    ],
)
def test_exceptions_are_raised_in_the_tests(best: Grader, raised: str, caught: str) -> None:
    tests = program(
        f"caught = []\ntry:\n    f()\nexcept {caught} as error:\n    caught.append(type(error))\n"
        "assert caught and all(map(f, [])) and not isinstance(caught[0], SystemExit)"
    )
    code = f"def f(*a): raise {raised}"
    assert best.grade(code, tests, "python").passed


def test_candidate_that_ends_is_no_expected_exception(best: Grader) -> None:
    tests = program("try:\n    f()\nexcept BaseException:\n    pass\n")
    assert best.grade("def f(): raise ValueError", tests, "python").verdict == "passed"
    assert best.grade("import os\ndef f(): os._exit(1)", tests, "python").verdict == "exception"


def test_stop_iteration_does_not_end_a_loop_of_the_tests(best: Grader) -> None:
    tests = program("assert all(map(lambda pair: f(pair[0]) == pair[1], [(1, 2), (2, 3)]))")
    outcome = best.grade("def f(x): raise StopIteration", tests, "python")
    assert outcome.verdict == "exception"


# --- preludes and entry points ----------------------------------------------------------


def test_instances_of_the_preludes_classes_cross(best: Grader) -> None:
    tests = program(
        "def check(candidate):\n"
        "    assert values(candidate(list_node([1, 2, 3]))) == [3, 2, 1]\n"
        "    assert candidate(None) is None\n"
        "    long = list_node(range(20_000))\n"
        "    assert values(candidate(long)) == [*range(20_000)][::-1]\n"
        "check(candidate)\n",
        "Solution().reverse",
        LINKED,
    )
    solution = (
        "class Solution:\n    def reverse(self, head: ListNode):\n        last = None\n"
        "        while head:\n            head.next, last, head = last, head, head.next\n"
        "        return last\n"
    )
    assert best.grade(solution, tests, "python").passed
    own = "class ListNode:\n    def __init__(self, val=0, next=None):\n        self.val = val\n"
    own += "        self.next = next\n"
    copies = solution.replace("return last", "return last and ListNode(last.val, last.next)")
    assert best.grade(own + copies, tests, "python").passed
    wrong = best.grade(solution.replace("return last", "return head"), tests, "python")
    assert wrong.verdict == "wrong answer"


def test_entry_point_is_made_once(best: Grader) -> None:
    code = (
        "class Solution:\n    def __init__(self): self.calls = 0\n"
        "    def count(self):\n        self.calls += 1\n        return self.calls\n"
    )
    tests = program("assert [candidate(), candidate()] == [1, 2]", "Solution().count")
    assert best.grade(code, tests, "python").passed


def test_prelude_stands_on_both_sides(best: Grader) -> None:
    prelude = "def poly(xs, x): return sum(c * x**i for i, c in enumerate(xs))\n"
    tests = program("assert poly([1, 2], root([1, 2])) == 0", "root", prelude)
    code = "def root(xs):\n    return next(x for x in (0, -0.5) if poly(xs, x) == 0)"
    assert best.grade(code, tests, "python").passed


def test_candidate_cannot_define_a_builtin_of_the_tests(best: Grader) -> None:
    tests = program("assert set(f([1])) == set([2])\nassert sorted(f([1])) == [2]")
    code = "def set(x): return 1\ndef sorted(x): return [2]\ndef f(x): return x\n"
    assert best.grade(code, tests, "python").verdict == "wrong answer"


def test_function_named_like_a_builtin_is_tested(best: Grader) -> None:
    tests = program("assert sum(10, 15) == 6\nassert sum(100, 150) == 93")
    code = "import builtins\ndef sum(a, b):\n    return builtins.sum(n for n in range(1, a)"
    code += " if not a % n and not b % n)"
    assert best.grade(code, tests, "python").passed
    assert best.grade("def sum(a, b): return 6", tests, "python").verdict == "wrong answer"


def test_function_named_like_a_module_is_tested(best: Grader) -> None:
    tests = program("assert copy(2) == 2\nassert math.isclose(string(), 0.5)")
    code = "def copy(x): return x\ndef string(): return 0.5\n"
    assert best.grade(code, tests, "python").passed


def test_tests_that_call_nothing_are_no_pass(best: Grader) -> None:
    for code in ("def check(candidate):\n    assert candidate() == 1\n", "x = 1", "assert 1 == 2"):
        outcome = best.grade("def f(): return 1", program(code, "f"), "python")
        assert outcome.verdict == "sandbox failure" and outcome.passed is None


def test_broken_tests_blame_no_candidate(best: Grader) -> None:
    for tests in (program("assert f(", "f"), program("f()", "f", "import nothing_like_it")):
        outcome = best.grade("def f(): return 1", tests, "python")
        assert outcome.verdict == "sandbox failure", outcome
    outcome = best.grade("def f(x): return 1", program("f(object())", "f"), "python")
    assert outcome.verdict == "sandbox failure" and "cannot be sent" in outcome.detail


def test_tests_of_another_language_are_refused(best: Grader) -> None:
    with pytest.raises(BadInput, match="java cannot judge"):
        best.grade("def f(): pass", ProgramTests("java", "f();"), "python")
    with pytest.raises(BadInput, match="cobol"):
        best.grade("STOP RUN.", OutputTests(()), "cobol")


# --- calls and outputs ------------------------------------------------------------------

SCALE = CallTests(
    "scale",
    (("xs", "list[float]"), ("by", "int")),
    "list[float]",
    (Call(([1.0, 2.0], 3), [3.0, 6.0]), Call(([], 1), []), Call(([0.1], 3), [0.3], ([9.9],))),
)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("def scale(xs, by): return [x * by for x in xs]", "passed"),
        ("def scale(xs, by): return tuple(x * by for x in xs)", "passed"),
        ("def scale(xs, by): return [9.9] if xs == [0.1] else [x * by for x in xs]", "passed"),
        ("def scale(xs, by): return xs", "wrong answer"),
        ("def scale(xs, by): return [float('nan')] * len(xs)", "wrong answer"),
        ("def scale(xs, by): return [True for x in xs]", "wrong answer"),
        ("def scale(xs, by): return xs / by", "exception"),
        ("def scale(xs, by): xs[0] = float; return xs", "wrong answer"),
    ],
)
def test_calls_are_compared_with_tolerance(best: Grader, code: str, verdict: str) -> None:
    assert best.grade(code, SCALE, "python").verdict == verdict


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("print(int(input()) * 2)", "passed"),
        ("import sys\nif __name__ == '__main__':\n    print(int(sys.stdin.read()) * 2)", "passed"),
        ("print(int(input()) * 3)", "wrong answer"),
        ("print(1 / 0)", "exception"),
        ("print(", "syntax error"),
        (
            "import pickle\nclass N: pass\nassert pickle.loads(pickle.dumps(N()))\n"
            "print(int(input()) * 2)",
            "passed",
        ),
    ],
)
def test_programs_print(best: Grader, code: str, verdict: str) -> None:
    tests = OutputTests((Run("3\n", "6\n"), Run("-1", "-2")))
    assert best.grade(code, tests, "python").verdict == verdict


def test_installed_packages_are_those_of_the_list(best: Grader) -> None:
    tests = program("assert f([1, 2]) == [2, 4]\nassert f([]) == []")
    code = "import numpy as np\ndef f(x): return (np.array(x) * 2)\n"
    assert best.grade(code, tests, "python").passed
    code = "import psutil\ndef f(x): return [2 * y for y in x]\n"
    assert best.grade(code, tests, "python").verdict == "exception"


@pytest.mark.parametrize("tier", TIERS)
def test_packages_of_a_checkout_in_the_temporary_folder_are_found(
    tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child has a temporary folder of its own, which covers the one that the packages lie in."""
    if tier not in WORKING:
        pytest.skip(f"{tier} does not work here")
    place = tmp_path / "site" / "twice"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("from twice.part import double\n", encoding="utf-8")
    (place / "part.py").write_text("def double(x): return 2 * x\n", encoding="utf-8")
    (tmp_path / "site" / "answers.txt").write_text("42", encoding="utf-8")
    monkeypatch.setattr(warm, "packages", lambda: {"twice": str(place)})
    warm.readable.cache_clear()
    code = (
        "import os, twice\n"
        f"place = {str(place)!r}\n"
        "def f(x): return twice.double(x)\n"
        "def g():\n"
        "    could = []\n"
        "    for path, mode in ((place + '/part.py', 'w'), (place + '/new', 'w'),"
        " (place + '/../answers.txt', 'r')):\n"
        "        try: open(path, mode)\n"
        "        except OSError: continue\n"
        "        could.append(path)\n"
        "    return could\n"
    )
    try:
        with Grader(1, Limits(cpu_seconds=5, wall_seconds=30), tier) as grader:
            outcome = grader.grade(code, program("assert f(21) == 42 and g() == []"), "python")
    finally:
        warm.readable.cache_clear()
    assert outcome.passed, outcome


def test_same_program_gives_the_same_answer(best: Grader) -> None:
    code = "import random\ndef f(): return [list({'a', 'b', 'c', 'd'}), random.random()]"
    details = {best.grade(code, program("assert f() is None"), "python").detail for _ in range(6)}
    assert len(details) == 1


@pytest.mark.parametrize("returned", ["(n for n in [1])", "object()", "Own()"])
def test_no_address_is_in_what_is_told(best: Grader, returned: str) -> None:
    code = f"class Own: pass\ndef f(): return {returned}"
    assert " at 0x" not in best.grade(code, program("assert f() is None"), "python").detail


# --- the pool ----------------------------------------------------------------------------

RIGHT = "def add(a, b): return a + b"
SLEEPS = "import time\ndef add(a, b): time.sleep(1000)"


# What one program does, and how the next one would find it.
TRACES = (
    ("import builtins; builtins.left = 1", "left"),
    ("import sys; sys.modules['left'] = sys", "__import__('left')"),
    ("import os; os.environ['TRACE'] = '1'", "os.environ['TRACE']"),
    ("import os; os.umask(0o123)", "os.umask(0) == 0o123 or 1 / 0"),
    ("import os; open(os.environ['TMPDIR'] + '/trace', 'w').close()", "open(TRACE)"),
    ("import os; os.symlink('/', os.environ['TMPDIR'] + '/trace')", "os.stat(TRACE)"),
    ("import json; json.dumps = None", "json.dumps is None or 1 / 0"),
    ("import sys; sys.setrecursionlimit(77)", "sys.getrecursionlimit() == 77 or 1 / 0"),
    ("import signal; signal.signal(15, signal.SIG_IGN)", "signal.getsignal(15) == 1 or 1 / 0"),
    ("import resource; resource.setrlimit(7, (60, 60))", "resource.getrlimit(7)[1] == 60 or 1 / 0"),
    ("import random; random.seed(5)", "random.random() == 0.6229016948897019 or 1 / 0"),
    ("import ctypes; ctypes.memset(id(3) + 24, 4, 1)", "str(1 + 2) != '3' or 1 / 0"),
)
FINDS = """
import json, os, random, resource, signal, sys
TRACE = os.environ["TMPDIR"] + "/trace"
def add(a, b):
    for line in {lines!r}:
        try:
            eval(line)
        except Exception:
            continue
        return line
    return a + b
"""


@pytest.mark.parametrize("name", TIERS)
def test_no_program_finds_traces_of_another(name: str) -> None:
    if name not in WORKING:
        pytest.skip(f"{name} does not work here")
    finds = FINDS.format(lines=[line for _, line in TRACES])
    with Grader(1, tier=name) as grader:
        for leaves, _ in TRACES:
            grader.grade(leaves + "\ndef add(a, b): return a + b", ADD, "python")
        outcome = grader.grade(finds, ADD, "python")
    assert outcome.passed, outcome


def test_programs_run_at_once() -> None:
    code = "import time\ndef add(a, b):\n    time.sleep(0.5)\n    return a + b"
    with Grader(4) as grader, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: grader.grade(RIGHT, ADD, "python"), range(4)))
        begun = time.monotonic()
        outcomes = list(pool.map(lambda _: grader.grade(code, ADD, "python"), range(4)))
    assert all(one.passed for one in outcomes)
    assert time.monotonic() - begun < 3.5  # one after the other takes four


def kill_if_warm(process: psutil.Process, not_these: set[int]) -> None:
    """Kill a process if it is the warm parent of a grader's programs, or what that runs in."""
    with suppress(psutil.Error):
        if process.pid not in not_these and "json.loads(control" in " ".join(process.cmdline()):
            process.kill()


def test_killed_processes_are_replaced(best: Grader) -> None:
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    with Grader(1) as grader:
        assert grader.grade(RIGHT, ADD, "python").passed
        for one in psutil.Process().children(recursive=True):
            kill_if_warm(one, before)
        assert grader.grade(RIGHT, ADD, "python").passed
    assert not left_over(before)


def test_processes_killed_under_a_program_are_a_sandbox_failure_at_last() -> None:
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    done = threading.Event()

    def murder() -> None:
        while not done.wait(0.2):
            for one in psutil.Process().children(recursive=True):
                kill_if_warm(one, before)

    murderer = threading.Thread(target=murder)
    with Grader(1, Limits(wall_seconds=20)) as grader:
        murderer.start()
        try:
            outcome = grader.grade(SLEEPS, ADD, "python")
        finally:
            done.set()
            murderer.join()
        assert outcome.verdict == "sandbox failure" and outcome.passed is None
        assert grader.grade(RIGHT, ADD, "python").passed
    assert not left_over(before)


def test_cancelled_thread_stops_within_two_seconds(best: Grader) -> None:
    event, ended = threading.Event(), []

    def work() -> None:
        with cancelled_by(event):
            try:
                best.grade(SLEEPS, ADD, "python")
            except Cancelled:
                ended.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    begun = time.monotonic()
    event.set()
    thread.join(10)
    assert ended and ended[0] - begun < 2
    assert best.grade(RIGHT, ADD, "python").passed


def test_nothing_is_left_of_a_closed_grader(tmp_path: Path) -> None:
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    grader = Grader(2)
    assert grader.grade(RIGHT, ADD, "python").passed
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(grader.grade, SLEEPS, ADD, "python")
        time.sleep(0.5)
        begun = time.monotonic()
        grader.close()
        with pytest.raises(Cancelled):
            running.result()
        assert time.monotonic() - begun < 2
    grader.close()
    with pytest.raises(Cancelled):
        grader.grade(RIGHT, ADD, "python")
    assert not left_over(before)


def test_no_process_outlives_a_killed_workbench() -> None:
    script = (
        "import sys, time\nfrom workbench.sandbox import Grader\n"
        "from workbench.types import ProgramTests\n"
        "g = Grader(1)\n"
        "g.grade('def f(): return 1', ProgramTests('python', 'assert f() == 1', 'f'), 'python')\n"
        "import psutil\n"
        "print(*[c.pid for c in psutil.Process().children(recursive=True)], flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        pids = [int(word) for word in child.stdout.readline().split()]
        child.kill()
    assert len(pids) >= 2
    until = time.monotonic() + 10
    while (alive := [pid for pid in pids if psutil.pid_exists(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [pid for pid in alive if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def test_without_a_sandbox_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_SANDBOX_FAULT", "all")
    with pytest.raises(NoSandbox, match="nothing was run"):
        Grader(1)


# --- what is looked into outside of any sandbox ---------------------------------------------

ENDLESS = {
    "cpp": ("&" * 100_000, "x add(" * 15_000, "x" + " " * 100_000, "x add()" * 14_000),
    "javascript": ("\n" * 100_000, "add(" * 25_000, "const " * 16_000, "async" + " " * 100_000),
    "go": ("func (" * 16_000, "func" + " " * 100_000, "func ()" * 14_000),
    "php": ("function" + " " * 100_000, "function &" * 10_000),
}


@pytest.mark.parametrize("language", ENDLESS)
def test_no_text_takes_longer_than_its_length(language: str) -> None:
    """A pattern that starts anew at each character took minutes, outside of any limit."""
    assert not any(defines(text, "add", language) for text in ENDLESS[language])


def test_no_text_kills_what_assembles_it() -> None:
    """CPython's compiler overflows its stack on 50,000 "for": in a process that may die of it."""
    code = (
        "from workbench.sandbox.assembling import assemble, complete\n"
        "from workbench.types import *\n"
        "tests = ProgramTests('python', 'f()', 'f')\n"
        "reference = Reference(tests=tests, prefix='x = 1')\n"
        "example = Example(Question('a', 'generate', 'f'), reference)\n"
        "text = 'x = [a ' + 'for a in a ' * 50_000 + ']'\n"
        "assert assemble(text, example) == text and complete(text, example).endswith(text)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- references ----------------------------------------------------------------------------


def sample(path: str, count: int) -> list[dict]:
    if DATA is None or not (file := Path(DATA, path)).is_file():
        pytest.skip(f"WORKBENCH_DATA has no {path}")
    raw = file.read_bytes()
    text = (gzip.decompress(raw) if path.endswith(".gz") else raw).decode()
    rows = json.loads(text) if path.endswith(".json") else list(map(json.loads, text.splitlines()))
    return rows[:: max(1, len(rows) // count)]


def failures(grader: Grader, graded: list[tuple[str, str, ProgramTests]]) -> list[Outcome]:
    with ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(lambda one: (one[0], grader.grade(one[1], one[2], "python")), graded)
        return [outcome for outcome in outcomes if not outcome[1].passed]


def test_references_of_mbpp_pass(best: Grader) -> None:
    rows = sample("mbpp-sanitized/sanitized-mbpp.json", 30)
    graded = [
        (row["task_id"], row["code"], program("\n".join(row["test_imports"] + row["test_list"])))
        for row in rows
    ]
    assert not failures(best, graded)


def test_references_of_leetcode_pass(best: Grader) -> None:
    rows = sample("leetcode/LeetCodeDataset-v0.3.1-test.jsonl.gz", 8)
    graded = [
        (
            row["task_id"],
            row["completion"],
            program(row["test"] + "\n\ncheck(candidate)", row["entry_point"], row["prompt"]),
        )
        for row in rows
    ]
    assert not failures(best, graded)
