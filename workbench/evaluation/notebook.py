"""A notebook that opens a stored run and shows its tables and figures again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import BadInput, MissingExtra
from workbench.evaluation.pairs import all_pairs
from workbench.evaluation.splits import tags_of
from workbench.metrics.figures import is_verdict

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
    cells += ["run.table()", *_plot(evaluation, "leaderboard", metric)]
    if all_pairs(evaluation, metric):
        a, b = next((one.a, one.b) for one in all_pairs(evaluation, metric))
        cells += [
            "#md## Who is better, and where they part ways",
            "run.table('pairs')",
            f"run.compare({a!r}, {b!r}, metric={metric!r})",
        ]
    if drawn := _plot(evaluation, "effect", metric):
        said = f"[one.sentence for one in run.effect({metric!r}) if one.sentence]"
        cells += ["#md## Does retrieval help?", *drawn, said]
    if drawn := _plot(evaluation, "verdicts", metric):
        cells += ["#md## How the answers ended", *drawn]
    if tags := tags_of(evaluation):
        cells += [f"#md## By {', '.join(tags)}", "run.table('splits')"]
        cells += [one for tag in tags for one in _plot(evaluation, "split", metric, tag=tag)]
    for rule in evaluation.metrics[1:]:
        if drawn := _plot(evaluation, "agreement", metric, cheap=rule.name):
            said = f"run.agreement({rule.name!r}, {metric!r}).sentence"
            cells += [f"#md## Does {rule.name} say anything?", said, *drawn]
    if drawn := _plot(evaluation, "time", metric):
        cells += ["#md## What it took", *drawn]
    return [*cells, "#md## Every answer", "run.df"]


def _plot(evaluation: Evaluation, kind: str, metric: str, **named: str) -> list[str]:
    """Return the cell that draws a picture, none where there is nothing to draw."""
    from workbench.evaluation import figures

    drawing: dict[str, Callable[[], object]] = {
        "leaderboard": lambda: figures.leaderboard(evaluation, metric),
        "effect": lambda: figures.effect_figure(evaluation, metric),
        "verdicts": lambda: figures.verdict_figure(evaluation, metric),
        "split": lambda: figures.split_figure(evaluation, named["tag"], metric),
        "agreement": lambda: figures.agreement_figure(evaluation, named["cheap"], metric),
        "time": lambda: figures.spending_figure(evaluation, metric),
    }
    if kind == "verdicts" and not is_verdict(evaluation.metric(metric)):
        return []
    try:
        drawing[kind]()
    except (BadInput, MissingExtra):
        return []
    more = "".join(f", {name}={value!r}" for name, value in named.items())
    return [f"run.plot({kind!r}, metric={metric!r}{more})"]
