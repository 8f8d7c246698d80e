"""The process that runs a Python candidate: it reads calls and writes what comes of them.

It stands alone (with ``python_wire``), as it runs inside the sandbox. Nothing in this process is
trusted: it knows neither tests nor expected values, and whatever a candidate does to it, the most
that comes of it is another answer.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from typing import Any

from workbench.sandbox import python_wire as wire

READ, WRITE = 3, 4
NAME = "candidate"


def serve(job: dict[str, Any], read: int = READ, write: int = WRITE) -> None:
    """Load the candidate of a job, say how that went, and answer calls until there are no more.

    The job has ``prelude`` and ``code`` (sources), ``entry`` (an expression, or None) and
    ``classes`` (names of the prelude's classes).
    """
    space = new_module(NAME)
    classes: dict[str, type] = {}
    try:
        exec(compile(job["prelude"], "<prelude>", "exec", dont_inherit=True), space)
        classes.update(_classes(space, job["classes"]))
    except BaseException as error:
        _say(write, {"stage": "prelude", **wire.describe(error)})
        return
    hello = load(job["code"], space)
    # A candidate that brings its own ListNode means that one.
    classes.update(_classes(space, job["classes"]))
    _say(write, hello)
    if "raise" not in hello:
        Server(space, job.get("entry"), classes, read, write).run()


def load(code: str, space: dict[str, Any]) -> dict[str, Any]:
    """Run a program in a namespace; return what is to be said of it."""
    try:
        compiled = compile(code, "<candidate>", "exec", dont_inherit=True)
    except (MemoryError, RecursionError) as error:
        return {"stage": "load", **wire.describe(error)}
    except BaseException as error:  # ValueError: null bytes; SyntaxError; OverflowError
        line = getattr(error, "lineno", None)
        where = f" (line {line})" if line else ""
        message = f"{getattr(error, 'msg', None) or error}{where}"
        return {"stage": "syntax", "raise": type(error).__name__, "message": message}
    try:
        exec(compiled, space)
    except BaseException as error:
        return {"stage": "load", **wire.describe(error)}
    return {"ready": True}


def new_module(name: str) -> dict[str, Any]:
    """Return the namespace of a new module that ``sys.modules`` knows, as dataclasses need it."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module.__dict__


def _classes(space: dict[str, Any], names: list[str]) -> dict[str, type]:
    return {name: space[name] for name in names if isinstance(space.get(name), type)}


def _say(descriptor: int, message: dict[str, Any]) -> None:
    wire.write_frame(descriptor, wire.pack(lambda _: message))


class Server:
    """Answers calls of one program's functions."""

    def __init__(
        self, space: dict[str, Any], entry: str | None, classes: dict[str, type], *pipes: int
    ) -> None:
        self._space = space
        self._entry = entry
        self._classes = classes
        self._read, self._write = pipes
        self._targets: dict[str, Any] = {}
        self._handles: list[Any] = []

    def run(self) -> None:
        """Answer until the end of the calls."""
        while (frame := wire.read_frame(self._read)) is not None:
            self.answer(wire.unpack(frame))

    def answer(self, request: dict[str, Any]) -> None:
        """Answer one call."""
        nodes = request["nodes"]
        objects = wire.decode(nodes, self._classes, (), self._caller, self._handles)
        args = wire.values_of(request["args"], objects)
        kwargs = {
            name: wire.value_of(item, objects) for name, item in request.get("kwargs", {}).items()
        }
        try:
            target = self._target(request)
            if request.get("get") and callable(target):
                _say(self._write, {"method": request["call"], "of": request["handle"]})
                return
            result = target if request.get("get") else target(*args, **kwargs)
            is_made = isinstance(target, type) and type(result) is target and not _plain(target)
        except BaseException as error:
            _say(self._write, wire.describe(error))
            return
        if is_made:
            self._handles.append(result)
            _say(self._write, {"handle": len(self._handles) - 1})
            return
        wire.write_frame(self._write, self._answer_of(result, objects, nodes))

    def _answer_of(self, result: object, objects: list[Any], nodes: list[wire.Node]) -> bytes:
        """Return the answer, or what is to be said where the result is no data."""
        try:
            try:
                return self._told(result, objects, nodes)
            except wire.CannotSend:  # of what it left in its arguments, perhaps
                return self._told(result, objects, [])
        except wire.CannotSend as error:
            return _odd(error.kind, result)
        except BaseException as error:
            told = wire.describe(error)
            return wire.pack(lambda _: told)

    def _told(self, result: object, objects: list[Any], nodes: list[wire.Node]) -> bytes:
        """Return the answer: the result, and what the arguments have become."""
        read: dict[int, tuple[list[Any], Any]] = {}

        def message(careful: bool) -> dict[str, Any]:
            encoder = wire.Encoder(self._classes, objects, read=read, careful=careful)
            item = encoder.encode(result)
            changed = {}
            for number, node in enumerate(nodes):
                if node[0] in wire.MUTABLE:
                    now = encoder.node(objects[number])
                    if not _same(now, node):
                        changed[number] = now
            encoder.encode(None)  # what the arguments hold now, and did not before
            return {"value": item, "nodes": encoder.nodes, "changed": changed}

        return wire.pack(message)

    def _target(self, request: dict[str, Any]) -> Callable[..., Any]:
        """Return what is called: the entry point, a global name, or a handle's attribute."""
        name = request["call"]
        if "handle" in request:
            return getattr(self._handles[request["handle"]], name)  # type: ignore[no-any-return]
        if name in self._targets:
            return self._targets[name]  # type: ignore[no-any-return]
        if name == self._entry:
            target = eval(compile(name, "<entry point>", "eval", dont_inherit=True), self._space)
        elif name in self._space:
            target = self._space[name]
        else:
            raise NameError(f"name {name!r} is not defined")
        self._targets[name] = target
        return target  # type: ignore[no-any-return]

    def _caller(self, number: int) -> Callable[..., Any]:
        """Return a function that calls one back that the tests handed over."""

        def call_back(*args: Any, **kwargs: Any) -> Any:
            def message(careful: bool) -> dict[str, Any]:
                encoder = wire.Encoder(self._classes, careful=careful)
                items = [encoder.item(one) for one in args]
                named = {name: encoder.item(one) for name, one in kwargs.items()}
                encoder.encode(None)
                return {"back": number, "args": items, "kwargs": named, "nodes": encoder.nodes}

            wire.write_frame(self._write, wire.pack(message))
            while "call" in (reply := self._reply()):  # what is called back may call us
                self.answer(reply)
            if "raise" in reply:
                raise wire.rebuilt(reply)
            objects = wire.decode(reply["nodes"], self._classes, handles=self._handles)
            return wire.value_of(reply["value"], objects)

        return call_back

    def _reply(self) -> dict[str, Any]:
        frame = wire.read_frame(self._read)
        if frame is None:
            os._exit(0)
        return wire.unpack(frame)


def _odd(kind: str, result: object) -> bytes:
    """Return the answer for what is no data."""
    try:
        told = {"odd": kind, "true": bool(result)}
    except BaseException as error:
        told = wire.describe(error)
    return wire.pack(lambda _: told)


def _plain(kind: type) -> bool:
    """Say whether instances of a class are sent as data."""
    return any(one in wire.PLAIN_TYPES for one in kind.__mro__)


def _same(now: wire.Node, before: wire.Node) -> bool:
    """Say whether a node is unchanged: 1, 1.0 and True are three things, and NaN is itself."""
    return repr(now) == repr(before)
