"""How Python values cross between a candidate and its tests: plain data, and nothing else.

It stands alone, as it also runs inside the sandbox, where the workbench is not.

A message's values are a table of *nodes*, so that cycles, sharing and lists of 100,000 linked
nodes need no recursion. An *item* is a JSON scalar, which is itself, or ``[number]``, a node. A
node is ``[tag, ...]``. Both ends number the nodes of a request alike, so an answer can name the
arguments that it was given and say how they were changed (``changed``).

What is decoded is made of exact built-in types, of classes of the standard library with rules of
their own, and of instances of the classes that both sides know by name. A subclass is sent as what
it is a subclass of, by that type's own methods: nothing that a program defines comes through.
"""

from __future__ import annotations

import builtins
import itertools
import json
import os
import struct
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

Item = Any
Node = list[Any]
Classes = Mapping[str, type]

HEADER = struct.Struct(">I")
DIGITS = 4300
"""Decimal digits of an int that JSON may hold: CPython's own default limit."""
INLINE = frozenset({type(None), bool, int, float, str})
MATERIALISED = 100_000
"""Items of a generator that are sent; one that goes on after them ends with an error."""
MUTABLE = frozenset(
    ("list", "dict", "OrderedDict", "Counter", "defaultdict", "set", "deque", "object")
)
_MISSING = object()


class CannotSend(TypeError):
    """A value that is not plain data."""

    def __init__(self, kind: type) -> None:
        self.kind = type.__dict__["__name__"].__get__(kind)
        super().__init__(self.kind)


class TooManyItems(Exception):
    """An iterator went on after the items that were sent of it."""


# --- frames ----------------------------------------------------------------------------


def write_frame(descriptor: int, text: bytes) -> None:
    """Write one frame: four bytes of length, big-endian, and the text.

    Raises:
        OSError: nobody reads any more.
    """
    view = memoryview(HEADER.pack(len(text)) + text)
    while view:
        view = view[os.write(descriptor, view) :]


def read_frame(descriptor: int, limit: int = 1 << 32) -> bytes | None:
    """Return the next frame; None at the end.

    Raises:
        OverflowError: it says that it is longer than ``limit`` bytes.
    """
    header = _read(descriptor, HEADER.size)
    if header is None:
        return None
    (length,) = HEADER.unpack(header)
    if length > limit:
        raise OverflowError(f"{length} bytes")
    return _read(descriptor, length)


def _read(descriptor: int, length: int) -> bytes | None:
    """Return exactly so many bytes, None where they end before."""
    parts = []
    while length:
        part = os.read(descriptor, min(length, 1 << 20))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


# --- values to nodes -------------------------------------------------------------------


class Encoder:
    """Turns values into items and nodes.

    ``known`` are the objects of the nodes that the other side has already, in their order.
    ``classes`` are the classes that both sides know. ``functions`` collects the functions that were
    sent, which the other side may call back; None refuses them. ``read`` keeps what was read out of
    iterators, for another Encoder of the same values. ``careful`` keeps long ints and lone
    surrogates out of the JSON.
    """

    def __init__(
        self,
        classes: Classes,
        known: Iterable[object] = (),
        functions: list[Callable[..., Any]] | None = None,
        read: dict[int, tuple[list[Any], Any]] | None = None,
        careful: bool = False,
    ) -> None:
        self._read = {} if read is None else read
        self.objects = list(known)
        self.nodes: list[Node] = []
        # An iterator is not known: that of the other side has been read to its end.
        self._numbers = {
            id(one): number
            for number, one in enumerate(self.objects)
            if type(one) not in INLINE and not hasattr(type(one), "__next__")
        }
        self._offset = len(self.objects)
        self._classes = classes
        self._functions = functions
        self._careful = careful

    def encode(self, value: object) -> Item:
        """Return the item of a value; the nodes that it needs are added to ``nodes``.

        Raises:
            CannotSend: it is, or contains, something that is not plain data.
        """
        item = self.item(value)
        while self._offset + len(self.nodes) < len(self.objects):
            self.nodes.append(self.node(self.objects[self._offset + len(self.nodes)]))
        return item

    def item(self, value: object) -> Item:
        """Return the value itself or a reference to its node, which is still to be made."""
        if type(value) in INLINE and not (self._careful and _delicate(value)):
            return value
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        return [number]

    def items(self, values: list[Any]) -> list[Item]:
        """Return the items of values."""
        if not self._careful and INLINE.issuperset(map(type, values)):
            return values
        return [self.item(value) for value in values]

    def node(self, value: object) -> Node:
        """Return the node of one value; what it contains gets nodes of its own later."""
        kind = type(value)
        for one in type.__dict__["__mro__"].__get__(kind):
            writer = _WRITERS.get(one)
            if writer is not None:
                return writer(self, value)
        name = type.__dict__["__name__"].__get__(kind)
        if name in self._classes:
            return ["object", name, self.attributes(value, kind)]
        module = kind.__dict__.get("__module__", getattr(kind, "__module__", ""))
        if module in ("numpy", "array") and hasattr(value, "tolist"):
            plain = value.tolist()
            return ["list", self.items(plain)] if type(plain) is list else self._single(plain)
        if hasattr(kind, "__next__") and hasattr(kind, "__iter__"):
            return self.iterator(value)
        return self.function(value, kind)

    def attributes(self, value: object, kind: type) -> list[Item]:
        """Return the attributes of an instance, names and items in turns."""
        found: dict[str, object] = {}
        for one in type.__dict__["__mro__"].__get__(kind):
            slots = one.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if slot not in ("__dict__", "__weakref__") and hasattr(value, slot):
                    found[slot] = object.__getattribute__(value, slot)
        found.update(getattr(value, "__dict__", {}))
        return [self.item(part) for pair in found.items() for part in pair]

    def iterator(self, value: Any) -> Node:
        """Return the node of an iterator, which is read to its end or to the bound."""
        if id(value) in self._read:
            items, error = self._read[id(value)]
            return ["iterator", self.items(items), error]
        items = []
        error = None
        try:
            for one in itertools.islice(value, MATERIALISED + 1):
                items.append(one)
        except Exception as caught:
            error = describe(caught)
        if len(items) > MATERIALISED:
            items.pop()
            error = {"raise": "TooManyItems", "message": f"over {MATERIALISED} items"}
        self._read[id(value)] = items, error
        return ["iterator", self.items(items), error]

    def function(self, value: object, kind: type) -> Node:
        """Return the node of something that can be called: a built-in's name, or a call back."""
        name = getattr(value, "__name__", None)
        if isinstance(name, str) and getattr(builtins, name, None) is value:
            return ["builtin", name]
        if self._functions is None or not callable(value):
            raise CannotSend(kind)
        self._functions.append(value)
        return ["function", len(self._functions) - 1]

    def _single(self, value: object) -> Node:
        """Return a node that stands for one scalar."""
        return _WRITERS[type(value)](self, value) if type(value) in _WRITERS else ["as", value]


def _delicate(value: object) -> bool:
    """Say whether JSON would not carry an inline value to the other side unchanged."""
    if type(value) is int:
        return value.bit_length() > 64
    return type(value) is str and not value.isascii()


def _write_mapping(tag: str) -> Callable[[Encoder, Any], Node]:
    def write(encoder: Encoder, value: Any) -> Node:
        pairs = [part for pair in dict.items(value) for part in pair]
        return [tag, encoder.items(pairs)]

    return write


def _write_default(encoder: Encoder, value: Any) -> Node:
    name = getattr(value.default_factory, "__name__", None)
    return [*_write_mapping("defaultdict")(encoder, value), name]


def _write_all(tag: str, kind: type) -> Callable[[Encoder, Any], Node]:
    iterate = kind.__dict__["__iter__"]

    def write(encoder: Encoder, value: Any) -> Node:
        return [tag, encoder.items([*iterate(value)])]

    return write


def _write_view(tag: str) -> Callable[[Encoder, Any], Node]:
    def write(encoder: Encoder, value: Any) -> Node:
        return [tag, encoder.items(list(value))]

    return write


def _write_string(encoder: Encoder, value: Any) -> Node:
    return ["str", str.encode(value, "utf-32-le", "surrogatepass").hex()]


_WRITERS: dict[type, Callable[[Encoder, Any], Node]] = {
    bool: lambda _, value: ["as", value],
    int: lambda _, value: ["int", hex(int.__int__(value))],
    float: lambda _, value: ["as", float.__float__(value)],
    str: _write_string,
    bytes: lambda _, value: ["bytes", bytes.hex(value)],
    bytearray: lambda _, value: ["bytearray", bytearray.hex(value)],
    complex: lambda _, value: ["complex", complex.__complex__(value).real, value.imag],
    list: _write_all("list", list),
    tuple: _write_all("tuple", tuple),
    set: _write_all("set", set),
    frozenset: _write_all("frozenset", frozenset),
    deque: lambda encoder, value: [*_write_all("deque", deque)(encoder, value), value.maxlen],
    Counter: _write_mapping("Counter"),
    OrderedDict: _write_mapping("OrderedDict"),
    defaultdict: _write_default,
    dict: _write_mapping("dict"),
    type({}.keys()): _write_view("keys"),
    type({}.values()): _write_view("values"),
    type({}.items()): _write_view("items"),
    range: lambda encoder, value: ["range", encoder.items([value.start, value.stop, value.step])],
    Decimal: lambda _, value: ["Decimal", Decimal.__str__(value)],
    Fraction: lambda encoder, value: [
        "Fraction",
        encoder.items([int.__int__(value.numerator), int.__int__(value.denominator)]),
    ],
    datetime: lambda _, value: ["datetime", datetime.isoformat(value)],
    date: lambda _, value: ["date", date.isoformat(value)],
    time: lambda _, value: ["time", time.isoformat(value)],
    timedelta: lambda _, value: ["timedelta", value.days, value.seconds, value.microseconds],
}


PLAIN_TYPES = frozenset(_WRITERS)


# --- nodes to values -------------------------------------------------------------------


def decode(
    nodes: list[Node],
    classes: Classes,
    known: Iterable[object] = (),
    call_back: Callable[[int], Callable[..., Any]] | None = None,
    handles: Sequence[object] = (),
) -> list[Any]:
    """Return the objects of all nodes, those of ``known`` before them.

    ``call_back`` makes the function that stands for one of the other side, ``handles`` are the
    objects of this side that the other one knows by their numbers.

    Raises:
        Exception: of any kind, where the nodes are not what an Encoder writes.
    """
    objects = [*known, *([_MISSING] * len(nodes))]
    offset = len(objects) - len(nodes)
    filled = []
    for number, node in enumerate(nodes, offset):
        if node[0] in MUTABLE:
            objects[number] = _shell(node, classes)
            filled.append(number)
        elif node[0] == "handle":
            objects[number] = handles[node[1]]
    for number in range(offset, len(objects)):
        if objects[number] is _MISSING:
            _build(number, nodes, offset, objects, call_back)
    # An instance may be a key: it has to be whole before it is hashed.
    filled.sort(key=lambda number: nodes[number - offset][0] != "object")
    for number in filled:
        fill(objects[number], nodes[number - offset], objects)
    return objects


def value_of(item: Item, objects: list[Any]) -> Any:
    """Return the value of an item."""
    return objects[item[0]] if type(item) is list else item


def values_of(items: list[Item], objects: list[Any]) -> list[Any]:
    """Return the values of items."""
    if list in set(map(type, items)):
        return [objects[item[0]] if type(item) is list else item for item in items]
    return items


def fill(target: Any, node: Node, objects: list[Any]) -> None:
    """Give a list, dict, set, deque or instance the contents that its node tells of."""
    tag = node[0]
    if tag == "object":
        values = values_of(node[2], objects)
        for name, value in zip(values[::2], values[1::2], strict=True):
            # A method of the class is the tests' own: no data may take its place.
            is_method = callable(getattr(type(target), name, None))
            if not name.isidentifier() or name.startswith("__") or is_method:
                raise ValueError(f"no attribute of data: {name!r}")
            object.__setattr__(target, name, value)
        return
    values = values_of(node[1], objects)
    if tag == "list":
        list.__setitem__(target, slice(None), values)
        return
    target.clear()
    if tag in ("set", "deque"):
        (target.update if tag == "set" else target.extend)(values)
    else:
        for key, value in zip(values[::2], values[1::2], strict=True):
            dict.__setitem__(target, key, value)


def _shell(node: Node, classes: Classes) -> Any:
    """Return an empty object of the kind of a node."""
    tag = node[0]
    if tag == "object":
        kind = classes[node[1]]
        return object.__new__(kind)
    if tag == "deque":
        return deque(maxlen=node[2])
    if tag == "defaultdict":
        factory = getattr(builtins, node[2] or "", None)
        return defaultdict(factory if isinstance(factory, type) else None)
    return _SHELLS[tag]()


_SHELLS: dict[str, Callable[[], Any]] = {
    "list": list,
    "dict": dict,
    "OrderedDict": OrderedDict,
    "Counter": Counter,
    "set": set,
}


def _build(
    number: int,
    nodes: list[Node],
    offset: int,
    objects: list[Any],
    call_back: Callable[[int], Callable[..., Any]] | None,
) -> None:
    """Build an immutable object, and those within it before, without recursion.

    Raises:
        ValueError: it contains itself, or a node has no known tag.
    """
    stack, begun = [number], set()
    while stack:
        top = stack[-1]
        node = nodes[top - offset]
        parts = node[1] if len(node) > 1 and type(node[1]) is list else []
        inner = [part[0] for part in parts if type(part) is list]
        missing = [one for one in inner if objects[one] is _MISSING]
        if not missing:
            if objects[top] is _MISSING:
                objects[top] = _immutable(node, values_of(parts, objects), call_back)
            stack.pop()
            continue
        if top in begun:
            raise ValueError("an immutable value contains itself")
        begun.add(top)
        stack.extend(missing)


def _immutable(
    node: Node, values: list[Any], call_back: Callable[[int], Callable[..., Any]] | None
) -> Any:
    """Return the object of a node whose parts are built."""
    tag = node[0]
    if tag in _READERS:
        return _READERS[tag](values)
    if tag in _PLAIN:
        return _PLAIN[tag](*node[1:])
    if tag == "iterator":
        return _iterate(values, node[2])
    if tag == "function" and call_back is not None:
        return call_back(node[1])
    raise ValueError(f"no node is tagged {tag!r}")


def _scalar(value: object) -> object:
    if type(value) not in INLINE:
        raise ValueError("no scalar")
    return value


def _builtin(name: str) -> Any:
    if name not in _BUILTINS:
        raise ValueError(f"no built-in is called {name!r}")
    return getattr(builtins, name)


_BUILTINS = frozenset(
    (
        *("abs", "all", "any", "ascii", "bin", "bool", "bytearray", "bytes", "chr", "complex"),
        *("dict", "divmod", "enumerate", "filter", "float", "frozenset", "hash", "hex", "int"),
        *("isinstance", "iter", "len", "list", "map", "max", "min", "next", "object", "oct"),
        *("ord", "pow", "range", "repr", "reversed", "round", "set", "slice", "sorted", "str"),
        *("sum", "tuple", "type", "zip"),
    )
)
_READERS: dict[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "frozenset": frozenset,
    "range": lambda values: range(*values),
    "Fraction": lambda values: Fraction(*values),
    "keys": lambda values: dict.fromkeys(values).keys(),
    "values": lambda values: dict(enumerate(values)).values(),
    "items": lambda values: dict(values).items(),
}
_PLAIN: dict[str, Callable[..., Any]] = {
    "as": _scalar,
    "int": lambda text: int(text, 16),
    "str": lambda text: bytes.fromhex(text).decode("utf-32-le", "surrogatepass"),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "complex": complex,
    "Decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": timedelta,
    "builtin": _builtin,
}


def _iterate(values: list[Any], error: dict[str, Any] | None) -> Any:
    """Return an iterator over values that ends with the error, if there was one."""
    if error is None:
        return iter(values)

    def items() -> Any:
        yield from values
        raise rebuilt(error)

    return items()


# --- exceptions ------------------------------------------------------------------------


class CandidateError(Exception):
    """Something that a program raised and that is no ``Exception`` of Python's own."""


def describe(error: BaseException) -> dict[str, Any]:
    """Return the type, arguments and message of an exception as plain data."""
    name = type.__dict__["__name__"].__get__(type(error))
    try:
        message = str.__str__(str(error))[:2000]
        given = BaseException.__dict__["args"].__get__(error)
        arguments = [one for one in given if type(one) in (str, int) and len(str(one)) < 2000]
        same = len(arguments) == len(given)
    except BaseException:  # its __str__ may do anything
        message, arguments, same = "", [], False
    message = message.encode("utf-8", "replace").decode()
    arguments = [
        one.encode("utf-8", "replace").decode() if type(one) is str else one for one in arguments
    ]
    return {"raise": name, "message": message, "arguments": arguments if same else None}


def rebuilt(told: dict[str, Any]) -> Exception:
    """Return the exception that was told of, as one of Python's own where it was one.

    ``StopIteration`` would end a loop of the tests as if there were nothing left to test.
    """
    name, message, arguments = told["raise"], told.get("message", ""), told.get("arguments")
    kind = getattr(builtins, name, None) if isinstance(name, str) else None
    if (
        not isinstance(kind, type)
        or not issubclass(kind, Exception)
        or issubclass(kind, (StopIteration, StopAsyncIteration, ExceptionGroup))
    ):
        return CandidateError(f"{name}: {message}")
    try:
        return kind(*([str(message)] if arguments is None else arguments))
    except TypeError:  # UnicodeDecodeError wants five arguments
        return ValueError(str(message)) if issubclass(kind, ValueError) else kind.__new__(kind)


# --- messages --------------------------------------------------------------------------


def pack(message: Callable[[bool], dict[str, Any]]) -> bytes:
    """Return a message as JSON in UTF-8.

    ``message`` makes it; it is asked again, to be careful, where JSON cannot hold what is in it.

    Raises:
        CannotSend: it contains something that is not plain data.
    """
    digits = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(DIGITS)
    try:
        for careful in (False, True):
            try:
                return json.dumps(
                    message(careful), ensure_ascii=False, separators=(",", ":")
                ).encode()
            except ValueError:  # lone surrogates, or an int of too many digits
                if careful:
                    raise
        raise AssertionError("unreachable")
    finally:
        sys.set_int_max_str_digits(digits)


def unpack(frame: bytes) -> dict[str, Any]:
    """Return the message of a frame.

    Raises:
        ValueError: it is no JSON object.
    """
    message = json.loads(frame)
    if type(message) is not dict:
        raise ValueError("no JSON object")
    return message
