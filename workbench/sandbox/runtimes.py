"""What each language does to be graded: the menu, and what all have in common.

A candidate never shares a process with what judges it. It is built into a *server*, a process
that reads calls and writes back what its function returns, and nothing else. Tests that are a
program (``ProgramTests``) are built into a *checker*, a second process in a sandbox of its own, in
which the function under test is a stub: it sends its arguments to the server and gives back what
comes. Data (``CallTests``) are compared outside, and whole programs (``OutputTests``) are run as
they are and their output is compared outside.

On the wire are frames: four bytes, big-endian, that say how many bytes of UTF-8 JSON follow. The
server reads ``{"call": NAME, "args": [...]}`` on descriptor 3 and answers ``{"value": ...}`` or
``{"raise": TYPE, "message": TEXT}`` on descriptor 4; it ends at the end of descriptor 3. The
checker has the other ends (it writes calls on descriptor 4 and reads answers on descriptor 3) and
says how it went on descriptor 5, which no candidate ever has: ``{"passed": true}`` once the tests
ran to their end, or ``{"failed": KIND, "message": TEXT}`` with KIND ``wrong answer`` or
``exception``. A value for a ProgramTests pair may be written in any form of JSON that both ends of
the language agree on. For CallTests values are plain JSON; floats that are not finite are
``{"$float": "nan" | "inf" | "-inf"}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from workbench.registry import Registry
from workbench.types import CallTests, ProgramTests


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A language's tools as they are here: ``name`` as "OpenJDK 17.0.2", and the folders to read.

    ``readable`` are paths beyond the system's own (/usr, /lib, ...) that the tools need.
    """

    name: str
    readable: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """How to make a process: source files, the compiler's calls, and the call that runs it.

    ``files`` (relative name -> text) are written into an empty folder, which is the working
    folder of every command. ``compile`` runs in a sandbox that may start processes and write the
    folder; ``run`` in one that may do neither. ``environment`` is all that both see.
    ``memory_by_rss`` says that the runtime reserves far more addresses than memory (JVM, node,
    Go), so that its memory is limited by what it uses and not by RLIMIT_AS.
    """

    files: Mapping[str, str | bytes]
    run: tuple[str, ...]
    compile: tuple[tuple[str, ...], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_by_rss: bool = False


class Runtime(Protocol):
    """A language that can be graded. Its methods only write text: nothing is run in them."""

    @property
    def language(self) -> str:
        """A name of ``workbench.languages``."""

    def find(self) -> Toolchain | None:
        """Return the tools, or None where they are not installed."""

    def server(self, code: str, tests: ProgramTests | CallTests) -> Built:
        """Build the candidate into a server.

        Raises:
            BadInput: the tests cannot be put into this language (not: the code is wrong).
        """

    def checker(self, tests: ProgramTests) -> Built:
        """Build the tests into a checker."""

    def program(self, code: str) -> Built:
        """Build a whole program that reads stdin and prints."""


RUNTIMES = Registry("language that can be graded")
RUNTIMES.add("python", "workbench.sandbox.python:Python", "CPython, the workbench's own")
RUNTIMES.add("java", "workbench.sandbox.java:Java", "JDK 11 or newer")
RUNTIMES.add("cpp", "workbench.sandbox.cpp:Cpp", "g++ or clang++ with C++17")
RUNTIMES.add("javascript", "workbench.sandbox.javascript:JavaScript", "Node.js 18 or newer")
RUNTIMES.add("go", "workbench.sandbox.go:Go", "Go 1.18 or newer")
RUNTIMES.add("csharp", "workbench.sandbox.csharp:CSharp", "Mono's mcs")
RUNTIMES.add("php", "workbench.sandbox.php:Php", "PHP 8 command line")
