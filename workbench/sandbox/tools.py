"""What the runtimes share: finding tools, our own source files, a look at a program's syntax."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.languages import language

if TYPE_CHECKING:
    from tree_sitter import Node

_NATIVE = Path(__file__).with_name("native")
# CPU time for a syntax tree. 160 kB of real code take 0.15 s, 60 kB of "a<a<a<" 25 s.
_PARSING_SECONDS = 0.5
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


def outside_system(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return those paths that no sandbox shows of itself."""
    system = tuple(map(Path, ("/usr", "/lib", "/lib64", "/bin", "/sbin")))
    return tuple(path for path in paths if not any(path.is_relative_to(top) for top in system))


def parse(source: bytes, name: str) -> Node:
    """Return the root of the syntax tree of a program; it may hold errors.

    Where the grammar's guesses multiply ("a<a<a<..."), the tree is that of an empty program.
    """
    from tree_sitter import Language, Parser

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


def text_of(node: Node | None) -> str:
    """Return the source text of a node, "" for none."""
    return "" if node is None or node.text is None else node.text.decode("utf-8", "replace")
