"""The Evaluate tab: compose an evaluation, see what it will take, run it, watch it, stop it."""

from __future__ import annotations

import contextlib
import html
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from workbench.corpus import list_corpora
from workbench.doctor import menu
from workbench.errors import BadInput, WorkbenchError
from workbench.evaluation import EvaluationProgress, EvaluationSpec, evaluate_spec, open_evaluation
from workbench.evaluation.page import leaderboard_html, page_style
from workbench.metrics.menu import METRICS
from workbench.spec import DEFAULT_BACKEND
from workbench.suites import SUITES
from workbench.ui import choices
from workbench.ui.live import Live

if TYPE_CHECKING:
    Updates = dict[Any, Any]

log = logging.getLogger(__name__)

# What an evaluation does that nobody has waited for yet: there is no figure, but bars move.
_BEGUN = object()
# Figures with their intervals are reckoned from the whole run, so not at every answer.
_SECONDS = 2.0
_FIRST_SUITE = "workbench-mini"


@dataclass(slots=True)
class Session:
    """What belongs to one open page and to no other: its evaluation."""

    live: Live[Any] | None = None


class EvaluateTab:
    """The parts of the tab and what happens to them. Build it inside ``gr.Blocks``."""

    def __init__(self) -> None:
        self.session = gr.State(Session())
        gr.Markdown("### Evaluate\nPut solvers to a suite of problems, and score what they answer.")
        self._build_what()
        self._build_how()
        self._build_run()
        self._wire()

    # --- layout ------------------------------------------------------------------------

    def _build_what(self) -> None:
        with gr.Row(elem_id="evaluating"):
            self.suite = gr.Dropdown(
                _suites(),
                value=_FIRST_SUITE,
                label="Suite",
                info="Or humaneval-x:python-java, docstrings:CORPUS, a path of .jsonl.",
                allow_custom_value=True,
                min_width=240,
                scale=2,
                elem_id="eval-suite",
            )
            self.limit = gr.Number(
                0,
                label="Problems at most",
                info="0: all.",
                precision=0,
                minimum=0,
                min_width=130,
                elem_id="eval-limit",
            )
            self.backends = gr.Dropdown(
                choices.backends(menu()),
                value=[DEFAULT_BACKEND],
                multiselect=True,
                allow_custom_value=True,
                label="Backends",
                info="Each is a solver by itself, and once more with each embedder.",
                min_width=260,
                scale=3,
                elem_id="eval-backends",
            )

    def _build_how(self) -> None:
        with gr.Accordion("Retrieval", open=False, elem_id="eval-retrieval"), gr.Row():
            self.corpus = gr.Dropdown(
                _corpora(),
                value=choices.NO_CORPUS,
                label="Corpus",
                min_width=200,
                elem_id="eval-corpus",
            )
            self.embedders = gr.Dropdown(
                choices.embedders(menu()),
                value=[],
                multiselect=True,
                allow_custom_value=True,
                label="Embedders",
                info="None: the one that was indexed last.",
                min_width=240,
                elem_id="eval-embedders",
            )
            self.k = gr.Number(3, label="Hits (k)", precision=0, minimum=1, min_width=90)
            self.oracle = gr.Checkbox(
                False,
                label="Oracle",
                info="Search by the answer key: an upper bound, no solver.",
                min_width=200,
            )
        with gr.Accordion("Sampling, metrics, money", open=False, elem_id="eval-more"), gr.Row():
            self.samples = gr.Number(
                1, label="Answers a problem", precision=0, minimum=1, min_width=120
            )
            self.temperature = gr.Number(0, label="Temperature", minimum=0, min_width=110)
            self.max_tokens = gr.Number(
                0, label="Longest answer", info="0: the task's.", precision=0, min_width=120
            )
            self.metrics = gr.Dropdown(
                [entry.name for entry in METRICS],
                value=[],
                multiselect=True,
                label="Metrics",
                info="None: the suite's own.",
                min_width=220,
                elem_id="eval-metrics",
            )
            self.budget = gr.Number(0, label="USD at most", info="0: no limit.", min_width=110)
            self.agreed = gr.Checkbox(False, label="Run even if it may cost money", min_width=180)

    def _build_run(self) -> None:
        with gr.Row(elem_id="eval-bar"):
            self.look = gr.Button("What will it take?", elem_id="eval-preflight", size="md")
            self.start = gr.Button(
                "Start or go on", variant="primary", elem_id="eval-start", size="md"
            )
            self.halt = gr.Button(
                "Stop", variant="stop", elem_id="eval-stop", size="md", visible=False
            )
        self.notice = gr.HTML(elem_id="eval-notice")
        self.table = gr.HTML(elem_id="eval-table")

    # --- what happens ------------------------------------------------------------------

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        shown = [self.notice, self.table, self.start, self.look, self.halt]
        self.look.click(
            self.preflight, [self.session, *self._fields], shown, concurrency_limit=2, **quiet
        )
        self.start.click(
            self.run, [self.session, *self._fields], shown, concurrency_limit=2, **quiet
        )
        self.halt.click(self.stop, self.session, None, queue=False, **quiet)

    @property
    def _fields(self) -> list[Any]:
        """The fields of a spec, in the order of ``_spec``."""
        return [
            self.suite,
            self.limit,
            self.backends,
            self.corpus,
            self.embedders,
            self.k,
            self.oracle,
            self.samples,
            self.temperature,
            self.max_tokens,
            self.metrics,
            self.budget,
            self.agreed,
        ]

    def preflight(self, session: Session, *fields: Any) -> Iterator[Updates]:
        """Show what the evaluation will take; nothing is asked or stored."""
        yield from self._go(session, lambda: _forecast(fields), "Nothing was asked.")

    def run(self, session: Session, *fields: Any) -> Iterator[Updates]:
        """Run it, or go on with it; what is finished is kept whatever happens."""
        said = "Stopped. What was answered and scored is kept; Start goes on from there."
        yield from self._go(session, lambda: _evaluated(fields), said)

    def _go(self, session: Session, work: Any, stopped: str) -> Iterator[Updates]:
        if session.live is not None:
            session.live.stop()
        yield self._busy(True) | {self.notice: choices.notice_html(["Beginning"], "wb-busy-line")}
        live = session.live = Live(work(), bars=True)
        notice, last, drawn = "", None, 0.0
        try:
            with contextlib.closing(iter(live)) as states:
                for state in states:
                    if session.live is not live:
                        return  # another one of this page goes on
                    updates: Updates = {self.notice: choices.progress_html(live, "Loading")}
                    if isinstance(state, EvaluationProgress):
                        last = state
                        if state.run and time.monotonic() - drawn > _SECONDS:
                            updates[self.table] = _figures(state)
                            drawn = time.monotonic()
                    yield updates
            notice = self._said(last, stopped)
        except WorkbenchError as error:
            notice = choices.problem_html(error)
        except Exception as error:
            log.exception("the evaluation broke")
            notice = choices.problem_html(f"{type(error).__name__}: {error} (see the log)")
        yield self._busy(False) | {self.notice: notice} | self._end(last)

    def _busy(self, busy: bool) -> Updates:
        return {
            self.start: gr.update(visible=not busy),
            self.look: gr.update(visible=not busy),
            self.halt: gr.update(visible=busy),
        }

    def _end(self, last: EvaluationProgress | None) -> Updates:
        if last is None:
            return {}
        if last.run is not None:
            return {self.table: _figures(last)}
        assert last.preflight is not None
        return {self.table: f"<div class='wb'>{last.preflight._repr_html_()}</div>"}

    def _said(self, last: EvaluationProgress | None, stopped: str) -> str:
        if last is None:
            return choices.notice_html([stopped], "wb-missing")
        if last.run is None:
            assert last.preflight is not None
            return choices.notice_html([html.escape(str(last.preflight))], "wb-done")
        if last.evaluation is None:
            return choices.notice_html([stopped], "wb-missing")
        said = f"Done: run {last.run}. Pairs, flips and plots are under <b>Results</b>."
        return choices.notice_html([said], "wb-done")

    def stop(self, session: Session) -> None:
        """Stop this page's evaluation."""
        if session.live is not None:
            session.live.stop()

    def refresh(self) -> list[Any]:
        """Return what may have changed since the page was built; see ``refreshed``."""
        rows = menu()
        return [
            gr.update(choices=choices.backends(rows)),
            gr.update(choices=_corpora()),
            gr.update(choices=choices.embedders(rows)),
        ]

    @property
    def refreshed(self) -> list[Any]:
        """The parts that ``refresh`` updates."""
        return [self.backends, self.corpus, self.embedders]


def _spec(fields: tuple[Any, ...]) -> EvaluationSpec:
    suite, limit, backends, corpus, embedders, k, oracle, *rest = fields
    samples, temperature, max_tokens, metrics, budget, _ = rest
    if not suite:
        raise BadInput("There is no suite.", "Choose one.")
    params: dict[str, Any] = {}
    if temperature:
        params["temperature"] = float(temperature)
    if max_tokens:
        params["max_tokens"] = int(max_tokens)
    return EvaluationSpec(
        suite=suite,
        backends=tuple(backends or ()),
        limit=int(limit) if limit else None,
        samples=int(samples or 1),
        metrics=tuple(metrics or ()),
        corpus=corpus or None,
        embedders=tuple(embedders or ()) if corpus else (),
        k=int(k or 1),
        oracle=bool(oracle) and bool(corpus),
        params=params or None,
        budget=float(budget) if budget else None,
    )


def _evaluated(fields: tuple[Any, ...]) -> Iterator[Any]:
    """Yield that it has begun, then how far it is."""
    yield _BEGUN
    confirm = (lambda _: True) if fields[-1] else None
    yield from evaluate_spec(_spec(fields), confirm=confirm)


def _forecast(fields: tuple[Any, ...]) -> Iterator[Any]:
    """Yield that it has begun, then the forecast alone."""
    yield _BEGUN
    with contextlib.closing(evaluate_spec(_spec(fields))) as progress:
        first = next(progress)
    yield EvaluationProgress(first.preflight, first.total)


def _figures(progress: EvaluationProgress) -> str:
    """Return the figures so far, with their intervals."""
    assert progress.run is not None
    found = progress.evaluation or open_evaluation(progress.run)
    far = f"{progress.answered:,} of {progress.total:,} answered, {progress}"
    head = f"<div class='wb-dim'>{far}</div>" if progress.evaluation is None else ""
    return f"{page_style()}<div class='wb wb-scroll'>{head}{leaderboard_html(found)}</div>"


def _suites() -> choices.Choices:
    """Return the suites that can be named as they stand."""
    return [(f"{one.name}: {one.summary}", one.name) for one in SUITES if not one.needs]


def _corpora() -> choices.Choices:
    return [("No corpus", choices.NO_CORPUS), *((one.name, one.name) for one in list_corpora())]
