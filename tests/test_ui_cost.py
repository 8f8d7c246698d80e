"""The Cost tab's handlers, without a server: the example stands there, errors are one line."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the UI needs its extra: pip install 'code-workbench[ui]'")

import gradio as gr

from workbench.cancel import cancelled
from workbench.cost.throughput import load_throughput
from workbench.settings import settings
from workbench.store import Store
from workbench.types import Answer, Completion, Message, Prompt, Question, Result, Step, Token
from workbench.ui.cost import CostTab, Session

FIELDS = {
    "api_by": "typed",
    "usd_per_request": 0.025,
    "api": None,
    "tokens_by": "typed",
    "input_tokens": 500,
    "output_tokens": 200,
    "run": None,
    "usd_per_hour": 4.05,
    "gpus": 2,
    "speed_by": "none",
    "speed": 200,
    "measured": None,
    "utilisation": 1,
    "ranges": "",
    "load": 0,
}
NAME = "llama-cpp/smollm2-135m"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> CostTab:
    """Build the tab over an empty home; it takes a second, and keeps nothing between presses."""
    with pytest.MonkeyPatch.context() as patch, gr.Blocks():
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("empty")))
        return CostTab()


def reckon(tab: CostTab, **changed: Any) -> tuple[Any, ...]:
    assert set(changed) <= set(FIELDS)
    return tab.reckon(*{**FIELDS, **changed}.values())


def stored() -> str:
    store = Store(settings().runs)
    run = store.start({"solvers": ["openai/gpt-4o"]}, {})
    for number in range(3):
        completion = Completion("x", 100, 50 + number, 1.0, 0.1, "stop", "openai/gpt-4o", cost=0.01)
        step = Step(Prompt((Message("user", "x"),), "generate"), completion)
        answer = Answer("x", "x", "python", "raw", steps=(step,))
        question = Question(str(number), "generate", "x")
        store.add(run, question, Result("openai/gpt-4o", question.id, 0, answer))
    return run


def test_the_example_stands_there_before_anything_is_pressed(tab: CostTab) -> None:
    assert "324 requests an hour" in tab.said.value
    assert "assumed numbers" in tab.said.value
    assert tab.curve.value is not None
    assert tab.tornado.value is not None


def test_the_example_is_one_press_away(tab: CostTab) -> None:
    *values, said, curve, tornado = tab.show_example()
    assert len(values) == len(tab._assumptions) == len(FIELDS)
    assert "324 requests an hour" in said
    assert curve.data
    assert tornado.data
    kept = [value for value in values if not isinstance(value, dict)]
    again = tab.reckon(*[None if isinstance(one, dict) else one for one in values])
    assert len(kept) == len(values) - 2  # which run and which measurement are left alone
    assert "324 requests an hour" in again[0]


def test_what_is_typed_is_reckoned(tab: CostTab) -> None:
    assert "for good from 810" in reckon(tab, speed_by="typed")[0]
    assert "never pay" in reckon(tab, speed_by="typed", utilisation=0.8)[0]
    assert "At 500 requests an hour" in reckon(tab, load=500)[0]


def test_fields_that_are_hidden_say_nothing(tab: CostTab) -> None:
    said, *_ = reckon(tab, speed=1, utilisation=0.05, api="openai/gpt-4o", run="nowhere")
    assert "324 requests an hour" in said


def test_a_backends_price_and_a_runs_tokens_are_taken(tab: CostTab) -> None:
    run = stored()
    said, curve, _ = reckon(tab, api_by="backend", api="openai/gpt-4o", tokens_by="run", run=run)
    assert "3 requests of the run" in said
    assert "genai-prices" in said
    assert curve.data


def test_typed_ranges_give_the_interval(tab: CostTab) -> None:
    said, *_ = reckon(tab, ranges="usd_per_hour=3:5")
    assert "between 240 and 400" in said


@pytest.mark.parametrize(
    "changed",
    [
        {"usd_per_request": None},
        {"usd_per_hour": None},
        {"gpus": None},
        {"gpus": 0},
        {"usd_per_hour": -1},
        {"api_by": "backend"},
        {"api_by": "backend", "api": "mistral/nobody-knows"},
        {"api_by": "backend", "api": "openai/gpt-4o", "input_tokens": None},
        {"api_by": "backend", "api": "openai/gpt-4o", "tokens_by": "run"},
        {"api_by": "backend", "api": "openai/gpt-4o", "tokens_by": "run", "run": "nowhere"},
        {"speed_by": "typed", "speed": None},
        {"speed_by": "typed", "speed": 0},
        {"speed_by": "measured"},
        {"speed_by": "measured", "measured": NAME},
        {"ranges": "usd_per_hour"},
        {"ranges": "nothing=1:2"},
    ],
)
def test_what_is_wrong_is_one_line_and_the_pictures_stay(
    tab: CostTab, changed: dict[str, Any]
) -> None:
    said, curve, tornado = reckon(tab, **changed)
    assert "wb-problem" in said
    assert said.count("<p>") == 1
    assert "see the log" not in said  # where a bug would send one
    assert curve == tornado == gr.skip()


def test_only_the_fields_that_count_are_shown(tab: CostTab) -> None:
    def shown(*ways: str) -> list[bool]:
        return [one["visible"] for one in tab.show_fields(*ways)]

    assert shown("typed", "typed", "none") == [True] + [False] * 7
    assert shown("backend", "run", "typed") == [False, True, True, False, True, True, False, True]
    assert shown("typed", "typed", "measured")[2:4] == [True, True]


def test_a_stored_run_is_told_and_drawn(tab: CostTab) -> None:
    run = stored()
    table, plot = tab.do_run(run, 0)
    assert "0.01 USD" in table
    assert "no pass@1 score" in table
    assert plot["visible"]
    table, plot = tab.do_run("nowhere", 0)
    assert "wb-problem" in table
    assert not plot["visible"]
    assert "no stored run" in tab.do_run(None, 0)[0]


def test_refreshing_offers_what_came_since(tab: CostTab) -> None:
    assert tab.cost_run.choices == []
    run = stored()
    updates = tab.refresh()
    assert len(updates) == len(tab.refreshed)
    offered = dict(zip(tab.refreshed, updates, strict=True))
    assert offered[tab.cost_run]["choices"][0][1] == run


# --- measuring -------------------------------------------------------------------------


class Slow:
    """Answers after ``seconds``, or when it is cancelled."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked = threading.Event()

    def stream(self, prompt: Prompt, params: object) -> Iterator[Token | Completion]:
        last = time.monotonic() + self.seconds
        yield Token("a")
        self.asked.set()
        while time.monotonic() < last and not cancelled():
            time.sleep(0.005)
        yield Completion("a", 10, 5, 0.1, 0.05, "cancelled" if cancelled() else "stop", NAME)


def measured_by(backend: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("workbench.cost.throughput")
    monkeypatch.setattr(module, "lease_backend", lambda name: nullcontext(backend))
    monkeypatch.setattr(module, "check_backend", lambda name: ("llama-cpp", name))


def test_measuring_shows_progress_then_the_figures_and_offers_them(
    tab: CostTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured_by(Slow(0.05), monkeypatch)
    updates = list(tab.measure(Session(), NAME, [2, 1], 4, 8))
    assert any("progress" in str(one.get(tab.notice)) for one in updates)
    table = [one[tab.points] for one in updates if tab.points in one][-1]
    assert "requests/s" in table
    last = updates[-1]
    assert last[tab.start]["visible"]
    assert not last[tab.halt]["visible"]
    assert last[tab.measured]["value"] == NAME
    assert [point.concurrency for point in load_throughput(NAME).points] == [1, 2]
    said, curve, _ = reckon(tab, speed_by="measured", measured=NAME)
    assert NAME in said
    assert curve.data


def test_stop_ends_a_measurement_and_keeps_nothing(
    tab: CostTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(600)
    measured_by(slow, monkeypatch)
    session = Session()
    updates = tab.measure(session, NAME, [1], 2, 8)
    next(updates)
    stopper = threading.Thread(target=lambda: (slow.asked.wait(60), tab.stop(session)))
    stopper.start()
    last = list(updates)[-1]  # ten minutes before the first answer comes
    stopper.join()
    assert "Stopped" in last[tab.notice]
    assert last[tab.start]["visible"]
    assert not settings().throughput.exists()


@pytest.mark.parametrize(
    ("backend", "concurrencies", "requests"),
    [("", [1], 4), (NAME, [], 4), (NAME, [8], 2), ("nonsense/x", [1], 4)],
)
def test_what_cannot_be_measured_is_said(
    tab: CostTab, backend: str, concurrencies: list[int], requests: int
) -> None:
    last = list(tab.measure(Session(), backend, concurrencies, requests, 8))[-1]
    assert "wb-problem" in last[tab.notice]
    assert "see the log" not in last[tab.notice]
    assert last[tab.start]["visible"]
