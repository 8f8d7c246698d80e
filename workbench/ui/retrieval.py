"""The Retrieval tab: which embedder, chunker and retriever find most, why, and what they see."""

from __future__ import annotations

import contextlib
import itertools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from workbench import api
from workbench.corpus import CHUNKERS, list_corpora
from workbench.doctor import menu
from workbench.errors import BadInput, WorkbenchError
from workbench.lab.map import GROUPS, METHODS
from workbench.metrics.ranking import DEFAULT_METRIC, METRICS
from workbench.retrieval import DEFAULT_EMBEDDER, RETRIEVERS
from workbench.settings import settings
from workbench.ui import choices
from workbench.ui.live import Live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lab import RetrievalReport

    Updates = dict[Any, Any]

log = logging.getLogger(__name__)

# What a study does that nobody has waited for yet: there is no report, but bars already move.
_BEGUN = object()
_COSTS = [
    ("milliseconds a query", "query"),
    ("seconds to build", "build"),
    ("megabytes of vectors", "vectors"),
]
# A menu of thousands of queries is slow to open; the rest can be asked for by its id or text.
_MOST_QUERIES = 1_000


@dataclass(slots=True)
class Session:
    """What belongs to one open page and to no other: its study and what came of it."""

    live: Live[Any] | None = None
    report: RetrievalReport | None = None


class RetrievalTab:
    """The parts of the tab and what happens to them. Build it inside ``gr.Blocks``."""

    def __init__(self) -> None:
        self.session = gr.State(Session())
        self._build_study()
        self._build_inspector()
        self._build_map()
        self._wire()

    # --- layout ------------------------------------------------------------------------

    def _build_study(self) -> None:
        gr.Markdown("### Measure\nPut embedders, chunkers and retrievers side by side on a suite.")
        with gr.Row(elem_id="studying"):
            suites = _suites()
            self.suite = gr.Dropdown(
                suites,
                value=suites[0][1] if suites else None,
                label="Suite",
                info="Or beir:FOLDER for one of your own.",
                allow_custom_value=True,
                min_width=220,
                elem_id="suite",
            )
            self.embedders = gr.Dropdown(
                choices.embedders(menu()),
                value=[DEFAULT_EMBEDDER],
                multiselect=True,
                allow_custom_value=True,
                label="Embedders",
                info="Any of the menu, or a name such as sentence-transformers/ID.",
                min_width=260,
                elem_id="embedders",
            )
            self.chunkers = gr.Dropdown(
                [entry.name for entry in CHUNKERS],
                value=[],
                multiselect=True,
                label="Chunkers",
                info="None: whole functions, or syntax.",
                min_width=200,
                elem_id="chunkers",
            )
        with gr.Row(elem_id="measuring"):
            self.retrievers = gr.CheckboxGroup(
                list(RETRIEVERS), value=list(RETRIEVERS), label="Retrievers", min_width=240
            )
            self.metric = gr.Dropdown(
                list(METRICS), value=DEFAULT_METRIC, label="Metric", min_width=130
            )
            self.limit = gr.Number(
                0,
                label="Queries at most",
                info="0: all.",
                precision=0,
                min_width=130,
            )
            self.start = gr.Button("Measure", variant="primary", elem_id="measure", size="md")
            self.halt = gr.Button(
                "Stop", variant="stop", elem_id="stop-study", size="md", visible=False
            )
        self.notice = gr.HTML(elem_id="study-notice")
        self.table = gr.HTML(elem_id="study")
        with gr.Column(visible=False) as self.pictured:
            self.cost = gr.Radio(_COSTS, value="query", label="Cost to draw", elem_id="study-cost")
            self.plot = gr.Plot(show_label=False, elem_id="study-plot")

    def _build_inspector(self) -> None:
        with gr.Accordion("Inspect one query", open=False, elem_id="inspector"):
            with gr.Row(elem_id="inspecting"):
                self.query = gr.Dropdown(
                    [],
                    label="Query",
                    info="One of the suite, hardest first, or words of your own.",
                    allow_custom_value=True,
                    scale=4,
                    min_width=260,
                    elem_id="inspected",
                )
                self.inspect = gr.Button("Inspect", elem_id="inspect", size="md", min_width=110)
            self.inspection = gr.HTML(elem_id="inspection")

    def _build_map(self) -> None:
        with gr.Accordion("Map of a corpus", open=False, elem_id="mapping"):
            with gr.Row(elem_id="mapped"):
                indexes = choices.indexes()[1:]
                self.index = gr.Dropdown(
                    indexes,
                    value=indexes[0][1] if indexes else None,
                    label="Index",
                    min_width=220,
                )
                self.method = gr.Radio(
                    [(name.upper(), name) for name in METHODS], value=METHODS[0], label="Method"
                )
                self.by = gr.Radio(list(GROUPS), value=GROUPS[0], label="Coloured by")
                self.draw = gr.Button("Draw", elem_id="draw-map", size="md", min_width=110)
            self.map_notice = gr.HTML(elem_id="map-notice")
            self.map = gr.Plot(show_label=False, elem_id="map", visible=False)

    # --- what happens ------------------------------------------------------------------

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        outputs = [self.notice, self.table, self.start, self.halt, self.pictured, self.plot]
        self.start.click(
            self.measure,
            [
                self.session,
                self.suite,
                self.embedders,
                self.chunkers,
                self.retrievers,
                self.metric,
                self.limit,
                self.cost,
            ],
            [*outputs, self.query],
            concurrency_limit=4,
            **quiet,
        )
        self.halt.click(self.stop, self.session, None, queue=False, **quiet)
        self.cost.input(self.redraw, [self.session, self.cost], [self.notice, self.plot], **quiet)
        loud: dict[str, Any] = {"api_visibility": "private"}
        self.inspect.click(
            self.do_inspect,
            [self.session, self.suite, self.embedders, self.chunkers, self.retrievers, self.query],
            self.inspection,
            show_progress_on=self.inspection,
            **loud,
        )
        self.draw.click(
            self.do_map,
            [self.index, self.method, self.by],
            [self.map_notice, self.map],
            show_progress_on=self.map_notice,
            **loud,
        )

    def measure(
        self,
        session: Session,
        suite: str,
        embedders: list[str],
        chunkers: list[str],
        retrievers: list[str],
        metric: str,
        limit: float | None,
        cost: str,
    ) -> Iterator[Updates]:
        """Measure arm after arm; the table grows, and what is wrong becomes one line."""
        if session.live is not None:
            session.live.stop()
        yield {
            self.start: gr.update(visible=False),
            self.halt: gr.update(visible=True),
            self.notice: choices.notice_html(["Beginning"], "wb-busy-line"),
        }
        problem = ""
        report: RetrievalReport | None = None
        try:
            live = session.live = Live(
                _begun(suite, embedders, chunkers, retrievers, metric, limit), bars=True
            )
            with contextlib.closing(iter(live)) as states:
                for state in states:
                    if session.live is not live:
                        return  # another study of this page fills the table now
                    updates: Updates = {self.notice: choices.progress_html(live)}
                    if state is not _BEGUN and state is not report:
                        session.report = report = state
                        updates[self.table] = f"<div class='wb'>{report._repr_html_()}</div>"
                    yield updates
        except WorkbenchError as error:
            problem = choices.problem_html(error)
        except Exception as error:
            log.exception("the study broke")
            problem = choices.problem_html(f"{type(error).__name__}: {error} (see the log)")
        yield self._finish(report, problem, suite, cost)

    def _finish(
        self, report: RetrievalReport | None, problem: str, suite: str, cost: str
    ) -> Updates:
        updates: Updates = {
            self.notice: problem,
            self.start: gr.update(visible=True),
            self.halt: gr.update(visible=False),
        }
        if report is None:
            return updates
        if not report.verdicts and not problem:
            updates[self.notice] = choices.notice_html(
                ["Stopped. What was measured is kept; Measure goes on from there."], "wb-missing"
            )
        with contextlib.suppress(WorkbenchError):
            updates[self.plot] = report.figure(cost)  # type: ignore[arg-type]
            updates[self.pictured] = gr.update(visible=True)
        updates[self.query] = gr.update(choices=_hardest(report, suite))
        return updates

    def stop(self, session: Session) -> None:
        """Stop this page's study."""
        if session.live is not None:
            session.live.stop()

    def redraw(self, session: Session, cost: str) -> tuple[str, Any]:
        """Draw the last report against another cost."""
        if session.report is None:
            return "", gr.skip()
        try:
            return "", session.report.figure(cost)  # type: ignore[arg-type]
        except WorkbenchError as error:
            return choices.problem_html(error), gr.skip()

    def do_inspect(
        self,
        session: Session,
        suite: str,
        embedders: list[str],
        chunkers: list[str],
        retrievers: list[str],
        query: str,
    ) -> str:
        """Show what each arm returned for one query, and what misled it."""
        try:
            if not (query or "").strip():
                raise BadInput("There is no query.", "Choose or type one.")
            found = api.inspect_query(suite, query.strip(), embedders, chunkers, retrievers)
            return found._repr_html_()
        except WorkbenchError as error:
            return choices.problem_html(error)
        except Exception as error:
            log.exception("the inspection broke")
            return choices.problem_html(f"{type(error).__name__}: {error} (see the log)")

    def do_map(self, index: str, method: str, by: str) -> tuple[str, Any]:
        """Draw the chunks of an index in two dimensions."""
        try:
            named = choices.split_index(index)
            if named is None:
                raise BadInput("There is no index to draw.", "Build one under Corpora.")
            corpus, chunker, embedder = named
            laid_out = api.corpus_map(corpus, embedder, chunker, method=method, by=by)  # type: ignore[arg-type]
        except WorkbenchError as error:
            return choices.problem_html(error), gr.skip()
        return "", gr.update(value=laid_out.figure(), visible=True)

    def refresh(self) -> list[Any]:
        """Return what may have changed since the page was built; see ``refreshed``."""
        suites, indexes = _suites(), choices.indexes()[1:]
        return [
            gr.update(choices=suites),
            gr.update(choices=choices.embedders(menu())),
            gr.update(choices=indexes, value=indexes[0][1] if indexes else None),
        ]

    @property
    def refreshed(self) -> list[Any]:
        """The parts that ``refresh`` updates."""
        return [self.suite, self.embedders, self.index]


def _begun(
    suite: str,
    embedders: list[str],
    chunkers: list[str],
    retrievers: list[str],
    metric: str,
    limit: float | None,
) -> Iterator[Any]:
    """Yield that the study has begun, then its reports."""
    yield _BEGUN
    if not suite:
        raise BadInput("There is no suite.", "Crawl a corpus first, or name one: beir:FOLDER")
    yield from api.stream_retrieval_report(
        suite, embedders, chunkers, retrievers, metric=metric, limit=int(limit) if limit else None
    )


def _suites() -> choices.Choices:
    """Return the suites that can be measured here: CoSQA where its data is, and what is crawled."""
    data = settings().data
    found = [("CoSQA", "cosqa")] if data is not None and (data / "cosqa").is_dir() else []
    return found + [(f"mined from {one.name}", f"mined:{one.name}") for one in list_corpora()]


def _hardest(report: RetrievalReport, suite: str) -> choices.Choices:
    """Return the queries of a report, those that the arms do worst on first."""
    texts = api.query_texts(suite, report.split)
    worst = itertools.islice(report.hardest.items(), _MOST_QUERIES)
    return [(f"{mean:.2f}  {texts[id_]}", id_) for id_, mean in worst]
