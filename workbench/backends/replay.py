"""Recorded answers, found by the messages that were asked: for tests, docs and notebooks.

A recording is a file of JSON lines, one a completion: ``digest`` of the messages, the messages
themselves for the reader, the sampling parameters (null: any), the tokens, the seconds before
each, and the completion.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.cancel import cancelled
from workbench.errors import BackendError
from workbench.types import Backend, Completion, Message, Prompt, SamplingParams, Token

_writing = threading.Lock()


class Replay:
    """Answers what ``file`` holds, word for word. ``pace`` 1 is the recorded speed, 0 at once."""

    def __init__(self, resolved: str, name: str, pace: float = 0.0) -> None:
        self.name = name
        self._pace = pace
        file, mark, model = resolved.rpartition("#")
        whole = not mark or Path(resolved).is_file()
        self._file, self._model = (Path(resolved), "") if whole else (Path(file), model)

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield the recorded tokens, then the Completion as it was recorded.

        Raises:
            BackendError: nothing was recorded for these messages and parameters.
        """
        record = self._find(prompt, params)
        for text, seconds in zip(record["tokens"], record["seconds"], strict=True):
            if self._pace:
                time.sleep(seconds * self._pace)
            if cancelled():
                break
            yield Token(text)
        fields = record["completion"]
        yield Completion(**{**fields, "ignored": tuple(fields["ignored"])})

    def close(self) -> None:
        """Do nothing: the file is read anew for each prompt."""

    def _find(self, prompt: Prompt, params: SamplingParams) -> dict[str, Any]:
        wanted, asked = digest(prompt.messages), _plain(params)
        candidates = [
            record
            for record in read_recording(self._file)
            if record["digest"] == wanted and self._model in ("", record["completion"]["model"])
        ]
        for sampled in (asked, None):
            fitting = [record for record in candidates if record["params"] == sampled]
            if fitting:
                return fitting[-1]  # the newest counts, where a prompt was recorded again
        cause = "with these sampling parameters" if candidates else "for this prompt"
        raise BackendError(
            f"{self._file.name} holds no answer {cause}.",
            f"Record it again: Recorder(load_backend(...), '{self._file.name}')",
        )


class Recorder:
    """Wraps a backend and appends each completed answer to ``file``."""

    def __init__(self, backend: Backend, file: str | Path) -> None:
        self.name = getattr(backend, "name", type(backend).__name__)
        self._backend = backend
        self._file = Path(file)

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield what the backend yields; write it down once it is complete."""
        tokens: list[str] = []
        seconds: list[float] = []
        last = time.perf_counter()
        events = self._backend.stream(prompt, params)
        try:
            for event in events:
                now = time.perf_counter()
                if isinstance(event, Token):
                    tokens.append(event.text)
                    seconds.append(round(now - last, 4))
                    last = now
                elif event.finish_reason != "cancelled":
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
        tokens: list[str],
        seconds: list[float],
        completion: Completion,
    ) -> None:
        record = {
            "digest": digest(prompt.messages),
            "messages": [asdict(message) for message in prompt.messages],
            "params": _plain(params),
            "tokens": tokens,
            "seconds": seconds,
            "completion": asdict(completion),
        }
        line = json.dumps(record, ensure_ascii=False)
        with _writing:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


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
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
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
    if len(record["tokens"]) != len(record["seconds"]):
        raise ValueError("as many waits as tokens")
    Completion(**record["completion"])
    _ = record["digest"], record["params"]


def _plain(params: SamplingParams) -> dict[str, Any]:
    return {**asdict(params), "stop": list(params.stop)}
