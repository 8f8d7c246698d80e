"""C# in Mono: candidates in processes of their own.

A candidate may be a whole program, a class, or methods alone; ``native/server.cs`` finds the
method by reflection, whatever case its name is in.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import BadInput
from workbench.sandbox.runtimes import Built, Toolchain
from workbench.sandbox.tools import (
    installation,
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

_ENVIRONMENT = {"LANG": "C.UTF-8"}
_FLAGS = ("-nologo", "-optimize+", "-langversion:latest", "-warn:0", "-r:System.Numerics.dll")
# What Visual Studio writes into a new file, and two that most programs of puzzles need.
_USUAL = "using System; using System.Collections; using System.Collections.Generic; " + (
    "using System.Globalization; using System.IO; using System.Linq; using System.Numerics; "
    "using System.Text; using System.Text.RegularExpressions;"
)
_SETTINGS = Path("/etc/mono")


class CSharp:
    """Mono and its compiler mcs."""

    @property
    def language(self) -> str:
        """Its name."""
        return "csharp"

    def find(self) -> Toolchain | None:
        """Return Mono, or None where it or its compiler is not installed."""
        mono = tool("mono")
        if mono is None or _compiler() is None or (folder := installation(mono)) is None:
            return None
        readable = (*outside_system([folder]), _SETTINGS)
        return Toolchain(f"Mono {version(mono)}", readable)

    def server(self, code: str, tests: ProgramTests | CallTests) -> Built:
        """Build the candidate into a server.

        Raises:
            BadInput: the tests are a program.
        """
        if isinstance(tests, ProgramTests):
            raise BadInput("C# cannot be tested by a program.", "Give calls, or output.")
        files: dict[str, str | bytes] = {
            "candidate.cs": in_class(code),
            "server.cs": native("server.cs"),
        }
        return _built("server.exe", files, "-main:Workbench.Server")

    def checker(self, tests: ProgramTests) -> Built:
        """Say that there are no test programs in C#.

        Raises:
            BadInput: always.
        """
        raise BadInput("C# cannot be tested by a program.", "Give calls, or output.")

    def program(self, code: str) -> Built:
        """Build a whole program that reads stdin and prints."""
        return _built("program.exe", {"program.cs": in_class(code)})


def in_class(code: str) -> str:
    """Return a program in which every method stands in a class, and the usual names are known.

    What a compiler says of one that had methods or statements outside of a class may name other
    lines than its own.
    """
    root = parse(code.encode(), "csharp")
    loose = [node for node in root.named_children if node.type == "global_statement"]
    if not loose or root.has_error:
        return f"{_USUAL} {code}"
    others = [node for node in root.named_children if node not in loose]
    usings = " ".join(text_of(node) for node in others if node.type == "using_directive")
    types = "\n".join(text_of(node) for node in others if node.type != "using_directive")
    methods = [node for node in loose if _is_method(node)]
    members = "\n".join(map(_as_static, methods))
    statements = "\n".join(text_of(node) for node in loose if node not in methods)
    if statements:
        members += f"\nstatic void Main(string[] args) {{\n{statements}\n}}"
    return f"{_USUAL} {usings} public class Solution {{\n{members}\n}}\n{types}"


def _is_method(node: Node) -> bool:
    return node.named_children[0].type == "local_function_statement"


def _as_static(node: Node) -> str:
    modifiers = {
        text_of(child) for child in node.named_children[0].children if child.type == "modifier"
    }
    return text_of(node) if "static" in modifiers else f"static {text_of(node)}"


def _compiler() -> Path | None:
    """Return mcs itself, which the command of that name only starts."""
    mono = tool("mono")
    if mono is None:
        return None
    found = mono.parent.parent / "lib" / "mono" / "4.5" / "mcs.exe"
    return found if found.is_file() else None


def _built(name: str, files: dict[str, str | bytes], *flags: str) -> Built:
    mono = str(tool("mono") or "mono")
    command = (mono, str(_compiler() or "mcs.exe"), *_FLAGS, *flags, f"-out:{name}", *files)
    return Built(files, (mono, name), (command,), _ENVIRONMENT, memory_by_rss=True)
