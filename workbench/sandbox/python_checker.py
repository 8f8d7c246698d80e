"""The process that runs Python tests, in which the function under test is a stub.

It stands alone (with ``python_wire``), as it also runs inside a sandbox, though another one than
the candidate's. The verdict is written by this process only, on a descriptor that no candidate
ever has. Whatever cannot be trusted any more (a candidate that is gone, an answer that is no
answer) ends this process at once, so that no ``except`` of a test can take it for an error that
the test expected.
"""

from __future__ import annotations

import ast
import builtins
import os
import re
import reprlib
import symtable
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

from workbench.sandbox import python_wire as wire
from workbench.sandbox.python_server import new_module
from workbench.sandbox.values import equal, to_wire

READ, WRITE, VERDICT = 3, 4, 5
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{6,}")
RECURSION = 10_000
"""The tests' own recursion limit: LeetCode's compare linked lists node by node."""


def check(job: dict[str, Any], read: int = READ, write: int = WRITE, say: int = VERDICT) -> None:
    """Run the tests of a job against the candidate at the other end, and say how it went.

    The job has ``prelude`` and ``code`` (sources), ``entry`` (an expression, or None),
    ``classes`` (names of the prelude's classes) and ``output`` (bytes that one answer may have).
    """
    sys.setrecursionlimit(RECURSION)
    verdict = Verdict(say)
    space = new_module("tests")
    try:
        exec(compile(job["prelude"], "<prelude>", "exec", dont_inherit=True), space)
        compiled = compile(job["code"], "<tests>", "exec", dont_inherit=True)
    except BaseException as error:
        verdict.unjudged(f"the tests cannot be run: {_line(error)}")
    classes = {name: space[name] for name in job["classes"] if isinstance(space.get(name), type)}
    link = Link(read, write, classes, job["output"], verdict)
    link.greet()
    bind(space, job["code"], job.get("entry"), link)
    try:
        if "calls" in job:
            run_calls(job, space["candidate"])
        exec(compiled, space)
    except BaseException as error:
        judge(error, job["code"], link)
    if not link.calls:
        verdict.unjudged("the tests never called the program")
    verdict.say(passed=True)


def run_calls(job: dict[str, Any], candidate: Callable[..., Any]) -> None:
    """Make the calls of a job, and compare what they return.

    ``calls`` are lists of arguments and of the right values, ``parameters`` and ``returns`` types,
    ``tolerance`` that of floats.

    Raises:
        AssertionError: a value is not the one expected.
    """
    for args, right in job["calls"]:
        sent = [
            _plain(to_wire(one, kind)) for one, kind in zip(args, job["parameters"], strict=True)
        ]
        value = _plain(candidate(*sent))
        if not any(equal(value, one, job["returns"], job["tolerance"]) for one in right):
            raise AssertionError(f"on {_short(args)} expected {_short(right[0])}")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, but with floats that are not finite."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        if value.keys() == {"$float"}:
            return float(value["$float"])
        return {key: _plain(one) for key, one in value.items()}
    return value


def judge(error: BaseException, code: str, link: Link) -> NoReturn:
    """Say what an exception that ended the tests means."""
    if isinstance(error, CannotSendArguments):
        link.verdict.unjudged(str(error))
    if error is link.raised:
        kind = "out of memory" if isinstance(error, MemoryError) else "exception"
        link.verdict.failed(kind, _line(error), _failing(error, code))
    if not link.calls:
        link.verdict.unjudged(f"the tests failed before they called the program: {_line(error)}")
    place = _failing(error, code)
    if not isinstance(error, AssertionError):
        place = f"{_line(error)} in: {place}"
    elif message := _clean(_text(error), 160):
        place = f"{place} ({message})" if place else message
    link.verdict.failed("wrong answer", place, f"it returned {_short(link.last)}")


class CannotSendArguments(Exception):
    """The tests call the program with something that cannot be sent to it."""


class Verdict:
    """The only way out of this process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def answered(self, is_so: bool) -> None:
        """Say whether from here on it may be what the program said that ends this process."""
        wire.write_frame(self._descriptor, wire.pack(lambda _: {"answered": is_so}))

    def say(self, **what: Any) -> NoReturn:
        """Write the verdict, and end."""
        wire.write_frame(self._descriptor, wire.pack(lambda _: what))
        os._exit(0)

    def failed(self, kind: str, *words: str) -> NoReturn:
        """Say that the program is wrong, and why."""
        self.say(failed=kind, message=_clean("; ".join(word for word in words if word)))

    def unjudged(self, why: str) -> NoReturn:
        """Say that it is not the program which is wrong."""
        self.failed("sandbox failure", why)


class Link:
    """The wire to the candidate. ``calls`` counts answers, ``last`` is the latest."""

    def __init__(
        self, read: int, write: int, classes: wire.Classes, limit: int, verdict: Verdict
    ) -> None:
        self._read, self._write = read, write
        self._classes = classes
        self._limit = limit
        self.verdict = verdict
        self.calls = 0
        self.last: object = None
        self.raised: BaseException | None = None
        self._digests = False

    def greet(self) -> None:
        """Wait until the candidate is loaded; end where it cannot be."""
        hello = self.receive()
        if "raise" in hello:
            kind = "syntax error" if hello.get("stage") == "syntax" else "exception"
            if hello["raise"] == "MemoryError":
                kind = "out of memory"
            words = [hello["raise"], hello.get("message", "")]
            self.verdict.failed(kind, ": ".join(one for one in words if isinstance(one, str)))
        self._digest(False)

    def _digest(self, is_so: bool) -> None:
        if is_so != self._digests:
            self._digests = is_so
            self.verdict.answered(is_so)

    def receive(self) -> dict[str, Any]:
        """Return the candidate's next message; end where there is none."""
        try:
            frame = wire.read_frame(self._read, self._limit)
        except OverflowError as error:
            self.verdict.failed("killed", f"an answer of {error} is over the limit")
        if frame is None:
            self.verdict.failed("gone")
        self._digest(True)
        try:
            return wire.unpack(frame)
        except (ValueError, RecursionError):
            self.verdict.failed("exception", "what it answered is no answer")

    def send(self, text: bytes) -> None:
        """Send a message; end where nobody reads it."""
        try:
            wire.write_frame(self._write, text)
        except OSError:
            self.verdict.failed("gone")

    def call(self, call: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the candidate; return what it returns, or raise what it raised."""
        functions: list[Callable[..., Any]] = []
        nodes: list[wire.Node] = []
        objects: list[Any] = []
        read: dict[int, tuple[list[Any], Any]] = {}

        def request(careful: bool) -> dict[str, Any]:
            functions.clear()
            encoder = Encoder(self._classes, functions=functions, read=read, careful=careful)
            items = [encoder.item(one) for one in args]
            named = {name: encoder.item(one) for name, one in kwargs.items()}
            encoder.encode(None)
            objects[:], nodes[:] = encoder.objects, encoder.nodes
            return {**call, "args": items, "kwargs": named, "nodes": nodes}

        try:
            text = wire.pack(request)
        except wire.CandidateError as error:
            self.raised = error
            raise
        except wire.CannotSend as error:
            raise CannotSendArguments(f"the tests pass a {error}, which cannot be sent") from None
        self.send(text)
        while "back" in (reply := self.receive()):
            self._call_back(reply, functions)
        self.calls += 1
        try:
            self.last = self._result(reply, objects, nodes)
        except Exception as error:
            self.verdict.failed("exception", f"what it answered is no answer: {_line(error)}")
        if self.raised is not None:
            raise self.raised
        return self.last

    def _result(self, reply: dict[str, Any], objects: list[Any], sent: list[wire.Node]) -> Any:
        """Return the value of an answer; change the arguments as the candidate changed its own."""
        self.raised = None
        if "raise" in reply:
            self.raised = wire.rebuilt(reply)
            return None
        if "odd" in reply:
            return Opaque(self, str(reply["odd"]), reply["true"] is True)
        if "handle" in reply:
            return Remote(self, int(reply["handle"]))
        if "method" in reply:
            return Stub(self, {"call": str(reply["method"]), "handle": int(reply["of"])})
        changed = {int(number): node for number, node in reply["changed"].items()}
        for number, node in changed.items():
            if number < 0 or node[0] != sent[number][0] or node[0] not in wire.MUTABLE:
                raise ValueError("an argument became another kind of thing")
        known = wire.decode(reply["nodes"], self._classes, objects)
        for number, node in changed.items():
            wire.fill(known[number], node, known)
        return wire.value_of(reply["value"], known)

    def _call_back(self, reply: dict[str, Any], functions: list[Callable[..., Any]]) -> None:
        """Call a function of the tests for the candidate."""
        try:
            function = functions[reply["back"]]
            objects = wire.decode(reply["nodes"], self._classes)
            args = wire.values_of(reply["args"], objects)
            named = {name: wire.value_of(item, objects) for name, item in reply["kwargs"].items()}
        except Exception as error:
            self.verdict.failed("exception", f"what it answered is no answer: {_line(error)}")
        try:
            value = function(*args, **named)

            def message(careful: bool) -> dict[str, Any]:
                encoder = Encoder(self._classes, careful=careful)
                return {"value": encoder.encode(value), "nodes": encoder.nodes}

            text = wire.pack(message)
        except Exception as error:
            told = wire.describe(error)
            text = wire.pack(lambda _: told)
        self.send(text)


class Stub:
    """The function under test, as its tests see it."""

    def __init__(self, link: Link, call: dict[str, Any]) -> None:
        self._link = link
        self._call = call
        self.__name__ = self.__qualname__ = call["call"]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the candidate."""
        return self._link.call(self._call, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        """Refuse to look into the candidate."""
        raise AttributeError(f"the program's {self._call['call']} is only called, not looked into")


class Encoder(wire.Encoder):
    """Turns what the tests hand over into items and nodes; some of it came from the program."""

    def node(self, value: object) -> wire.Node:
        """Return the node of one value.

        Raises:
            CandidateError: the program returned it, and it is no data.
            CannotSend: the tests made it, and it is no data.
        """
        if type(value) is Remote:
            return ["handle", value._handle]
        if type(value) is Opaque:
            raise wire.CandidateError(f"it returned a {value.kind}, which cannot be handed on")
        return super().node(value)


class Opaque:
    """What was returned and is no data, as a match of ``re``: it is true or false, and no more."""

    def __init__(self, link: Link, kind: str, is_true: bool) -> None:
        self._link = link
        self.kind = kind
        self._is_true = is_true

    def __bool__(self) -> bool:
        """Say what it was over there."""
        return self._is_true

    def __eq__(self, other: object) -> bool:
        """Refuse to be compared."""
        words = f"it returned a {self.kind}, which cannot be compared"
        self._link.raised = wire.CandidateError(words)
        raise self._link.raised

    __hash__ = None  # type: ignore[assignment]


class Remote:
    """An instance of a candidate's class: its methods are called over there."""

    def __init__(self, link: Link, handle: int) -> None:
        self._link = link
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        """Return a stub of a method, or the value of an attribute."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self._link.call({"call": name, "handle": self._handle, "get": True}, (), {})


def bind(space: dict[str, Any], code: str, entry: str | None, link: Link) -> None:
    """Put stubs for the candidate's functions into the namespace of the tests."""
    if entry is not None:
        space["candidate"] = Stub(link, {"call": entry})
        if entry.isidentifier():
            space[entry] = space["candidate"]
        return
    called = called_names(code)
    for name in free_names(code, space, called):
        # MBPP's 596 relies on an import of the solution.
        if name in sys.stdlib_module_names and name not in called:
            space[name] = __import__(name)
        else:
            space[name] = Stub(link, {"call": name})


def called_names(code: str) -> set[str]:
    """Return the names that tests call as functions."""
    return {
        node.func.id
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def free_names(code: str, space: dict[str, Any], called: set[str]) -> list[str]:
    """Return the global names that tests read and that neither they nor ``space`` define.

    A built-in is never the candidate's, or it could define a ``set`` or ``sorted`` that makes any
    comparison true: unless it is the only name that the tests call (MBPP's 126 tests ``sum``).
    """
    top = symtable.symtable(code, "<tests>", "exec")
    made = {one.get_name() for one in top.get_symbols() if one.is_assigned() or one.is_imported()}
    read, tables = set(), [top]
    while tables:
        table = tables.pop()
        tables.extend(table.get_children())
        for one in table.get_symbols():
            if one.is_referenced() and (table is top or one.is_global()):
                read.add(one.get_name())
    unknown = sorted(read - made - space.keys())
    free = [name for name in unknown if not hasattr(builtins, name)]
    if not free and len(called) == 1 and called <= set(unknown):
        return [*called]
    return free


# --- words -----------------------------------------------------------------------------


def _failing(error: BaseException, code: str) -> str:
    """Return the statement of the tests that did not come to its end, as one line."""
    line = _last_line(error.__traceback__)
    if line is None:
        return ""
    best: ast.stmt | None = None
    for node in ast.walk(ast.parse(code)):
        if (
            isinstance(node, (ast.Assert, ast.Expr, ast.Assign, ast.Return))
            and node.lineno <= line <= (node.end_lineno or line)
            and (best is None or node.lineno >= best.lineno)
        ):
            best = node
    text = ast.get_source_segment(code, best) if best is not None else None
    return _clean(text or code.splitlines()[line - 1], 160)


def _last_line(traceback: TracebackType | None) -> int | None:
    """Return the line of the innermost frame that is the tests' own."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<tests>":
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _line(error: BaseException) -> str:
    """Name an exception with its message."""
    if isinstance(error, (wire.CandidateError, CannotSendArguments)):
        return _clean(_text(error))
    return _clean(f"{type(error).__name__}: {_text(error)}")


def _text(error: BaseException) -> str:
    """Return the message of an exception, "" where what the program said has none."""
    try:
        return str(error)
    except Exception:
        return ""


def _short(value: object) -> str:
    """Return a short repr."""
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = 80
    shortener.maxlist = shortener.maxtuple = shortener.maxset = shortener.maxdict = 12
    try:
        return shortener.repr(value)
    except Exception:
        return f"a {type(value).__name__}"


def _clean(text: str, length: int = 300) -> str:
    """Return a text as one line of bounded length, which is the same in every run."""
    text = _ADDRESS.sub("", text[: 4 * length]).encode("utf-8", "replace").decode()
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."
