"""The Evaluate tab: compose an evaluation, see what it will take, run it, watch it, stop it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from workbench.corpus import list_corpora
from workbench.doctor import menu
from workbench.errors import BadInput, WorkbenchError
from workbench.evaluation import (
    EvaluationProgress,
    EvaluationSpec,
    evaluate_spec,
    evaluations,
    open_evaluation,
)
from workbench.evaluation.page import leaderboard_html, page_style
from workbench.metrics.menu import METRICS
from workbench.spec import DEFAULT_BACKEND, DEFAULT_K
from workbench.suites import SUITES
from workbench.ui import choices
from workbench.ui.live import Live

if TYPE_CHECKING:
    from collections.abc import Mapping

    Updates = dict[Any, Any]

log = logging.getLogger(__name__)

# What an evaluation does that nobody has waited for yet: there is no figure, but bars move.
_BEGUN = object()
# Figures with their intervals are reckoned from the whole run, so not at every answer: every two
# seconds, and of a large run so seldom that the models keep nine tenths of the machine.
_SECONDS = 2.0
_SHARE = 0.1
# How long a stopped evaluation may take to put away what it has in hand.
_PATIENCE = 15.0
_FIRST_SUITE = "workbench-mini"
_INTRODUCTION = """### Evaluate
Put solvers to a suite of problems, and score what they answer. A solver is a backend, alone or with
what retrieval finds in a corpus. Whatever happens, finished answers are kept, and the same settings
go on with them."""


@dataclass(slots=True)
class Session:
    """What belongs to one open page and to no other: what it watches."""

    live: Live[Any] | None = None


@dataclass(frozen=True, slots=True)
class Going:
    """An evaluation that this server works at, and the fields of which it was made.

    It belongs to no page: one that is closed or loaded again does not end it, and others may watch.
    """

    live: Live[Any]
    fields: tuple[Any, ...]


class EvaluateTab:
    """The parts of the tab and what happens to them. Build it inside ``gr.Blocks``."""

    def __init__(self) -> None:
        self.session = gr.State(Session())
        self.done = gr.State(None)  # the run that was finished last on this page
        self._going: list[Going] = []
        gr.Markdown(_INTRODUCTION)
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
            self.k = gr.Number(DEFAULT_K, label="Hits (k)", precision=0, min_width=90)
            self.oracle = gr.Checkbox(
                False,
                label="Oracle",
                info="Search by the answer key: an upper bound, no solver.",
                min_width=200,
            )
        with gr.Accordion("Sampling, metrics, money", open=False, elem_id="eval-more"), gr.Row():
            self.samples = gr.Number(1, label="Answers a problem", precision=0, min_width=120)
            self.temperature = gr.Number(0, label="Temperature", min_width=110)
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
            self.earlier = gr.Dropdown(
                _earlier(),
                value=None,
                label="Settings of an earlier run",
                min_width=260,
                elem_id="eval-earlier",
            )
        self.notice = gr.HTML(elem_id="eval-notice")
        self.table = gr.HTML(elem_id="eval-table")

    # --- what happens ------------------------------------------------------------------

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self.look.click(self.preflight, [self.session, *self._fields], self._shown, **quiet)
        self.start.click(self.run, [self.session, *self._fields], self._shown, **quiet)
        self.halt.click(self.stop, self.session, None, queue=False, **quiet)
        self.earlier.input(self.take, self.earlier, [self.notice, *self._fields], **quiet)

    def watch_on(self, tab: gr.Tab) -> None:
        """Show what goes on whenever the tab is opened, such as after the page was loaded again."""
        tab.select(
            self.watch,
            self.session,
            [*self._shown, *self._fields],
            show_progress="hidden",
            api_visibility="private",
        )

    @property
    def _shown(self) -> list[Any]:
        return [self.notice, self.table, self.start, self.look, self.halt, self.done]

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
        yield from self._watch(session, Live(_forecast(fields), bars=True), "Nothing was asked.")

    def run(self, session: Session, *fields: Any) -> Iterator[Updates]:
        """Run it, or go on with it; what is finished is kept whatever happens.

        Where another page has begun the same, this one watches.
        """
        going = next((one for one in self._still_going() if one.fields == fields), None)
        if going is None:
            going = Going(Live(_evaluated(fields), bars=True, tick=_SECONDS, kept=True), fields)
            self._going = [*self._still_going(), going]
        yield from self._watch(session, going.live)

    def watch(self, session: Session) -> Iterator[Updates]:
        """Watch what was begun last on a page that watches nothing yet, with its settings."""
        going = self._still_going()
        if session.live is not None or not going:
            yield {self.notice: gr.skip()}  # Gradio empties the fields where nothing is yielded
            return
        yield dict(zip(self._fields, going[-1].fields, strict=True))
        yield from self._watch(session, going[-1].live)

    def _still_going(self) -> list[Going]:
        return [one for one in self._going if not one.live.stopping]

    def _watch(
        self, session: Session, live: Live[Any], stopped: str | None = None
    ) -> Iterator[Updates]:
        session.live = live
        yield self._busy(True) | {self.notice: choices.notice_html(["Beginning"], "wb-busy-line")}
        notice, last, drawn, redraw = "", None, None, 0.0
        try:
            with contextlib.closing(iter(live)) as states:
                for state in states:
                    if session.live is not live:
                        return  # another one of this page goes on
                    last = state if isinstance(state, EvaluationProgress) else last
                    updates: Updates = {self.notice: _far(live, last)}
                    begun = time.monotonic()
                    if last is not None and last.run and last is not drawn and begun > redraw:
                        updates[self.table] = _figures(last)
                        drawn, now = last, time.monotonic()
                        redraw = now + max(_SECONDS, (now - begun) / _SHARE)
                    yield updates
            if last is not None and last.evaluation is None and not live.over():
                yield {self.notice: choices.notice_html(["Stopping"], "wb-busy-line")}
                live.over(_PATIENCE)
            notice = self._said(last, stopped)
        except WorkbenchError as error:
            notice = choices.problem_html(error)
        except Exception as error:
            log.exception("the evaluation broke")
            notice = choices.problem_html(f"{type(error).__name__}: {error} (see the log)")
        finally:
            if session.live is live:
                session.live = None
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
        if last.run is None:
            asks = "" if last.preflight is None else last.preflight._repr_html_()
            return {self.table: f"{page_style()}<div class='wb-scroll'>{asks}</div>"}
        finished = {} if last.evaluation is None else {self.done: last.run}
        return {self.table: _figures(last), **finished}

    def _said(self, last: EvaluationProgress | None, stopped: str | None) -> str:
        if last is not None and last.evaluation is not None:
            said = f"Done: run {last.run}. Pairs, flips and plots are under <b>Results</b>."
            return choices.notice_html([said], "wb-done")
        if last is not None and last.run is None and stopped is not None:
            said = "Nothing was asked yet. <b>Start or go on</b> runs it."
            return choices.notice_html([said], "wb-done")
        far = "" if last is None or not last.run else f" {_kept(last.run)}"
        said = stopped or f"Stopped.{far} <b>Start or go on</b> does the rest."
        return choices.notice_html([said], "wb-missing")

    def stop(self, session: Session) -> None:
        """Stop what this page watches."""
        if session.live is not None:
            session.live.stop()

    def take(self, run: str | None) -> list[Any]:
        """Fill the fields with the settings of an earlier run, to go on with it or change them."""
        try:
            spec = _spec_of(open_evaluation(run or "").record)
            assert spec is not None, "others are not offered"
            said = "These are its settings. <b>Start or go on</b> does what is missing of it."
            return [choices.notice_html([said], "wb-missing"), *_fields_of(spec)]
        except WorkbenchError as error:
            return [choices.problem_html(error), *(gr.skip() for _ in self._fields)]

    def refresh(self) -> list[Any]:
        """Return what may have changed since the page was built; see ``refreshed``."""
        rows = menu()
        return [
            gr.update(choices=choices.backends(rows)),
            gr.update(choices=_corpora()),
            gr.update(choices=choices.embedders(rows)),
            gr.update(choices=_earlier()),
        ]

    @property
    def refreshed(self) -> list[Any]:
        """The parts that ``refresh`` updates."""
        return [self.backends, self.corpus, self.embedders, self.earlier]


def _spec(fields: tuple[Any, ...]) -> EvaluationSpec:
    suite, limit, backends, corpus, embedders, k, oracle, *rest = fields
    samples, temperature, max_tokens, metrics, budget, _ = rest
    if not suite:
        raise BadInput("There is no suite.", "Choose one.")
    if not backends:
        raise BadInput("There is no backend.", "Choose one or several under Backends.")
    params: dict[str, Any] = {}
    if temperature:
        params["temperature"] = float(temperature)
    if max_tokens:
        params["max_tokens"] = int(max_tokens)
    return EvaluationSpec(
        suite=suite,
        backends=tuple(backends or ()),
        limit=int(limit) if limit else None,
        samples=1 if samples is None else int(samples),
        metrics=tuple(metrics or ()),
        corpus=corpus or None,
        embedders=tuple(embedders or ()) if corpus else (),
        k=DEFAULT_K if k is None else int(k),
        oracle=bool(oracle) and bool(corpus),
        params=params or None,
        budget=float(budget) if budget else None,
    )


def _fields_of(spec: EvaluationSpec) -> tuple[Any, ...]:
    """Return the values of the fields of which ``_spec`` makes this, where they can say it."""
    params = spec.sampling
    return (
        spec.suite,
        spec.limit or 0,
        list(spec.backends),
        spec.corpus or choices.NO_CORPUS,
        list(spec.embedders),
        spec.k,
        spec.oracle,
        spec.samples,
        params.get("temperature", 0),
        params.get("max_tokens", 0),
        list(spec.metrics),
        spec.budget or 0,
        False,
    )


def _spec_of(record: Mapping[str, Any]) -> EvaluationSpec | None:
    """Return what a run was made of last, None where the fields of this page cannot say it."""
    for table in reversed(record.get("specs", [])):
        with contextlib.suppress(WorkbenchError):  # another version wrote it
            spec = EvaluationSpec.from_table(table)
            return spec if _spec(_fields_of(spec)) == spec else None
    return None


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


def _far(live: Live[Any], progress: EvaluationProgress | None) -> str:
    """Return how far it is: rate and estimate, errors so far, money."""
    if progress is None:
        return choices.progress_html(live, "Loading")
    return choices.progress_html(live, "Evaluating", str(progress))


def _kept(run: str) -> str:
    """Say what is kept of a run that was stopped."""
    counts = open_evaluation(run).counts
    answered = sum(one.answered for one in counts)
    return f"{answered:,} answers of run {run} are kept, with their scores."


def _figures(progress: EvaluationProgress) -> str:
    """Return the figures so far, with their intervals."""
    assert progress.run is not None
    found = progress.evaluation or open_evaluation(progress.run)
    return f"{page_style()}<div class='wb wb-scroll'>{leaderboard_html(found)}</div>"


def _suites() -> choices.Choices:
    """Return the suites that can be named as they stand."""
    return [(f"{one.name}: {one.summary}", one.name) for one in SUITES if not one.needs]


def _corpora() -> choices.Choices:
    return [("No corpus", choices.NO_CORPUS), *((one.name, one.name) for one in list_corpora())]


def _earlier() -> choices.Choices:
    """Return the stored evaluations whose settings can stand in the fields, newest first."""
    return [
        (choices.run_label(row), row.id) for row in evaluations() if _spec_of(row.spec) is not None
    ]
