"""Another backend that answers where the first one fails; only if asked for, and then marked."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

from workbench.backends.wrapping import Wrapper
from workbench.cancel import cancelled
from workbench.errors import (
    BackendError,
    MissingExtra,
    MissingKey,
    MissingModel,
    OverBudget,
    WorkbenchError,
)
from workbench.types import Backend, Completion, Prompt, SamplingParams, Token

Other = tuple[str, Callable[[], Backend]]

# What says that a backend cannot answer now, though another may: never that the question is wrong.
# An exhausted budget says it neither: it is the user's own word to stop.
_FAILURES = (BackendError, MissingKey, MissingExtra, MissingModel)


def with_fallback(backend: Backend, others: Sequence[Other]) -> Backend:
    """Return a backend that asks the others, in their order, where ``backend`` cannot answer.

    It cannot where it fails before its first token: with a BackendError other than OverBudget, or
    for want of a key, a package or its weights. What was cancelled, or asked wrongly (BadInput),
    is not asked again; and once a token was read, a failure stays one. A completion of another
    tells by ``fallback_for`` whom it stands in for, and by its ``model`` who answered. Each of
    ``others`` is its name and what makes it, called when it is needed; its limits, budget and
    cache are its own. So a cache belongs around each and not around what is returned here.
    """
    return Fallback.around(backend, tuple(others)) if others else backend


class Fallback(Wrapper):
    """What ``with_fallback`` returns."""

    def __init__(self, inner: Backend, others: tuple[Other, ...]) -> None:
        super().__init__(inner)
        self._others = others

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield what the first backend yields that can answer.

        Raises:
            BackendError: or MissingKey: none of them can; the first one's error, and then the
                others' causes.
        """
        try:
            yield from _parts(_made(lambda: self.inner, prompt, params))
        except _Unanswered as unanswered:
            first = unanswered.error
        else:
            return
        causes = [first.cause]
        for name, make in self._others:
            try:
                for part in _parts(_made(make, prompt, params)):
                    yield self._marked(part)
            except _Unanswered as unanswered:
                causes.append(f"Its fallback {name}: {unanswered.error.cause}")
            else:
                return
        raise _joined(first, causes)

    def _marked(self, part: Token | Completion) -> Token | Completion:
        if isinstance(part, Token):
            return part
        return replace(part, fallback_for=self.name)


class _Unanswered(Exception):
    """A backend failed before it yielded anything, so that another may be asked."""

    def __init__(self, error: WorkbenchError) -> None:
        self.error = error


def _made(
    make: Callable[[], Backend], prompt: Prompt, params: SamplingParams
) -> Generator[Token | Completion]:
    """Make a backend and ask it; what fails in making it is as if it failed to answer."""
    yield from make().stream(prompt, params)


def _parts(stream: Iterator[Token | Completion]) -> Generator[Token | Completion]:
    """Yield what a stream yields.

    Raises:
        _Unanswered: it failed before it yielded anything.
    """
    began = False
    try:
        for part in stream:
            began = True
            yield part
    except _FAILURES as error:
        if began or cancelled() or isinstance(error, OverBudget):
            raise
        raise _Unanswered(error) from error
    finally:
        if close := getattr(stream, "close", None):
            close()


def _joined(first: WorkbenchError, causes: Sequence[str]) -> WorkbenchError:
    """Return the first backend's error with the causes of all."""
    cause = " ".join(causes)
    if not isinstance(first, BackendError):
        return MissingKey(cause, first.remedy)
    return BackendError(
        cause,
        first.remedy,
        transient=first.transient,
        status=first.status,
        retry_after=first.retry_after,
    )
