"""The Models tab says what is here and what fits, and pulls, loads and unloads."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip("gradio", reason="the UI needs its extra: pip install 'code-workbench[ui]'")

import gradio as gr

from workbench import backends, weights
from workbench.errors import MissingModel
from workbench.progress import bar
from workbench.ui import models
from workbench.ui.models import ModelsTab, Session

LLAMA = "llama-cpp/smollm2-135m"


@pytest.fixture
def tab():
    backends.unload_all()
    with gr.Blocks():
        yield ModelsTab()
    backends.unload_all()


def last(tab, updates):
    """Return what a handler showed, each part as it was at last."""
    shown = {}
    for one in updates:
        shown.update(one)
    return shown


def test_every_model_has_a_row_with_licence_size_memory_and_the_command_that_brings_it(tab):
    table = models.table_html()
    for one in weights.known():
        assert one.name in table and one.licence in table
        assert f"<code>workbench models pull {one.name}</code>" in table
    assert "llama-cpp/smollm2-135m" in table and "98 MB" in table and " GiB of " in table
    assert "ai.google.dev/gemma/terms" in table


def test_what_does_not_fit_says_what_would(tab, monkeypatch):
    monkeypatch.setenv("WORKBENCH_MEMORY", "0.5")
    table = models.table_html()
    assert "does not fit; would fit: WORKBENCH_SLOTS=" in table
    assert "WORKBENCH_CONTEXT_LENGTH=" in table


def test_hosted_backends_say_which_key_is_missing(tab, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("COHERE_API_KEY", "co-0123456789abcdef")
    table = models.hosted_html()
    assert "<code>export OPENAI_API_KEY=...</code>" in table
    assert "here</span> (environment)" in table and "0123456789" not in table


def test_pulling_shows_how_far_it_is_and_ends_with_a_word(tab, monkeypatch):
    seen = threading.Event()

    def pull(name):
        with bar(total=4e6, desc=f"{name}: getting", unit="B") as progress:
            while not seen.is_set():  # as long as nobody has looked, there is more to get
                time.sleep(0.05)
                progress.update(1e4)

    monkeypatch.setattr(models.api, "pull", pull)
    shown = []
    for one in tab.do_pull(Session(), "smollm2-135m"):
        shown.append(one)
        if "<progress max=" in one.get(tab.notice, "") and "of 4 MB" in one[tab.notice]:
            seen.set()
    assert seen.is_set()
    notices = [one[tab.notice] for one in shown if tab.notice in one]
    assert "smollm2-135m is here" in notices[-1]
    assert shown[0][tab.halt]["visible"] and not shown[-1][tab.halt]["visible"]
    assert not shown[0][tab.pull]["interactive"] and shown[-1][tab.pull]["interactive"]


def test_two_pages_never_pull_the_same_at_once(tab, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def pull(name):
        begun.set()
        go_on.wait(60)

    monkeypatch.setattr(models.api, "pull", pull)
    first = threading.Thread(target=lambda: list(tab.do_pull(Session(), "minilm")), daemon=True)
    first.start()
    assert begun.wait(60)
    assert "being pulled already" in last(tab, tab.do_pull(Session(), "minilm"))[tab.notice]
    go_on.set()
    first.join(60)
    assert "is here" in last(tab, tab.do_pull(Session(), "minilm"))[tab.notice]


def test_a_pull_is_stopped_between_two_steps_of_its_bar(tab, monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    def pull(name):
        begun.set()
        try:
            with bar(total=1e9, desc=name, unit="B") as progress:
                while True:
                    time.sleep(0.02)
                    progress.update(1)
        finally:
            ended.set()

    monkeypatch.setattr(models.api, "pull", pull)
    session = Session()
    updates = tab.do_pull(session, "minilm")
    next(updates)
    next(updates)
    assert begun.wait(60)  # stopped earlier, it would not begin at all
    tab.stop(session)
    assert "Stopped" in last(tab, updates)[tab.notice]
    assert ended.wait(60)


def test_what_is_wrong_is_said_in_one_line(tab, monkeypatch):
    def pull(name):
        raise MissingModel(f"{name} is nowhere.", "Go online.")

    monkeypatch.setattr(models.api, "pull", pull)
    for updates, words in (
        (tab.do_pull(Session(), "minilm"), "minilm is nowhere. Go online."),
        (tab.do_pull(Session(), None), "No weights are chosen."),
        (tab.do_load(Session(), None), "No backend is chosen."),
        (tab.do_load(Session(), "llama-cpp/smolm2-135m"), "Did you mean smollm2-135m"),
    ):
        assert words in last(tab, updates)[tab.notice]
    assert "Nothing is chosen" in tab.do_unload(None)


def test_a_model_too_large_is_refused_with_what_would_fit(tab, monkeypatch):
    monkeypatch.setenv("WORKBENCH_MEMORY", "0.01")
    notice = last(tab, tab.do_load(Session(), LLAMA))[tab.notice]
    assert "needs" in notice and "are free" in notice and "WORKBENCH_MEMORY" in notice


@pytest.mark.models
def test_a_model_is_loaded_seen_in_memory_and_unloaded(models_home, tab, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CONTEXT_LENGTH", "512")
    monkeypatch.setenv("WORKBENCH_THREADS", "1")
    assert "Nothing is loaded" in models.loaded_html()
    notice = last(tab, tab.do_load(Session(), LLAMA))[tab.notice]
    assert f"{LLAMA} is loaded" in notice

    table, offered = models.loaded_html(), tab.refresh()[-1]
    assert LLAMA in table and "idle" in table and "not known" not in table
    assert offered["choices"] == [(LLAMA, LLAMA)]
    with backends.lease_backend(LLAMA):
        assert "answers 1" in models.loaded_html()
        assert "is answering" in tab.do_unload(LLAMA)
    assert "is unloaded" in tab.do_unload(LLAMA)
    assert "Nothing is loaded" in models.loaded_html()


def test_the_calculator_says_what_a_model_takes_beside_what_there_is(tab, monkeypatch):
    monkeypatch.setenv("WORKBENCH_MEMORY", "5")
    said, figure = tab.reckon("7B", "q4_k_m", 8192, 1)
    assert "7B q4_k_m" in said and "RAM: fits (5.0 GiB)" in said
    parts = {bar.name: bar.x[0] for bar in figure.data}
    made = backends.estimate(7e9, "q4_k_m", context_length=8192)
    assert parts["weights"] == pytest.approx(made.weights / 2**30)
    assert sum(parts.values()) == pytest.approx(made.total / 2**30)
    assert "does not fit" in tab.reckon("70B", "bf16", 8192, 1)[0]


@pytest.mark.parametrize("fields", [("much", "bf16", 8192, 1), ("7B", "bf16", None, 1)])
def test_the_calculator_says_what_cannot_be_reckoned(tab, fields):
    said, figure = tab.reckon(*fields)
    assert "wb-problem" in said and "figure" not in str(figure)


def test_what_is_refreshed_is_as_much_as_is_given(tab):
    assert len(tab.refresh()) == len(tab.refreshed)
