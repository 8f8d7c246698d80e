"""The Models tab: what is here, what fits, what is in memory, and what a model would take."""

from __future__ import annotations

import contextlib
import html
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from workbench import api, backends, weights
from workbench.backends.memory import DTYPES, LOCAL, gib, read_parameters
from workbench.backends.memory_figure import memory_figure
from workbench.errors import BadInput, InUse, WorkbenchError
from workbench.keys import KEYS, where_keys_are
from workbench.settings import settings
from workbench.ui import choices
from workbench.ui.live import Live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.backends import Available, Fit, LoadedModel
    from workbench.weights import Weights

    Updates = dict[Any, Any]

log = logging.getLogger(__name__)

_KEY_IS_NEEDED = tuple(one for one in KEYS if one in backends.HOSTED)
_WRAPPED = "white-space: normal; overflow-wrap: anywhere"
_BAR = "height: 6px; border-radius: 3px"
# On a telephone, where only the first columns would be seen, each row becomes a list of its cells;
# the name of an element that is nowhere lets that go before what Gradio says of all tables.
_PHONE = ":is(.wb-cards, #wb-cards)"
_CARDS = (
    "<style>@media (max-width: 600px) {"
    f"{_PHONE} table, {_PHONE} tbody, {_PHONE} tr, {_PHONE} td {{ display: block }}"
    f"{_PHONE} thead, {_PHONE} td:empty {{ display: none }}"
    f"{_PHONE} tbody tr {{ padding: 6px 0; border-top: 1px solid var(--wb-line) !important }}"
    f"{_PHONE} tbody td {{ padding: 2px 0 !important; border: 0 !important }}"
    f"{_PHONE} td, {_PHONE} code {{ white-space: normal !important; overflow-wrap: anywhere }}"
    f"{_PHONE} td[data-head]::before {{ content: attr(data-head) ': '; color: var(--wb-dim) }}"
    "}</style>"
)
_pulling: set[str] = set()
_guard = threading.Lock()


@dataclass(slots=True)
class Session:
    """What belongs to one open page and to no other: what it pulls or loads."""

    live: Live[str] | None = None


class ModelsTab:
    """The parts of the tab and what happens to them. Build it inside ``gr.Blocks``."""

    def __init__(self) -> None:
        self.session = gr.State(Session())
        gr.Markdown("### What is here\nLocal models, with what they take of this machine's memory.")
        self.table = gr.HTML(table_html(), elem_id="models-table")
        self.notice = gr.HTML(elem_id="models-notice")
        with gr.Row(elem_id="pulling"):
            self.weights = gr.Dropdown(
                _weights(), value=_first(_weights()), label="Weights", min_width=220
            )
            self.pull = gr.Button("Pull", elem_id="pull", size="md")
            self.backend = gr.Dropdown(
                _loadable(),
                value=_first(_loadable()),
                label="Backend",
                info="Or any other: transformers/OWNER/NAME, llama-cpp/PATH.gguf",
                allow_custom_value=True,
                min_width=260,
                elem_id="backend-to-load",
            )
            self.load = gr.Button("Load", elem_id="load", size="md")
            self.halt = gr.Button(
                "Stop", variant="stop", elem_id="stop-models", size="md", visible=False
            )
        self._build_memory()
        gr.Markdown("### Hosted\nModels of others, by their keys.")
        self.hosted = gr.HTML(hosted_html(), elem_id="hosted-table")
        self._build_calculator()
        self._wire()

    # --- layout ------------------------------------------------------------------------

    def _build_memory(self) -> None:
        gr.Markdown(
            "### In memory\nWhat is loaded stays for the next question, until others need the room."
        )
        self.loaded = gr.HTML(loaded_html(), elem_id="loaded-table")
        with gr.Row(elem_id="unloading"):
            self.unloadable = gr.Dropdown(
                _loaded(), value=_first(_loaded()), label="Loaded", min_width=220
            )
            self.unload = gr.Button("Unload", elem_id="unload", size="md")
            self.look = gr.Button("Look again", elem_id="look-again", size="md")

    def _build_calculator(self) -> None:
        gr.Markdown("### What would a model take?")
        with gr.Row(elem_id="memory-calculator"):
            self.parameters = gr.Textbox("7B", label="Parameters", info="As 7B or 7e9.")
            self.dtype = gr.Dropdown(
                list(DTYPES), value="q4_k_m", label="Number type", info="Or kind of GGUF."
            )
            self.context = gr.Number(
                settings().context_length, label="Context", info="Tokens.", precision=0, minimum=1
            )
            self.slots = gr.Number(1, label="Slots", info="At once.", precision=0, minimum=1)
        said, figure = self.reckon("7B", "q4_k_m", settings().context_length, 1)
        self.said = gr.HTML(said, elem_id="memory-said")
        self.plot = gr.Plot(figure, show_label=False, elem_id="memory-plot")

    def _wire(self) -> None:
        hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        shown = [self.notice, self.load, self.pull, self.halt]
        for button, work, chosen in (
            (self.pull, self.do_pull, self.weights),
            (self.load, self.do_load, self.backend),
        ):
            button.click(work, [self.session, chosen], shown, **hidden).then(
                self.refresh, None, self.refreshed, **hidden
            )
        self.halt.click(self.stop, self.session, None, queue=False, **hidden)
        self.unload.click(self.do_unload, self.unloadable, self.notice, **hidden).then(
            self.refresh, None, self.refreshed, **hidden
        )
        self.look.click(self.refresh, None, self.refreshed, **hidden)
        fields: list[Any] = [self.parameters, self.dtype, self.context, self.slots]
        gr.on(
            [one.change for one in fields],
            self.reckon,
            fields,
            [self.said, self.plot],
            trigger_mode="always_last",
            **hidden,
        )

    # --- what happens ------------------------------------------------------------------

    def do_pull(self, session: Session, name: str | None) -> Iterator[Updates]:
        """Get weights, showing how far it is; never the same ones twice at a time."""
        yield from self._do(session, lambda: _pulled(name))

    def do_load(self, session: Session, name: str | None) -> Iterator[Updates]:
        """Bring a backend into memory, or say why it cannot be."""
        yield from self._do(session, lambda: _brought(name))

    def _do(self, session: Session, work: Callable[[], Iterator[str]]) -> Iterator[Updates]:
        """Run what yields words about itself until it is done, or until it is stopped."""
        if session.live is not None:
            session.live.stop()
        busy = {self.load: gr.update(interactive=False), self.pull: gr.update(interactive=False)}
        yield {**busy, self.notice: "", self.halt: gr.update(visible=True)}
        live = session.live = Live(work(), bars=True)
        notice = ""
        try:
            with contextlib.closing(iter(live)) as states:
                said = ""
                for said in states:
                    yield {self.notice: choices.progress_html(live, said)}
            done = said.endswith(".")
            notice = choices.notice_html(
                [html.escape(said if done else "Stopped. What came is kept.")],
                "wb-done" if done else "wb-missing",
            )
        except WorkbenchError as error:
            notice = choices.problem_html(error)
        except Exception as error:
            log.exception("pulling or loading broke")
            notice = choices.problem_html(f"{type(error).__name__}: {error} (see the log)")
        yield {
            self.notice: notice,
            self.load: gr.update(interactive=True),
            self.pull: gr.update(interactive=True),
            self.halt: gr.update(visible=False),
        }

    def stop(self, session: Session) -> None:
        """Stop what this page pulls or loads."""
        if session.live is not None:
            session.live.stop()

    def do_unload(self, name: str | None) -> str:
        """Free what a backend holds."""
        try:
            if not name:
                raise BadInput("Nothing is chosen.", "Load something first.")
            backends.unload(name)
        except WorkbenchError as error:
            return choices.problem_html(error)
        return choices.notice_html([f"{html.escape(name)} is unloaded."], "wb-done")

    def reckon(
        self, parameters: str, dtype: str, context: float | None, slots: float | None
    ) -> tuple[str, Any]:
        """Estimate a model of that size, and draw it beside what this machine has."""
        try:
            made = backends.estimate(
                read_parameters(parameters or ""),
                dtype,
                context_length=int(context or 0),
                slots=int(slots or 0),
            )
        except WorkbenchError as error:
            return choices.problem_html(error), gr.skip()
        limits = _limits()
        lines = [
            f"<b>{html.escape(made.name)}</b>: {gib(made.total)} together. "
            + ", ".join(
                f"{name}: {'fits' if made.total <= limit else 'does not fit'} ({gib(limit)})"
                for name, limit in limits.items()
            )
            + ".",
            *(html.escape(note) for note in made.notes),
        ]
        return choices.notice_html(lines, "wb-said"), memory_figure([made], limits)

    def refresh(self) -> list[Any]:
        """Return what may have changed since the page was built; see ``refreshed``."""
        return [
            table_html(),
            hosted_html(),
            loaded_html(),
            gr.update(choices=_weights()),
            gr.update(choices=_loadable()),
            gr.update(choices=_loaded(), value=_first(_loaded())),
        ]

    @property
    def refreshed(self) -> list[Any]:
        """The parts that ``refresh`` updates."""
        return [
            self.table,
            self.hosted,
            self.loaded,
            self.weights,
            self.backend,
            self.unloadable,
        ]


# --- the work --------------------------------------------------------------------------


def _pulled(name: str | None) -> Iterator[str]:
    """Fetch weights, and say so; the last word ends in a full stop.

    Raises:
        BadInput: nothing is named.
        InUse: another page fetches the same.
    """
    if not name:
        raise BadInput("No weights are chosen.", "Choose some.")
    with _guard:
        if name in _pulling:
            raise InUse(f"{name} is being pulled already.", "Wait for it.")
        _pulling.add(name)
    try:
        yield f"Pulling {name}"
        api.pull(name)
        yield f"{name} is here ({_megabytes(weights.describe(name).bytes)})."
    finally:
        with _guard:
            _pulling.discard(name)


def _brought(name: str | None) -> Iterator[str]:
    """Load a backend, and say what it took; the last word ends in a full stop.

    Raises:
        WorkbenchError: its name is wrong, its weights are not here, or it does not fit.
    """
    if not name:
        raise BadInput("No backend is chosen.", "Choose one.")
    others = backends.waiting_for(name)
    yield f"Waiting for {' and '.join(others)}" if others else f"Loading {name}"
    start = time.monotonic()
    with backends.lease_backend(name):
        pass
    took = next((one for one in backends.loaded() if one.name == name), None)
    memory = f", {gib(took.measured)} of memory" if took and took.measured else ""
    yield f"{name} is loaded ({time.monotonic() - start:.1f} s{memory})."


# --- what is shown ---------------------------------------------------------------------


def table_html() -> str:
    """Return the models with weights of their own: licence, size, memory, and what is missing."""
    named = {row.name: row for row in backends.available() if not row.form}
    rows = []
    for name, row in named.items():
        provider, _, model = name.partition("/")
        if provider in LOCAL:
            rows.append(_row(name, weights.describe(model), row))
    embedders = [one for one in weights.known() if one.kind == "embedder"]
    rows += [_row(one.name, one, None) for one in embedders]
    return _table(("Model", "Memory", "Weights", "On disk", "Licence"), rows)


def _row(name: str, about: Weights, row: Available | None) -> list[str]:
    here = weights.is_here(about.name)
    needs = row.needs if row else "" if here else f"workbench models pull {about.name}"
    state = "<span class='wb-right'>here</span>" if not needs else _commands(needs)
    terms = f", <a href='{html.escape(about.terms)}'>terms</a>" if about.terms else ""
    return [
        f"<div style='{_WRAPPED}; min-width: 150px'>{html.escape(name)}<br>"
        f"<span class='wb-dim'>{html.escape(about.title)}</span></div>",
        _memory_cell(name) if row and row.installed else "",
        state,
        _megabytes(about.bytes),
        html.escape(about.licence) + terms,
    ]


def _wrapped(text: str) -> str:
    return f"<div style='{_WRAPPED}; min-width: 150px'>{html.escape(text)}</div>"


def _commands(needs: str) -> str:
    return "<br>".join(f"<code>{html.escape(one.strip())}</code>" for one in needs.split(";"))


def _memory_cell(name: str) -> str:
    """Draw the estimate beside what there is."""
    try:
        found: Fit = backends.fit(backends.estimate_memory(name))
    except WorkbenchError as error:
        return html.escape(error.cause)
    share = min(1.0, found.estimate.total / max(1, found.limit))
    colour = "var(--wb-good)" if found.fits else "var(--wb-bad)"
    said = f"{gib(found.estimate.total)} of {gib(found.limit)}"
    parts = ", ".join(f"{part} {gib(size)}" for part, size in found.estimate.rows)
    told = "" if found.fits else f"<div class='wb-error'>{html.escape(found.verdict)}</div>"
    bar = (
        f"<div style='{_BAR}; width: 130px; background: var(--wb-line)'><div style='{_BAR};"
        f" width: {share:.0%}; min-width: 2px; background: {colour}'></div></div>"
    )
    return (
        f"<div style='{_WRAPPED}; min-width: 170px; max-width: 280px' title='{html.escape(parts)}'>"
        f"{said}{bar}{told}</div>"
    )


def hosted_html() -> str:
    """Return the providers that answer elsewhere, and where their keys are."""
    keys = where_keys_are()
    rows = []
    for row in backends.available():
        provider = row.name.partition("/")[0]
        if not row.form or provider not in (*backends.HOSTED, "openai-compatible"):
            continue
        key = KEYS.get(provider, "")
        if not row.installed:
            state = _commands(row.needs.partition("; ")[2])
        elif keys.get(key):
            state = f"<span class='wb-right'>here</span> ({html.escape(str(keys[key]))})"
        elif provider in _KEY_IS_NEEDED:
            state = _commands(f"export {key}=...")
        else:
            state = f"needs {html.escape(row.needs)}"
        rows.append([html.escape(row.name), state, _wrapped(row.summary)])
    return _table(("Backend", "Key", ""), rows)


def loaded_html() -> str:
    """Return what is in memory, and beside it what it was thought to take."""
    found = [one for one in backends.loaded() if one.bytes]
    if not found:
        return choices.notice_html(["Nothing is loaded."], "wb-missing")
    rows = [
        [
            html.escape(one.name),
            gib(one.bytes),
            gib(one.measured) if one.measured else "not known",
            _clock(one.since),
            _clock(one.last_used),
            _use(one),
        ]
        for one in found
    ]
    return _table(("Model", "Estimated", "Took", "Since", "Last used", ""), rows)


def _use(one: LoadedModel) -> str:
    if one.leased:
        return f"answers {one.leased}"
    return "stays until it is unloaded" if one.kept else "idle"


def _table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    """Return rows of HTML cells as a table."""
    head = "".join(f"<th>{one}</th>" for one in heads)
    named = ["", *(f" data-head='{one}'" if one else "" for one in heads[1:])]
    body = "".join(
        "<tr>"
        + "".join(f"<td{told}>{cell}</td>" for told, cell in zip(named, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f"{_CARDS}<div class='wb wb-table wb-cards'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _limits() -> dict[str, int]:
    """Return what models may take together: of RAM, and of a GPU where there is one."""
    limits = {"RAM": backends.memory_limit("cpu")}
    if backends.free_memory("cuda"):
        limits["GPU"] = backends.memory_limit("cuda")
    return limits


def _weights() -> choices.Choices:
    """Return the short names, those that are not here first."""
    known = [(one.name, weights.is_here(one.name)) for one in weights.known()]
    absent = [(f"{name} (not here yet)", name) for name, here in known if not here]
    return absent + [(f"{name} (here)", name) for name, here in known if here]


def _loadable() -> choices.Choices:
    rows = [
        row
        for row in backends.available()
        if not row.form and row.name.partition("/")[0] in LOCAL and row.weights_here
    ]
    return [(row.name, row.name) for row in rows if row.installed]


def _loaded() -> choices.Choices:
    return [(one.name, one.name) for one in backends.loaded() if one.bytes]


def _first(found: choices.Choices) -> str | None:
    return found[0][1] if found else None


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
