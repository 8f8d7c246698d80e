"""A notebook that opens a stored run and shows its tables and figures again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from workbench.evaluation.records import Evaluation

_INTRODUCTION = """# {suite}, run {run}

{questions:,} questions to {solvers} solvers. This notebook opens the run as it is stored here and
reckons every table and figure again; no model is called. `workbench replay {run}` asks the
models again, and says what differs."""


def write_notebook(evaluation: Evaluation, path: Path | str) -> Path:
    """Write a notebook that reproduces the report of a run; return its path.

    Raises:
        BadInput: the file cannot be written.
        MissingExtra: nbformat is not installed.
    """
    try:
        from nbformat import v4, writes
    except ModuleNotFoundError as error:
        raise MissingExtra("A notebook", "notebook") from error
    target = Path(path)
    book = v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[
            v4.new_markdown_cell(text[3:].lstrip())  # type: ignore[no-untyped-call]
            if text.startswith("#md")
            else v4.new_code_cell(text)  # type: ignore[no-untyped-call]
            for text in _cells(evaluation)
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(writes(book), encoding="utf-8")  # type: ignore[no-untyped-call]
    except OSError as error:
        raise BadInput(f"{target} cannot be written: {error.strerror or error}.") from error
    return target


def _cells(evaluation: Evaluation) -> list[str]:
    """Return the cells as texts; those that begin with ``#md`` are prose."""
    said = _INTRODUCTION.format(
        suite=evaluation.suite.name,
        run=evaluation.run,
        questions=len(evaluation.questions),
        solvers=len(evaluation.solvers),
    )
    cells = [
        f"#md{said}",
        f"import workbench as wb\n\nrun = wb.open_evaluation({evaluation.run!r})\nrun",
    ]
    if not evaluation.metrics:
        return cells
    metric = evaluation.metrics[0].name
    cells += ["run.table()", f"run.plot(metric={metric!r})"]
    if len(evaluation.solvers) > 1:
        a, b = evaluation.names[:2]
        cells += [
            "#md## Who is better, and where they part ways",
            "run.table('pairs')",
            f"run.compare({a!r}, {b!r}, metric={metric!r})",
        ]
    if any(one.arm not in (None, "plain") for one in evaluation.solvers):
        cells += ["#md## Does retrieval help?", f"run.plot('effect', metric={metric!r})"]
    return [*cells, "#md## Every answer", "run.df"]
