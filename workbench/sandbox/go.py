"""Go: candidates and test functions in processes of their own.

The compiler and the linker are called themselves, and not ``go build``: that wants a cache which
it may write to. The archives of the standard library, of ``native/wire.go`` and of what stands in
for testify are built once, into a folder that every sandbox may only read.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import BadInput
from workbench.sandbox.naming import best_name
from workbench.sandbox.runtimes import Built, Toolchain
from workbench.sandbox.shared import build_shared, shared_folder_of
from workbench.sandbox.tools import native, outside_system, parse, text_of, tool
from workbench.types import CallTests, ProgramTests

if TYPE_CHECKING:
    from tree_sitter import Node

# Our packages, in the order in which they stand on each other.
_OURS = {"workbench/wire": "wire.go", "github.com/stretchr/testify/assert": "assert.go"}
_CONFIG = "importcfg"
# Threads of the runtime add nothing to a program that answers one call after the other.
_ENVIRONMENT = {"LANG": "C.UTF-8", "GOMAXPROCS": "2", "GOTRACEBACK": "single"}
_SCALARS = {"int": "int", "float": "float64", "str": "string", "bool": "bool"}
# HumanEval-X's own harness imports these where a program uses them and does not say so
# (IMPORT_HELPER of codegeex/benchmark/utils.py).
_USUAL = {
    path.rpartition("/")[2]: path
    for path in (
        *("math", "strings", "fmt", "strconv", "time", "bytes", "regexp", "sort"),
        *("math/rand", "crypto/md5"),
    )
}
_SERVER = """package main

import workbench_wire "workbench/wire"

func main() {{
	workbench_wire.Plain = {plain}
	workbench_wire.Serve({function})
}}
"""
_STUB = """package main

import workbench_wire "workbench/wire"

func {name}({parameters}) ({results}) {{
	workbench_wire.Remote("{name}", []interface{{}}{{{sent}}}, []interface{{}}{{{received}}})
	return
}}
"""
_CHECKER = """package main

import (
	workbench_testing "testing"
	workbench_deps "testing/internal/testdeps"
	workbench_wire "workbench/wire"
)

func main() {{
	ran := 0
	tests := []workbench_testing.InternalTest{{
		{tests}
	}}
	// As the main function that "go test" writes.
	if workbench_testing.MainStart(workbench_deps.TestDeps{{}}, tests, nil, nil, nil).Run() != 0 {{
		workbench_wire.Fail("wrong answer", "a test failed")
	}}
	if ran == len(tests) {{
		workbench_wire.Pass()
	}}
}}
"""
_TEST = """{{Name: "{name}", F: func(t *workbench_testing.T) {{
			defer workbench_wire.Guard()
			{name}(t)
			ran++
		}}}},"""


@dataclass(frozen=True, slots=True)
class GoTools:
    """What ``go env`` says: where its tools and its own sources are, and its version."""

    tools: Path
    root: Path
    version: str


@dataclass(frozen=True, slots=True)
class Function:
    """The head of a function: the types of its parameters and of its results."""

    name: str
    parameters: tuple[str, ...]
    results: tuple[str, ...]
    is_generic: bool
    is_variadic: bool


class Source:
    """A Go file, or a piece of one, taken apart."""

    def __init__(self, text: str) -> None:
        self.source = text.encode()
        self.root = parse(self.source, "go")
        self.imports = dict(_imports(self.root))
        self.declared = [
            (frozenset(_names(node)), node) for node in self.root.children if _names(node)
        ]

    @property
    def functions(self) -> dict[str, Function]:
        """Its functions that are no methods, by name."""
        nodes = (node for node in self.root.children if node.type == "function_declaration")
        return {one.name: one for one in map(_function, nodes)}

    @property
    def names(self) -> frozenset[str]:
        """The names that it declares at the top."""
        return frozenset(name for names, _ in self.declared for name in names)

    def body(self, without: Collection[str] = ()) -> bytes:
        """Return the text without its package, imports, and declarations of these names.

        Lines keep their numbers.
        """
        text = self.source
        gone = [
            node
            for node in self.root.children
            if node.type in ("package_clause", "import_declaration")
            or any(name in without for name in _names(node))
        ]
        for node in reversed(gone):
            lines = text[node.start_byte : node.end_byte].count(b"\n")
            text = text[: node.start_byte] + b"\n" * lines + text[node.end_byte :]
        return text

    def used(self, without: Collection[str] = ()) -> frozenset[str]:
        """Return the names that stand before a dot, as packages do, outside those declarations."""
        kept = (one for names, one in self.declared if not names & frozenset(without))
        methods = (one for one in self.root.children if one.type in ("method_declaration", "ERROR"))
        return frozenset(name for node in (*kept, *methods) for name in _qualifiers(node))

    def missing(self, used: Collection[str]) -> list[str]:
        """Return the usual packages that are used and not imported."""
        return [one for one in _USUAL if one in used and one not in {*self.imports, *self.names}]

    def file(
        self, name: str, without: Collection[str] = (), imports: Iterable[str] | None = None
    ) -> bytes:
        """Return it as a file of the program, which imports the packages called ``imports``.

        None: those that it uses, of its own and of the usual ones.
        """
        if imports is None:
            used = self.used(without)
            own = [one for one in self.imports if one in used or one in ("_", ".")]
            imports = [*own, *self.missing(used)]
        known = {**_specs(_USUAL), **self.imports}
        listed = "".join(f"import {known[one]}\n" for one in imports)
        return f"package main\n{listed}//line {name}:1\n".encode() + self.body(without)


class Go:
    """The Go toolchain."""

    @property
    def language(self) -> str:
        """Its name."""
        return "go"

    def find(self) -> Toolchain | None:
        """Return Go, or None where there is none of version 1.18 or later."""
        go = _go()
        if go is None:
            return None
        readable = outside_system([go.root, go.tools.resolve()])
        return Toolchain(f"Go {go.version}", (*readable, self._shared()))

    def prepare(self) -> None:
        """Build the archives that all programs are linked with.

        Raises:
            InUse: another process has been at it for minutes.
        """
        go = _go()
        if go is not None:
            build_shared(self._shared(), lambda folder: _build_archives(go, folder, self._shared()))

    def server(self, code: str, tests: ProgramTests | CallTests) -> Built:
        """Build the candidate into a server.

        Raises:
            BadInput: the tests declare no function, or one of a type that is not known.
        """
        candidate = Source(code)
        plain = isinstance(tests, CallTests)
        files: dict[str, str | bytes] = {}
        if isinstance(tests, ProgramTests):
            declared, prelude = _stub(tests)
            name = declared.name
            files["prelude.go"] = prelude.file("prelude.go", {*candidate.names, name})
            given = {**prelude.imports, **Source(tests.code).imports}
        else:
            declared, name = _declared(tests), tests.entry_point
            name = best_name(name, candidate.functions) or name
            given = {}
        files["candidate.go"] = _candidate(candidate, given)
        function = _callable(name, declared, candidate.functions.get(name))
        files["server.go"] = _SERVER.format(plain=str(plain).lower(), function=function)
        return self._built("server", files)

    def checker(self, tests: ProgramTests) -> Built:
        """Build test functions into a checker.

        Raises:
            BadInput: the tests declare no function, or test nothing.
        """
        stub, prelude = _stub(tests)
        code = Source(tests.code)
        names = [name for name in code.functions if name.startswith("Test")]
        if not names:
            raise BadInput("The Go tests have no function whose name begins with Test.")
        results = [f"result{number}" for number in range(len(stub.results))]
        files: dict[str, str | bytes] = {
            "prelude.go": prelude.file("prelude.go", {*code.names, stub.name}),
            "stub.go": _STUB.format(
                name=stub.name,
                parameters=_typed(stub.parameters),
                results=", ".join(map(" ".join, zip(results, stub.results, strict=True))),
                sent=", ".join(f"&value{number}" for number in range(len(stub.parameters))),
                received=", ".join(f"&{one}" for one in results),
            ),
            "tests.go": code.file("tests.go", {stub.name}),
            "checker.go": _CHECKER.format(tests="\n\t\t".join(_TEST.format(name=n) for n in names)),
        }
        return self._built("checker", files)

    def program(self, code: str) -> Built:
        """Build a whole program that reads stdin and prints."""
        return self._built("program", {"program.go": code})

    def _built(self, name: str, files: dict[str, str | bytes]) -> Built:
        go = _go()
        tools = go.tools if go else Path()
        config = ("-importcfg", str(self._shared() / _CONFIG))
        compile_ = (str(tools / "compile"), "-p", "main", "-complete", "-pack", *config)
        link = (str(tools / "link"), "-buildmode=exe", "-s", "-w", *config)
        return Built(
            files,
            (f"./{name}",),
            ((*compile_, "-o", f"{name}.a", *files), (*link, "-o", name, f"{name}.a")),
            _ENVIRONMENT,
            memory_by_rss=True,
        )

    def _shared(self) -> Path:
        return shared_folder_of("go", str(_go()), *map(native, _OURS.values()))


# --- the toolchain ---------------------------------------------------------------------


@cache
def _go() -> GoTools | None:
    found = tool("go")
    if found is None:
        return None
    names = ("GOTOOLDIR", "GOROOT", "GOVERSION")
    try:
        values = json.loads(_run([str(found), "env", "-json", *names], None))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    number = values["GOVERSION"].removeprefix("go")
    if [int(part) for part in number.split(".")[:2] if part.isdigit()] < [1, 18]:
        return None
    return GoTools(Path(values["GOTOOLDIR"]), Path(values["GOROOT"]), number)


def _run(command: list[str], environment: dict[str, str] | None) -> str:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=1800
    )
    return done.stdout


def _build_archives(go: GoTools, folder: Path, final: Path) -> None:
    """Build the standard library where it is not built, and our packages, into ``folder``.

    ``final`` is where the folder will lie: the list of archives names the places there.
    """
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "GOCACHE": str(folder / "std"),
        "GOENV": "off",
        "GOFLAGS": "",
        "GOPROXY": "off",
        "CGO_ENABLED": "0",
        "GO111MODULE": "off",
    }
    each = "{{if .Export}}packagefile {{.ImportPath}}={{.Export}}{{end}}"
    listed = _run([str(go.root / "bin" / "go"), "list", "-export", "-f", each, "std"], environment)
    for path, name in _OURS.items():
        (folder / name).write_text(native(name), encoding="utf-8")
        (folder / _CONFIG).write_text(listed, encoding="utf-8")
        archive = folder / f"{name}.a"
        command = [str(go.tools / "compile"), "-p", path, "-complete", "-pack"]
        command += ["-importcfg", str(folder / _CONFIG), "-o", str(archive), str(folder / name)]
        _run(command, environment)
        listed += f"packagefile {path}={archive}\n"
    (folder / _CONFIG).write_text(listed.replace(str(folder), str(final)), encoding="utf-8")


# --- what the tests declare ------------------------------------------------------------


def _stub(tests: ProgramTests) -> tuple[Function, Source]:
    """Return the head of the function under test, and what stands before it.

    Raises:
        BadInput: it is not declared.
    """
    text = tests.stub.strip().removesuffix("{").rstrip() + " {}"
    functions = Source(f"{tests.prelude}\n{text}\n").functions
    found = functions.get(tests.entry_point or "") or (
        list(functions.values())[-1] if tests.stub.strip() and functions else None
    )
    if found is None:
        raise BadInput(
            f"The tests of {tests.entry_point} declare no Go function.",
            "Give its signature as the stub.",
        )
    return found, Source(f"{tests.prelude}\n{text}\n")


def _declared(tests: CallTests) -> Function:
    kinds = tuple(go_type(kind) for _, kind in tests.parameters)
    results = (go_type(tests.returns),)
    return Function(tests.entry_point, kinds, results, is_generic=False, is_variadic=False)


def go_type(kind: str) -> str:
    """Return the Go type of a type of CallTests.

    Raises:
        BadInput: there is none.
    """
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind.startswith("list[") and kind.endswith("]"):
        return f"[]{go_type(kind[5:-1])}"
    if kind.startswith("dict[str,") and kind.endswith("]"):
        return f"map[string]{go_type(kind[9:-1].strip())}"
    raise BadInput(f"Go has no type for {kind}.", "Use int, float, str, bool, list or dict.")


# --- what the candidate defines --------------------------------------------------------


def _candidate(candidate: Source, given: dict[str, str]) -> bytes:
    """Return the candidate as a file, without its main.

    It need not use an import that it was given, or that its main uses. Any other that it does not
    use is its own error, as Go has it.
    """
    used, ours = candidate.used(), candidate.used({"main"})
    unused = {name for name in candidate.imports if name in given or name in used} - ours
    imports = [name for name in candidate.imports if name not in unused]
    return candidate.file("candidate.go", {"main"}, [*imports, *candidate.missing(ours)])


def _callable(name: str, declared: Function, found: Function | None) -> str:
    """Return the expression to serve: the function, or one of the declared types around it."""
    if found is None or not (found.is_generic or found.is_variadic):
        return name
    values = ", ".join(f"value{number}" for number in range(len(declared.parameters)))
    results = ", ".join(declared.results)
    return f"func({_typed(declared.parameters)}) ({results}) {{ return {name}({values}) }}"


def _typed(kinds: Iterable[str]) -> str:
    return ", ".join(f"value{number} {kind}" for number, kind in enumerate(kinds))


def _function(node: Node) -> Function:
    result = node.child_by_field_name("result")
    listed = node.child_by_field_name("parameters")
    several = result is not None and result.type == "parameter_list"
    return Function(
        name=text_of(node.child_by_field_name("name")),
        parameters=tuple(_types(listed)),
        results=tuple(_types(result)) if several else (text_of(result),) if result else (),
        is_generic=node.child_by_field_name("type_parameters") is not None,
        is_variadic="..." in text_of(listed),
    )


def _types(listed: Node | None) -> Iterator[str]:
    """Yield the type of each parameter: ``a, b int`` are two."""
    for one in listed.named_children if listed is not None else ():
        kind = text_of(one.child_by_field_name("type"))
        for _ in one.children_by_field_name("name") or ("",):
            yield f"[]{kind}" if one.type == "variadic_parameter_declaration" else kind


def _names(node: Node) -> list[str]:
    """Return the names that a declaration at the top declares; those of methods are none."""
    if node.type == "function_declaration":
        name = text_of(node.child_by_field_name("name"))
        return [] if name == "init" else [name]
    if node.type in ("var_declaration", "const_declaration", "type_declaration"):
        return [
            text_of(name)
            for spec in _specs_of(node)
            for name in spec.children_by_field_name("name")
            if text_of(name) != "_"
        ]
    return []


def _specs_of(node: Node) -> Iterator[Node]:
    for child in node.named_children:
        if child.type.endswith("_spec_list"):
            yield from _specs_of(child)
        else:
            yield child


def _imports(root: Node) -> Iterator[tuple[str, str]]:
    """Yield the name of each imported package, and what stands behind ``import``."""
    for node in root.children:
        if node.type != "import_declaration":
            continue
        for spec in _specs_of(node):
            path = text_of(spec.child_by_field_name("path"))
            name = text_of(spec.child_by_field_name("name"))
            yield name or path.strip('"`').rpartition("/")[2], f"{name} {path}".strip()


def _specs(paths: dict[str, str]) -> dict[str, str]:
    return {name: f'"{path}"' for name, path in paths.items()}


def _qualifiers(node: Node) -> Iterator[str]:
    """Yield the names before dots in a piece of code."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        name = None
        if one.type == "selector_expression":
            name = one.child_by_field_name("operand")
        elif one.type == "qualified_type":
            name = one.child_by_field_name("package")
        if name is not None and name.type in ("identifier", "package_identifier"):
            yield text_of(name)
        waiting.extend(one.named_children)
