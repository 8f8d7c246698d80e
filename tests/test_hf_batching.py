"""Requests that share a batch: each gets the answer that it would get alone, and nobody else's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_language_models import write

from workbench.backends import hf_cache
from workbench.backends.hf_rows import Row, choose
from workbench.backends.huggingface import Transformers
from workbench.errors import BackendError
from workbench.types import Completion, Message, Prompt, SamplingParams, Token

LONG = 300
KINDS = {"llama": "joining", "mistral": "together", "mamba": "alone"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: write(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


@pytest.fixture(autouse=True)
def exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_DTYPE", "float32")
    monkeypatch.setenv("WORKBENCH_DEVICE", "cpu")
    # Two PyTorch threads on two busy cores wait for each other more than they work.
    monkeypatch.setenv("WORKBENCH_THREADS", "1")


@pytest.fixture
def load(folders: dict[str, Path]) -> Iterator[Callable[[str], Transformers]]:
    loaded: list[Transformers] = []

    def load(kind: str = "llama") -> Transformers:
        loaded.append(Transformers(str(folders[kind]), kind))
        return loaded[-1]

    yield load
    for one in loaded:
        one.close()


def prompt(words: str) -> Prompt:
    return Prompt((Message("user", words),), "test")


def ask(backend: Transformers, words: str, **params: object) -> Completion:
    return list(backend.stream(prompt(words), SamplingParams(**params)))[-1]


def all_at_once(calls: list[Callable[[], Completion]]) -> list[Completion | Exception]:
    """Call in threads that start together; an error stands where its answer would."""
    found: list[Completion | Exception] = [RuntimeError("no answer")] * len(calls)
    ready = threading.Barrier(len(calls))

    def work(place: int) -> None:
        ready.wait()
        try:
            found[place] = calls[place]()
        except BackendError as error:
            found[place] = error

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def held(backend: Transformers, calls: list[Callable[[], Completion]]) -> list[Completion]:
    """Call at once while the model is held back, so that all wait together when it begins."""
    batcher = backend.engine.batcher
    with batcher.paused():
        found: list[Completion] = []
        thread = threading.Thread(target=lambda: found.extend(all_at_once(calls)))
        thread.start()
        deadline = time.monotonic() + 10
        while len(batcher._waiting) < len(calls) and time.monotonic() < deadline:
            time.sleep(0.005)
    thread.join()
    return found


WORDS = ["a", "what is this " * 4, "def f(x):\n    return x\n" * 3, "hi!", "count " * 25, "b c d"]


@pytest.mark.parametrize("kind", KINDS)
def test_answers_in_a_batch_are_those_of_generate(kind, load):
    backend = load(kind)
    engine = backend.engine
    expected = []
    for place, words in enumerate(WORDS):
        ids = torch.tensor([engine.chat.render(prompt(words).messages).ids])
        with torch.inference_mode():
            made = engine.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=8 + 5 * place,
                do_sample=False,
                eos_token_id=list(engine.ends),
                pad_token_id=0,
            )
        new = made[0, ids.shape[1] :]
        expected.append(engine.chat.tokenizer.decode(new, skip_special_tokens=True))

    def late(place: int) -> Completion:
        time.sleep(0.01 * (place % 3))  # some join while the others generate
        return ask(backend, WORDS[place], max_tokens=8 + 5 * place)

    answers = all_at_once([lambda place=place: late(place) for place in range(len(WORDS))])

    assert engine.batcher.mode == KINDS[kind]
    assert [one.text for one in answers] == expected
    assert len(set(expected)) == len(WORDS)
    assert engine.batcher.most_at_once > 1 or KINDS[kind] == "alone"


def test_who_comes_later_joins_those_who_generate(load):
    backend = load()
    alone = ask(backend, "late", max_tokens=20).text
    first = backend.stream(prompt("early"), SamplingParams(max_tokens=2000))
    next(first)

    joined = ask(backend, "late", max_tokens=20)

    assert joined.text == alone
    assert backend.engine.batcher.most_at_once == 2
    assert isinstance(next(first), Token)
    first.close()


def test_samples_of_one_prompt_are_read_once(load):
    backend = load()
    params = SamplingParams(max_tokens=6, temperature=1.0)
    call = prompt("write something " * 10)
    answers = held(
        backend, [lambda n=n: list(backend.stream(call, params.nth(n)))[-1] for n in range(8)]
    )

    assert backend.engine.batcher.tokens_read == backend.count_tokens(call.messages)
    assert backend.engine.batcher.most_at_once == 8
    assert len({one.text for one in answers}) > 4


def test_a_seed_repeats_its_answer_whatever_else_is_in_the_batch(load):
    backend = load()
    wanted = {"max_tokens": 20, "temperature": 1.5, "top_p": 0.9, "seed": 7}
    alone = ask(backend, "roll", **wanted).text
    others = [
        lambda n=n: ask(backend, "x" * (3 * n + 1), max_tokens=9 + n, temperature=n % 3, seed=n)
        for n in range(5)
    ]

    (answer, *_) = held(backend, [lambda: ask(backend, "roll", **wanted), *others])

    assert answer.text == alone
    assert ask(backend, "roll", **{**wanted, "seed": 8}).text != alone
    unseeded = {ask(backend, "roll", **{**wanted, "seed": None}).text for _ in range(3)}
    assert len(unseeded) == 3


def test_each_row_has_its_own_end(load):
    backend = load()
    whole = ask(backend, "hello", max_tokens=30)
    stop = whole.text[5:7]

    cut, short, again = held(
        backend,
        [
            lambda: ask(backend, "hello", max_tokens=30, stop=(stop,)),
            lambda: ask(backend, "hello", max_tokens=3),
            lambda: ask(backend, "hello", max_tokens=30),
        ],
    )

    assert (cut.text, cut.finish_reason) == (whole.text[: whole.text.index(stop)], "stop")
    assert (short.output_tokens, short.finish_reason) == (3, "length")
    assert again.text == whole.text


def test_closing_one_leaves_the_others_undisturbed(load):
    backend = load()
    alone = ask(backend, "stays", max_tokens=200).text
    gone = backend.stream(prompt("goes"), SamplingParams(max_tokens=3000))
    stays = backend.stream(prompt("stays"), SamplingParams(max_tokens=200))
    next(gone), next(stays)

    gone.close()
    start = time.monotonic()
    while len(backend.engine.batcher._live.rows) > 1:
        assert time.monotonic() - start < 2
        next(stays)
    completion = list(stays)[-1]

    assert completion.text == alone
    assert completion.finish_reason != "cancelled"


def test_a_long_prompt_is_read_in_pieces_while_others_generate(load, monkeypatch):
    backend = load()
    alone = ask(backend, "long " * LONG, max_tokens=5).text
    widths: list[int] = []
    forward = hf_cache.Network.forward

    def noted(self, ids, mask, cache, rows):
        widths.append(ids.shape[1])
        backend.engine.batcher._tokens_per_second = 250.0  # as a slow machine would measure
        found = forward(self, ids, mask, cache, rows)
        time.sleep(0.0001 if ids.shape[1] == 1 else ids.shape[1] / 250 / 50)
        return found

    first = backend.stream(prompt("early"), SamplingParams(max_tokens=3000))
    next(first)
    monkeypatch.setattr(hf_cache.Network, "forward", noted)
    joined = ask(backend, "long " * LONG, max_tokens=5)
    first.close()

    read = [place for place, width in enumerate(widths) if width > 1]
    assert joined.text == alone
    assert len(read) > 1
    assert all(widths[place + 1] == 1 for place in read)


def test_where_memory_is_short_fewer_are_answered_at_once_and_all_are(load, monkeypatch):
    backend = load()
    alone = [ask(backend, words, max_tokens=8).text for words in WORDS]
    per_token = backend.engine.batcher._network._token_bytes
    room = property(lambda self: per_token * 2 * 3 * 200)
    monkeypatch.setattr(hf_cache.Network, "_free_bytes", room)

    answers = held(backend, [lambda w=w: ask(backend, w, max_tokens=8) for w in WORDS])

    assert [one.text for one in answers] == alone
    assert 1 <= backend.engine.batcher.most_at_once < len(WORDS)


def test_a_batch_that_does_not_fit_is_halved_and_answered(load, monkeypatch):
    backend = load()
    alone = [ask(backend, words, max_tokens=12).text for words in WORDS]
    forward = hf_cache.Network.forward
    failed: list[int] = []

    def small(self, ids, mask, cache, rows):
        if len(rows) > 3 and mask.shape[1] > 155:  # in the middle of the answers
            failed.append(len(rows))
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, ids, mask, cache, rows)

    monkeypatch.setattr(hf_cache.Network, "forward", small)
    answers = held(backend, [lambda w=w: ask(backend, w, max_tokens=12) for w in WORDS])

    assert failed
    assert [one.text for one in answers] == alone


def test_a_batch_that_fails_fails_all_its_rows_in_one_line_and_the_next_one_works(
    load, monkeypatch
):
    backend = load()
    alone = ask(backend, "a", max_tokens=12).text

    def broken(self, *_):
        raise RuntimeError("the kernel gave up\nat line 3")

    with monkeypatch.context() as patch:
        patch.setattr(hf_cache.Live, "step", broken)
        failures = held(backend, [lambda w=w: ask(backend, w, max_tokens=12) for w in "abc"])

    for failure in failures:
        assert isinstance(failure, BackendError)
        assert "the kernel gave up" in str(failure) and "\n" not in str(failure)
        assert failure.remedy
        assert failure.partial is not None and failure.partial.finish_reason == "broken"
        assert failure.partial.output_tokens == 1
    assert ask(backend, "a", max_tokens=12).text == alone


def test_closing_a_backend_ends_its_streams_and_refuses_more(load):
    backend = load()
    stream = backend.stream(prompt("a"), SamplingParams(max_tokens=3000))
    next(stream)

    backend.close()

    assert [one.finish_reason for one in stream if isinstance(one, Completion)] == ["cancelled"]
    with pytest.raises(BackendError, match="unloaded"):
        ask(backend, "a")


def rows(load, *params: SamplingParams) -> list[Row]:
    engine = load().engine
    return [
        Row([1], one, most=9, ends=frozenset(), tokenizer=engine.chat.tokenizer) for one in params
    ]


def test_tokens_are_drawn_as_often_as_temperature_and_top_p_say(load):
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    draws, greedy = 4000, SamplingParams()
    warm = [SamplingParams(temperature=0.5, top_p=0.9, seed=n) for n in range(draws)]

    chosen = choose(logits.expand(draws + 1, 4), rows(load, *warm, greedy))

    # At temperature 0.5 the chances are squared; 0.25 and 0.09 of 0.365 are kept: 0.93 of it.
    shares = torch.bincount(torch.tensor(chosen[:-1]), minlength=4) / draws
    assert shares == pytest.approx([0.25 / 0.34, 0.09 / 0.34, 0, 0], abs=0.03)
    assert chosen[-1] == 0


def test_parameters_at_their_ends_do_no_harm_to_the_batch(load):
    logits = torch.tensor([40.0, 30.0, -100.0])
    odd = [
        SamplingParams(temperature=1e-30),
        SamplingParams(temperature=1.0, top_p=0.0),
        SamplingParams(temperature=1.0, top_p=-1.0, seed=-5),
        SamplingParams(temperature=1e-30, top_p=0.5, seed=2**70),
    ]
    assert choose(logits.expand(4, 3), rows(load, *odd)) == [0, 0, 0, 0]


@pytest.mark.parametrize(("linger", "stays"), [(0.0, False), (30.0, True)])
def test_the_thread_waits_for_more_only_where_it_is_to_stay_warm(load, linger, stays):
    backend = load()
    batcher = backend.engine.batcher
    batcher._linger = linger
    first = ask(backend, "one", max_tokens=4).text
    time.sleep(0.5)
    thread = batcher._thread
    assert (thread is not None and thread.is_alive()) == stays
    assert ask(backend, "one", max_tokens=4).text == first
    if stays:
        assert batcher._thread is thread
        backend.close()
        thread.join(2)
        assert not thread.is_alive()
