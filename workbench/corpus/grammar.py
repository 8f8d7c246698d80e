"""What counts as a function or a class in each language, and how it is called."""

from __future__ import annotations

import functools
import importlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from tree_sitter import Language, Node, Parser, Tree

from workbench.languages import language


@dataclass(frozen=True, slots=True)
class Kinds:
    """The types of syntax nodes that define something.

    ``functions`` are cut out whole, what they nest included; ``classes`` are cut further when
    they are large. ``wrappers`` stand around a definition and belong to it: decorators,
    ``template <...>``, ``export``. Of ``holders``, which map to a field, only those define
    something whose field holds one of ``functions`` or ``classes``.
    """

    functions: frozenset[str]
    classes: frozenset[str]
    wrappers: frozenset[str] = frozenset()
    holders: Mapping[str, str] = field(default_factory=dict)


def _kinds(functions: str, classes: str, wrappers: str = "", **holders: str) -> Kinds:
    return Kinds(
        frozenset(functions.split()),
        frozenset(classes.split()),
        frozenset(wrappers.split()),
        holders,
    )


KINDS = {
    "python": _kinds("function_definition", "class_definition", "decorated_definition"),
    "java": _kinds(
        "method_declaration constructor_declaration compact_constructor_declaration "
        "static_initializer",
        "class_declaration interface_declaration enum_declaration record_declaration "
        "annotation_type_declaration",
    ),
    "cpp": _kinds(
        "function_definition",
        "field_declaration_list enumerator_list",
        "template_declaration",
        class_specifier="body",
        struct_specifier="body",
        union_specifier="body",
        enum_specifier="body",
    ),
    "javascript": _kinds(
        "function_declaration generator_function_declaration method_definition arrow_function "
        "function_expression generator_function",
        "class_declaration class",
        "export_statement expression_statement lexical_declaration variable_declaration",
        variable_declarator="value",
        field_definition="value",
        pair="value",
        assignment_expression="right",
    ),
    "go": _kinds(
        "function_declaration method_declaration",
        "struct_type interface_type",
        "type_declaration",
        type_spec="type",
    ),
    "csharp": _kinds(
        "method_declaration constructor_declaration destructor_declaration operator_declaration "
        "conversion_operator_declaration property_declaration indexer_declaration "
        "event_declaration",
        "class_declaration struct_declaration interface_declaration record_declaration "
        "enum_declaration",
    ),
    "php": _kinds(
        "function_definition method_declaration",
        "class_declaration interface_declaration trait_declaration enum_declaration",
    ),
}

# Where a definition without a name of its own keeps it.
_NAME_FIELDS = ("name", "property", "key", "left", "declarator")
_UNNAMED = {
    "conversion_operator_declaration": "operator",
    "indexer_declaration": "this[]",
    "static_initializer": "static",
}
_MAX_SYMBOL = 200
_MAX_SIGNATURE = 300
# ``a<`` 20,000 times makes the parsers of Java and C# take 3.6 GB, in one step that nothing stops.
# The look-behind and the possessive quantifiers keep the search itself linear.
_BOMB = re.compile(rb"(?<![^\s<>;(){}])(?:[^\s<>;(){}]++\s*+<\s*+){200}")
PARSE_SECONDS = 5.0
"""CPU time that one document may take; an honest megabyte takes a fifth of a second."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A function or class with its rows (from 0, end excluded), decorators included."""

    start: int
    end: int
    name: str
    is_class: bool
    node: Node


@dataclass(frozen=True, slots=True)
class Outline:
    """What one parse says: definitions, outer before inner, and rows that are all comment."""

    root: Node
    definitions: tuple[Definition, ...]
    comment_rows: frozenset[int]


def signature(definition: Definition) -> str:
    """Return a definition up to its body on one line: ``def push(self, item) -> None:``."""
    node = definition.node
    body = node.child_by_field_name("body")
    for field_name in ("value", "right", "type"):
        held = node.child_by_field_name(field_name) if body is None else None
        body = held.child_by_field_name("body") if held is not None else body
    text = node.text or b""
    if body is not None:
        text = text[: body.start_byte - node.start_byte]
    else:
        text = text.partition(b"\n")[0]
    return " ".join(text[: 4 * _MAX_SIGNATURE].decode("utf-8", "replace").split())[:_MAX_SIGNATURE]


@functools.cache
def _grammar(name: str) -> Language:
    module, _, function = language(name).grammar.partition(":")
    return Language(getattr(importlib.import_module(module), function)())


def has_grammar(name: str | None) -> TypeGuard[str]:
    """Return True where the syntax of that language is known."""
    return name in KINDS


def outline(text: str, name: str) -> Outline | None:
    """Parse ``text`` and list its definitions; functions with a syntax error are left out.

    Returns None where the parser does not come to an end in time, as that of C# does not on a
    megabyte of ``a;``.
    """
    # Walked by hand: on a text that is one long error, a tree-sitter query takes time in the
    # square of its length. Functions are not entered, nor is what stands on one line and
    # wraps nothing.
    kinds = KINDS[name]
    data = text.encode("utf-8", "surrogatepass")
    tree = _parse(data, name)
    if tree is None:
        return None
    found: list[Definition] = []
    comments: list[Node] = []
    stack: list[tuple[Node, Node | None]] = [(tree.root_node, None)]
    while stack:
        node, wrapper = stack.pop()
        children = node.named_children
        alone = sum(child.type in kinds.holders for child in children) < 2
        wrapper = (wrapper or node) if node.type in kinds.wrappers and alone else None
        for child in children:
            if "comment" in child.type:
                comments.append(child)
                continue
            definition = _definition(child, wrapper or child, kinds)
            if definition is not None:
                found.append(definition)
            if definition is not None and not definition.is_class:
                continue
            if child.type in kinds.wrappers or child.start_point[0] < child.end_point[0]:
                stack.append((child, wrapper))
    found.sort(key=lambda one: (one.node.start_byte, -one.node.end_byte))
    return Outline(tree.root_node, tuple(found), frozenset(_comment_rows(data, comments)))


def _parse(data: bytes, name: str) -> Tree | None:
    """Parse within ``PARSE_SECONDS`` of this thread's CPU time, or return None."""
    if _BOMB.search(data) is not None:
        return None
    deadline = time.thread_time() + PARSE_SECONDS

    def read(offset: int, _: object) -> bytes:
        return data[offset : offset + 65536]

    def is_late(_offset: int, _has_error: bool) -> bool:
        return time.thread_time() > deadline

    try:
        return Parser(_grammar(name)).parse(read, progress_callback=is_late)
    except ValueError:  # "Parsing failed": it was stopped
        return None


def _definition(node: Node, whole: Node, kinds: Kinds) -> Definition | None:
    """Return what ``node`` defines, if anything; ``whole`` is the node with its wrappers."""
    kind = node.type
    if kind in kinds.holders:
        held = node.child_by_field_name(kinds.holders[kind])
        kind = held.type if held is not None else ""
    is_class = kind in kinds.classes
    if not is_class and kind not in kinds.functions:
        return None
    # An error inside a class may be local to one method, of which the others know nothing.
    name = "" if node.has_error and not is_class else _name(node)
    if not name:
        return None
    return Definition(whole.start_point[0], whole.end_point[0] + 1, name, is_class, node)


def _name(node: Node) -> str:
    """Return the name of a definition as its author dots it, or nothing."""
    if node.type == "method_declaration" and (receiver := node.child_by_field_name("receiver")):
        return ".".join(
            filter(None, (_receiver(receiver), _text(node.child_by_field_name("name"))))
        )
    for name in _NAME_FIELDS:
        if (child := node.child_by_field_name(name)) is not None:
            return _text(_declared(child))
    return _UNNAMED.get(node.type, "")


def _declared(node: Node) -> Node:
    """Return what a C++ declarator declares: the name inside pointers and parameter lists."""
    while "declarator" in node.type:
        inner = node.child_by_field_name("declarator")
        if inner is None:  # a reference declarator has no such field
            named = [child for child in node.named_children if "comment" not in child.type]
            if not named:
                break
            inner = named[-1]
        node = inner
    return node


def _receiver(parameters: Node) -> str:
    """Return the type of a Go receiver, without pointer and type parameters."""
    text = _text(parameters).strip("()").split("[")[0]
    return text.replace("*", " ").split()[-1] if text.strip(" *") else ""


def _text(node: Node | None) -> str:
    if node is None or node.text is None:
        return ""
    text = " ".join(node.text.decode("utf-8", "replace").split())
    return text.replace("::", ".")[:_MAX_SYMBOL]


def _comment_rows(data: bytes, comments: list[Node]) -> Iterator[int]:
    """Yield the rows on which nothing but a comment stands."""
    for comment in comments:
        before = data.rfind(b"\n", 0, comment.start_byte) + 1
        after = data.find(b"\n", comment.end_byte)
        rest = data[comment.end_byte : after if after >= 0 else len(data)]
        # A line comment may own the end of its line, which then is no part of the next one.
        ends_line = data[comment.end_byte - 1 : comment.end_byte] == b"\n"
        if not data[before : comment.start_byte].strip() and (ends_line or not rest.strip()):
            last = comment.end_point[0] - (1 if ends_line else 0)
            yield from range(comment.start_point[0], last + 1)
