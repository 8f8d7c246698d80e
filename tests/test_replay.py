"""Recordings: what a backend said comes back in full, and no key is ever written down."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from workbench.backends import load_backend, replay
from workbench.backends.replay import Recorder, Replay
from workbench.backends.wrapping import capabilities_of, identity_of, name_of
from workbench.errors import BackendError
from workbench.types import (
    Backend,
    Capabilities,
    Completion,
    Message,
    Prompt,
    SamplingParams,
    Sent,
    Token,
)

PROMPT = Prompt((Message("system", "Be brief."), Message("user", "Größe 🙂\u2028?")), "t")
PARAMS = SamplingParams(max_tokens=5, stop=("\n",))
SENT = Sent(PROMPT.messages, {"max_tokens": 5}, "<s>…", "m@1", "http://here/v1", ("a note",))
TOKENS = (Token("I", True), Token(" think", True), Token("x = "), Token("1\u2028\n"))
DONE = Completion(
    "x = 1\u2028\n",
    3,
    4,
    0.5,
    0.1,
    "stop",
    "m",
    ("seed",),
    "I think",
    SENT,
    0.01,
    attempts=2,
    fallback_for="other/m",
)
USUAL = Capabilities()
KEY = "sk-abc/0123456789+secret"


@dataclass
class Says:
    """A backend that says what it was told to say."""

    tokens: tuple[Token, ...] = TOKENS
    completion: Completion = DONE
    name: str = "says/it"
    identity: str = "says@1"
    capabilities: Capabilities = USUAL

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        yield from self.tokens
        yield self.completion


def record(file: Path, backend: Backend, params: SamplingParams = PARAMS) -> None:
    list(Recorder(backend, file).stream(PROMPT, params))


def replayed(file: Path, params: SamplingParams = PARAMS) -> list[Token | Completion]:
    return list(load_backend(f"replay/{file}").stream(PROMPT, params))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "answers.jsonl"


def test_thoughts_what_was_sent_and_every_figure_survive(file: Path) -> None:
    record(file, Says())
    *tokens, completion = replayed(file)
    assert tuple(tokens) == TOKENS
    assert completion == DONE


def test_a_recording_of_before_still_replays(file: Path) -> None:
    record(file, Says())
    line = json.loads(file.read_text(encoding="utf-8"))
    del line["reasoning"], line["params"]["sample"]
    old = ("text", "input_tokens", "output_tokens", "seconds", "first_token_seconds")
    old = (*old, "finish_reason", "model", "ignored")
    line["completion"] = {name: line["completion"][name] for name in old}
    file.write_text(json.dumps(line) + "\n", encoding="utf-8")

    *tokens, completion = replayed(file)
    assert [token.text for token in tokens] == [token.text for token in TOKENS]
    assert completion == Completion(*(getattr(DONE, name) for name in old))


@pytest.mark.parametrize(
    ("finish", "kept"),
    [
        ("stop", True),
        ("length", True),
        ("unknown", True),
        ("refused", True),
        ("broken", False),
        ("cancelled", False),
    ],
)
def test_only_what_came_to_its_end_is_recorded(file: Path, finish, kept) -> None:
    record(file, Says(completion=replace(DONE, finish_reason=finish)))
    assert file.exists() == kept


def test_one_recorded_sample_serves_for_all_and_several_each_for_itself(file: Path) -> None:
    unseeded = replace(PARAMS, seed=None)
    record(file, Says(completion=replace(DONE, text="first")), unseeded)
    assert replayed(file, unseeded.nth(3))[-1].text == "first"

    record(file, Says(completion=replace(DONE, text="second")), unseeded.nth(1))
    assert replayed(file, unseeded)[-1].text == "first"
    assert replayed(file, unseeded.nth(1))[-1].text == "second"
    with pytest.raises(BackendError, match="sampling parameters"):
        replayed(file, unseeded.nth(2))


def test_a_key_is_never_written_though_it_comes_in_pieces(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    pieces = (Token("use "), Token(KEY[:6]), Token(KEY[6:]), Token("!"))
    thoughts = (Token(KEY[:9], True), Token(KEY[9:], True))
    said = replace(DONE, text=f"use {KEY}!", reasoning=KEY, sent=replace(SENT, text=f"<s>{KEY}"))
    prompt = Prompt((Message("user", f"my key is {KEY}"),), "t")

    list(Recorder(Says((*thoughts, *pieces), said), file).stream(prompt, PARAMS))

    line = file.read_text(encoding="utf-8")
    held = json.loads(line)
    for text in (line, "".join(held["tokens"]), json.dumps(held)):
        assert KEY not in text
        assert KEY[:12] not in text
        assert "0123456789" not in text
    *tokens, completion = Replay(str(file), "r").stream(prompt, PARAMS)
    assert (tokens, completion.text) == ([Token("***", True), Token("use ***!")], "use ***!")


def test_other_tokens_stay_as_they_came_beside_a_key_in_the_thoughts(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    record(file, Says((Token(KEY, True), *TOKENS[2:])))
    assert replayed(file)[:-1] == [Token("***", True), *TOKENS[2:]]


def test_a_recorder_says_of_itself_what_its_backend_says(file: Path) -> None:
    backend = Says(capabilities=Capabilities(logprobs=True, context_length=7))
    recorder = Recorder(backend, file)
    assert name_of(recorder) == "says/it"
    assert identity_of(recorder) == "says@1"
    assert capabilities_of(recorder) == backend.capabilities


def test_a_replay_answers_on_this_machine_and_is_not_to_be_cached(file: Path) -> None:
    record(file, Says())
    replay = load_backend(f"replay/{file}")
    assert capabilities_of(replay).local
    assert identity_of(replay) is None


def test_a_recording_to_be_handed_on_needs_neither_messages_nor_tokens(tmp_path: Path) -> None:
    whole, bare = tmp_path / "whole.jsonl", tmp_path / "bare.jsonl.gz"
    record(whole, Says())
    line = json.loads(whole.read_text(encoding="utf-8"))
    for name in ("messages", "tokens", "seconds", "reasoning"):
        del line[name]
    line["completion"]["sent"] = None
    bare.write_bytes(gzip.compress((json.dumps(line) + "\n").encode()))
    *tokens, completion = replayed(bare)
    assert tokens == [Token("I think", True), Token(DONE.text)]
    assert completion == replace(DONE, sent=None)
    record(bare, Says(completion=replace(DONE, text="newer")))
    assert replayed(bare)[-1].text == "newer", "what is added counts"


def test_a_recording_is_read_once_and_again_when_it_has_changed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    read = replay.read_recording

    def counted(file: Path) -> list[dict[str, Any]]:
        reads.append(file)
        return read(file)

    monkeypatch.setattr(replay, "read_recording", counted)
    record(file, Says())
    one = Replay(str(file), "r")
    for _ in range(5):
        assert list(one.stream(PROMPT, PARAMS))[-1] == DONE
    assert len(reads) == 1
    record(file, Says(completion=replace(DONE, text="newer")))
    assert list(one.stream(PROMPT, PARAMS))[-1].text == "newer"
    assert len(reads) == 2
    file.unlink()
    with pytest.raises(BackendError, match="cannot be read"):
        list(one.stream(PROMPT, PARAMS))
