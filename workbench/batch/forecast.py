"""What a batch will take, before it begins: calls, tokens, money, minutes, and what is cached."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.backends import lease_backend, loaded
from workbench.backends.budget import Budget
from workbench.backends.cache import Cached, answer_key, known, latest_identity
from workbench.backends.prices import LOCAL, Price, money, price_of
from workbench.backends.wrapping import capabilities_of, identity_of, name_of
from workbench.batch.past import Past, Speed, measured_speeds, past_answers, speed_at
from workbench.batch.words import Span, amount, count, duration, table_html
from workbench.corpus.windows import MAX_CHARACTERS
from workbench.errors import BadInput, Cancelled
from workbench.progress import bar
from workbench.settings import settings
from workbench.spec import DEFAULT_K
from workbench.tasks import load_task
from workbench.types import CountsTokens, Prompt, SamplingParams

if TYPE_CHECKING:
    from workbench.types import Backend, Question, Solver

# Bytes of UTF-8 to a token. Measured over 1,058 windows of 1,000 characters of Python's standard
# library: 1st and 99th percentile are 1.99 and 5.96 with Qwen2.5-Coder's tokenizer (median 4.31),
# 1.71 and 5.43 with SmolLM2's (3.83). Sentences in Chinese, German and Russian lie between, too.
_BYTES_A_TOKEN = (1.7, 6.0)
# What a chat template adds to a message, and once to all of them (a system message of its own).
_TEMPLATE = (3, 16)
_PREAMBLE = (0, 40)
# A hit is a chunk with the lines that it stands under.
_HIT_BYTES = MAX_CHARACTERS + 300
_SILENT = ("retrieval", "replay")  # no model reads or writes, nothing is paid, nobody waits
# Of the answers of before, the share that may have been cut for their tokens still to bound ours.
_FEW = 0.1


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one solver's share will take.

    ``calls`` are the answers asked for, of which ``cached`` need no call (None: not known, as the
    hits decide the prompts). Tokens, USD and minutes are those of the others. ``usd`` is None where
    a price is unknown (those of ``unpriced``), ``minutes`` where the speed is. ``basis`` says where
    figures come from.
    """

    solver: str
    backend: str
    local: bool
    calls: int
    cached: int | None
    input_tokens: Span
    output_tokens: Span
    usd: Span | None
    minutes: Span | None
    price: Price | None
    unpriced: tuple[str, ...] = ()
    basis: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a batch will take, solver by solver and in all; shows itself in a notebook.

    ``done`` answers are there already, from an earlier start of the same batch. ``unaskable`` names
    the questions that will fail before any call. ``budget`` is what is left, in USD, of what all
    calls may cost; None for no limit.
    """

    forecasts: tuple[Forecast, ...]
    done: int = 0
    unaskable: tuple[str, ...] = ()
    budget: float | None = None

    @property
    def calls(self) -> int:
        """Answers that are asked for now."""
        return sum(one.calls for one in self.forecasts)

    @property
    def cached(self) -> int | None:
        """Those of them that are in the cache; None where that is not known of a solver."""
        found = [one.cached for one in self.forecasts]
        return None if None in found else sum(one or 0 for one in found)

    @property
    def input_tokens(self) -> Span:
        """Tokens that will be read."""
        return _sum(one.input_tokens for one in self.forecasts)

    @property
    def output_tokens(self) -> Span:
        """Tokens that will be written."""
        return _sum(one.output_tokens for one in self.forecasts)

    @property
    def usd(self) -> Span | None:
        """What it will cost; None where a price is unknown (see ``unknown``)."""
        return None if self.unknown else _sum(one.usd for one in self.forecasts if one.usd)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The backends whose price is unknown."""
        return tuple(dict.fromkeys(name for one in self.forecasts for name in one.unpriced))

    @property
    def minutes(self) -> Span | None:
        """How long it will take: all at once at best, one solver after the other at worst."""
        known = [one.minutes for one in self.forecasts if one.minutes is not None]
        if len(known) < len(self.forecasts):
            return None
        return Span(max((one.low for one in known), default=0.0), _sum(known).high)

    def objection(self, limit: float) -> str | None:
        """Say why a person should be asked first, None where there is no reason.

        ``limit`` is in USD. A budget within it is reason enough not to ask: nothing is called
        that might cost more, nor what has no price.
        """
        if self.budget is not None and self.budget <= limit:
            return None
        if self.unknown:
            return f"The price of {', '.join(self.unknown)} is unknown."
        most = _sum(one.usd for one in self.forecasts if one.usd).high
        if most > limit:
            return f"The batch may cost {money(most)}, which is more than {money(limit)}."
        return None

    def __str__(self) -> str:
        cached = "an unknown share" if self.cached is None else f"{self.cached:,}"
        limit = "" if self.budget is None else f" (at most {money(self.budget)})"
        parts = [
            f"{self.calls:,} calls ({cached} cached)",
            f"{self.input_tokens.show(count)} tokens in",
            f"{self.output_tokens.show(count)} out",
            f"cost {amount(self.usd)}{limit}",
            f"time {duration(self.minutes)}",
        ]
        if self.done:
            parts.insert(0, f"{self.done:,} answered before")
        return ", ".join(parts)

    def _repr_html_(self) -> str:
        rows = ((one.solver, *row(one)) for one in self.forecasts)
        return table_html(("solver", *COLUMNS), rows, str(self), *self.basis)

    @property
    def basis(self) -> tuple[str, ...]:
        """Where the figures come from, a line a solver."""
        lines = [f"{one.solver}: {'; '.join(one.basis)}" for one in self.forecasts if one.basis]
        if self.unaskable:
            lines.append(f"These cannot be asked and will fail: {', '.join(self.unaskable)}")
        return tuple(lines)


COLUMNS = ("calls", "cached", "tokens in", "tokens out", "cost", "time")
"""The figures of a forecast, in the order of ``row``."""


def permit(
    forecast: Preflight, confirm: Callable[[Preflight], bool] | None, what: str = "batch"
) -> None:
    """Let what was forecast go on, or ask ``confirm`` where it may cost more than the limit.

    Raises:
        BadInput: it has to be asked, and there is none.
        Cancelled: it said no.
    """
    objection = forecast.objection(settings().ask_above)
    if objection is None:
        return
    if confirm is None:
        raise BadInput(
            objection,
            "Say that it may be run (--yes; confirm=...), or what it may cost (--budget).",
        )
    if not confirm(forecast):
        raise Cancelled(f"The {what} was not begun.", "Nothing was asked.")


def announce(forecast: Preflight) -> None:
    """Say what it will take, in a notebook or on a terminal, where a bar is seen as well."""
    if not forecast.calls:
        return
    if "ipykernel" in sys.modules:
        print(forecast)
    elif sys.stderr.isatty():
        print(forecast, file=sys.stderr)


def row(one: Forecast) -> tuple[str, ...]:
    """Return the figures of a forecast as texts."""
    return (
        f"{one.calls:,}",
        "unknown" if one.cached is None else f"{one.cached:,}",
        one.input_tokens.show(count),
        one.output_tokens.show(count),
        amount(one.usd),
        duration(one.minutes),
    )


# --- how it is reckoned ----------------------------------------------------------------


def preflight(
    questions: Sequence[Question],
    solvers: Sequence[Solver],
    samples: int = 1,
    *,
    workers: int | None = None,
    done: Container[tuple[str, str, int]] = (),
) -> Preflight:
    """Say what a batch will take. No model is loaded, and nobody is called.

    Input tokens are counted where the model is in memory, else estimated from the length of the
    prompts. An answer has from 1 token to ``max_tokens``, or as many as the middle four fifths of
    this backend's answers in the run store. What is ``done``, by solver, question id and sample, is
    not asked for. The cached share goes by the model that was last cached under the same name.

    Raises:
        BadInput: the price file is malformed.
    """
    with ExitStack() as leases:
        asked = [_Asked.of(solver, workers, leases) for solver in solvers]
        bare, unaskable = _render(questions)
        forecasts = tuple(_forecasts(asked, questions, bare, samples, done))
    there = len(solvers) * len(questions) * samples - sum(one.calls for one in forecasts)
    return Preflight(forecasts, there, unaskable, _budget(asked))


def _forecasts(
    asked: Sequence[_Asked],
    questions: Sequence[Question],
    bare: Mapping[str, Prompt],
    samples: int,
    done: Container[tuple[str, str, int]],
) -> Iterator[Forecast]:
    past = past_answers({one.backend for one in asked})
    speeds = measured_speeds()
    with bar(asked, desc="Reckoning", unit="solver") as shown:
        for one in shown:
            jobs = [
                (question, bare.get(question.id), sample)
                for question in questions
                for sample in range(samples)
                if (one.solver, question.id, sample) not in done
            ]
            speed = speed_at(speeds.get(one.backend, []), one.workers)
            yield _forecast(one, jobs, past.get(one.backend), speed)


_Job = tuple["Question", Prompt | None, int]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is known of a solver without running it."""

    solver: str
    backend: str
    local: bool
    loaded: Backend | None
    hits: int
    overrides: dict[str, Any]
    cache: bool
    workers: int
    fallback: str | None
    budget: Budget | None

    @classmethod
    def of(cls, solver: Any, workers: int | None, leases: ExitStack) -> _Asked:
        """Look at a solver; a model that is in memory stays there until ``leases`` end."""
        name, at_once = solver.name, workers or int(getattr(solver, "workers", 1))
        while hasattr(solver, "solver"):  # one that was renamed
            solver = solver.solver
        backend = getattr(solver, "backend", solver.name)
        if isinstance(backend, str):
            called, held = backend, None
            if called in {one.name for one in loaded()}:
                held = leases.enter_context(lease_backend(called))
            cache = settings().cache
        else:
            called, held = name_of(backend), backend
            cache = isinstance(backend, Cached)
        calls = getattr(solver, "calls", None)
        return cls(
            solver=name,
            backend=called,
            local=called.partition("/")[0] in LOCAL
            or (held is not None and capabilities_of(held).local),
            loaded=held,
            hits=getattr(solver, "k", DEFAULT_K) if getattr(solver, "retriever", None) else 0,
            overrides=dict(getattr(solver, "params", None) or getattr(solver, "overrides", {})),
            cache=cache and getattr(calls, "cache", True),
            workers=at_once,
            fallback=getattr(calls, "fallback", None),
            budget=getattr(calls, "budget", None),
        )

    @property
    def counter(self) -> CountsTokens | None:
        found: Any = self.loaded
        return found if isinstance(found, CountsTokens) else None

    def params(self, question: Question, sample: int) -> SamplingParams:
        return replace(load_task(question.task).params, **self.overrides).nth(sample)

    def identity(self) -> str | None:
        if not self.cache:
            return None
        found = identity_of(self.loaded) if self.loaded is not None else None
        return found or latest_identity(self.backend)


def _budget(asked: Sequence[_Asked]) -> float | None:
    """Return what all may cost together; None where one that is not local has no limit."""
    budgets = [one.budget for one in asked if not one.local or one.fallback is not None]
    shared = {id(one): one.left for one in budgets if one is not None}
    return sum(shared.values()) if shared and None not in budgets else None


def _render(questions: Sequence[Question]) -> tuple[dict[str, Prompt], tuple[str, ...]]:
    """Return the prompts without hits by question, and the questions that cannot be asked."""
    prompts, unaskable = {}, []
    for question in questions:
        try:
            prompts[question.id] = load_task(question.task).render(question, ())
        except BadInput:
            unaskable.append(question.id)
    return prompts, tuple(unaskable)


def _forecast(
    one: _Asked, jobs: Sequence[_Job], past: Past | None, speed: Speed | None
) -> Forecast:
    cached, left = _without_cached(one, jobs)
    prompts = [prompt for _, prompt, _ in left if prompt is not None]
    asks = [one.params(question, sample) for question, prompt, sample in left if prompt is not None]
    basis: list[str] = []
    read = written = Span(0, 0)
    minutes: Span | None = Span(0, 0)
    if prompts and one.backend.partition("/")[0] not in _SILENT:
        read = _sum(_input(one, prompt) * times for prompt, times in Counter(prompts).items())
        basis.append("tokens in were counted" if one.counter else "tokens in are estimated")
        written, why = _output([params.max_tokens for params in asks], past)
        basis.append(why)
        minutes, why = _time(one, len(prompts), written, past, speed)
        basis.append(why)
    price = price_of(one.backend) or (Price(0, 0, "this machine") if one.local else None)
    basis.append(f"price {price}" if price else "its price is unknown")
    prices = {one.backend: price}
    if one.fallback is not None:
        prices[one.fallback] = price_of(one.fallback)
        basis.append(f"{one.fallback} may step in: price {prices[one.fallback] or 'unknown'}")
    return Forecast(
        solver=one.solver,
        backend=one.backend,
        local=one.local,
        calls=len(jobs),
        cached=cached,
        input_tokens=read,
        output_tokens=written,
        usd=_cost(prices.values(), read, written),
        minutes=minutes,
        price=price,
        unpriced=tuple(name for name, price in prices.items() if price is None and prompts),
        basis=tuple(basis),
    )


def _without_cached(one: _Asked, jobs: Sequence[_Job]) -> tuple[int | None, Sequence[_Job]]:
    """Return how many answers are in the cache, and the jobs that are not known to be."""
    identity = one.identity()
    if identity is None:
        return 0, jobs
    if one.hits:
        return None, jobs
    keys = [
        answer_key(identity, prompt, one.params(question, sample)) if prompt else ""
        for question, prompt, sample in jobs
    ]
    kept = known(keys)
    left = [job for job, key in zip(jobs, keys, strict=True) if key not in kept]
    return len(jobs) - len(left), left


def _input(one: _Asked, prompt: Prompt) -> Span:
    hits = one.hits * _HIT_BYTES / _BYTES_A_TOKEN[0]
    if one.counter is not None:
        counted = one.counter.count_tokens(prompt.messages)
        return Span(counted, counted + hits)
    size = sum(len(message.content.encode("utf-8", "replace")) for message in prompt.messages)
    turns = len(prompt.messages)
    return Span(
        size / _BYTES_A_TOKEN[1] + turns * _TEMPLATE[0] + _PREAMBLE[0],
        math.ceil(size / _BYTES_A_TOKEN[0]) + turns * _TEMPLATE[1] + _PREAMBLE[1] + hits,
    )


def _output(limits: Sequence[int], past: Past | None) -> tuple[Span, str]:
    if past is None:
        return Span(len(limits), sum(limits)), "tokens out lie between one and the limit"
    low, high = past.output_tokens
    most = limits if past.cut > _FEW else [min(limit, high) for limit in limits]
    why = f"tokens out as in {past.answers} answers of the run store"
    return Span(sum(min(limit, low) for limit in limits), sum(most)), why


def _time(
    one: _Asked, calls: int, written: Span, past: Past | None, speed: Speed | None
) -> tuple[Span | None, str]:
    if speed is not None:
        why = f"time as measured {speed.measured} with {speed.concurrency} calls at once"
        if speed.tokens_per_second:
            return written * (1 / speed.tokens_per_second / 60), why
        return Span(calls, calls) * (1 / speed.requests_per_second / 60), why
    if past is not None:
        rounds = calls / max(1, min(one.workers, calls))
        return Span(*past.seconds) * (rounds / 60), "time as of the answers in the run store"
    return None, f"its speed is unknown (workbench throughput {one.backend})"


def _cost(prices: Iterable[Price | None], read: Span, written: Span) -> Span | None:
    """Return what the calls cost at the lowest and the highest of the prices."""
    if read == written == Span(0, 0):
        return Span(0, 0)
    spans = []
    for price in prices:
        if price is None:
            return None
        low = price.cost(int(read.low), int(written.low))
        spans.append((low, price.cost(math.ceil(read.high), math.ceil(written.high))))
    return Span(min(low for low, _ in spans), max(high for _, high in spans))


def _sum(spans: Iterable[Span | None]) -> Span:
    total = Span(0, 0)
    for one in spans:
        total = total + one if one is not None else total
    return total
