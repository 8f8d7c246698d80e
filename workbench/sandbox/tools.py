"""What the runtimes share: finding tools, our own source files, a look at a program's syntax."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.languages import language
from workbench.settings import settings

if TYPE_CHECKING:
    from tree_sitter import Node

_NATIVE = Path(__file__).with_name("native")
# CPU time for a syntax tree. 160 kB of real code take 0.15 s, 60 kB of "a<a<a<" 25 s.
_PARSING_SECONDS = 0.5
# Bytes of source whose tree is made in this process at once. Where a grammar's guesses multiply, a
# tree takes memory by the square of the length, in one step that nothing interrupts: 80 kB of
# "a<a<a<" in Java's or C#'s grammar took over 6 GB, 2 kB never over 160 MB.
_HARMLESS = 2048
_LOOK = """
import importlib, resource, sys
sys.path[:] = sys.argv[2:]
from tree_sitter import Language, Parser
module, _, function = sys.argv[1].partition(":")
parser = Parser(Language(getattr(importlib.import_module(module), function)()))
for limit, most in (("CORE", 0), ("AS", 1 << 30), ("CPU", 2)):
    resource.setrlimit(getattr(resource, f"RLIMIT_{limit}"), (most, most))
parser.parse(sys.stdin.buffer.read())
"""
_VERSION = re.compile(r"\d+(?:\.\d+)+|\d+")


@cache
def native(name: str) -> str:
    """Return the text of a source file of ours that runs inside the sandbox."""
    return (_NATIVE / name).read_text(encoding="utf-8")


def tool(name: str) -> Path | None:
    """Return where the real file of a tool lies, or None where there is none."""
    found = shutil.which(name)
    return None if found is None else Path(found).resolve()


@cache
def version(path: Path, option: str = "--version") -> str:
    """Return the number that a tool says it is, "" where it says none."""
    try:
        said = subprocess.run(
            [path, option], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = _VERSION.search(said.stdout + said.stderr)
    return found[0] if found else ""


def is_at_least(number: str, major: int) -> bool:
    """Whether a version "20.1.2" is of a major version or a later one."""
    return number != "" and int(number.partition(".")[0]) >= major


def installation(path: Path) -> Path | None:
    """Return the folder that a tool is installed in, which holds its ``bin``.

    None where no program may read that folder, as it holds what is somebody's own: ``~/bin``,
    ``~/.local/bin``.
    """
    folder = path.parent.parent
    home = Path(os.environ.get("HOME", "/"))
    own = [one for one in (home, settings().home, settings().data) if one is not None]
    if folder.name == ".local" or any(one.resolve().is_relative_to(folder) for one in own):
        return None
    return folder


def outside_system(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return those paths that no sandbox shows of itself."""
    system = tuple(map(Path, ("/usr", "/lib", "/lib64", "/bin", "/sbin")))
    return tuple(path for path in paths if not any(path.is_relative_to(top) for top in system))


def parse(source: bytes, name: str) -> Node:
    """Return the root of the syntax tree of a program; it may hold errors.

    Where the grammar's guesses multiply ("a<a<a<..."), the tree is that of an empty program.
    """
    from tree_sitter import Language, Parser

    if len(source) > _HARMLESS and not _can_be_parsed(source, language(name).grammar):
        source = b""
    module, _, function = language(name).grammar.partition(":")
    parser = Parser(Language(getattr(importlib.import_module(module), function)()))
    end = time.thread_time() + _PARSING_SECONDS

    def give_up(_offset: int, _has_error: bool) -> bool:
        return time.thread_time() > end

    def read(offset: int, _point: object) -> bytes:
        return source[offset : offset + 4096]

    try:
        return parser.parse(read, progress_callback=give_up).root_node
    except ValueError:
        parser.reset()
        return parser.parse(b"").root_node


def _can_be_parsed(source: bytes, grammar: str) -> bool:
    """Whether another process survives it to make the tree of a text, with limits of its own."""
    command = [sys.executable, "-I", "-S", "-c", _LOOK, grammar, *sys.path]
    done = subprocess.run(command, input=source, capture_output=True, check=False)
    return done.returncode >= 0


def text_of(node: Node | None) -> str:
    """Return the source text of a node, "" for none."""
    return "" if node is None or node.text is None else node.text.decode("utf-8", "replace")
