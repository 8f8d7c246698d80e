"""Tell code from prose, with the grammars of tree-sitter."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import tree_sitter

from workbench.languages import language

# A longer completion is judged by its beginning: 20 kB are five thousand tokens.
MOST_CHARACTERS = 20_000
# tree-sitter reports after every hundred operations. A report covers 60 to 190 bytes of the
# standard library's and similar code, 10 where C# reads "a<a<a<" (and 50 kB of that take 25 s).
_BYTES_A_STEP = 20
_FREE_STEPS = 200
# Statements and definitions of a program stand no deeper; expressions need no visit.
_DEPTH = 6

_DEFINING_NODES = (
    "function_definition class_definition class_declaration interface_declaration"
    " enum_declaration record_declaration struct_declaration trait_declaration"
    " method_declaration method_definition function_declaration generator_function_declaration"
    " local_function_statement class_specifier struct_specifier type_spec"
)
_DEFINITIONS = frozenset(_DEFINING_NODES.split())
_FUNCTION_VALUES = frozenset({"arrow_function", "function_expression", "lambda"})
_TELLING_NODES = (
    "assignment augmented_assignment call call_expression method_invocation"
    " invocation_expression function_call_expression assignment_expression update_expression"
    " for_statement while_statement if_statement return_statement import_statement"
    " import_from_statement import_declaration using_directive preproc_include package_clause"
    " package_declaration lexical_declaration variable_declaration local_variable_declaration"
    " short_var_declaration var_declaration namespace_definition namespace_declaration"
    " echo_statement for_range_loop foreach_statement enhanced_for_statement with_statement"
    " try_statement lambda arrow_function template_declaration list_comprehension"
    " member_call_expression scoped_call_expression new_expression object_creation_expression"
)
_SIGNS = frozenset(_TELLING_NODES.split())


@dataclass(frozen=True, slots=True)
class Shape:
    """What a text is as a program. ``clean``: it parses; ``code``: something in it only code has.

    ``definitions`` are the names of its functions and classes.
    """

    definitions: frozenset[str]
    code: bool
    clean: bool


def shape(text: str, name: str) -> Shape:
    """Read ``text`` as a program in the language called ``name``, in linear time.

    A text that the grammar cannot make sense of within its bounds is no code.
    """
    source = text[:MOST_CHARACTERS]
    if name == "php" and "<?" not in source:
        source = f"<?php\n{source}"
    tree = _parse(source.encode("utf-8", "replace"), name)
    if tree is None:
        return Shape(frozenset(), code=False, clean=False)
    root = tree.root_node
    definitions: set[str] = set()
    code = False
    for node in _nodes(root):
        defined = _defined(node)
        if defined is not None:
            definitions.add(defined)
        code = code or defined is not None or node.type in _SIGNS
    return Shape(frozenset(definitions), code, not root.has_error)


def _parse(source: bytes, name: str) -> tree_sitter.Tree | None:
    """Parse, or give up with None where the grammar's guesses multiply."""
    left = _FREE_STEPS + len(source) // _BYTES_A_STEP

    def give_up(_offset: int, _has_error: bool) -> bool:
        nonlocal left
        left -= 1
        return left < 0

    def read(offset: int, _point: object) -> bytes:
        return source[offset : offset + 4096]

    try:
        return tree_sitter.Parser(_grammar(name)).parse(read, progress_callback=give_up)
    except ValueError:
        return None


@cache
def _grammar(name: str) -> tree_sitter.Language:
    module, _, function = language(name).grammar.partition(":")
    return tree_sitter.Language(getattr(importlib.import_module(module), function)())


def _nodes(root: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    level = [root]
    for _ in range(_DEPTH):
        level = [child for node in level for child in node.named_children]
        yield from level


def _defined(node: tree_sitter.Node) -> str | None:
    """Return the name of the function or class that a node defines, "" for one without name."""
    if node.type == "variable_declarator" or node.type == "assignment":
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        if value is None or value.type not in _FUNCTION_VALUES:
            return None
    elif node.type not in _DEFINITIONS:
        return None
    named = (
        node.child_by_field_name("name")
        or node.child_by_field_name("left")
        or node.child_by_field_name("declarator")
    )
    while named is not None and (inner := named.child_by_field_name("declarator")):
        named = inner
    return (named.text or b"").decode("utf-8", "replace") if named is not None else ""
