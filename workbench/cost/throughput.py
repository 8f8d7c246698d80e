"""How many requests and tokens a backend answers on this machine, at several concurrencies."""

from __future__ import annotations

import hashlib
import itertools
import json
import queue
import re
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from workbench.backends import HOSTED, check_backend, lease_backend
from workbench.backends.budget import most_input_tokens
from workbench.backends.guarded import guarded
from workbench.backends.limits import Limits
from workbench.backends.prices import money, price_of
from workbench.backends.ready import Calls
from workbench.backends.wrapping import capabilities_of, name_of
from workbench.cancel import cancelled, cancelled_by
from workbench.cost.prompts import PROMPTS, numbered
from workbench.cost.records import Point, Repeat
from workbench.durable import replace_durably
from workbench.errors import BackendError, BadInput, Cancelled, DeadlineExceeded, OverBudget
from workbench.keys import scrub
from workbench.machine import hardware
from workbench.progress import bar
from workbench.settings import settings
from workbench.types import Backend, Completion, Prompt, SamplingParams

if TYPE_CHECKING:
    import plotly.graph_objects as go

CONCURRENCIES = (1, 2, 4, 8)
REQUESTS = 16
MAX_TOKENS = 64
REPEATS = 3

# Who is paid by the token, as far as names tell.
_PAID = tuple(provider for provider in HOSTED if provider != "ollama")
# Seconds after which a measurement that waits for requests looks at ``cancelled()``.
_LOOK = 0.2
# What decides how fast a machine is; its free memory does not tell one machine from another.
_MACHINE = ("system", "processor", "cores", "memory_gib", "gpus")


@dataclass(frozen=True, slots=True)
class Throughput:
    """What a backend answers on a machine. ``measured`` is the time in UTC, ISO 8601.

    ``prompts`` says how many different ones were asked, how long they are in characters, and how
    many tokens an answer could have.
    """

    backend: str
    machine: dict[str, Any]
    measured: str
    prompts: dict[str, Any]
    points: tuple[Point, ...]

    @property
    def best(self) -> Point:
        """The concurrency at which most requests are answered.

        Raises:
            BadInput: none was answered at any.
        """
        answered = [point for point in self.points if point.requests]
        if not answered:
            raise BadInput(
                f"{self.backend} answered no request.",
                f"Measure again: workbench throughput {self.backend}",
            )
        return max(answered, key=lambda point: point.requests_per_second)

    def at(self, concurrency: int | None = None) -> Point:
        """Return the point at a concurrency, the best one without.

        Raises:
            BadInput: it was not measured at that concurrency, or answered nothing there.
        """
        if concurrency is None:
            return self.best
        for point in self.points:
            if point.concurrency == concurrency and point.requests:
                return point
        known = ", ".join(str(point.concurrency) for point in self.points if point.requests)
        raise BadInput(
            f"{self.backend} was not measured at {concurrency} requests at a time.",
            f"Measured: {known or 'none'}.",
        )

    @property
    def reading_share(self) -> float | None:
        """The share of time spent reading where fewest requests wait for each other.

        Many at a time write faster than one, but read no faster: for requests that write more than
        those measured, this errs on the slow side.
        """
        answered = [point for point in self.points if point.requests]
        return (
            min(answered, key=lambda point: point.concurrency).reading_share if answered else None
        )

    @property
    def note(self) -> str:
        """Say how it was measured."""
        characters = self.prompts["characters"]
        repeats = max((len(point.repeats) for point in self.points), default=0)
        return (
            f"{self.prompts['count']} prompts of {min(characters):,} to {max(characters):,}"
            f" characters, at most {self.prompts['max_tokens']:,} tokens an answer, {repeats}"
            " repeats after a warm-up. Tokens out and in a second, latency of a request, seconds to"
            " its first token."
            f" {self.measured[:10]}, {self.machine['processor']}."
        )

    def to_json(self) -> str:
        """Write everything as JSON."""
        return json.dumps(asdict(self), indent=1)

    def figure(self) -> go.Figure:
        """Draw requests a second and latency over the concurrency."""
        from workbench.cost.figures import throughput_over_concurrency

        return throughput_over_concurrency({self.backend: self.points})

    def _repr_html_(self) -> str:
        from workbench.cost.words import throughput_html

        return throughput_html(self.points, self.note)


_THROUGHPUT = TypeAdapter(Throughput)


def throughput(
    backend: str,
    concurrencies: Sequence[int] = CONCURRENCIES,
    *,
    requests: int = REQUESTS,
    max_tokens: int = MAX_TOKENS,
    prompts: Sequence[str] | None = None,
    repeats: int = REPEATS,
    yes: bool = False,
) -> Generator[Throughput]:
    """Measure a backend; yield what is known after each concurrency. The last one is kept.

    Each repeat asks ``requests`` prompts with so many of them under way at a time, greedily, and
    at most ``max_tokens`` long. A warm-up comes first and is not counted. Nothing is tried again
    or taken from the cache: the backend is asked itself. A hosted one is paid for: where that may
    be more than WORKBENCH_ASK_ABOVE, ``yes`` has to be said, and WORKBENCH_BUDGET holds here, too.
    Closing the generator stops the requests, and nothing is kept.

    Raises:
        BadInput: a number is below 1, there is no prompt, the name is unknown, or it may cost
            more than may be spent without asking.
        BackendError: the warm-up failed, or no request ended for WORKBENCH_CALL_TIMEOUT seconds.
        OverBudget: the budget is spent.
        Cancelled: nobody waits for it any more.
    """
    texts = _check(concurrencies, requests, max_tokens, prompts, repeats)
    check_backend(backend)
    params = SamplingParams(max_tokens=max_tokens)
    if not yes:
        _check_cost(backend.strip(), texts, params, requests * len(concurrencies) * repeats)
    name, machine = backend.strip(), this_machine()
    told = {
        "count": len(texts),
        "characters": [len(text) for text in texts],
        "max_tokens": max_tokens,
    }
    numbers = itertools.count(1)
    points: list[Point] = []
    with (
        lease_backend(name) as leased,
        bar(
            total=1 + len(concurrencies) * repeats * requests, desc="Measuring", unit="requests"
        ) as progress,
    ):
        asked = _within_budget(leased)
        streams = capabilities_of(asked).streaming
        _warm_up(asked, numbered(texts[0], next(numbers)), params)
        progress.update()
        for concurrency in concurrencies:
            passes = []
            for _ in range(repeats):
                batch = [
                    numbered(text, next(numbers))
                    for text in itertools.islice(itertools.cycle(texts), requests)
                ]
                passes.append(_pass(asked, batch, params, concurrency, progress.update))
            points.append(_point(concurrency, passes, streams))
            now = datetime.now(UTC).isoformat(timespec="seconds")
            measured = Throughput(name, machine, now, told, tuple(points))
            if len(points) == len(concurrencies):
                _keep(measured)
            yield measured


def load_throughput(backend: str) -> Throughput:
    """Return what was last measured of a backend on this machine.

    Raises:
        BadInput: nothing was, or its file is damaged.
    """
    name = backend.strip()
    try:
        return _THROUGHPUT.validate_json(_file(name, this_machine()).read_bytes())
    except FileNotFoundError:
        cause = f"The throughput of {name} was not measured on this machine."
    except (OSError, ValidationError):
        cause = f"The measured throughput of {name} cannot be read."
    raise BadInput(cause, f"Measure it: workbench throughput {name}")


def is_elsewhere(backend: str) -> bool:
    """Say whether others' machines answer, which are paid by the token, as far as names tell."""
    return backend.partition("/")[0] in _PAID


def list_throughputs() -> list[Throughput]:
    """Return what was measured on this machine, by backend; files that are damaged are left out."""
    machine, found = this_machine(), []
    for file in sorted(settings().throughput.glob("*.json")):
        try:
            one = _THROUGHPUT.validate_json(file.read_bytes())
        except (OSError, ValidationError):
            continue
        if one.machine == machine:
            found.append(one)
    return sorted(found, key=lambda one: one.backend)


def this_machine() -> dict[str, Any]:
    """Return what decides how fast this machine is."""
    here = hardware()
    return {name: here[name] for name in _MACHINE}


def _check(
    concurrencies: Sequence[int],
    requests: int,
    max_tokens: int,
    prompts: Sequence[str] | None,
    repeats: int,
) -> tuple[str, ...]:
    for title, number in (
        *(("A concurrency", one) for one in concurrencies),
        ("The number of requests", requests),
        ("The number of tokens", max_tokens),
        ("The number of repeats", repeats),
    ):
        if number < 1:
            raise BadInput(f"{title} of {number} cannot be measured.", "Give a number from 1.")
    if not concurrencies:
        raise BadInput("No concurrency was named.", "Name one: --concurrency 4")
    if len(set(concurrencies)) < len(concurrencies):
        raise BadInput("A concurrency is named twice.", "Name each once.")
    if requests < max(concurrencies):
        raise BadInput(
            f"{requests} requests are never {max(concurrencies)} at a time.",
            f"Ask for more: --requests {4 * max(concurrencies)}",
        )
    texts = tuple(PROMPTS if prompts is None else prompts)
    if not texts or not all(text.strip() for text in texts):
        raise BadInput("A prompt is missing or empty.", "Give at least one with text.")
    return texts


def _check_cost(backend: str, texts: Sequence[str], params: SamplingParams, requests: int) -> None:
    """Find out whether a measurement may cost more than may be spent without asking.

    Raises:
        BadInput: it may, or the price of a paid provider is unknown.
    """
    price = price_of(backend)
    if price is None:
        if is_elsewhere(backend):
            raise BadInput(
                f"What measuring {backend} will cost is unknown.",
                "Write its price into your price file, or say --yes.",
            )
        return
    tokens = sum(most_input_tokens(numbered(text, requests).messages) for text in texts)
    most = price.cost(tokens * (1 + requests) // len(texts), params.max_tokens * (1 + requests))
    limit = settings().ask_above
    if most > limit:
        raise BadInput(
            f"Measuring {backend} may cost {money(most)}, which is more than {money(limit)}.",
            "Ask for fewer requests or shorter answers, say --yes, or raise WORKBENCH_ASK_ABOVE.",
        )


def _within_budget(backend: Backend) -> Backend:
    """Hold a backend to the budget of this process; nothing else may slow it or try again."""
    budget = Calls.within().budget
    if budget is None or capabilities_of(backend).local:
        return backend
    return guarded(backend, limits=Limits(), budget=budget, price=price_of(name_of(backend)))


def _warm_up(backend: Backend, prompt: Prompt, params: SamplingParams) -> None:
    """Ask once, so that what is made at the first call is not measured; errors are raised."""
    timing = _ask(backend, prompt, params)
    if isinstance(timing, Exception):
        raise timing


@dataclass(frozen=True, slots=True)
class _Timing:
    """One answered request: its completion, and the seconds as the caller saw them."""

    completion: Completion
    seconds: float
    first_token: float | None


@dataclass(frozen=True, slots=True)
class _Pass:
    timings: list[_Timing]
    errors: int
    seconds: float


def _ask(backend: Backend, prompt: Prompt, params: SamplingParams) -> _Timing | Exception:
    """Ask, and return the answer with its times, or the error: it is counted, not raised."""
    start = time.perf_counter()
    first: float | None = None
    try:
        with closing(backend.stream(prompt, params)) as parts:  # type: ignore[type-var]
            for part in parts:
                if isinstance(part, Completion):
                    if not part.is_complete:
                        return BackendError(f"An answer was {part.finish_reason}.")
                    return _Timing(part, time.perf_counter() - start, first)
                first = first or time.perf_counter() - start
    except Exception as error:
        return error
    return BackendError("The backend ended without a completion.", "Run it again with --debug.")


def _pass(
    backend: Backend,
    batch: Sequence[Prompt],
    params: SamplingParams,
    concurrency: int,
    done: Callable[[], object],
) -> _Pass:
    """Ask all of a batch, ``concurrency`` at a time, each in a thread of its own."""
    waiting: queue.SimpleQueue[Prompt] = queue.SimpleQueue()
    for prompt in batch:
        waiting.put(prompt)
    ended: queue.SimpleQueue[_Timing | Exception] = queue.SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        with cancelled_by(stop):
            while not stop.is_set():
                try:
                    prompt = waiting.get_nowait()
                except queue.Empty:
                    return
                ended.put(_ask(backend, prompt, params))

    threads = [
        threading.Thread(target=work, name="throughput", daemon=True) for _ in range(concurrency)
    ]
    start = time.perf_counter()
    try:
        for thread in threads:
            thread.start()
        outcomes = []
        for _ in batch:
            outcome = _next(ended)
            if isinstance(outcome, OverBudget):
                raise outcome
            outcomes.append(outcome)
            seconds = time.perf_counter() - start
            done()
    finally:
        stop.set()
    timings = [one for one in outcomes if isinstance(one, _Timing)]
    return _Pass(timings, len(outcomes) - len(timings), seconds)


def _next(ended: queue.SimpleQueue[_Timing | Exception]) -> _Timing | Exception:
    """Wait for the next request to end, as long as somebody waits for the measurement."""
    limit = settings().call_timeout
    last = time.monotonic() + limit
    while not cancelled():
        try:
            return ended.get(timeout=_LOOK)
        except queue.Empty:
            if time.monotonic() > last:
                raise DeadlineExceeded(
                    f"No request ended within {limit:g} seconds.",
                    "Ask for fewer tokens, or raise WORKBENCH_CALL_TIMEOUT.",
                ) from None
    raise Cancelled("The measurement was stopped.", "Nothing of it is kept.")


def _point(concurrency: int, passes: Sequence[_Pass], streams: bool) -> Point:
    timings = [timing for one in passes for timing in one.timings]
    errors, seconds = sum(one.errors for one in passes), sum(one.seconds for one in passes)
    latencies = [timing.seconds for timing in timings]
    firsts = [timing.first_token for timing in timings if timing.first_token is not None]
    return Point(
        concurrency=concurrency,
        **asdict(_rates(timings, errors, seconds)),
        latency_p50=_quantile(latencies, 0.5),
        latency_p95=_quantile(latencies, 0.95),
        first_token_p50=_quantile(firsts, 0.5),
        reading_share=_reading_share(timings) if streams else None,
        repeats=tuple(_rates(one.timings, one.errors, one.seconds) for one in passes),
    )


def _reading_share(timings: Sequence[_Timing]) -> float | None:
    """Return the share of the time that went into tokens in, None where it cannot be told.

    Reading ends with the first token, whose own time is that of each token that follows it.
    """
    reading = total = 0.0
    for one in timings:
        count, first = one.completion.output_tokens, one.first_token
        if first is None or count is None or count < 2:
            return None
        writing = (one.seconds - first) * count / (count - 1)
        reading += max(0.0, one.seconds - writing)
        total += one.seconds
    return reading / total if total else None


def _rates(timings: Sequence[_Timing], errors: int, seconds: float) -> Repeat:
    def rate(tokens: Sequence[int | None]) -> float | None:
        known = [count for count in tokens if count is not None]
        return sum(known) / seconds if known and len(known) == len(tokens) else None

    return Repeat(
        requests=len(timings),
        errors=errors,
        seconds=seconds,
        requests_per_second=len(timings) / seconds,
        tokens_per_second=rate([one.completion.output_tokens for one in timings]),
        input_tokens_per_second=rate([one.completion.input_tokens for one in timings]),
    )


def _quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None


def _keep(measured: Throughput) -> None:
    path = _file(measured.backend, measured.machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_durably(path, scrub(measured.to_json()))


def _file(backend: str, machine: dict[str, Any]) -> Path:
    """Return where a backend's throughput on a machine is kept: a readable name, made unique."""
    whole = json.dumps([backend, machine], sort_keys=True)
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", backend).strip("-.")[:80]
    return (
        settings().throughput / f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}.json"
    )
