"""The Cost tab: from how many requests an hour an own GPU pays, and what a run cost."""

from __future__ import annotations

import contextlib
import html
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from workbench.backends.prices import LOCAL
from workbench.cost import run_cost, throughput
from workbench.cost.assumptions import read_range
from workbench.cost.cases import CLASSIC, SOURCE, Case
from workbench.cost.throughput import (
    CONCURRENCIES,
    MAX_TOKENS,
    REQUESTS,
    Throughput,
    is_elsewhere,
    list_throughputs,
)
from workbench.doctor import menu
from workbench.errors import BadInput, WorkbenchError
from workbench.settings import settings
from workbench.store import Store
from workbench.ui import choices
from workbench.ui.live import Live

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Updates = dict[Any, Any]

log = logging.getLogger(__name__)

# What a measurement does that nobody has waited for yet: there is no figure, but its bar moves.
_BEGUN = object()
_RUNS = 50


@dataclass(slots=True)
class Session:
    """What belongs to one open page and to no other: its measurement."""

    live: Live[Any] | None = None


class CostTab:
    """The parts of the tab and what happens to them. Build it inside ``gr.Blocks``."""

    def __init__(self) -> None:
        self.session = gr.State(Session())
        gr.Markdown("### Break-even\nFrom how many requests an hour do own GPUs pay?")
        with gr.Row(elem_id="break-even"):
            with gr.Column(scale=2, min_width=300):
                self._build_api()
                self._build_gpus()
                self.example = gr.Button("Worked example", elem_id="cost-example", size="md")
            with gr.Column(scale=3, min_width=300):
                self._build_result()
        self._build_run()
        self._build_throughput()
        self._wire()

    # --- layout ------------------------------------------------------------------------

    def _build_api(self) -> None:
        self.api_by = gr.Radio(
            [("a request", "typed"), ("by a backend's tokens", "backend")],
            value="typed",
            label="The API's price",
            elem_id="cost-api-by",
        )
        self.usd_per_request = gr.Number(
            CLASSIC.usd_per_request, label="USD a request", minimum=0, elem_id="cost-usd-request"
        )
        self.api = gr.Dropdown(
            _hosted(),
            value=None,
            label="Backend",
            info="Any name with a price, as openai/gpt-4o.",
            allow_custom_value=True,
            visible=False,
            elem_id="cost-api",
        )
        with gr.Column(visible=False) as self.tokens:
            self.tokens_by = gr.Radio(
                [("typed", "typed"), ("of a stored run", "run")],
                value="typed",
                label="Tokens of a request",
            )
            with gr.Row() as self.typed_tokens:
                self.input_tokens = gr.Number(500, label="in", minimum=0, min_width=100)
                self.output_tokens = gr.Number(200, label="out", minimum=0, min_width=100)
            runs = _runs()
            self.run = gr.Dropdown(runs, value=_first(runs), label="Run", visible=False)

    def _build_gpus(self) -> None:
        with gr.Row():
            self.usd_per_hour = gr.Number(
                CLASSIC.usd_per_hour,
                label="USD a GPU and hour",
                minimum=0,
                min_width=130,
                elem_id="cost-usd-hour",
            )
            self.gpus = gr.Number(
                CLASSIC.gpus,
                label="GPUs at least",
                precision=0,
                minimum=1,
                min_width=110,
                elem_id="cost-gpus",
            )
        self.speed_by = gr.Radio(
            [("no limit", "none"), ("typed", "typed"), ("measured here", "measured")],
            value="none",
            label="What a GPU serves",
            elem_id="cost-speed-by",
        )
        self.speed = gr.Number(
            200,
            label="Requests a GPU and hour",
            minimum=0,
            visible=False,
            elem_id="cost-speed",
        )
        measured = _measured()
        self.measured = gr.Dropdown(
            measured,
            value=_first(measured),
            label="Backend as measured on this machine",
            info="Counts as one GPU. Measure more below.",
            visible=False,
            elem_id="cost-measured",
        )
        self.utilisation = gr.Slider(
            0.05,
            1,
            value=1,
            step=0.05,
            label="Utilisation: share of that speed that traffic uses",
            visible=False,
            elem_id="cost-utilisation",
        )
        self.ranges = gr.Textbox(
            label="How far an assumption may be off",
            info="Parted by spaces. Empty: each is tried a fifth lower and higher.",
            placeholder="usd_per_hour=3:5  utilisation=0.4:0.8",
            elem_id="cost-ranges",
        )
        self.load = gr.Number(
            0,
            label="Your requests an hour",
            info="What each would cost then; 0: leave it out.",
            minimum=0,
            elem_id="cost-load",
        )

    def _build_result(self) -> None:
        said, curve, tornado = _pictures(CLASSIC, None, (SOURCE,))
        self.said = gr.HTML(said, elem_id="cost-said")
        self.curve = gr.Plot(curve, show_label=False, elem_id="cost-curve")
        self.tornado = gr.Plot(tornado, show_label=False, elem_id="cost-tornado")

    def _build_run(self) -> None:
        gr.Markdown("### A stored run\nWhat its answers cost, solver by solver.")
        runs = _runs()
        with gr.Row(elem_id="costing"):
            self.cost_run = gr.Dropdown(
                runs, value=_first(runs), label="Run", scale=4, min_width=240, elem_id="cost-run"
            )
            self.hourly = gr.Number(
                0,
                label="USD an hour of this machine",
                info="0: local models cost nothing.",
                minimum=0,
                scale=2,
                min_width=180,
                elem_id="cost-hourly",
            )
            self.show_run = gr.Button("Show", elem_id="cost-show", size="md", min_width=110)
        self.run_table = gr.HTML(elem_id="cost-run-table")
        self.run_plot = gr.Plot(show_label=False, visible=False, elem_id="cost-run-plot")

    def _build_throughput(self) -> None:
        gr.Markdown("### Throughput\nHow many requests a backend answers on this machine.")
        backends = choices.backends(menu())
        with gr.Row(elem_id="measuring-throughput"):
            self.backend = gr.Dropdown(
                backends,
                value=backends[0][1] if backends else None,
                label="Backend",
                info="A hosted one asks for its money.",
                allow_custom_value=True,
                scale=3,
                min_width=240,
                elem_id="throughput-backend",
            )
            self.concurrencies = gr.CheckboxGroup(
                list(CONCURRENCIES),
                value=list(CONCURRENCIES),
                label="Requests at a time",
                scale=2,
                min_width=220,
                elem_id="throughput-concurrencies",
            )
            self.requests = gr.Number(
                REQUESTS, label="Requests", precision=0, minimum=1, min_width=90
            )
            self.max_tokens = gr.Number(
                MAX_TOKENS, label="Longest answer", precision=0, minimum=1, min_width=110
            )
            self.start = gr.Button(
                "Measure", variant="primary", elem_id="measure-throughput", size="md"
            )
            self.halt = gr.Button(
                "Stop", variant="stop", elem_id="stop-throughput", size="md", visible=False
            )
        self.notice = gr.HTML(elem_id="throughput-notice")
        self.points = gr.HTML(elem_id="throughput-points")
        self.rates = gr.Plot(show_label=False, visible=False, elem_id="throughput-plot")

    # --- what happens ------------------------------------------------------------------

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        ways = [self.api_by, self.tokens_by, self.speed_by]
        shown = [
            self.usd_per_request,
            self.api,
            self.tokens,
            self.typed_tokens,
            self.run,
            self.speed,
            self.measured,
            self.utilisation,
        ]
        result = [self.said, self.curve, self.tornado]
        for way in ways:
            way.change(self.show_fields, ways, shown, **quiet)
        newest: dict[str, Any] = {"trigger_mode": "always_last", **quiet}
        changed = [field.input for field in self._assumptions if field is not self.utilisation]
        # A text that is pasted is no input to Gradio, but leaving its field is noticed.
        changed += [self.utilisation.release, self.ranges.submit, self.ranges.blur]
        gr.on(changed, self.reckon, self._assumptions, result, **newest)
        self.example.click(self.show_example, None, [*self._assumptions, *result], **quiet)
        self.show_run.click(
            self.do_run, [self.cost_run, self.hourly], [self.run_table, self.run_plot], **quiet
        )
        self.start.click(
            self.measure,
            [self.session, self.backend, self.concurrencies, self.requests, self.max_tokens],
            [self.notice, self.points, self.rates, self.start, self.halt, self.measured],
            concurrency_limit=1,
            **quiet,
        )
        self.halt.click(self.stop, self.session, None, queue=False, **quiet)

    @property
    def _assumptions(self) -> list[Any]:
        """The fields of a case, in the order of ``reckon``."""
        return [
            self.api_by,
            self.usd_per_request,
            self.api,
            self.tokens_by,
            self.input_tokens,
            self.output_tokens,
            self.run,
            self.usd_per_hour,
            self.gpus,
            self.speed_by,
            self.speed,
            self.measured,
            self.utilisation,
            self.ranges,
            self.load,
        ]

    def show_fields(self, api_by: str, tokens_by: str, speed_by: str) -> list[Any]:
        """Show the fields that the chosen ways ask for."""
        tokens = api_by == "backend" or speed_by == "measured"
        seen = (
            api_by == "typed",
            api_by == "backend",
            tokens,
            tokens and tokens_by == "typed",
            tokens and tokens_by == "run",
            speed_by == "typed",
            speed_by == "measured",
            speed_by != "none",
        )
        return [gr.update(visible=one) for one in seen]

    def reckon(self, *fields: Any) -> tuple[Any, Any, Any]:
        """Reckon the break-even of what stands in the fields."""
        try:
            *named, ranges, load = fields
            return _pictures(_case(*named), load or None, ranges=ranges or "")
        except WorkbenchError as error:
            return choices.problem_html(error), gr.skip(), gr.skip()
        except Exception as error:
            log.exception("the break-even broke")
            problem = choices.problem_html(f"{type(error).__name__}: {error} (see the log)")
            return problem, gr.skip(), gr.skip()

    def show_example(self) -> list[Any]:
        """Fill in the classic case, and show what comes of it."""
        values = ["typed", CLASSIC.usd_per_request, None, "typed", 500, 200, gr.skip()]
        values += [CLASSIC.usd_per_hour, CLASSIC.gpus, "none", 200, gr.skip(), 1, "", 0]
        return [*values, *_pictures(CLASSIC, None, (SOURCE,))]

    def do_run(self, run: str | None, hourly: float | None) -> tuple[str, Any]:
        """Show what a stored run cost."""
        hidden = gr.update(visible=False)
        try:
            if not run:
                raise BadInput("There is no stored run.", "Ask something under Compare first.")
            cost = run_cost(run, hourly_usd=hourly or None)
        except WorkbenchError as error:
            return choices.problem_html(error), hidden
        table = f"<div class='wb'>{cost._repr_html_()}</div>"
        solved = any(one.per_solved for one in cost.solvers)
        means = [one.per_solved if solved else one.per_answer for one in cost.solvers]
        if not any(one.mean for one in means if one):  # nothing is known, or all of it is free
            return table, hidden
        return table, gr.update(value=cost.figure("solved" if solved else "answer"), visible=True)

    def measure(
        self,
        session: Session,
        backend: str,
        concurrencies: Sequence[int],
        requests: float | None,
        max_tokens: float | None,
    ) -> Iterator[Updates]:
        """Measure concurrency after concurrency; what is wrong becomes one line."""
        if session.live is not None:
            session.live.stop()
        yield {
            self.start: gr.update(visible=False),
            self.halt: gr.update(visible=True),
            self.notice: choices.notice_html(["Beginning"], "wb-busy-line"),
        }
        problem, measured = "", None
        try:
            live = session.live = Live(
                _begun(backend, concurrencies, requests, max_tokens), bars=True
            )
            with contextlib.closing(iter(live)) as states:
                for state in states:
                    if session.live is not live:
                        return  # another measurement of this page goes on
                    if state is not _BEGUN and state is not measured:
                        measured = state
                        yield self._measured_so_far(measured)
                    yield {self.notice: choices.progress_html(live)}
        except WorkbenchError as error:
            problem = choices.problem_html(error)
        except Exception as error:
            log.exception("the measurement broke")
            problem = choices.problem_html(f"{type(error).__name__}: {error} (see the log)")
        yield self._finish(measured, len(concurrencies), problem)

    def _measured_so_far(self, measured: Throughput) -> Updates:
        return {
            self.points: f"<div class='wb'>{measured._repr_html_()}</div>",
            self.rates: gr.update(value=measured.figure(), visible=True),
        }

    def _finish(self, measured: Throughput | None, wanted: int, problem: str) -> Updates:
        found = _measured()
        whole = measured is not None and len(measured.points) == wanted
        if not whole and not problem:
            problem = choices.notice_html(["Stopped. Nothing of it is kept."], "wb-missing")
        chosen = measured.backend if measured is not None and whole else None
        if chosen not in [name for _, name in found]:
            chosen = _first(found)
        return {
            self.notice: problem,
            self.start: gr.update(visible=True),
            self.halt: gr.update(visible=False),
            self.measured: gr.update(choices=found, value=chosen),
        }

    def stop(self, session: Session) -> None:
        """Stop this page's measurement."""
        if session.live is not None:
            session.live.stop()

    def refresh(self) -> list[Any]:
        """Return what may have changed since the page was built; see ``refreshed``."""
        runs, measured = _runs(), _measured()
        return [
            # Two updates, for Gradio takes the value out of the one that it applies.
            gr.update(choices=runs, value=_first(runs)),
            gr.update(choices=runs, value=_first(runs)),
            gr.update(choices=measured, value=_first(measured)),
            gr.update(choices=choices.backends(menu())),
        ]

    @property
    def refreshed(self) -> list[Any]:
        """The parts that ``refresh`` updates."""
        return [self.run, self.cost_run, self.measured, self.backend]


def _case(
    api_by: str,
    usd_per_request: float | None,
    api: str | None,
    tokens_by: str,
    input_tokens: float | None,
    output_tokens: float | None,
    run: str | None,
    usd_per_hour: float | None,
    gpus: float | None,
    speed_by: str,
    speed: float | None,
    measured: str | None,
    utilisation: float,
) -> Case:
    """Return what the fields say; those that are hidden say nothing.

    Raises:
        BadInput: a field is empty that is needed.
    """
    tokens = api_by == "backend" or speed_by == "measured"
    typed, counted = tokens and tokens_by == "typed", tokens and tokens_by == "run"
    needed = {
        "a price of the API": usd_per_request if api_by == "typed" else (api or "").strip(),
        "a price of a GPU and hour": usd_per_hour,
        "a number of GPUs": gpus,
        "tokens in and out": None not in (input_tokens, output_tokens) or not typed,
        "a run": bool(run) or not counted,
        "what a GPU serves": speed if speed_by == "typed" else True,
        "a backend that was measured": bool(measured) or speed_by != "measured",
    }
    missing = [title for title, value in needed.items() if value in (None, "", False)]
    if missing or usd_per_hour is None or gpus is None:
        raise BadInput(f"There is no {missing[0].removeprefix('a ')}.", "Fill it in on the left.")
    return Case(
        usd_per_hour=usd_per_hour,
        gpus=int(gpus),
        usd_per_request=usd_per_request if api_by == "typed" else None,
        api=(api or "").strip() if api_by == "backend" else None,
        input_tokens=input_tokens if typed else None,
        output_tokens=output_tokens if typed else None,
        run=run if counted else None,
        requests_per_hour_per_gpu=speed if speed_by == "typed" else None,
        throughput=measured if speed_by == "measured" else None,
        utilisation=utilisation if speed_by != "none" else 1.0,
    )


def _pictures(
    case: Case, load: float | None, sources: Sequence[str] = (), ranges: str = ""
) -> tuple[str, Any, Any]:
    """Return the result in words, the curve and the tornado."""
    one = case.break_even(load, dict(read_range(text) for text in ranges.split()))
    lines = "".join(
        f"<p class='wb-dim'>{html.escape(told)}</p>" for told in (*sources, *one.sources)
    )
    said = f"<p style='font-size:16px'><b>{html.escape(one.sentence)}</b></p>"
    return f"<div class='wb'>{said}{lines}</div>", one.figure(), one.tornado()


def _begun(
    backend: str, concurrencies: Sequence[int], requests: float | None, max_tokens: float | None
) -> Iterator[Any]:
    """Yield that the measurement has begun, then what is known after each concurrency."""
    yield _BEGUN
    if not (backend or "").strip():
        raise BadInput("There is no backend to measure.", "Choose one.")
    yield from throughput(
        backend,
        sorted(int(one) for one in concurrencies),
        requests=int(requests or REQUESTS),
        max_tokens=int(max_tokens or MAX_TOKENS),
    )


def _hosted() -> list[str]:
    """Return the backends of the menu that somebody else may charge for."""
    rows = [row.name for row in menu() if row.kind == "backend" and not row.form]
    return [name for name in rows if name.partition("/")[0] not in LOCAL]


def _runs() -> choices.Choices:
    """Return the latest runs: when, and who answered."""
    return [
        (f"{row.created[:16].replace('T', ' ')}  {', '.join(row.spec.get('solvers', ()))}", row.id)
        for row in Store(settings().runs).runs(_RUNS)
    ]


def _measured() -> choices.Choices:
    return [
        (f"{one.backend} ({one.measured[:10]})", one.backend)
        for one in list_throughputs()
        if not is_elsewhere(one.backend)
    ]


def _first(found: choices.Choices) -> str | None:
    return found[0][1] if found else None
