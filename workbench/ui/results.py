"""The Results tab: the figures of stored evaluations, pairs of solvers, flips, and pictures."""

from __future__ import annotations

import contextlib
import html
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from workbench.errors import BadInput, WorkbenchError
from workbench.evaluation import evaluations
from workbench.evaluation.page import (
    facts_html,
    flips_html,
    leaderboard_html,
    page_style,
    split_html,
    warnings_html,
)
from workbench.evaluation.records import PLAIN
from workbench.evaluation.report import EvaluationReport, open_report
from workbench.evaluation.splits import tags_of
from workbench.evaluation.tables import write_table
from workbench.ui import choices

if TYPE_CHECKING:
    from workbench.evaluation.pairs import Pair

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
_FILES = {
    "HTML report": ".html",
    "Notebook": ".ipynb",
    "CSV": ".csv",
    "Parquet": ".parquet",
    "Markdown": ".md",
    "LaTeX": ".tex",
}
# A browser saves only what a link is pressed for; the button that is seen writes the file first.
_SAVE = "() => document.querySelector('#results-save').click()"


class ResultsTab:
    """The parts of the tab and what happens to them. Build it inside ``gr.Blocks``."""

    def __init__(self) -> None:
        gr.Markdown("### Results\nWhat stored evaluations found. The best figures are bold.")
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
                list(_FILES), value="HTML report", label="Take it along as", min_width=160
            )
            self.write_it = gr.Button("Download", elem_id="results-write", size="md")
            self.save = gr.DownloadButton("Save", elem_id="results-save")

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
        # Intervals of a large run take seconds: say so at once, and reckon them once a run.
        wait: dict[str, Any] = {"queue": False, **quiet}
        opening = self.run.input(_waiting, None, self.notice, **wait)
        opening.then(self.open, self.run, self._opened, **quiet)
        drawn = [self.notice, self.plot, self.split, self.tag]
        for part in (self.metric, self.picture, self.tag):
            drawing = part.input(_waiting, None, self.notice, **wait)
            drawing.then(self.draw, self.chosen, drawn, **quiet)
        pair = [self.run, self.a, self.b, self.metric]
        self.compare.click(self.do_compare, pair, self.verdict, **quiet)
        for part in (self.a, self.b, self.metric):  # what stands there was said of others
            part.input(lambda: "", None, self.verdict, queue=False, **quiet)
        written = self.write_it.click(
            self.write, [self.run, self.form], [self.notice, self.save], **quiet
        )
        written.success(None, None, None, js=_SAVE)

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
        retrieves = any(one.arm not in (None, PLAIN) for one in found.solvers)
        picture = "effect" if retrieves and leading else "leaderboard"
        notice, plot, said, tags = self._drawn(found, leading, picture, None)
        return [
            gr.update(choices=metrics, value=leading),
            gr.update(choices=names, value=names[0] if names else None),
            gr.update(choices=names, value=names[-1] if len(names) > 1 else None),
            notice,
            _table(found),
            plot,
            said,
            tags,
            gr.update(value=picture),
            "",
        ]

    def draw(
        self, run: str | None, metric: str | None, picture: str, tag: str | None
    ) -> tuple[Any, ...]:
        """Draw one picture of a run, and say below it what it says."""
        try:
            return self._drawn(_opened(run), metric, picture, tag)
        except WorkbenchError as error:
            hidden = gr.update(visible=False)
            return choices.problem_html(error), hidden, "", hidden

    def _drawn(
        self, found: EvaluationReport, metric: str | None, picture: str, tag: str | None
    ) -> tuple[Any, ...]:
        tags = list(tags_of(found))
        chosen = tag if tag in tags else next(iter(tags), None)
        menu = gr.update(choices=tags, value=chosen, visible=picture == "split" and bool(tags))
        try:
            said = _said(found, picture, metric, chosen)
            drawn = found.plot(picture, metric=metric, tag=chosen)  # type: ignore[arg-type]
        except WorkbenchError as error:
            return choices.problem_html(error), gr.update(visible=False), "", menu
        return "", gr.update(value=drawn, visible=True), said, menu

    def do_compare(
        self, run: str | None, a: str | None, b: str | None, metric: str | None
    ) -> Iterator[str]:
        """Say which of two solvers is better, and show the flips."""
        yield choices.notice_html(["Comparing"], "wb-busy-line")
        try:
            found = _opened(run)
            pair = _pair(found, a, b, metric)
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
            _write(found, form, path)
        except WorkbenchError as error:
            return choices.problem_html(error), gr.skip()
        return "", gr.update(value=str(path))

    def refresh(
        self,
        done: str | None,
        run: str | None,
        metric: str | None,
        picture: str,
        tag: str | None,
    ) -> list[Any]:
        """Return what may have changed since the page was built; see ``refreshed``.

        A run that was finished since (``done``) is opened; else the chosen one stays as it stands.
        """
        runs = _runs()
        values = [value for _, value in runs]
        chosen = next((one for one in (done, run) if one in values), next(iter(values), None))
        menu = gr.update(choices=runs, value=chosen)
        if chosen is None or chosen != run or done is not None or metric is None:
            return [None, menu, *self.open(chosen)]
        notice, plot, split, tags = self.draw(run, metric, picture, tag)
        same = [gr.skip() for _ in (self.metric, self.a, self.b)]
        rest = [gr.skip() for _ in (self.picture, self.verdict)]
        return [None, menu, *same, notice, _table(_opened(run)), plot, split, tags, *rest]

    @property
    def chosen(self) -> list[Any]:
        """The parts that say what is looked at."""
        return [self.run, self.metric, self.picture, self.tag]

    @property
    def refreshed(self) -> list[Any]:
        """The parts that ``refresh`` updates."""
        return [self.run, *self._opened]


def _opened(run: str | None) -> EvaluationReport:
    return open_report(run or "last")


def _runs() -> choices.Choices:
    """Return the stored evaluations, newest first."""
    return [(choices.run_label(row), row.id) for row in evaluations()]


def _waiting() -> str:
    return choices.notice_html(["Reckoning"], "wb-busy-line")


def _table(found: EvaluationReport) -> str:
    """Return the figures of all solvers, what to beware of, and where the problems come from."""
    about = f"<details><summary>About this run</summary>{facts_html(found)}</details>"
    return _styled(warnings_html(found) + leaderboard_html(found) + about)


def _pair(found: EvaluationReport, a: str | None, b: str | None, metric: str | None) -> Pair:
    """Compare two solvers; of a run with more, as one pair of all (Holm), as its report does."""
    pair = found.compare(a, b, metric)
    if len(found.names) == 2:
        return pair
    among = {frozenset((one.a, one.b)): one for one in found.pairs(metric)}
    return replace(pair, p_corrected=among[frozenset((pair.a, pair.b))].p_corrected)


def _said(found: EvaluationReport, picture: str, metric: str | None, tag: str | None) -> str:
    """Return what there is to read below a picture, "" for nothing."""
    if picture == "split" and tag:
        return _styled(split_html(found, tag))
    said: list[str] = []
    if picture == "effect":
        said = [one.sentence for one in found.effect(metric)]
    elif picture == "pairs":
        said = [f"{one.sentence}." for one in found.pairs(metric)]
    elif picture == "agreement":
        others = [one.name for one in found.metrics if one.name != metric]
        for one in others:
            with contextlib.suppress(BadInput):  # no answer has both
                said.append(found.agreement(one, metric).sentence)
    lines = "".join(f"<li>{html.escape(one)}</li>" for one in said if one)
    return _styled(f"<ul class='wb-list'>{lines}</ul>") if lines else ""


def _write(found: EvaluationReport, form: str, path: Path) -> None:
    if form == "HTML report":
        found.report(path)
    elif form == "Notebook":
        found.notebook(path)
    else:
        write_table(found, "leaderboard", path)


def _nothing() -> str:
    return choices.notice_html(
        ["Nothing was evaluated yet. Do it under <b>Evaluate</b>."], "wb-missing"
    )


def _styled(body: str) -> str:
    return f"{page_style()}<div class='wb wb-scroll'>{body}</div>"
