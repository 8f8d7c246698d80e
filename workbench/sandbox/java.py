"""Java in a JDK: candidates and test programs in JVMs of their own.

Our own classes are compiled once, into a folder that every sandbox may read. What a candidate
writes is compiled with it into the package without a name, whatever package it says.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import BadInput
from workbench.sandbox.records import Limits
from workbench.sandbox.runtimes import Built, Toolchain
from workbench.sandbox.shared import build_shared, shared_folder_of
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

_ENVIRONMENT = {"LANG": "C.UTF-8"}
_SOURCES = ("Wire.java", "Values.java", "Server.java", "Checker.java")
# Programs are short: no second compiler, no second collector, no files of statistics.
_QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData")
# A JVM's own measure is the machine's memory. What lies beyond a smaller limit, the sandbox ends.
_HEAP = ("-Xms64m", f"-Xmx{Limits().memory * 15 // 16 >> 20}m")
_JAVAC = (
    *(f"-J{option}" for option in (*_QUICK, "-Xms64m", "-Xmx1g")),
    "-proc:none",
    "-nowarn",
    "-encoding",
    "UTF-8",
)
_TYPES = (
    "class_declaration",
    "record_declaration",
    "enum_declaration",
    "interface_declaration",
    "annotation_type_declaration",
)
# What most people's editors import. A candidate's own names stand above them.
_USUAL = "".join(
    f"import java.{name}.*;"
    for name in ("util", "util.function", "util.stream", "math", "io", "text", "time")
)


class Java:
    """A JDK. Methods may stand in any class, or in none."""

    @property
    def language(self) -> str:
        """Its name."""
        return "java"

    def find(self) -> Toolchain | None:
        """Return the JDK, or None where there is none of version 11 or later."""
        java, javac = tool("java"), tool("javac")
        if java is None or javac is None or not is_at_least(number := version(javac), 11):
            return None
        homes = {installation(java), installation(javac)}
        if None in homes:
            return None
        folders = {folder for home in homes if home is not None for folder in _folders_of(home)}
        readable = (*outside_system(sorted(folders)), _shared_folder())
        return Toolchain(f"OpenJDK {number}", readable)

    def prepare(self) -> None:
        """Compile our own classes, unless that is done, and keep the compiler as it is then loaded.

        Raises:
            InUse: another process has been at it for minutes.
        """

        def build(folder: Path) -> None:
            for name in _SOURCES:
                (folder / name).write_text(native(name), encoding="utf-8")
            keep = ("-J-XX:ArchiveClassesAtExit=javac.jsa",) if _keeps_classes() else ()
            command = (_path_of("javac"), *_JAVAC, *keep, "-d", ".", *_SOURCES)
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=600)

        build_shared(_shared_folder(), build)

    def server(self, code: str, tests: ProgramTests | CallTests) -> Built:
        """Build the candidate into a server."""
        imports, helpers = _USUAL, ""
        if isinstance(tests, ProgramTests):
            imports, helpers = _prelude_for(code, tests)
        source = _Source(code).in_class("Solution")
        files = {"Candidate.java": imports + source.text}
        if helpers:
            files["Helpers.java"] = imports + helpers
        kind = "plain" if isinstance(tests, CallTests) else "tagged"
        return _built(files, "grader.Server", kind)

    def checker(self, tests: ProgramTests) -> Built:
        """Build a test program into a checker.

        Raises:
            BadInput: the stub declares no method.
        """
        stubs = _stubs(tests)
        main = _Source(tests.code).in_class("Main")
        files = {
            "Stubs.java": stubs.text,
            "Main.java": "".join(stubs.imports) + main.text,
        }
        return _built(files, "grader.Checker", main.main_class, options=("-ea",))

    def program(self, code: str) -> Built:
        """Build a whole program."""
        source = _Source(code).in_class("Main")
        return _built({"Program.java": source.text}, source.main_class)


class _Source:
    """A file of Java, made to stand beside others in the package without a name.

    ``text`` has the lines of the original: what must go is overwritten with blanks.
    """

    def __init__(self, text: str) -> None:
        self._bytes = bytearray(text.encode())
        self.root = parse(bytes(self._bytes), "java")
        for node in self.root.named_children:
            if node.type == "package_declaration":
                self._blank(node)
            elif node.type in _TYPES:
                self._hide(node)

    @property
    def text(self) -> str:
        return self._bytes.decode("utf-8", "replace")

    @property
    def types(self) -> list[str]:
        """The names of the classes at its top."""
        return [_name(node) for node in self.root.named_children if node.type in _TYPES]

    @property
    def imports(self) -> list[str]:
        """Its imports, each with its semicolon."""
        nodes = self.root.named_children
        return [text_of(node) for node in nodes if node.type == "import_declaration"]

    @property
    def main_class(self) -> str:
        """The name of the class whose ``main`` is to be run, else of the first one."""
        for node in self.root.named_children:
            if node.type in _TYPES and any(_is_main(one) for one in _methods(node)):
                return _name(node)
        return (self.types or ["Main"])[0]

    def in_class(self, name: str) -> _Source:
        """Return it with methods that stand in no class put into one of that name."""
        if not any(node.type == "method_declaration" for node in self.root.named_children):
            return self
        end = max(
            (n.end_byte for n in self.root.named_children if n.type == "import_declaration"),
            default=0,
        )
        head, body = self._bytes[:end].decode(), self._bytes[end:].decode("utf-8", "replace")
        return _Source(f"{head} class {name} {{{body}\n}}\n")

    def _blank(self, node: Node) -> None:
        for at in range(node.start_byte, node.end_byte):
            if self._bytes[at] not in b"\n\r":
                self._bytes[at] = ord(" ")

    def _hide(self, node: Node) -> None:
        """Take ``public`` from a class, which would tie it to a file of its name."""
        for modifiers in node.children:
            if modifiers.type == "modifiers":
                for modifier in modifiers.children:
                    if modifier.type == "public":
                        self._blank(modifier)


def _name(node: Node) -> str:
    return text_of(node.child_by_field_name("name"))


def _methods(holder: Node) -> Iterator[Node]:
    body = holder.child_by_field_name("body")
    for node in () if body is None else body.named_children:
        if node.type == "method_declaration":
            yield node


def _is_static(method: Node) -> bool:
    return any(
        word.type == "static"
        for modifiers in method.children
        if modifiers.type == "modifiers"
        for word in modifiers.children
    )


def _is_main(method: Node) -> bool:
    return _name(method) == "main" and _is_static(method)


def _prelude_for(code: str, tests: ProgramTests) -> tuple[str, str]:
    """Return the imports of the prelude in one line, and those of its classes that ``code`` lacks.

    Of a class that the stub goes on with, only the candidate's own form counts.
    """
    prelude = _Source(tests.prelude)
    stubbed = _Source(_closed(tests.prelude, tests.stub)).types
    own = {*_Source(code).types, *stubbed[-1:]}
    helpers = [
        text_of(node)
        for node in _Source(prelude.text).root.named_children
        if node.type in _TYPES and _name(node) not in own
    ]
    return "".join(prelude.imports), "\n".join(helpers)


def _closed(prelude: str, stub: str) -> str:
    """Return prelude and stub as one file of Java, the methods without a body ending in ``;``."""
    head = stub.rstrip()
    if head.endswith("{"):
        head = head[:-1].rstrip()
    if not head.endswith((";", "}")):
        head += ";"
    text = f"{prelude}\n{head}"
    for _ in range(4):
        if not parse(text.encode(), "java").has_error:
            return text
        text += "\n}"
    raise BadInput(f"'{stub.strip()[:80]}' is no declaration in Java.", "Correct the stub.")


def _stubs(tests: ProgramTests) -> _Source:
    """Return the classes that the tests call: methods without a body ask the other process."""
    source = _Source(_closed(tests.prelude, tests.stub)).in_class("Solution")
    data, made, at = source.text.encode(), bytearray(), 0
    for holder in source.root.named_children:
        if holder.type != "class_declaration":
            continue
        for method in _methods(holder):
            if method.child_by_field_name("body") is None:
                made += data[at : method.end_byte].rstrip(b"; \n")
                made += _body(_name(holder), method).encode()
                at = method.end_byte
    if not made:
        raise BadInput("The stub declares no method to test.", "Give the head of a method.")
    return _Source((made + data[at:]).decode())


def _body(holder: str, method: Node) -> str:
    """Return the body of a stub. The answer's type is the one that the method declares."""
    on = "null" if _is_static(method) else "this"
    args = ", ".join(_parameters(method.child_by_field_name("parameters")))
    returns = "" if text_of(method.child_by_field_name("type")) == "void" else "return "
    return (
        f' {{ {returns}grader.Checker.call({holder}.class, "{_name(method)}", {on},'
        f" new Object[] {{{args}}}); }}"
    )


def _parameters(parameters: Node | None) -> Iterator[str]:
    for parameter in () if parameters is None else parameters.named_children:
        name = parameter.child_by_field_name("name")
        if name is None:  # a spread parameter holds a declarator
            name = next((n for n in parameter.children if n.type == "variable_declarator"), None)
        yield text_of(name)


def _path_of(name: str) -> str:
    return str(tool(name) or name)


@cache
def _folders_of(home: Path) -> frozenset[Path]:
    """Return a JDK's folder, and those outside it that its links lead to (Debian: in /etc)."""
    links = (path.resolve().parent for path in home.rglob("*") if path.is_symlink())
    return frozenset({home, *outside_system(links)})


def _shared_folder() -> Path:
    return shared_folder_of("java", *map(native, _SOURCES), version(Path(_path_of("javac"))))


def _keeps_classes() -> bool:
    """Whether this JVM can archive the classes that it has loaded: javac starts a third sooner."""
    return is_at_least(version(Path(_path_of("javac"))), 13)


def _built(files: dict[str, str], main: str, *args: str, options: Iterable[str] = ()) -> Built:
    ours = _shared_folder()
    classes = f"{ours}:."
    kept = (f"-J-XX:SharedArchiveFile={ours / 'javac.jsa'}",) if _keeps_classes() else ()
    return Built(
        files,
        run=(
            _path_of("java"),
            *_QUICK,
            *_HEAP,
            "--add-opens=java.base/java.io=ALL-UNNAMED",
            *options,
            "-cp",
            classes,
            main,
            *args,
        ),
        compile=((_path_of("javac"), *_JAVAC, *kept, "-cp", classes, "-d", ".", *files),),
        environment=_ENVIRONMENT,
        memory_by_rss=True,
    )
