"""What counts as a function or a class in each language: tree-sitter queries, and their names."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Language, Node, Parser, Query, QueryCursor, Tree

from workbench.languages import language

# A @function is cut out whole, what it nests included; a @class is cut further when it is large.
# A @wrapper stands around a definition and belongs to it: decorators, ``template <...>``, exports.
QUERIES = {
    "python": """
        (function_definition) @function
        (class_definition) @class
        (decorated_definition) @wrapper
        (comment) @comment
    """,
    "java": """
        [(method_declaration) (constructor_declaration) (compact_constructor_declaration)
         (static_initializer)] @function
        [(class_declaration) (interface_declaration) (enum_declaration) (record_declaration)
         (annotation_type_declaration)] @class
        [(line_comment) (block_comment)] @comment
    """,
    "cpp": """
        (function_definition) @function
        [(class_specifier body: (_)) (struct_specifier body: (_)) (union_specifier body: (_))
         (enum_specifier body: (_))] @class
        (template_declaration) @wrapper
        (comment) @comment
    """,
    "javascript": """
        [(function_declaration) (generator_function_declaration) (method_definition)] @function
        (variable_declarator value: [(arrow_function) (function_expression)]) @function
        (field_definition value: [(arrow_function) (function_expression)]) @function
        (pair value: [(arrow_function) (function_expression)]) @function
        (assignment_expression right: [(arrow_function) (function_expression)]) @function
        (class_declaration) @class
        (variable_declarator value: (class)) @class
        (assignment_expression right: (class)) @class
        (export_statement) @wrapper
        (lexical_declaration (variable_declarator value:
            [(arrow_function) (function_expression) (class)])) @wrapper
        (variable_declaration (variable_declarator value:
            [(arrow_function) (function_expression) (class)])) @wrapper
        (expression_statement (assignment_expression right:
            [(arrow_function) (function_expression) (class)])) @wrapper
        (comment) @comment
    """,
    "go": """
        [(function_declaration) (method_declaration)] @function
        (type_spec type: [(struct_type) (interface_type)]) @class
        (type_declaration) @wrapper
        (comment) @comment
    """,
    "csharp": """
        [(method_declaration) (constructor_declaration) (destructor_declaration)
         (operator_declaration) (conversion_operator_declaration) (property_declaration)
         (indexer_declaration) (event_declaration)] @function
        [(class_declaration) (struct_declaration) (interface_declaration) (record_declaration)
         (enum_declaration)] @class
        (comment) @comment
    """,
    "php": """
        [(function_definition) (method_declaration)] @function
        [(class_declaration) (interface_declaration) (trait_declaration)
         (enum_declaration)] @class
        (comment) @comment
    """,
}

# Where a definition without a name of its own keeps it.
_NAME_FIELDS = ("name", "property", "key", "left", "declarator")
_UNNAMED = {
    "conversion_operator_declaration": "operator",
    "indexer_declaration": "this[]",
    "static_initializer": "static",
}
_MAX_SYMBOL = 200


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


@functools.cache
def _grammar(name: str) -> tuple[Language, Query]:
    module, _, function = language(name).grammar.partition(":")
    grammar = Language(getattr(importlib.import_module(module), function)())
    return grammar, Query(grammar, QUERIES[name])


def has_grammar(name: str | None) -> bool:
    """Return True where the syntax of that language is known."""
    return name in QUERIES


def outline(text: str, name: str) -> Outline:
    """Parse ``text`` and list its definitions; those with a syntax error inside are left out."""
    grammar, query = _grammar(name)
    data = text.encode("utf-8", "surrogatepass")
    tree: Tree = Parser(grammar).parse(data)
    captures = QueryCursor(query).captures(tree.root_node)
    wrappers = _wrappers(captures.get("wrapper", []))
    found = [
        definition
        for kind in ("class", "function")
        for node in captures.get(kind, [])
        if (definition := _definition(node, wrappers, is_class=kind == "class")) is not None
    ]
    found.sort(key=lambda one: (one.node.start_byte, -one.node.end_byte))
    rows = _comment_rows(data, captures.get("comment", []))
    return Outline(tree.root_node, tuple(found), frozenset(rows))


def _wrappers(nodes: list[Node]) -> dict[int, Node]:
    """Map the id of a wrapped node to its wrapper.

    Asking each node for its parent would do, but takes time in the square of the file's length.
    """
    wrappers = {}
    for wrapper in nodes:
        inner = [child for child in wrapper.named_children if "comment" not in child.type]
        several = sum(child.type in ("variable_declarator", "type_spec") for child in inner) > 1
        if inner and not several:  # of several, each keeps to its own rows
            wrappers[inner[-1].id] = wrapper
    return wrappers


def _definition(node: Node, wrappers: dict[int, Node], *, is_class: bool) -> Definition | None:
    # An error inside a class may be local to one method, of which the others know nothing.
    if node.has_error and not is_class:
        return None
    name = _name(node)
    if not name:
        return None
    whole = node
    while (wrapper := wrappers.get(whole.id)) is not None:
        whole = wrapper
    return Definition(whole.start_point[0], whole.end_point[0] + 1, name, is_class, node)


def _name(node: Node) -> str:
    """Return the name of a definition as its author dots it, or nothing."""
    if node.type == "method_declaration" and (receiver := node.child_by_field_name("receiver")):
        return ".".join(
            filter(None, (_receiver(receiver), _text(node.child_by_field_name("name"))))
        )
    for field in _NAME_FIELDS:
        if (child := node.child_by_field_name(field)) is not None:
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
