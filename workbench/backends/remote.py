"""How a stream that came over a network is told and judged, whoever sent it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from workbench.backends.streaming import Channel, Transcript
from workbench.errors import BackendError, BrokenOff
from workbench.types import SAMPLING, Completion, FinishReason, SamplingParams, Token

# What servers call the end of an answer, in lower case: OpenAI, Anthropic, Cohere, Google,
# Mistral, Ollama. Any other word is "unknown".
_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "completed": "stop",
    "complete": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "refused",
    "refusal": "refused",
    "safety": "refused",
    "recitation": "refused",
    "blocklist": "refused",
    "prohibited_content": "refused",
    "spii": "refused",
    "error_toxic": "refused",
}
_CALLED = {
    "tool_calls",
    "tool_call",
    "tool_use",
    "function_call",
    "malformed_function_call",
    "unexpected_tool_call",
}
_FAILED = {"error", "timeout", "failed"}


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event of a stream says.

    ``thought`` is text of the model's reasoning. ``finish`` is the server's own word for why the
    answer ended, and ``last`` says that it has ended, with a word or without. ``counts`` are the
    tokens in and out until now. ``model`` is what the server says that it is. ``called`` marks a
    call of a tool, ``refused`` a text that declines to answer.
    """

    text: str = ""
    thought: str = ""
    finish: str = ""
    last: bool = False
    counts: tuple[int | None, int | None] | None = None
    model: str = ""
    called: bool = False
    refused: bool = False

    @property
    def says_more(self) -> bool:
        """Whether it holds anything beside text."""
        said = self.finish or self.last or self.counts or self.model
        return bool(said or self.called or self.refused)


def tell(
    server: str,
    channel: Channel[Piece],
    transcript: Transcript,
    ignored: tuple[str, ...] = (),
) -> Iterator[Token | Completion]:
    """Yield the tokens of a stream as they come, then its Completion.

    ``server`` is how errors call it.

    Raises:
        BrokenOff: the stream ended before the answer did.
        BackendError: the server failed, sent nothing, or called a tool; with what had come.
    """
    whole = Piece()
    with closing(channel.read()) as pieces:
        try:
            for piece in pieces:
                if piece.thought:
                    yield transcript.token(piece.thought, reasoning=True)
                if piece.text:
                    yield transcript.token(piece.text)
                if piece.says_more:
                    whole = _both(whole, piece)
        except BackendError as error:
            partial = _partial(transcript, whole, ignored)
            raise _with(error, partial) from None
    if transcript.sent is not None and whole.model:
        transcript.sent = replace(transcript.sent, model=whole.model)
    if channel.stopped_early:
        finish: FinishReason = "cancelled"
    elif failure := _failure(server, whole, _partial(transcript, whole, ignored)):
        raise failure
    else:
        finish = "refused" if whole.refused else _FINISH.get(whole.finish.lower(), "unknown")
    yield transcript.completion(finish, *(whole.counts or (None, None)), ignored)


def parameters_of(params: SamplingParams, ignored: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the sampling parameters in force, by their names."""
    values = {name: getattr(params, name) for name in SAMPLING if name not in ignored}
    return {name: value for name, value in values.items() if value is not None}


def label(url: str) -> str:
    """Return a url without user name, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")


def _both(whole: Piece, piece: Piece) -> Piece:
    """Return what is known after one more piece; no texts, which the transcript keeps."""
    return Piece(
        finish=piece.finish or whole.finish,
        last=whole.last or piece.last or bool(piece.finish),
        counts=piece.counts or whole.counts,
        model=piece.model or whole.model,
        called=whole.called or piece.called,
        refused=whole.refused or piece.refused,
    )


def _partial(transcript: Transcript, whole: Piece, ignored: tuple[str, ...]) -> Completion | None:
    """Return what has come, None where nothing has."""
    found = transcript.completion("broken", *(whole.counts or (None, None)), ignored)
    return found if found.text or found.reasoning else None


def _failure(server: str, whole: Piece, partial: Completion | None) -> BackendError | None:
    """Say what is wrong with a stream that ended by itself; None where it is an answer."""
    finish = whole.finish.lower()
    if whole.called or finish in _CALLED:
        return BackendError(
            f"{server} called a tool instead of answering, and none was offered.",
            "Say in the prompt that there are no tools, or choose another model.",
            partial=partial,
        )
    if finish in _FAILED:
        failed = BackendError(
            f"{server} failed within its answer: {finish}.", "Ask again later.", transient=True
        )
        return _with(failed, partial)
    if whole.last:
        return None
    if partial is None:
        return BackendError(f"{server} sent no chat completion.", "Check the url.")
    return BrokenOff(f"{server} broke off within its answer.", "Ask again.", partial=partial)


def _with(error: BackendError, partial: Completion | None) -> BackendError:
    """Return the error with what had come; then it is not tried again, as that was shown."""
    if partial is None:
        return error
    kind = BrokenOff if type(error) is BackendError else type(error)
    return kind(
        error.cause,
        error.remedy,
        status=error.status,
        retry_after=error.retry_after,
        partial=partial,
    )
