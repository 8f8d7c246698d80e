"""The Compare tab: one request, two to four backends, and their answers side by side."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from workbench import api
from workbench.comparison import Comparison
from workbench.doctor import menu
from workbench.errors import WorkbenchError
from workbench.settings import settings
from workbench.spec import DEFAULT_K, read_source
from workbench.ui import choices
from workbench.ui.examples import EXAMPLES
from workbench.ui.live import Live
from workbench.ui.panes import answer_pane, background_pane, empty_pane, saving_html
from workbench.ui.request import MOST_PANES, read_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.doctor import MenuRow

    Updates = dict[Any, Any]

log = logging.getLogger(__name__)

FEWEST_PANES = 2
# Several people, or tabs, at once; a model that is asked by all of them queues by itself.
RUNS_AT_ONCE = 16

_TASKS = [("Generate", "generate"), ("Summarize", "summarize"), ("Translate", "translate")]
_ASKING = {
    "generate": ("What should the program do?", "Write a function that ..."),
    "summarize": ("Code to summarize", "Paste code, or hand in files and say here what matters"),
    "translate": ("Code to translate", "Paste code, or hand in files"),
}


@dataclass(slots=True)
class Session:
    """What belongs to one open page and to no other: its run and what came of it."""

    live: Live[Comparison] | None = None
    comparison: Comparison | None = None


@dataclass(frozen=True, slots=True)
class PaneParts:
    """One pane's parts of the page."""

    frame: gr.Column
    backend: gr.Dropdown
    retrieve: gr.Checkbox
    answer: gr.HTML
    sources: gr.HTML


class CompareTab:
    """The parts of the tab and what happens to them. Build it inside ``gr.Blocks``."""

    def __init__(self) -> None:
        rows = menu()
        self.session = gr.State(Session())
        self.shown = gr.State(FEWEST_PANES)
        self.missing = gr.HTML(choices.missing_html(rows))
        self._build_request()
        self._build_bar()
        self.notice = gr.HTML(elem_id="notice")
        with gr.Row(elem_id="panes"):
            indexes = choices.indexes()
            first = choices.first_panes(rows, corpus=len(indexes) > 1)
            names = [*first, *first[:1] * (MOST_PANES - len(first))]
            backends = choices.backends(rows)
            self.panes = [_pane(at, name, backends) for at, name in enumerate(names)]
        self.saving = gr.HTML(elem_id="saving")
        self._build_diff()
        self._wire()

    # --- layout ------------------------------------------------------------------------

    def _build_request(self) -> None:
        with gr.Row(elem_id="request"):
            with gr.Column(scale=5, min_width=300):
                self._build_question()
            with gr.Column(scale=3, min_width=300):
                self._build_languages()
                self._build_corpus()
                self._build_sampling()
        self.examples = gr.Dataset(
            components=[gr.Textbox(visible=False)],
            samples=[[example.label] for example in EXAMPLES],
            type="index",
            label="Examples",
            elem_id="examples",
        )

    def _build_question(self) -> None:
        limits = settings()
        label, placeholder = _ASKING["generate"]
        self.task = gr.Radio(
            _TASKS,
            value="generate",
            label="Task",
            show_label=False,
            container=False,
            elem_id="task",
        )
        self.text = gr.Textbox(
            label=label,
            placeholder=placeholder,
            lines=8,
            max_lines=24,
            elem_id="text",
        )
        megabytes = limits.max_upload_bytes / 1e6
        self.files = gr.File(
            label=f"Code files (at most {limits.max_upload_files}, {megabytes:g} MB each)",
            file_count="multiple",
            elem_id="files",
        )

    def _build_languages(self) -> None:
        languages = choices.languages()
        with gr.Row(elem_id="languages"):
            self.source = gr.Dropdown(
                languages, value="python", label="From", visible=False, min_width=120
            )
            self.target = gr.Dropdown(languages, value="python", label="Language", min_width=120)
            self.audience = gr.Textbox(
                label="Written for", placeholder="programmers", visible=False, min_width=120
            )

    def _build_corpus(self) -> None:
        indexes = choices.indexes()
        self.index = gr.Dropdown(
            indexes, value=choices.first_index(indexes), label="Retrieve from", elem_id="index"
        )
        with gr.Row(elem_id="retrieving"):
            self.retriever = gr.Dropdown(
                choices.retrievers(), value="", label="Retriever", min_width=150
            )
            self.k = gr.Number(DEFAULT_K, label="Hits", precision=0, minimum=1, min_width=80)

    def _build_sampling(self) -> None:
        with gr.Accordion("Sampling and limits", open=False, elem_id="sampling"):
            with gr.Row():
                self.max_tokens = gr.Number(
                    None, label="Most tokens", precision=0, minimum=1, min_width=90
                )
                self.temperature = gr.Number(
                    None, label="Temperature", step=0.1, minimum=0, maximum=2, min_width=90
                )
                self.seed = gr.Number(None, label="Seed", precision=0, min_width=90)
            with gr.Row():
                self.budget = gr.Number(
                    None, label="Budget, USD", minimum=0, step=0.1, min_width=90
                )
                self.fallback = gr.Dropdown(
                    _fallbacks(menu()),
                    value="",
                    label="Fallback",
                    allow_custom_value=True,
                    min_width=180,
                    elem_id="fallback",
                )
            self.cache = gr.Checkbox(
                True, label="give known answers from the cache", container=False, elem_id="cache"
            )

    def _build_bar(self) -> None:
        with gr.Row(elem_id="bar"):
            self.start = gr.Button("Run", variant="primary", elem_id="run", size="md")
            self.halt = gr.Button("Stop", variant="stop", elem_id="stop", size="md", visible=False)
            self.more = gr.Button("Add pane", elem_id="more", size="sm")
            self.fewer = gr.Button("Remove pane", elem_id="fewer", size="sm", interactive=False)

    def _build_diff(self) -> None:
        with gr.Accordion(
            "Difference between two answers", open=False, visible=False, elem_id="difference"
        ) as self.difference:
            with gr.Row():
                self.a = gr.Dropdown([], label="From", elem_id="diff-a")
                self.b = gr.Dropdown([], label="To", elem_id="diff-b")
            self.diff = gr.HTML(elem_id="diff")

    # --- what happens ------------------------------------------------------------------

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        form = [*self._asked()]
        form += [self.index, self.retriever, self.k]
        form += [self.max_tokens, self.temperature, self.seed]
        form += [self.cache, self.budget, self.fallback, self.shown]
        for pane in self.panes:
            form += [pane.backend, pane.retrieve]
        running = {
            "fn": self.run,
            "inputs": [self.session, *form],
            "outputs": self._outputs(),
            "concurrency_limit": RUNS_AT_ONCE,
            **quiet,
        }
        gr.on([self.start.click, self.text.submit], **running)
        self.examples.click(
            self.run_example,
            [self.session, self.examples, *form],
            [*self._asked(), *self._outputs()],
            concurrency_limit=RUNS_AT_ONCE,
            **quiet,
        )
        # Not queued: a Stop that waits behind other people's runs would stop nothing.
        self.halt.click(self.stop, self.session, None, queue=False, **quiet)
        self.task.change(
            self.switch, self.task, [self.text, *self._languages()], queue=False, **quiet
        )
        self.files.upload(self.recognize, self.files, [self.source, self.notice], **quiet)
        for button, step in ((self.more, 1), (self.fewer, -1)):
            button.click(_stepper(self, step), self.shown, self._frames(), queue=False, **quiet)
        for choice in (self.a, self.b):
            choice.input(self.show_diff, [self.session, self.a, self.b], self.diff, **quiet)

    def _languages(self) -> list[Any]:
        return [self.source, self.target, self.audience]

    def _asked(self) -> list[Any]:
        return [self.task, self.text, self.files, *self._languages()]

    def _frames(self) -> list[Any]:
        return [self.shown, self.more, self.fewer, *(pane.frame for pane in self.panes)]

    def _outputs(self) -> list[Any]:
        outputs = [self.notice, self.start, self.halt, self.saving]
        outputs += [self.difference, self.a, self.b, self.diff]
        for pane in self.panes:
            outputs += [pane.answer, pane.sources]
        return outputs

    def run(self, session: Session, *values: Any) -> Iterator[Updates]:
        """Run the request and fill the panes; what is wrong with it becomes one line."""
        if session.live is not None:
            session.live.stop()
        live: Live[Comparison] | None = None
        yield {self.start: gr.update(visible=False), self.halt: gr.update(visible=True)}
        problem = ""
        try:
            live = session.live = Live(api.stream(read_request(*values)), Comparison.stop)
            with contextlib.closing(iter(live)) as comparisons:
                for comparison in comparisons:
                    if session.live is not live:
                        return  # another run of this page fills the panes now
                    session.comparison = comparison
                    yield self._fill_panes(comparison) | {self.notice: ""}
        except WorkbenchError as error:
            problem = choices.problem_html(error)
        except Exception as error:
            log.exception("the run broke")
            problem = choices.problem_html(f"{type(error).__name__}: {error} (see the log)")
        yield self._finish(session, problem)

    def _fill_panes(self, comparison: Comparison) -> Updates:
        updates: Updates = {}
        for pane, column in zip(self.panes, comparison, strict=False):
            updates[pane.answer] = answer_pane(column)
            updates[pane.sources] = background_pane(column)
        return updates

    def _finish(self, session: Session, problem: str) -> Updates:
        updates: Updates = {
            self.notice: problem,
            self.start: gr.update(visible=True),
            self.halt: gr.update(visible=False),
        }
        comparison = session.comparison
        if problem or comparison is None:
            return updates
        names = [column.solver for column in comparison if column.best_text]
        updates[self.saving] = saving_html(comparison)
        updates[self.difference] = gr.update(visible=len(names) > 1)
        if len(names) > 1:
            updates[self.a] = gr.update(choices=names, value=names[0])
            updates[self.b] = gr.update(choices=names, value=names[1])
            updates[self.diff] = comparison.diff_html(names[0], names[1])
        return updates

    def stop(self, session: Session) -> None:
        """Stop this page's run."""
        if session.live is not None:
            session.live.stop()

    def show_diff(self, session: Session, a: str, b: str) -> str:
        """Return the difference between two answers of the last run."""
        return session.comparison.diff_html(a, b) if session.comparison else ""

    def switch(self, task: str) -> list[Any]:
        """Show the fields that a task needs, and what it asks for."""
        label, placeholder = _ASKING[task]
        return [
            gr.update(label=label, placeholder=placeholder),
            gr.update(
                visible=task != "generate", label="From" if task == "translate" else "Language"
            ),
            gr.update(
                visible=task != "summarize", label="Into" if task == "translate" else "Language"
            ),
            gr.update(visible=task == "summarize"),
        ]

    def fill(self, at: int) -> list[Any]:
        """Fill in an example."""
        example = EXAMPLES[at]
        text, source, target, audience = self.switch(example.task)
        return [
            example.task,
            text | {"value": example.text},
            None,
            source | {"value": example.source},
            target | {"value": example.target},
            audience | {"value": ""},
        ]

    def run_example(self, session: Session, at: int, *values: Any) -> Iterator[Updates]:
        """Fill in an example and run it with the rest of the form as it stands.

        In one step: a second one would read the fields from the page, which may not have filled
        them yet.
        """
        example = EXAMPLES[at]
        asked = (example.task, example.text, None, example.source, example.target, "")
        yield dict(zip(self._asked(), self.fill(at), strict=True))
        yield from self.run(session, *asked, *values[len(asked) :])

    def recognize(self, files: list[str] | None) -> list[Any]:
        """Read the files that were handed in: take over their language, or say what is wrong."""
        try:
            read = [read_source(path) for path in files or ()]
        except WorkbenchError as error:
            return [gr.skip(), choices.problem_html(error)]
        found = next((file.language for file in read if file.language), None)
        return [found or gr.skip(), ""]

    def refresh(self, index: str | None) -> list[Any]:
        """Return what may have changed since the page was built; see ``refreshed``.

        The index that was chosen stays so; where there was none, the first one is.
        """
        rows = menu()
        backends = choices.backends(rows)
        indexes = choices.indexes()
        return [
            choices.missing_html(rows),
            gr.update(choices=indexes, value=choices.first_index(indexes, index)),
            gr.update(choices=_fallbacks(rows)),
            *(gr.update(choices=backends) for _ in self.panes),
        ]

    @property
    def refreshed(self) -> list[Any]:
        """The parts that ``refresh`` updates."""
        return [self.missing, self.index, self.fallback, *(pane.backend for pane in self.panes)]


def _fallbacks(rows: Sequence[MenuRow]) -> choices.Choices:
    """Return what may step in for a backend that fails: nothing, or one that works here."""
    return [("none", ""), *choices.backends([row for row in rows if row.here])]


def _pane(at: int, backend: str, backends: choices.Choices) -> PaneParts:
    with gr.Column(
        visible=at < FEWEST_PANES, min_width=0, elem_classes="wb-frame", elem_id=f"pane-{at}"
    ) as frame:
        with gr.Row(elem_classes="wb-chooser"):
            name = gr.Dropdown(
                backends,
                value=backend,
                label=f"Backend {at + 1}",
                allow_custom_value=True,
                scale=4,
                min_width=180,
            )
            retrieve = gr.Checkbox(
                True, label="with retrieval", container=False, scale=1, min_width=110
            )
        answer = gr.HTML(empty_pane(), elem_classes="wb-answer")
        sources = gr.HTML(elem_classes="wb-sources")
    return PaneParts(frame, name, retrieve, answer, sources)


def _stepper(tab: CompareTab, step: int) -> Any:
    def change(shown: int) -> list[Any]:
        count = min(max(shown + step, FEWEST_PANES), MOST_PANES)
        return [
            count,
            gr.update(interactive=count < MOST_PANES),
            gr.update(interactive=count > FEWEST_PANES),
            *(gr.update(visible=at < count) for at in range(len(tab.panes))),
        ]

    return change
