"""JavaScript in Node: candidates and test scripts in processes of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.sandbox.runtimes import Built, Toolchain
from workbench.sandbox.tools import (
    installation,
    is_at_least,
    native,
    outside_system,
    parse,
    text_of,
    tool,
    version,
)
from workbench.types import CallTests, ProgramTests

if TYPE_CHECKING:
    from tree_sitter import Node

_ENVIRONMENT = {"NODE_NO_WARNINGS": "1", "LANG": "C.UTF-8"}
_FUNCTIONS = ("function_declaration", "generator_function_declaration", "class_declaration")
_VARIABLES = ("lexical_declaration", "variable_declaration")


class JavaScript:
    """Node.js. Candidates may be scripts, CommonJS or ES modules."""

    @property
    def language(self) -> str:
        """Its name."""
        return "javascript"

    def find(self) -> Toolchain | None:
        """Return Node, or None where there is none of version 18 or later."""
        node = tool("node")
        if node is None or not is_at_least(number := version(node), 18):
            return None
        # A Node of its own folder (nvm) lies in bin/ beside lib/; it also runs alone.
        return Toolchain(f"Node.js {number}", outside_system([installation(node) or node]))

    def server(self, code: str, tests: ProgramTests | CallTests) -> Built:
        """Build the candidate into a server."""
        root = parse(code.encode(), self.language)
        name = _file_name("candidate", root)
        settings = {"candidate": f"./{name}", "plain": isinstance(tests, CallTests)}
        files = {
            "server.js": native("server.js"),
            "wire.js": native("wire.js"),
            "settings.json": json.dumps(settings),
            "prelude.js": tests.prelude if isinstance(tests, ProgramTests) else "",
            name: code + _register(root),
        }
        return _built(files, run="server.js", check=name)

    def checker(self, tests: ProgramTests) -> Built:
        """Build a test script into a checker."""
        files = {
            "checker.js": native("checker.js"),
            "wire.js": native("wire.js"),
            "settings.json": json.dumps({"entry": tests.entry_point or ""}),
            "prelude.js": tests.prelude,
            "tests.cjs": tests.code,
        }
        return _built(files, run="checker.js", check="tests.cjs")

    def program(self, code: str) -> Built:
        """Build a whole program."""
        name = _file_name("program", parse(code.encode(), self.language))
        return _built({name: code}, run=name, check=name)


def _built(files: dict[str, str], run: str, check: str) -> Built:
    node = str(tool("node") or "node")
    return Built(
        files,
        run=(node, run),
        compile=((node, "--check", check),),
        environment=_ENVIRONMENT,
        memory_by_rss=True,
    )


def _file_name(stem: str, root: Node) -> str:
    """Return a file's name by which Node takes a program for the kind of module that it is."""
    kinds = {child.type for child in root.named_children}
    return stem + (".mjs" if kinds & {"import_statement", "export_statement"} else ".cjs")


def _register(root: Node) -> str:
    """Return code that, at the end of a program, hands out what it declares at its top."""
    members = ",".join(
        f'"{name}":typeof {name}==="undefined"?undefined:{name}' for name in _declared(root)
    )
    return f'\n;globalThis[Symbol.for("workbench.declared")]={{{members}}};\n'


def _declared(root: Node) -> list[str]:
    """Return the names of the functions, classes and variables of a program's top, each once."""
    names: dict[str, None] = {}
    for child in root.named_children:
        declared = child.child_by_field_name("declaration")
        names.update((name, None) for name in _names(declared or child))
    return list(names)


def _names(node: Node) -> Iterator[str]:
    if node.type in _FUNCTIONS:
        yield text_of(node.child_by_field_name("name"))
    elif node.type in _VARIABLES:
        for variable in node.named_children:
            name = variable.child_by_field_name("name")
            if name is not None and name.type == "identifier":
                yield text_of(name)
