"""The documentation is executed: README commands, docstring examples, the notebooks."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import REAL_MODELS, REAL_SUITES
from nbclient import NotebookClient

import workbench

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Fences under this mark in the README are run, line by line, in their order.
SHELL = re.findall(r"<!-- run -->\n```bash\n(.*?)```", README, flags=re.DOTALL)
PYTHON = re.findall(r"<!-- run -->\n```python\n(.*?)```", README, flags=re.DOTALL)
# What each notebook is about, as its HTML has it.
SHOWS = {
    "01_side_by_side": "wb-columns",
    "02_which_embedding": "wb-lab",
    "03_backends_and_cost": "wb-sent",
    "04_does_retrieval_help": "wb-flip",
    "05_evaluate_and_compare": "wb-flip",
}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WORKBENCH = Path(sys.executable).with_name("workbench")


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one home for all that the docs do, as a reader has it, who asks some things twice."""
    folder = tmp_path_factory.mktemp("docs") / "home"
    folder.mkdir()
    (folder / "models").symlink_to(REAL_MODELS, target_is_directory=True)
    (folder / "suites").symlink_to(REAL_SUITES, target_is_directory=True)
    return folder


@pytest.fixture
def reader(documented: Path, models_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(documented))


def commands() -> list[list[str]]:
    lines = "".join(SHELL).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.mark.models
def test_readme_commands_do_what_they_say(reader: None) -> None:
    assert commands(), "README.md marks no commands to run"
    for command in commands():
        assert command[0] == "workbench", command
        done = subprocess.run(
            [str(WORKBENCH), *command[1:]], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
        assert done.stdout.strip(), f"{shlex.join(command)} printed nothing"


@pytest.mark.models
def test_readme_python_runs(reader: None) -> None:
    assert PYTHON, "README.md marks no Python to run"
    code = "\n".join(PYTHON)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_link_in_the_readme_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r'src="([^":]+)"', README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]


def module_names() -> list[str]:
    found = pkgutil.walk_packages(workbench.__path__, "workbench.")
    texts = {
        name: Path(importlib.util.find_spec(name).origin or "").read_text(encoding="utf-8")  # type: ignore[union-attr]
        for name in ("workbench", *(module.name for module in found))
    }
    return [name for name, text in texts.items() if re.search(r"^\s*>>> ", text, re.MULTILINE)]


@pytest.mark.parametrize("name", module_names())
def test_docstring_examples(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0


@pytest.mark.models
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_top_to_bottom(path: Path, reader: None) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "strip it: nbstripout"
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
    NotebookClient(notebook, timeout=240, kernel_name="python3").execute(cwd=str(path.parent))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error"]
    shown = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert SHOWS[path.stem] in shown
    # A failed backend, or arm, fills its column with the cause; in our own notebooks none may fail.
    assert not re.search(r"class=.wb-error", shown)
