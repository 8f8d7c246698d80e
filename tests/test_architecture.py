"""The laws of the house: who may import whom, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

PACKAGE = Path(workbench.__file__).parent

# Floors from the ground up; a room may import only from floors below it and from itself.
# Within floor 2 the rooms stand on each other in the order of this list.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("types", "errors"),
    ("registry", "settings", "languages", "machine", "cancel", "locks", "durable", "keys"),
    ("progress",),
    ("weights", "sandbox", "prompts", "run", "store", "report", "statistics", "langchain"),
    ("plots",),
    ("comparison",),
    ("corpus", "retrieval", "backends", "metrics"),
    ("tasks", "agents", "suites", "training"),
    ("spec",),
    ("lab", "cost", "batch"),
    ("evaluation",),
    ("api",),
    ("doctor",),
    ("notebook", "terminal", "ui"),
    ("cli",),
)
# Floor 1 may be imported by everybody, and errors and types know only each other's names.
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = ("torch", "transformers", "gradio", "chromadb", "langchain", "langchain_core")


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(("workbench", *parts))] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imports(tree: ast.Module) -> set[str]:
    """Return the modules of ours that a module imports anywhere, type-checking blocks included."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(
                full if (full := f"{node.module}.{alias.name}") in MODULES else node.module
                for alias in node.names
            )
            assert node.level == 0, "imports are absolute"
    return {name for name in names if name in MODULES}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in MODULES} - {""} <= set(FLOOR_OF)


@pytest.mark.parametrize("module", [name for name in MODULES if room(name)])
def test_imports_only_go_down(module: str) -> None:
    here = room(module)
    for imported in imports(MODULES[module]) - {"workbench"}:
        there = room(imported)
        if there != here and FLOOR_OF[there] > 0:
            assert FLOOR_OF[there] < FLOOR_OF[here], f"{module} imports {imported}"


def test_there_is_no_import_circle() -> None:
    graph = {module: imports(tree) - {module} for module, tree in MODULES.items()}
    # The package's own front door names its rooms for type checkers only; see __getattr__ there.
    graph["workbench"] = set()
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for imported in sorted(graph[module]):
                visit(imported, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_langchain_types_stay_in_their_rooms() -> None:
    for module, tree in MODULES.items():
        text = ast.unparse(tree)
        if module not in ("workbench.backends.langchain", "workbench.langchain"):
            assert "import langchain" not in text, module
            assert "from langchain" not in text, module


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import workbench",
        "import workbench.cli",
        "import workbench.api",
        "import workbench.doctor",
        "import workbench.notebook",
    ],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    assert not loaded_by(statement) & set(HEAVY)


def test_importing_writes_nothing(home: Path) -> None:
    loaded_by("import workbench.api, workbench.cli, workbench.notebook")
    assert not home.exists()
