"""The answer cache: what is kept is given again word for word, and nothing else is kept."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbench.backends.cache import (
    answer_key,
    cached,
    clear,
    holds,
    info,
    latest_identity,
)
from workbench.backends.wrapping import identity_of
from workbench.cancel import cancelled_by
from workbench.cli.cache import cache_app
from workbench.errors import BackendError, BrokenOff, WorkbenchError
from workbench.settings import settings
from workbench.types import (
    Completion,
    CountsTokens,
    Message,
    Prompt,
    SamplingParams,
    Sent,
    Token,
)

TEXT = "def größe():\r\n\treturn '🙂\u2028 数'\n\n"
PROMPT = Prompt((Message("system", "Be brief."), Message("user", "Größe 🙂?")), "t")
PARAMS = SamplingParams(seed=7)
SENT = Sent(PROMPT.messages, {"seed": 7, "stop": ["\n"]}, "<s>x", "m@1", None, ("a note",))
DONE = Completion(
    TEXT, 12, 34, 1.5, 0.25, "stop", "fake/one", ("stop",), "I think …", SENT, 0.002, False, 2
)


@dataclass
class Fake:
    """Answers with one completion, counts its calls, and is held up by ``gate``."""

    completion: Completion = DONE
    identity: str | None = "model@1"
    name: str = "fake/one"
    error: Exception | None = None
    gate: threading.Event | None = None
    calls: int = 0
    entered: threading.Event = field(default_factory=threading.Event)

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        self.calls += 1
        self.entered.set()
        yield Token(self.completion.text[:3])
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        yield Token(self.completion.text[3:])
        yield replace(self.completion, model=self.name)


class Anonymous:
    name = "fake/anonymous"
    calls = 0

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        self.calls += 1
        yield DONE


def ask(backend, prompt: Prompt = PROMPT, params: SamplingParams = PARAMS) -> Completion:
    *_, completion = cached(backend).stream(prompt, params)
    return completion


# --- what is given again ---------------------------------------------------------------


def test_a_hit_is_the_same_to_the_byte_with_the_figures_of_then_and_says_so() -> None:
    fake = Fake()
    assert ask(fake) == DONE
    reasoning, text, again = cached(fake).stream(PROMPT, PARAMS)

    assert fake.calls == 1
    assert (reasoning, text) == (Token("I think …", reasoning=True), Token(TEXT))
    assert again == replace(DONE, cached=True)


def test_the_cache_outlives_the_backend_and_other_spellings_of_a_number() -> None:
    ask(Fake(), params=replace(PARAMS, temperature=0))
    assert ask(Fake(error=BackendError("gone")), params=replace(PARAMS, temperature=0.0)).cached


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.5},
        {"top_p": 0.9},
        {"max_tokens": 5},
        {"seed": 8},
        {"seed": None},
        {"stop": ("x",)},
        {"sample": 1},
    ],
)
def test_every_parameter_has_an_answer_of_its_own(change) -> None:
    fake = Fake()
    ask(fake)
    assert not ask(fake, params=replace(PARAMS, **change)).cached
    assert fake.calls == 2


@pytest.mark.parametrize(
    "messages",
    [
        PROMPT.messages[1:],
        PROMPT.messages[::-1],
        (Message("user", "Be brief."), PROMPT.messages[1]),
        (PROMPT.messages[0], Message("user", "Größe 🙂? ")),
    ],
)
def test_every_message_has_an_answer_of_its_own(messages) -> None:
    assert answer_key("m", Prompt(messages, "t"), PARAMS) != answer_key("m", PROMPT, PARAMS)


def test_another_model_behind_the_same_name_answers_anew() -> None:
    ask(Fake(identity="model@1"))
    assert not ask(Fake(identity="model@2")).cached
    assert latest_identity("fake/one") == "model@2"


def test_a_preflight_can_ask_without_the_backend() -> None:
    assert latest_identity("fake/one") is None
    assert not settings().answers.exists(), "asking creates nothing"
    ask(Fake())
    identity = latest_identity("fake/one")
    assert identity == "model@1"
    assert holds(identity, PROMPT, PARAMS)
    assert not holds(identity, PROMPT, PARAMS.nth(1))
    assert not holds("model@2", PROMPT, PARAMS)


# --- what is never kept ----------------------------------------------------------------


@pytest.mark.parametrize("finish", ["stop", "length", "unknown"])
def test_complete_answers_are_kept(finish) -> None:
    fake = Fake(replace(DONE, finish_reason=finish))
    ask(fake)
    assert ask(fake).finish_reason == finish
    assert fake.calls == 1


@pytest.mark.parametrize("finish", ["cancelled", "refused", "broken"])
def test_refusals_and_partial_answers_are_never_kept(finish) -> None:
    fake = Fake(replace(DONE, finish_reason=finish))
    ask(fake)
    ask(fake)
    assert (fake.calls, info().entries) == (2, 0)


@pytest.mark.parametrize("error", [BackendError("503"), BrokenOff("cut", partial=DONE)])
def test_an_error_is_never_kept(error) -> None:
    fake = Fake(error=error)
    for _ in range(2):
        with pytest.raises(BackendError):
            ask(fake)
    assert (fake.calls, info().entries) == (2, 0)


def test_a_stream_that_is_left_half_way_is_not_kept() -> None:
    stream = cached(Fake()).stream(PROMPT, PARAMS)
    next(stream)
    stream.close()
    assert info().entries == 0


def test_the_answer_of_a_fallback_is_not_taken_for_the_models_own() -> None:
    fake = Fake(replace(DONE, fallback_for="fake/one"))
    ask(fake)
    ask(fake)
    assert fake.calls == 2


def test_what_holds_a_key_is_given_but_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-0123456789-secret"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    fake = Fake(replace(DONE, text=f"use {key}"))
    assert ask(fake).text == f"use {key}"
    assert (fake.calls, info().entries) == (1, 0)


@pytest.mark.parametrize("name", ["retrieval", "replay/file.jsonl"])
def test_backends_that_answer_from_elsewhere_are_not_cached(name) -> None:
    fake = Fake(name=name)
    assert cached(fake) is fake


def test_a_backend_without_identity_is_not_cached() -> None:
    anonymous = Anonymous()
    ask(anonymous)
    ask(anonymous)
    assert anonymous.calls == 2


def test_the_cache_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", "false")
    fake = Fake()
    assert cached(fake) is fake


def test_the_cached_backend_says_of_itself_what_the_inner_one_says() -> None:
    class Counts(Fake):
        context_length = 5

        def count_tokens(self, messages) -> int:
            return 3

    wrapped = cached(Counts())
    assert isinstance(wrapped, CountsTokens)
    assert not isinstance(cached(Fake()), CountsTokens)
    assert (wrapped.name, wrapped.count_tokens(()), identity_of(wrapped)) == (
        "fake/one",
        3,
        "model@1",
    )


# --- several at once -------------------------------------------------------------------


def test_of_equal_calls_at_once_one_asks_and_the_others_wait() -> None:
    fake = Fake(gate=threading.Event())
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, fake) for _ in range(8)]
        assert fake.entered.wait(5)
        time.sleep(0.2)
        fake.gate.set()
        answers = [one.result(10) for one in asked]
    assert fake.calls == 1
    assert sorted(one.cached for one in answers) == [False] + [True] * 7
    assert {one.text for one in answers} == {TEXT}


def test_where_the_first_fails_the_next_one_asks() -> None:
    fake = Fake(gate=threading.Event(), error=BackendError("503"))
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, fake) for _ in range(2)]
        assert fake.entered.wait(5)
        fake.gate.set()
        for one in asked:
            with pytest.raises(BackendError):
                one.result(10)
    assert fake.calls == 2


def test_different_calls_do_not_wait_for_each_other() -> None:
    slow, quick = Fake(gate=threading.Event()), Fake()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, slow)
        assert slow.entered.wait(5)
        assert not ask(quick, params=PARAMS.nth(1)).cached
        slow.gate.set()
        waiting.result(10)


def test_who_waits_stops_waiting_when_nobody_waits_for_him() -> None:
    slow, stop = Fake(gate=threading.Event()), threading.Event()

    def second() -> tuple[Completion, float]:
        with cancelled_by(stop):
            start = time.perf_counter()
            return ask(slow), time.perf_counter() - start

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, slow)
        assert slow.entered.wait(5)
        waiting = pool.submit(second)
        time.sleep(0.1)
        stop.set()
        completion, seconds = waiting.result(10)
        slow.gate.set()
        first.result(10)
    assert (completion.finish_reason, completion.text) == ("cancelled", "")
    assert seconds < 2


def test_a_thread_does_not_wait_for_a_stream_that_it_left_half_read() -> None:
    fake = Fake()
    half = cached(fake).stream(PROMPT, PARAMS)
    next(half)
    assert ask(fake).text == TEXT
    half.close()
    assert ask(fake).cached


def test_many_threads_and_keys_lose_nothing() -> None:
    fake = Fake()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ask(fake, params=PARAMS.nth(n % 40)), range(120)))
    assert (fake.calls, info().entries) == (40, 40)
    (share,) = info().backends
    assert share.hits == 80


WRITER = """
import sys
from test_answer_cache import Fake, PARAMS, ask
for n in range(30):
    ask(Fake(), params=PARAMS.nth(100 * int(sys.argv[1]) + n))
"""


def test_many_processes_lose_nothing() -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(n)], cwd=Path(__file__).parent)
        for n in range(2)
    ]
    assert [child.wait(60) for child in children] == [0, 0]
    assert info().entries == 60


CHILD = """
import os, signal, sys, time
from test_answer_cache import Fake, PARAMS, PROMPT, ask, cached
for n in range(25):
    ask(Fake(), params=PARAMS.nth(n))
stream = cached(Fake()).stream(PROMPT, PARAMS.nth(1000))
next(stream)
print("ready", flush=True)
if sys.argv[1] == "self":
    os.kill(os.getpid(), signal.SIGKILL)
n = 25
while True:
    ask(Fake(), params=PARAMS.nth(n))
    print(n, flush=True)
    n += 1
"""


@pytest.mark.parametrize("who", ["self", "other"])
def test_a_kill_loses_nothing_and_leaves_no_half_answer(who, home: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, who],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert child.stdout is not None
    said = [child.stdout.readline().strip() for _ in range(1 if who == "self" else 12)]
    child.kill()
    rest = child.stdout.read()
    child.wait(10)
    numbers = [int(line) for line in [*said, *rest.splitlines(keepends=False)] if line.isdigit()]

    assert child.returncode == -signal.SIGKILL
    done = 25 + len(numbers)
    assert all(ask(Fake(error=BackendError("no")), params=PARAMS.nth(n)).cached for n in range(25))
    assert all(holds("model@1", PROMPT, PARAMS.nth(n)) for n in numbers)
    assert not holds("model@1", PROMPT, PARAMS.nth(1000))
    assert done <= info().entries <= done + 1  # one may be kept and not yet printed


# --- what is in it, and out with it ----------------------------------------------------


def test_info_counts_by_backend_what_was_kept_and_what_it_saved() -> None:
    assert (info().entries, info().oldest, info().backends) == (0, None, ())
    for n in range(3):
        ask(Fake(), params=PARAMS.nth(n))
    for _ in range(4):
        ask(Fake())
    ask(Fake(replace(DONE, cost=None, output_tokens=None), name="fake/two", identity="m2"))

    found = info()
    one, two = found.backends
    assert (found.entries, found.bytes > 0, found.oldest <= found.newest) == (4, True, True)
    assert (one.backend, one.entries, one.input_tokens, one.output_tokens) == (
        "fake/one",
        3,
        36,
        102,
    )
    assert (one.hits, one.saved) == (4, pytest.approx(0.008))
    assert (two.backend, two.output_tokens, two.saved) == ("fake/two", 0, None)


def test_clear_removes_all_or_a_backends_or_the_old() -> None:
    assert clear() == 0
    ask(Fake())
    ask(Fake(name="fake/two", identity="m2"))
    assert clear(older_than=timedelta(hours=1)) == 0
    assert clear(backend="fake/three") == 0
    assert clear(backend="fake/two") == 1
    assert [share.backend for share in info().backends] == ["fake/one"]
    assert clear(older_than=timedelta(0)) == 1
    assert info().entries == 0


def test_a_file_that_is_no_cache_stops_no_answer_and_can_be_thrown_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings().answers.parent.mkdir(parents=True)
    settings().answers.write_bytes(b"no database" * 1000)
    fake = Fake()
    assert ask(fake) == DONE
    assert "cannot be used" in caplog.text
    with pytest.raises(WorkbenchError, match="cache clear"):
        info()
    with pytest.raises(WorkbenchError, match="cache clear"):
        clear(backend="fake/one")
    assert clear() == 0
    ask(fake)
    assert ask(fake).cached


def test_a_damaged_entry_is_asked_for_again() -> None:
    fake = Fake()
    ask(fake)
    connection = sqlite3.connect(settings().answers)
    with connection:
        connection.execute("UPDATE answers SET completion = substr(completion, 1, 40)")
    connection.close()
    assert ask(fake) == DONE
    assert ask(fake).cached


def test_the_commands_show_and_clear_the_cache() -> None:
    ask(Fake())
    ask(Fake())
    runner = CliRunner()
    shown = runner.invoke(cache_app, ["info", "--json"])
    assert '"entries": 1' in shown.output
    assert '"hits": 1' in shown.output
    table = runner.invoke(cache_app, ["info"])
    assert table.exit_code == 0
    assert "fake/one" in table.output
    assert "0.002 USD" in table.output
    gone = runner.invoke(cache_app, ["clear", "--backend", "fake/one", "--json"])
    assert '"removed": 1' in gone.output
    assert info().entries == 0
