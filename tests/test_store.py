"""The run store: what went in comes out, also after a kill and from many threads."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.errors import UnknownName
from workbench.store import Store, StoreError
from workbench.types import (
    Answer,
    Chunk,
    Completion,
    Hit,
    Message,
    Prompt,
    Question,
    Result,
    Score,
    Sent,
    SourceFile,
    Step,
)

CHUNK = Chunk("1", "def f(): ...", "a/b.py", 3, 4, "python", "f", "folder:x", "MIT")
HIT = Hit(CHUNK, 0.25, 1)
PROMPT = Prompt(
    (Message("system", "You are «kind»."), Message("user", "\\0 {}")), "t", (HIT,), (HIT,)
)
COMPLETION = Completion("```\nx\n```", 12, 3, 0.5, 0.1, "stop", "model", ("seed",))
ANSWER = Answer("x", "```\nx\n```", "python", "fenced", (HIT,), (HIT,), (Step(PROMPT, COMPLETION),))
QUESTION = Question("q1", "translate", "", "python", "java", None, (SourceFile("a.py", "é\u2028"),))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "new" / "runs.sqlite")


def test_results_come_back_equal(store: Store) -> None:
    run = store.start({"task": "translate"}, {"python": "3"})
    done = Result("a", "q1", 0, ANSWER)
    failed = Result("b", "q1", 0, None, error="The server refused.")
    store.add(run, QUESTION, done)
    store.add(run, QUESTION, failed)
    assert list(store.results(run)) == [(QUESTION, done), (QUESTION, failed)]
    assert store.runs()[0].spec == {"task": "translate"}


def test_reading_creates_nothing(store: Store) -> None:
    assert store.runs() == []
    with pytest.raises(UnknownName):
        list(store.results("x"))
    assert not store.path.parent.exists()


def test_an_unknown_run_offers_the_nearest(store: Store) -> None:
    run = store.start({}, {})
    with pytest.raises(UnknownName, match=run):
        list(store.results(run[:-1]))


def test_many_threads_lose_nothing(store: Store) -> None:
    run = store.start({}, {})
    results = [Result(f"s{i}", "q1", 0, ANSWER) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda result: store.add(run, QUESTION, result), results))
    assert {result.solver for _, result in store.results(run)} == {f"s{i}" for i in range(40)}


def test_what_was_added_survives_kill(store: Store) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from workbench.store import Store;"
        "from workbench.types import Question, Result;"
        "store = Store(Path(sys.argv[1])); run = store.start({}, {});"
        "store.add(run, Question('q', 'generate', 'x'), Result('s', 'q', 0, None, error='e'));"
        "print(run, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(store.path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert [result.error for _, result in store.results(done.stdout.strip())] == ["e"]


def test_a_partial_answer_is_kept_with_its_prompt(store: Store) -> None:
    run = store.start({}, {})
    sent = Sent(PROMPT.messages, {"stop": ["x"]}, text="<s>x", model="m", notes=("n",))
    completion = replace(
        ANSWER.steps[-1].completion, finish_reason="broken", sent=sent, reasoning="Hm."
    )
    result = Result("x", "q", 0, None, error="Broke off.", partial=Step(PROMPT, completion))
    store.add(run, QUESTION, result)
    [(_, stored)] = store.results(run)
    assert stored.partial is not None and stored.error == "Broke off."
    assert stored.partial.prompt == PROMPT
    assert stored.partial.completion.sent is not None
    assert stored.partial.completion.sent.text == "<s>x"
    assert stored.partial.completion.finish_reason == "broken"


def test_a_store_of_an_earlier_version_is_read_and_goes_on(store: Store) -> None:
    run = store.start({}, {})
    store.add(run, QUESTION, Result("x", "q", 0, ANSWER))
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("ALTER TABLE results DROP COLUMN partial")
    assert [result.partial for _, result in store.results(run)] == [None]
    store.add(run, QUESTION, Result("y", "q", 0, None, error="e"))
    assert [result.solver for _, result in store.results(run)] == ["x", "y"]


def test_no_key_is_stored(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-secret-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    run = store.start({"text": key}, {})
    question = replace(QUESTION, text=f"my key is {key}")
    store.add(run, question, Result("x", "q", 0, replace(ANSWER, raw=key), error=f"bad {key}"))
    held = b"".join(path.read_bytes() for path in store.path.parent.glob(f"{store.path.name}*"))
    assert key.encode() not in held


def test_scores_come_back_with_their_result(store: Store) -> None:
    run = store.start({}, {})
    store.add(run, QUESTION, Result("a", "q1", 0, ANSWER))
    scores = (
        Score("pass@1", None, "sandbox failure"),
        Score("BLEU", 12.5, "", (1.0, 2.5)),
    )
    store.add_scores(run, ("a", "q1", 0), [("pass@1|v:1", scores[0]), ("BLEU|v:2", scores[1])])
    [(_, result)] = store.results(run)
    assert result == Result("a", "q1", 0, ANSWER, scores)
    assert store.scores(run) == {("a", "q1", 0): {"pass@1|v:1": scores[0], "BLEU|v:2": scores[1]}}


def test_another_answer_loses_the_scores_of_the_one_before(store: Store) -> None:
    run = store.start({}, {})
    for solver in "ab":
        store.add(run, QUESTION, Result(solver, "q1", 0, ANSWER))
        store.add_scores(run, (solver, "q1", 0), [("m|v:1", Score("m", 1.0))])
    store.add(run, QUESTION, Result("a", "q1", 0, replace(ANSWER, text="y")))
    assert store.scores(run) == {("b", "q1", 0): {"m|v:1": Score("m", 1.0)}}


def test_of_two_signatures_of_a_metric_the_last_one_counts_for_the_whole_run(store: Store) -> None:
    run = store.start({}, {})
    for number in range(2):
        store.add(run, replace(QUESTION, id=f"q{number}"), Result("a", f"q{number}", 0, ANSWER))
        store.add_scores(run, ("a", f"q{number}", 0), [("m|v:1", Score("m", 1.0))])
    store.add_scores(run, ("a", "q0", 0), [("m|v:2", Score("m", 0.0))])
    assert [result.scores for _, result in store.results(run)] == [(Score("m", 0.0),), ()]
    assert store.scores(run)["a", "q0", 0] == {"m|v:1": Score("m", 1.0), "m|v:2": Score("m", 0.0)}


def test_a_store_without_scores_is_read_and_learns_them(store: Store) -> None:
    run = store.start({}, {})
    store.add(run, QUESTION, Result("a", "q1", 0, ANSWER))
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("DROP TABLE scores")
    assert [result.scores for _, result in store.results(run)] == [()]
    store.add_scores(run, ("a", "q1", 0), [("m", Score("m", 0.5))])
    assert [result.scores for _, result in store.results(run)] == [(Score("m", 0.5),)]


def test_a_run_can_be_described_anew(store: Store) -> None:
    run = store.start({"metrics": ["a"]}, {"python": "3"})
    store.describe(run, {"metrics": ["a", "b"]})
    assert store.run(run).spec == {"metrics": ["a", "b"]}
    assert store.run(run).environment == {"python": "3"}
    with pytest.raises(UnknownName):
        store.describe("nothing", {})


def test_a_store_whose_maker_died_at_once_is_empty_and_goes_on(store: Store) -> None:
    store.path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert store.runs() == []
    assert store.run(store.start({}, {})).spec == {}


def test_a_store_that_cannot_be_used_says_so_in_a_line(store: Store) -> None:
    store.path.parent.mkdir(parents=True, exist_ok=True)
    store.path.write_bytes(b"no database" * 500)
    for use in (store.runs, lambda: store.start({}, {})):
        with pytest.raises(StoreError, match="file is not a database") as caught:
            use()
        assert "same command goes on" in str(caught.value)
    (store.path.parent / "file").write_text("")
    with pytest.raises(StoreError, match="WORKBENCH_HOME"):
        Store(store.path.parent / "file" / "runs.sqlite").start({}, {})
