"""The verbs: objects and names alike, shared searches, and a store that keeps what was stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import workbench as wb
from workbench import backends
from workbench.errors import BadInput, MissingCorpus, UnknownName
from workbench.registry import Registry
from workbench.settings import settings
from workbench.spec import CorpusRetriever, with_unique_names
from workbench.store import Store
from workbench.types import (
    Chunk,
    Completion,
    Event,
    Hit,
    Message,
    Prompt,
    Question,
    SamplingParams,
    Token,
)

CHUNK = Chunk("1", "def add(a, b):\n    return a + b", "sums.py", 1, 2, "python", "add", "x", None)


class Echo:
    """A backend that answers with what it was told to sample with."""

    name = "echo"

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        text = f"```python\n{params.max_tokens} {params.temperature}\n```"
        yield Token(text)
        yield Completion(text, None, None, 0.1, 0.1, "stop", self.name)


class Slow(Echo):
    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        time.sleep(0.5)
        yield from super().stream(prompt, params)


class Endless:
    name = "endless"

    def __init__(self) -> None:
        self.closed = threading.Event()

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        try:
            while True:
                yield Token("word ")
                time.sleep(0.01)
        finally:
            self.closed.set()


class Sized(Echo):
    """A backend whose context holds 100 words."""

    context_length = 1000

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)


class Shelf:
    """A retriever that always finds the same chunks, and counts how often it is asked."""

    def __init__(self, *chunks: Chunk) -> None:
        self.chunks = chunks
        self.asked = 0

    def search(self, query: str, k: int) -> list[Hit]:
        self.asked += 1
        return [Hit(chunk, 1.0, rank) for rank, chunk in enumerate(self.chunks[:k], start=1)]


def test_names_and_objects_stand_side_by_side() -> None:
    told = wb.ask("add", backends=[Echo(), "retrieval"], retriever=Shelf(CHUNK))
    assert [column.solver for column in told] == ["echo", "retrieval"]
    assert told["retrieval"].answer is not None
    assert told["retrieval"].answer.text == CHUNK.text


def test_params_override_the_tasks_own_and_nothing_else() -> None:
    answer = wb.ask("add", backends=[Echo()], max_tokens=7)["echo"].answer
    assert answer is not None
    assert answer.text == "7 0.0"


def test_equal_names_get_numbers() -> None:
    told = wb.ask("add", backends=[Echo(), Echo()])
    assert [column.solver for column in told] == ["echo", "echo #2"]


def test_hits_that_do_not_fit_are_left_out_and_reported() -> None:
    long = Chunk("2", "x = 1\n" * 400, "long.py", 1, 400, "python", None, "x", None)
    told = wb.ask("add", backends=[Sized()], retriever=Shelf(CHUNK, long), max_tokens=100)
    column = told["echo"]
    assert [hit.chunk for hit in column.hits] == [CHUNK]
    assert [hit.chunk for hit in column.left_out] == [long]
    assert "left out: no room" in told._repr_html_()


def test_a_run_comes_back_from_the_store_as_it_was() -> None:
    told = wb.ask("add", backends=[Slow(), "retrieval"])
    assert told.run
    rows = list(Store(settings().runs).results(told.run))
    assert [result.solver for _, result in rows] == ["retrieval", "echo"], "the slow one last"
    again = wb.open_run(told.run)
    assert again.question == told.question
    assert [column.solver for column in again] == ["echo", "retrieval"]
    assert again["echo"] == told["echo"]
    assert again["retrieval"].error == told["retrieval"].error
    assert wb.runs()[0].id == told.run


def test_stopping_stops_the_backend_and_stores_what_came() -> None:
    endless = Endless()
    question = wb.RunSpec(text="x").question()
    stream = wb.stream_solvers(question, [wb.solver(endless)], {})
    comparison = next(stream)
    while comparison["endless"].text.count("word") < 3:
        comparison = next(stream)
    stream.close()
    assert endless.closed.wait(2)
    stored = wb.open_run(comparison.run or "")["endless"]
    assert stored.answer is None
    assert stored.error is not None
    assert stored.error.startswith("Stopped.")
    assert "word word word" in stored.text


def test_panes_share_one_search(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(CHUNK)

    class FakeIndex:
        def retriever(self, mode: str) -> Shelf:
            return shelf

    monkeypatch.setattr("workbench.spec.open_corpus_index", lambda *names: FakeIndex())
    retriever = CorpusRetriever("c", "e", "syntax", None, "hybrid")
    threads = [threading.Thread(target=retriever.search, args=("q", 3)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shelf.asked == 1


def test_nothing_is_loaded_or_stored_for_a_wrong_spec(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "load_backend", pytest.fail)
    for spec, error in [
        (wb.RunSpec(text=""), BadInput),
        (wb.RunSpec(text="x", panes=()), BadInput),
        (wb.RunSpec(text="x", panes=(wb.Pane("nobody/x"),)), UnknownName),
        (wb.RunSpec(text="x", task="sing"), UnknownName),  # type: ignore[arg-type]
        (wb.RunSpec(text="x", target_language="pyton"), UnknownName),
        (wb.RunSpec(text="x", panes=(wb.Pane("retrieval"),), corpus="none"), MissingCorpus),
        (wb.RunSpec(text="x", params=(("max_token", 3),)), UnknownName),
        (wb.RunSpec(text="x", params=(("top_p", 0.0),)), BadInput),
        (wb.RunSpec(text="x" * 200_000), BadInput),
    ]:
        with pytest.raises(error):
            next(wb.stream(spec))
    assert not home.exists()


def test_a_name_among_none_says_that_there_is_none() -> None:
    assert str(UnknownName("corpus", "x", ())).endswith("There is none yet.")


def test_equal_questions_have_equal_ids() -> None:
    a = wb.RunSpec(text="x", target_language="JS").question()
    b = wb.RunSpec(text="x", target_language="javascript").question()
    assert a == b
    assert a.id != wb.RunSpec(text="y", target_language="JS").question().id


def test_digest_tells_specs_apart() -> None:
    assert wb.RunSpec(text="x").digest == wb.RunSpec(text="x").digest
    assert wb.RunSpec(text="x").digest != wb.RunSpec(text="x", k=2).digest


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"\xef\xbb\xbfx = 1\n", "x = 1\n"), ("é".encode(), "é"), (b"", "")],
)
def test_read_source_reads_text(tmp_path: Path, raw: bytes, text: str) -> None:
    file = tmp_path / "a.go"
    file.write_bytes(raw)
    source = wb.read_source(file)
    assert (source.name, source.text, source.language) == ("a.go", text, "go")


@pytest.mark.parametrize("raw", [b"a\x00b", b"\xff\xfe", b"\x89PNG\r\n", b"x" * 1_000_001])
def test_read_source_refuses_what_is_no_source(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(raw)
    with pytest.raises(BadInput, match=r"a\.py"):
        wb.read_source(file)


def test_registries_refuse_a_name_twice() -> None:
    registry = Registry("thing")
    registry.add("a", "x:y", "an a")
    with pytest.raises(ValueError, match="already"):
        registry.add("a", "x:y", "another")
    with pytest.raises(UnknownName, match="Known: a"):
        registry.load("zebra")


def test_unique_names_keep_the_solver() -> None:
    class Named:
        name = "n"

        def stream(self, question: Question) -> Iterator[Event]:
            yield Token(question.text)

    first, second = with_unique_names([Named(), Named()])
    assert (first.name, second.name) == ("n", "n #2")
    assert list(second.stream(Question("q", "generate", "hi"))) == [Token("hi")]
