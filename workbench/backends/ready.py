"""Backends ready to be asked: in memory, within limits and budget, behind the cache.

The one place that says in which order these stand around a backend.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from workbench.backends.budget import Budget
from workbench.backends.cache import cached
from workbench.backends.fallback import with_fallback
from workbench.backends.guarded import guarded
from workbench.backends.loading import lease_backend
from workbench.backends.prices import price_of
from workbench.backends.wrapping import name_of
from workbench.errors import (
    BackendError,
    MissingExtra,
    MissingKey,
    MissingModel,
    TooLarge,
    WorkbenchError,
)
from workbench.settings import settings
from workbench.types import Backend, Completion, Prompt, SamplingParams, Token


@dataclass(frozen=True, slots=True)
class Calls:
    """How backends are called. Columns that share it share its ``budget``.

    ``cache`` False asks anew what was answered before. ``fallback`` is the name of the backend
    that answers where one fails, None for none.
    """

    cache: bool = True
    budget: Budget | None = None
    fallback: str | None = None

    @classmethod
    def within(
        cls, budget: float | None = None, *, cache: bool = True, fallback: str | None = None
    ) -> Calls:
        """Return calls that cost at most ``budget`` USD together; without it, WORKBENCH_BUDGET."""
        shared = _process_budget(settings().budget) if budget is None else Budget(budget)
        return cls(cache, shared, fallback)


@functools.cache
def _process_budget(usd: float | None) -> Budget | None:
    """Return the budget of this process: one object, so that all its calls share it."""
    return None if usd is None else Budget(usd)


def ready(backend: Backend, calls: Calls) -> Backend:
    """Return a backend within its limits and the budget, behind the cache where there is one.

    The cache stands outside: an answer that is known costs nothing and waits for nobody.
    """
    held = guarded(backend, budget=calls.budget, price=price_of(name_of(backend)))
    return cached(held) if calls.cache else held


@contextmanager
def ready_backend(name: str, calls: Calls) -> Iterator[Backend]:
    """Hold the backend called ``name`` in memory for the block, ready to be asked.

    A fallback is loaded when it is needed, and also where the first one cannot be loaded. Where
    there is no room for both, the first one makes room.

    Raises:
        UnknownName: no backend is called so.
        WorkbenchError: it cannot be loaded, and there is no fallback.
    """
    with ExitStack() as stack:

        def make(one: str) -> Backend:
            return ready(stack.enter_context(lease_backend(one)), calls)

        def step_in(other: str) -> Backend:
            try:
                return make(other)
            except TooLarge:
                stack.close()
                return make(other)

        if calls.fallback is None:
            yield make(name)
            return
        try:
            first = make(name)
        except (BackendError, MissingKey, MissingExtra, MissingModel) as error:
            first = _Failed(name, error)
        yield with_fallback(first, [(calls.fallback, functools.partial(step_in, calls.fallback))])


@dataclass(frozen=True, slots=True)
class _Failed:
    """Stands for a backend that could not be loaded."""

    name: str
    error: WorkbenchError

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        raise self.error
