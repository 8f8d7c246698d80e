"""The Results tab: the figures of stored evaluations, pairs of solvers, flips, and pictures."""

from __future__ import annotations

import html
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from workbench.errors import WorkbenchError
from workbench.evaluation import evaluations
from workbench.evaluation.page import (
    facts_html,
    flips_html,
    leaderboard_html,
    page_style,
    split_html,
    warnings_html,
    write_page,
)
from workbench.evaluation.report import EvaluationReport, open_report
from workbench.evaluation.splits import tags_of
from workbench.evaluation.tables import write_table
from workbench.ui import choices

if TYPE_CHECKING:
    from workbench.store import RunRow

log = logging.getLogger(__name__)

_PICTURES = [
    ("figures", "leaderboard"),
    ("retrieval effect", "effect"),
    ("how answers ended", "verdicts"),
    ("all pairs", "pairs"),
    ("by a tag", "split"),
    ("does the cheap metric say anything?", "agreement"),
    ("against time", "time"),
]
_FILES = {"page": ".html", "CSV": ".csv", "Parquet": ".parquet", "Markdown": ".md", "LaTeX": ".tex"}


class ResultsTab:
    """The parts of the tab and what happens to them. Build it inside ``gr.Blocks``."""

    def __init__(self) -> None:
        gr.Markdown("### Results\nWhat stored evaluations found.")
        self._build_run()
        self._build_pair()
        self._wire()

    # --- layout ------------------------------------------------------------------------

    def _build_run(self) -> None:
        runs = _runs()
        with gr.Row(elem_id="results-bar"):
            self.run = gr.Dropdown(
                runs,
                value=runs[0][1] if runs else None,
                label="Run",
                scale=4,
                min_width=260,
                elem_id="results-run",
            )
            self.metric = gr.Dropdown([], label="Metric", min_width=130, elem_id="results-metric")
            self.picture = gr.Dropdown(
                _PICTURES,
                value="leaderboard",
                label="Picture",
                min_width=200,
                scale=2,
                elem_id="results-picture",
            )
            self.tag = gr.Dropdown([], label="Tag", visible=False, min_width=130)
        self.notice = gr.HTML(elem_id="results-notice")
        self.table = gr.HTML(elem_id="results-table")
        self.plot = gr.Plot(show_label=False, visible=False, elem_id="results-plot")
        self.split = gr.HTML(elem_id="results-split")
        with gr.Row(elem_id="results-files"):
            self.form = gr.Dropdown(
                list(_FILES), value="page", label="Take it along as", min_width=160
            )
            self.download = gr.DownloadButton("Write", elem_id="results-write", size="md")

    def _build_pair(self) -> None:
        gr.Markdown(
            "### Who is better?\nTwo solvers on the same problems, and where they part ways."
        )
        with gr.Row(elem_id="results-pair"):
            self.a = gr.Dropdown([], label="A", min_width=220, scale=2, elem_id="results-a")
            self.b = gr.Dropdown([], label="B", min_width=220, scale=2, elem_id="results-b")
            self.compare = gr.Button("Compare", elem_id="results-compare", size="md")
        self.verdict = gr.HTML(elem_id="results-verdict")

    # --- what happens ------------------------------------------------------------------

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        drawn = [self.notice, self.table, self.plot, self.split, self.tag]
        asked = [self.run, self.metric, self.picture, self.tag]
        self.run.change(self.open, self.run, self._opened, **quiet)
        for part in (self.metric, self.picture, self.tag):
            part.input(self.draw, asked, drawn, **quiet)
        self.compare.click(
            self.do_compare, [self.run, self.a, self.b, self.metric], self.verdict, **quiet
        )
        self.download.click(
            self.write, [self.run, self.form], [self.notice, self.download], **quiet
        )

    @property
    def _opened(self) -> list[Any]:
        parts = [self.metric, self.a, self.b, self.notice, self.table, self.plot, self.split]
        return [*parts, self.tag, self.picture, self.verdict]

    def open(self, run: str | None) -> list[Any]:
        """Show a stored run from its leading metric on."""
        try:
            found = _opened(run)
        except WorkbenchError as error:
            empty = gr.update(choices=[], value=None)
            hidden = gr.update(visible=False)
            problem = choices.problem_html(error) if run else _nothing()
            return [empty, empty, empty, problem, "", hidden, "", hidden, gr.skip(), ""]
        metrics = [one.name for one in found.metrics]
        names = list(found.names)
        leading = metrics[0] if metrics else None
        retrieves = any(one.arm not in (None, "plain") for one in found.solvers)
        picture = "effect" if retrieves and leading else "leaderboard"
        return [
            gr.update(choices=metrics, value=leading),
            gr.update(choices=names, value=names[0] if names else None),
            gr.update(choices=names, value=names[-1] if names else None),
            *self.draw(run, leading, picture, None)[:4],
            gr.update(choices=list(tags_of(found)), visible=False),
            gr.update(value=picture),
            "",
        ]

    def draw(
        self, run: str | None, metric: str | None, picture: str, tag: str | None
    ) -> tuple[Any, ...]:
        """Draw one picture of a run, above its table."""
        hidden = gr.update(visible=False)
        try:
            found = _opened(run)
        except WorkbenchError as error:
            return choices.problem_html(error), "", hidden, "", hidden
        tags = list(tags_of(found))
        chosen = tag if tag in tags else next(iter(tags), None)
        by_tag = picture == "split"
        menu = gr.update(choices=tags, value=chosen, visible=by_tag and bool(tags))
        about = f"<details><summary>About this run</summary>{facts_html(found)}</details>"
        table = _styled(warnings_html(found) + leaderboard_html(found) + about)
        split = _styled(split_html(found, chosen)) if by_tag and chosen else ""
        try:
            drawn = found.plot(picture, metric=metric, tag=chosen)  # type: ignore[arg-type]
        except WorkbenchError as error:
            return choices.problem_html(error), table, hidden, split, menu
        return "", table, gr.update(value=drawn, visible=True), split, menu

    def do_compare(
        self, run: str | None, a: str | None, b: str | None, metric: str | None
    ) -> Iterator[str]:
        """Say which of two solvers is better, and show the flips."""
        yield choices.notice_html(["Comparing"], "wb-busy-line")
        try:
            found = _opened(run)
            pair = found.compare(a, b, metric)
        except WorkbenchError as error:
            yield choices.problem_html(error)
            return
        said = f"<p><b>{html.escape(pair.sentence)}.</b></p><p class='wb-dim'>{pair.test}</p>"
        yield _styled(said + flips_html(found, pair))

    def write(self, run: str | None, form: str) -> tuple[Any, Any]:
        """Write the report or its table, to be downloaded."""
        try:
            found = _opened(run)
            folder = Path(tempfile.mkdtemp(prefix="workbench-"))
            path = folder / f"{found.run}{_FILES[form]}"
            write_page(found, path) if form == "page" else write_table(found, "leaderboard", path)
        except WorkbenchError as error:
            return choices.problem_html(error), gr.skip()
        said = choices.notice_html([f"Written: press <b>{path.name}</b>."], "wb-done")
        return said, gr.update(value=str(path), label=path.name)

    def refresh(self, run: str | None) -> list[Any]:
        """Return what may have changed since the page was built; see ``refreshed``."""
        runs = _runs()
        values = [value for _, value in runs]
        chosen = run if run in values else next(iter(values), None)
        return [gr.update(choices=runs, value=chosen), *self.open(chosen)]

    @property
    def refreshed(self) -> list[Any]:
        """The parts that ``refresh`` updates."""
        return [self.run, *self._opened]


def _opened(run: str | None) -> EvaluationReport:
    return open_report(run or "last")


def _runs() -> choices.Choices:
    """Return the stored evaluations, newest first."""
    return [(_label(row), row.id) for row in evaluations()]


def _label(row: RunRow) -> str:
    suite, arms = row.spec["suite"], row.spec["arms"]
    day = row.created[:16].replace("T", " ")
    return (
        f"{suite['name']}, {suite['questions']:,} problems, {len(arms)} solvers, {day} ({row.id})"
    )


def _nothing() -> str:
    return choices.notice_html(
        ["Nothing was evaluated yet. Do it under <b>Evaluate</b>."], "wb-missing"
    )


def _styled(body: str) -> str:
    return f"{page_style()}<div class='wb wb-scroll'>{body}</div>"
