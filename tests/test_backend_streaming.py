"""The bridge out of foreign threads, stop strings, and the two backends without a model."""

from __future__ import annotations

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.backends import load_backend
from workbench.backends.replay import Recorder, Replay
from workbench.backends.retrieval import BestHit, describe
from workbench.backends.streaming import Channel, StopStrings
from workbench.cancel import cancelled_by
from workbench.errors import BackendError
from workbench.tasks import load_task
from workbench.types import (
    Chunk,
    Completion,
    Hit,
    Message,
    Prompt,
    Question,
    SamplingParams,
    Token,
)

PARAMS = SamplingParams()


# --- the channel


def test_an_error_in_the_worker_is_raised_in_the_reader():
    channel: Channel[int] = Channel()

    def work() -> None:
        channel.send(1)
        raise BackendError("It broke.")

    channel.run(work)
    items = channel.read()

    assert next(items) == 1
    with pytest.raises(BackendError, match="It broke"):
        next(items)


def test_closing_the_reader_stops_the_worker():
    channel: Channel[int] = Channel()

    def work() -> None:
        while channel.send(1):
            time.sleep(0.01)

    channel.run(work)
    items = channel.read()
    next(items)
    items.close()

    assert channel.wait(2)
    assert channel.stopped_early


def test_cancelling_ends_a_reader_whose_worker_is_silent():
    channel: Channel[int] = Channel()
    channel.run(lambda: time.sleep(30))
    event = threading.Event()
    threading.Timer(0.2, event.set).start()

    start = time.perf_counter()
    with cancelled_by(event):
        assert list(channel.read()) == []

    assert time.perf_counter() - start < 2
    assert channel.stopped_early


def test_a_worker_that_ended_by_itself_was_not_stopped_early():
    channel: Channel[int] = Channel()
    channel.run(lambda: None)

    assert list(channel.read()) == []
    assert not channel.stopped_early


# --- stop strings


def cut_at_stops(text: str, stops: list[str]) -> str:
    """The slow way: the shortest beginning that ends with a stop string, without it."""
    for end in range(1, len(text) + 1):
        cuts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if cuts:
            return text[: min(cuts)]
    return text


words = st.text(alphabet="ab\n", max_size=12)


@given(
    pieces=st.lists(words, max_size=6),
    stops=st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=3),
)
def test_text_ends_before_the_first_stop_string_however_it_is_cut(pieces, stops):
    filtered = StopStrings(stops)
    shown = ""
    for piece in pieces:
        shown += filtered.feed(piece)
        if filtered.found:
            break
    shown += filtered.rest()

    text = "".join(pieces)
    assert shown == cut_at_stops(text, stops)
    assert filtered.found == any(stop in text for stop in stops)


def test_text_that_cannot_begin_a_stop_string_is_shown_at_once():
    assert StopStrings(["\n\n"]).feed("one\ntwo") == "one\ntwo"


# --- retrieval


def chunk(text: str, language: str | None = "python", symbol: str | None = "f") -> Chunk:
    return Chunk("1", text, "a/b.py", 3, 9, language, symbol, "test", None)


@pytest.mark.parametrize(
    ("code", "language", "prose"),
    [
        ('def f():\n    """Add\n    one.\n\n    More."""\n', "python", "Add one."),
        ('class F:\n    """Hold it."""\n', "python", "Hold it."),
        ('    def f(self):\n        """Indented."""\n', "python", "Indented."),
        ('"""A module."""\nimport os\n', "python", "A module."),
        ("# Adds one.\n# Slowly.\ndef f(): ...\n", "python", "Adds one. Slowly."),
        ("def f(:\n", "python", "`f` at a/b.py:3-9"),
        ("// Adds one.\nint f() {}\n", "cpp", "Adds one."),
        ("/**\n * Adds one.\n *\n * More.\n */\nint f() {}", "java", "Adds one."),
        ("/* Adds one. */\nint f() {}", "javascript", "Adds one."),
        ("int f() {}", "java", "`f` at a/b.py:3-9"),
        ("#!/bin/sh\necho", None, "`f` at a/b.py:3-9"),
        ("", None, "`f` at a/b.py:3-9"),
    ],
)
def test_a_chunk_is_described_by_its_own_words_or_else_its_place(code, language, prose):
    assert describe(chunk(code, language)) == prose


def test_the_best_hit_answers_even_where_it_did_not_fit_into_the_prompt():
    second = Hit(chunk("second = 2"), 0.5, 2)
    first = Hit(chunk("first = 1"), 0.9, 1)
    prompt = Prompt((), "t", hits=(second,), left_out=(first,))

    completion = list(BestHit("", "retrieval").stream(prompt, PARAMS))[-1]

    assert "first = 1" in completion.text
    assert completion.input_tokens is completion.output_tokens is None


def test_generate_takes_the_code_and_summarize_the_prose_of_the_best_hit():
    code = 'def f():\n    """Add ```one```."""\n    return 1'
    prompt = Prompt((), "t", hits=(Hit(chunk(code), 1.0, 1),))
    raw = list(BestHit("", "retrieval").stream(prompt, PARAMS))[-1].text

    generate = Question("1", "generate", "add", target_language="python")
    assert load_task("generate").extract(raw, generate).text.strip() == code
    summary = load_task("summarize").extract(raw, Question("1", "summarize", code)).text
    assert summary.strip() == "Add ```one```."


def test_without_hits_the_error_says_to_choose_a_corpus():
    with pytest.raises(BackendError, match="--corpus python-stdlib"):
        list(BestHit("", "retrieval").stream(Prompt((), "t"), PARAMS))


# --- replay


class Scripted:
    """Yields the same three events each time."""

    def __init__(self, word: str, finish: str = "stop", name: str = "scripted") -> None:
        self.word, self.finish, self.name = word, finish, name

    def stream(self, prompt, params):
        yield Token(self.word)
        yield Token("!")
        yield Completion(f"{self.word}!", 3, 2, 0.5, 0.25, self.finish, self.name, ("seed",))


PROMPT = Prompt((Message("user", "größe 🙂"),), "t")


def test_a_replay_yields_what_was_recorded(tmp_path):
    file = tmp_path / "answers.jsonl"
    recorded = list(Recorder(Scripted("hi"), file).stream(PROMPT, PARAMS))

    assert list(load_backend(f"replay/{file}").stream(PROMPT, PARAMS)) == recorded


def test_the_newest_recording_of_a_prompt_counts(tmp_path):
    file = tmp_path / "answers.jsonl"
    for word in ("old", "new"):
        list(Recorder(Scripted(word), file).stream(PROMPT, PARAMS))

    assert list(Replay(str(file), "r").stream(PROMPT, PARAMS))[-1].text == "new!"


def test_one_file_holds_several_models(tmp_path):
    file = tmp_path / "answers.jsonl"
    for word in ("a", "b"):
        list(Recorder(Scripted(word, name=f"model-{word}"), file).stream(PROMPT, PARAMS))

    for word in ("a", "b"):
        backend = load_backend(f"replay/{file}#model-{word}")
        assert list(backend.stream(PROMPT, PARAMS))[-1].text == f"{word}!"
    with pytest.raises(BackendError, match=r"answers\.jsonl"):
        list(load_backend(f"replay/{file}#model-c").stream(PROMPT, PARAMS))


def test_other_sampling_parameters_are_another_question_unless_the_record_has_none(tmp_path):
    file = tmp_path / "answers.jsonl"
    list(Recorder(Scripted("hi"), file).stream(PROMPT, PARAMS))
    warm = SamplingParams(temperature=1.0)

    with pytest.raises(BackendError, match="these sampling parameters"):
        list(Replay(str(file), "r").stream(PROMPT, warm))

    record = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**record, "params": None}), encoding="utf-8")
    assert list(Replay(str(file), "r").stream(PROMPT, warm))[-1].text == "hi!"


def test_an_answer_that_was_not_finished_is_not_recorded(tmp_path):
    file = tmp_path / "answers.jsonl"
    stream = Recorder(Scripted("hi"), file).stream(PROMPT, PARAMS)
    next(stream)
    stream.close()
    list(Recorder(Scripted("hi", finish="cancelled"), file).stream(PROMPT, PARAMS))

    assert not file.exists()


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"digest": 1, "tokens": ["a"], "seconds": []}'])
def test_a_line_that_is_no_record_is_named_by_its_number(tmp_path, line):
    file = tmp_path / "answers.jsonl"
    list(Recorder(Scripted("hi"), file).stream(PROMPT, PARAMS))
    file.write_text(file.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")

    with pytest.raises(BackendError, match=r"Line 2 of answers\.jsonl"):
        list(Replay(str(file), "r").stream(PROMPT, PARAMS))


def test_pace_replays_the_recorded_waits(tmp_path):
    file = tmp_path / "answers.jsonl"
    list(Recorder(Scripted("hi"), file).stream(PROMPT, PARAMS))
    record = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**record, "seconds": [0.1, 0.1]}), encoding="utf-8")

    start = time.perf_counter()
    list(Replay(str(file), "r", pace=1.0).stream(PROMPT, PARAMS))
    assert time.perf_counter() - start >= 0.2
