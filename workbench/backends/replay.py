"""Recorded answers, found by the messages that were asked: for tests, docs and notebooks.

A recording is a file of JSON lines, one a completion: ``digest`` of the messages, the messages
themselves for the reader, the sampling parameters (null: any), the tokens, the seconds before
each, ``reasoning`` (the numbers of those tokens that were thought), and the completion with what
was sent. No line holds a key. What older recordings lack is taken as empty. One that is to be
handed on may lack the messages and what was sent, which may not be ours to give, and tokens, which
are then the completion's text as it is. A file called ``.gz`` is compressed.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from workbench.backends.wrapping import Wrapper
from workbench.cancel import cancelled
from workbench.errors import BackendError
from workbench.keys import scrub
from workbench.types import (
    Backend,
    Capabilities,
    Completion,
    Message,
    Prompt,
    SamplingParams,
    Token,
)

_COMPLETION = TypeAdapter(Completion)
_writing = threading.Lock()


class Replay:
    """Answers what ``file`` holds, word for word. ``pace`` 1 is the recorded speed, 0 at once."""

    def __init__(self, resolved: str, name: str, pace: float = 0.0) -> None:
        self.name = name
        self._pace = pace
        file, mark, model = resolved.rpartition("#")
        whole = not mark or Path(resolved).is_file()
        self._file, self._model = (Path(resolved), "") if whole else (Path(file), model)

    @property
    def capabilities(self) -> Capabilities:
        """What a recording can do: repeat whatever was recorded, reasoning included."""
        return Capabilities(reasoning=True, local=True)

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield the recorded tokens, then the Completion as it was recorded.

        Raises:
            BackendError: nothing was recorded for these messages and parameters.
        """
        record = self._find(prompt, params)
        completion = _COMPLETION.validate_python(record["completion"])
        for token, seconds in _tokens(record, completion):
            if self._pace:
                time.sleep(seconds * self._pace)
            if cancelled():
                break
            yield token
        yield completion

    def close(self) -> None:
        """Do nothing: the file is read again whenever it has changed."""

    def _find(self, prompt: Prompt, params: SamplingParams) -> dict[str, Any]:
        wanted = digest(prompt.messages)
        candidates = [
            record
            for record in _by_digest(self._file).get(wanted, ())
            if self._model in ("", record["completion"]["model"])
        ]
        fitting = _fitting(candidates, params)
        if fitting:
            return fitting[-1]  # the newest counts, where a prompt was recorded again
        cause = "with these sampling parameters" if candidates else "for this prompt"
        raise BackendError(
            f"{self._file.name} holds no answer {cause}.",
            f"Record it again: Recorder(load_backend(...), '{self._file.name}')",
        )


def _tokens(record: dict[str, Any], completion: Completion) -> Iterator[tuple[Token, float]]:
    """Yield the tokens with the seconds before each; a text without tokens comes as one."""
    if "tokens" not in record:
        if completion.reasoning:
            yield Token(completion.reasoning, reasoning=True), 0.0
        if completion.text:
            yield Token(completion.text), completion.seconds
        return
    thought = frozenset(record.get("reasoning", ()))
    for number, (text, seconds) in enumerate(zip(record["tokens"], record["seconds"], strict=True)):
        yield Token(text, reasoning=number in thought), seconds


def _by_digest(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of a file by the digest of their messages; read once a version.

    Raises:
        BackendError: the file is gone, or a line of it is no record.
    """
    try:
        state = file.stat()
    except OSError:
        return _read_by_digest(file, 0, 0)  # which says what is wrong
    return _read_by_digest(file, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=4)
def _read_by_digest(file: Path, changed: int, size: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for record in read_recording(file):
        found.setdefault(record["digest"], []).append(record)
    return found


def _fitting(records: list[dict[str, Any]], params: SamplingParams) -> list[dict[str, Any]]:
    """Return the records of these parameters, or else those of any.

    The sample's number counts only where several samples were recorded.
    """
    asked = _plain(params)
    sample = asked.pop("sample")
    alike = [
        (recorded.get("sample", 0), record)
        for record in records
        if (recorded := record["params"]) is not None and asked == _without_sample(recorded)
    ]
    several = len({number for number, _ in alike}) > 1
    found = [record for number, record in alike if not several or number == sample]
    return found or [record for record in records if record["params"] is None]


class Recorder(Wrapper):
    """Wraps a backend and appends each answer that came to its end to ``file``, without keys."""

    def __init__(self, backend: Backend, file: str | Path) -> None:
        super().__init__(backend)
        self._file = Path(file)

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield what the backend yields; write it down once it is complete."""
        tokens: list[Token] = []
        seconds: list[float] = []
        last = time.perf_counter()
        events = self.inner.stream(prompt, params)
        try:
            for event in events:
                now = time.perf_counter()
                if isinstance(event, Token):
                    tokens.append(event)
                    seconds.append(now - last)
                    last = now
                elif event.is_complete or event.finish_reason == "refused":
                    self._append(prompt, params, tokens, seconds, event)
                yield event
        finally:
            close = getattr(events, "close", None)
            if close is not None:
                close()

    def _append(
        self,
        prompt: Prompt,
        params: SamplingParams,
        tokens: list[Token],
        seconds: list[float],
        completion: Completion,
    ) -> None:
        tokens, seconds = _without_keys(tokens, seconds)
        record = {
            "digest": digest(prompt.messages),
            "messages": [asdict(message) for message in prompt.messages],
            "params": _plain(params),
            "tokens": [token.text for token in tokens],
            "seconds": [round(wait, 4) for wait in seconds],
            "reasoning": [number for number, token in enumerate(tokens) if token.reasoning],
            "completion": asdict(completion),
        }
        line = scrub(json.dumps(record, ensure_ascii=False))
        with _writing:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            opener: Any = gzip.open if self._file.suffix == ".gz" else open
            with opener(self._file, "at", encoding="utf-8") as file:
                file.write(line + "\n")


def _without_keys(tokens: list[Token], seconds: list[float]) -> tuple[list[Token], list[float]]:
    """Join the tokens of a text that holds a key, which may stand in several of them."""
    kept: list[Token] = []
    waits: list[float] = []
    pairs = zip(tokens, seconds, strict=True)
    for reasoning, run in groupby(pairs, key=lambda pair: pair[0].reasoning):
        parts, times = zip(*run, strict=True)
        text = "".join(token.text for token in parts)
        if scrub(text) == text:
            kept.extend(parts)
            waits.extend(times)
        else:
            kept.append(Token(scrub(text), reasoning))
            waits.append(sum(times))
    return kept, waits


def digest(messages: Sequence[Message]) -> str:
    """Return sixteen hex digits that stand for roles and contents of the messages."""
    turns = [[message.role, message.content] for message in messages]
    return hashlib.sha256(json.dumps(turns).encode()).hexdigest()[:16]


def read_recording(file: Path) -> list[dict[str, Any]]:
    """Read all records of a file, oldest first.

    Raises:
        BackendError: the file is gone, or a line of it is no record.
    """
    try:
        # Not splitlines, which also splits at characters that JSON leaves as they are (U+2028).
        data = file.read_bytes()
        text = gzip.decompress(data) if file.suffix == ".gz" else data
        lines = text.decode("utf-8").replace("\r\n", "\n").removesuffix("\n").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BackendError(f"The recording {file} cannot be read.", "Check the file.") from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            _check(record)
        except (ValueError, TypeError, KeyError) as error:
            raise BackendError(
                f"Line {number} of {file.name} is no recorded answer.", "Remove it."
            ) from error
        records.append(record)
    return records


def _check(record: dict[str, Any]) -> None:
    _ = record["digest"], record["params"]  # fails where it is no dict at all
    if len(record.get("tokens", ())) != len(record.get("seconds", ())):
        raise ValueError("as many waits as tokens")
    _COMPLETION.validate_python(record["completion"])


def _without_sample(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name != "sample"}


def _plain(params: SamplingParams) -> dict[str, Any]:
    return {**asdict(params), "stop": list(params.stop)}
