"""C++ in g++ or clang++: candidates and test programs in processes of their own.

What both share stands in ``native/workbench_wire.hpp``. Neither ``main`` is renamed: the linker
puts ours in its place (``--wrap=main``), so that no macro of a candidate can come between.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import BadInput
from workbench.sandbox.naming import best_name
from workbench.sandbox.runtimes import Built, Toolchain
from workbench.sandbox.shared import build_shared, shared_folder_of
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

HEADER = "workbench_wire.hpp"
# C++17 with GNU's extensions is what g++ speaks when nobody asks, and what online judges offer.
FLAGS = ("-std=gnu++17", "-O1", "-w", "-fmax-errors=3", "-fdiagnostics-color=never")
_ENVIRONMENT = {"LANG": "C.UTF-8"}
_INCLUDE = re.compile(r"^\s*#\s*include\s*<([^>]+)>", re.MULTILINE)
_SCALARS = {"int": "long long", "float": "double", "str": "std::string", "bool": "bool"}
_CLASSES = ("class_specifier", "struct_specifier")
# What functions may stand in. Their names stay those of the global scope.
_AROUND = (
    "translation_unit",
    "template_declaration",
    "linkage_specification",
    "declaration_list",
    "preproc_if",
    "preproc_ifdef",
    "preproc_else",
    "ERROR",
)
_SERVER = 'extern "C" int __wrap_main() { return workbench::serve(); }'
_CHECKER = r"""
extern "C" void __assert_fail(const char* what, const char*, unsigned line, const char*) noexcept {
    workbench::fail("wrong answer", "line " + std::to_string(line) + ": " + what);
}
extern "C" int __real_main();
extern "C" int __wrap_main() { return workbench::check(__real_main); }
"""


@dataclass(frozen=True, slots=True)
class Function:
    """A function with a body.

    ``owner`` is its class, "" for none. ``parameters`` are the types of its parameters, without
    their names and default values.
    """

    name: str
    owner: str
    result: str
    parameters: tuple[str, ...]
    is_template: bool
    start: int
    end: int


class Cpp:
    """g++, or clang++ where there is no g++."""

    @property
    def language(self) -> str:
        """Its name."""
        return "cpp"

    def find(self) -> Toolchain | None:
        """Return the compiler, or None where there is none."""
        compiler = _compiler()
        if compiler is None or (folder := installation(compiler)) is None:
            return None
        readable = (*outside_system([folder]), self._shared())
        return Toolchain(f"{_title(compiler)} {_version(compiler)}", readable)

    def prepare(self) -> None:
        """Translate our header, and with it the standard library's: two thirds of a build.

        Raises:
            InUse: another process has been at it for minutes.
        """
        compiler = _compiler()
        if compiler is None:
            return

        def build(folder: Path) -> None:
            header = folder / HEADER
            header.write_text(native(HEADER), encoding="utf-8")
            if _title(compiler) == "g++":
                out = header.with_name(f"{HEADER}.gch")
                command = [str(compiler), *FLAGS, "-x", "c++-header", str(header), "-o", str(out)]
                subprocess.run(command, check=True, capture_output=True, timeout=600)

        build_shared(self._shared(), build)

    def server(self, code: str, tests: ProgramTests | CallTests) -> Built:
        """Build the candidate into a server.

        Raises:
            BadInput: the tests need a header or a type that is not here.
        """
        root = parse(code.encode(), self.language)
        functions = list(_functions(root))
        prelude = ""
        if isinstance(tests, ProgramTests):
            stub, prelude = _stub(tests)
            name, types = stub.name, stub.parameters
            defined = {one.name for one in functions if not one.owner} | set(_classes(root))
            prelude = _without(prelude, defined)
        else:
            name = tests.entry_point
            types = tuple(cpp_type(kind) for _, kind in tests.parameters)
        handler = _handler(name, types, functions)
        program = (
            f"#include <{HEADER}>\n{_SERVER}\nusing namespace std;\n"
            f'#line 1 "prelude.cpp"\n{prelude}\n#line 1 "candidate.cpp"\n{code}\n'
            f'#line 1 "server.cpp"\n'
            f'static workbench::Serve workbench_serve("{name}", {handler});\n'
        )
        return self._built("server", program, wrapped=True)

    def checker(self, tests: ProgramTests) -> Built:
        """Build a test program into a checker.

        Raises:
            BadInput: the tests declare no function, or need a header that is not here.
        """
        stub, prelude = _stub(tests)
        names = [f"workbench_{number}" for number in range(len(stub.parameters))]
        taken = ", ".join(
            f"{kind} {name}" for kind, name in zip(stub.parameters, names, strict=True)
        )
        sent = "".join(f", {name}" for name in names)
        program = (
            f"#include <{HEADER}>\nusing namespace std;\n"
            f'#line 1 "prelude.cpp"\n{prelude}\n'
            f"{stub.result} {stub.name}({taken}) {{\n"
            f'    return workbench::remote<{stub.result}>("{stub.name}"{sent});\n}}\n'
            f'#line 1 "tests.cpp"\n{tests.code}\n#line 1 "checker.cpp"\n{_CHECKER}'
        )
        return self._built("checker", program, wrapped=True)

    def program(self, code: str) -> Built:
        """Build a whole program that reads stdin and prints."""
        return self._built("program", code, wrapped=False)

    def _built(self, name: str, program: str, *, wrapped: bool) -> Built:
        compiler = str(_compiler() or "g++")
        ours = (f"-I{self._shared()}", "-Wl,--wrap=main") if wrapped else ()
        libraries = ("-lcrypto",) if "openssl/" in program else ()
        command = (compiler, *FLAGS, *ours, f"{name}.cpp", "-o", name, *libraries)
        return Built({f"{name}.cpp": program}, (f"./{name}",), (command,), _ENVIRONMENT)

    def _shared(self) -> Path:
        compiler = _compiler() or Path("g++")
        return shared_folder_of("cpp", native(HEADER), *FLAGS, str(compiler), _version(compiler))


def _compiler() -> Path | None:
    return tool("g++") or tool("clang++")


def _title(compiler: Path) -> str:
    return "clang++" if "clang" in compiler.name else "g++"


def _version(compiler: Path) -> str:
    # g++ begins its --version with its own name, which may hold a number.
    return version(compiler, "--version" if _title(compiler) == "clang++" else "-dumpfullversion")


def cpp_type(kind: str) -> str:
    """Return the C++ type of a type of CallTests.

    Raises:
        BadInput: there is none.
    """
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind.startswith("list[") and kind.endswith("]"):
        return f"std::vector<{cpp_type(kind[5:-1])}>"
    if kind.startswith("dict[str,") and kind.endswith("]"):
        return f"std::map<std::string, {cpp_type(kind[9:-1].strip())}>"
    raise BadInput(f"C++ has no type for {kind}.", "Use int, float, str, bool, list or dict.")


# --- what the tests need ---------------------------------------------------------------


def _stub(tests: ProgramTests) -> tuple[Function, str]:
    """Return the function under test, and the code that stands before it.

    Raises:
        BadInput: it is not declared, or a header is missing.
    """
    _check_includes(tests.prelude + "\n" + tests.stub + "\n" + tests.code)
    text = tests.stub.strip().rstrip("{;").rstrip() + " {}"
    source = text.encode()
    functions = [one for one in _functions(parse(source, "cpp")) if not one.owner]
    wanted = [one for one in functions if one.name == tests.entry_point] or functions[-1:]
    if not wanted:
        raise BadInput(
            f"The tests of {tests.entry_point} declare no C++ function.",
            "Give its signature as the stub.",
        )
    before = source[: wanted[-1].start].decode()
    return wanted[-1], f"{tests.prelude}\n{before}"


def _check_includes(code: str) -> None:
    for name in _INCLUDE.findall(code):
        folders = _include_folders()
        if folders and not any((folder / name.strip()).is_file() for folder in folders):
            raise BadInput(f"The C++ header {name} is not installed.", "Install its package.")


@cache
def _include_folders() -> tuple[Path, ...]:
    """Return the folders that the compiler looks for headers in; none where it does not say."""
    command = [_compiler() or "g++", "-E", "-x", "c++", "-v", "/dev/null"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError):
        return ()
    listed = said.stderr.partition("#include <...> search starts here:")[2]
    return tuple(Path(line.strip()) for line in listed.partition("End of")[0].splitlines() if line)


# --- what the candidate defines --------------------------------------------------------


def _handler(name: str, types: tuple[str, ...], functions: Collection[Function]) -> str:
    """Return the expression that serves the candidate's function of that name.

    A function that takes as many values as the tests hand over is served with its own types. One
    that takes others (default values), a template, and what is no function at all but can be
    called, is served with the types that the tests declare.
    """
    found = best_name(name, (one.name for one in functions)) or name
    named = [one for one in functions if one.name == found]
    meant = [one for one in named if not one.owner] or named
    owner = meant[0].owner if meant else ""
    for one in meant:
        if len(one.parameters) == len(types) and not one.is_template:
            return f"workbench::Taking<{', '.join(one.parameters)}>::serve(&{owner}::{found})"
    called = f"{owner}().{found}" if owner else f"::{found}"
    return (
        f"workbench::typed<{', '.join(types)}>("
        f"[](auto&... value) -> decltype(auto) {{ return {called}(value...); }})"
    )


def _functions(root: Node) -> Iterator[Function]:
    """Yield the functions with a body, at the top and directly in classes, in their order."""
    waiting = [(root, "", False)]  # no recursion: a candidate nests as deep as it likes
    while waiting:
        node, owner, is_template = waiting.pop()
        if node.type == "function_definition":
            function = _function(node, owner, is_template=is_template)
            if function is not None:
                yield function
            continue
        inside: Node | None = node
        if node.type in _CLASSES:
            inside = node.child_by_field_name("body")
            owner, is_template = text_of(node.child_by_field_name("name")), False
        elif node.type in _AROUND or _is_unnamed_namespace(node):
            is_template = is_template or node.type == "template_declaration"
        else:
            continue
        if inside is not None:
            waiting += [(one, owner, is_template) for one in reversed(inside.children)]


def _is_unnamed_namespace(node: Node) -> bool:
    return node.type == "namespace_definition" and node.child_by_field_name("name") is None


def _function(node: Node, owner: str, *, is_template: bool) -> Function | None:
    """Return a definition as a record; None for constructors and what is no function."""
    declarator, kind = node.child_by_field_name("declarator"), node.child_by_field_name("type")
    marks = ""
    while declarator is not None and declarator.type in (
        "pointer_declarator",
        "reference_declarator",
    ):
        marks += text_of(declarator.children[0])
        declarator = declarator.named_children[-1]
    if declarator is None or kind is None or declarator.type != "function_declarator":
        return None
    scope, _, name = text_of(declarator.child_by_field_name("declarator")).rpartition("::")
    listed = declarator.child_by_field_name("parameters")
    return Function(
        name=name,
        owner=scope or owner,
        result=f"{text_of(kind)}{marks}",
        parameters=tuple(_parameter_type(one) for one in (listed.named_children if listed else ())),
        is_template=is_template,
        start=node.start_byte,
        end=node.end_byte,
    )


def _parameter_type(node: Node) -> str:
    """Return the text of a parameter without its name and its default value."""
    end = node.child_by_field_name("default_value")
    text = (node.text or b"")[: end.start_byte - node.start_byte if end else None]
    if end is not None:
        text = text.rstrip().removesuffix(b"=")
    name = node.child_by_field_name("declarator")
    while name is not None and name.type not in ("identifier", "abstract_reference_declarator"):
        name = name.named_children[-1] if name.named_children else None
    if name is not None and name.type == "identifier":
        at = name.start_byte - node.start_byte
        text = text[:at] + text[at + name.end_byte - name.start_byte :]
    return text.decode().strip()


def _classes(root: Node) -> Iterator[str]:
    """Yield the names of the classes that are defined at the top."""
    for child in root.children:
        if child.type in _CLASSES and child.child_by_field_name("body") is not None:
            yield text_of(child.child_by_field_name("name"))


def _without(code: str, names: Collection[str]) -> str:
    """Return ``code`` without the functions and classes of these names."""
    source = code.encode()
    root = parse(source, "cpp")
    spans = [
        (one.start, one.end) for one in _functions(root) if not one.owner and one.name in names
    ]
    for child in root.children:
        if child.type in _CLASSES and text_of(child.child_by_field_name("name")) in names:
            spans.append((child.start_byte, child.end_byte))
    for start, end in sorted(spans, reverse=True):
        source = source[:start] + source[end:]
    return source.decode()
