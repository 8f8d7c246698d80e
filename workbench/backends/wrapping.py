"""What stands around a backend (limits, cache) and says of itself what the inner one says."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, Self

from workbench.types import (
    Backend,
    Capabilities,
    Completion,
    CountsTokens,
    Declares,
    Identified,
    Message,
    Prompt,
    SamplingParams,
    Token,
)


class Wrapper:
    """A backend around another one. Make it with ``around``; a subclass changes ``stream``."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    @classmethod
    def around(cls, inner: Backend, *args: Any, **options: Any) -> Self:
        """Wrap a backend; the wrapper counts tokens where the inner one does."""
        kind: Any = cls
        if isinstance(inner, CountsTokens):
            kind = _counting(kind)
        made: Self = kind(inner, *args, **options)
        return made

    @property
    def name(self) -> str:
        """The name of the backend inside."""
        return name_of(self.inner)

    @property
    def capabilities(self) -> Capabilities:
        """What the backend inside can do."""
        return capabilities_of(self.inner)

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield what the backend inside yields."""
        yield from self.inner.stream(prompt, params)


def name_of(backend: Backend) -> str:
    """Return what a backend is called: its ``name``, or its class's."""
    return str(getattr(backend, "name", type(backend).__name__))


def capabilities_of(backend: Backend) -> Capabilities:
    """Return what a backend says that it can do, or else what most can."""
    return backend.capabilities if isinstance(backend, Declares) else Capabilities()


def identity_of(backend: Backend) -> str | None:
    """Return what decides a backend's answers beside the prompt; None where it does not say."""
    while isinstance(backend, Wrapper):
        backend = backend.inner
    return backend.identity if isinstance(backend, Identified) else None


@functools.cache
def _counting(kind: type[Wrapper]) -> type[Any]:
    """Return the wrapper's subclass with the methods of CountsTokens.

    Having them is what says that a backend counts, so a wrapper must not have them in vain.
    """

    class Counting(kind):  # type: ignore[misc, valid-type]
        @property
        def context_length(self) -> int:
            return int(self.inner.context_length)

        def count_tokens(self, messages: Sequence[Message]) -> int:
            return int(self.inner.count_tokens(messages))

    Counting.__name__ = Counting.__qualname__ = kind.__name__
    return Counting
