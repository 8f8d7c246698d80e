"""What is known of a backend from before: its answers in the run store, its measured speed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.machine import hardware
from workbench.settings import settings
from workbench.store import Store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from workbench.types import Completion

# Runs and answers that are looked at: the newest tell best what the next ones will be like.
_RUNS = 30
_ENOUGH = 200
# Fewer answers than this say nothing of a tenth of them.
_FEWEST = 20


@dataclass(frozen=True, slots=True)
class Past:
    """A backend's answers of before: middle four fifths of tokens and seconds an answer.

    ``cut`` is the share that ended at the token limit of then, so that longer ones may come.
    """

    answers: int
    output_tokens: tuple[float, float]
    seconds: tuple[float, float]
    cut: float


def past_answers(backends: Collection[str]) -> dict[str, Past]:
    """Return what the run store knows of the backends of these names, where it is enough."""
    found: dict[str, list[Completion]] = {name: [] for name in backends}
    store = Store(settings().runs)
    for row in store.runs(_RUNS):
        missing = [name for name, kept in found.items() if len(kept) < _ENOUGH]
        told = json.dumps(row.spec)
        if any(json.dumps(name)[1:-1] in told for name in missing):
            for completion in _completions(store, row.id):
                if completion.model in missing:
                    found[completion.model].append(completion)
    return {name: _past(kept) for name, kept in found.items() if len(kept) >= _FEWEST}


def _completions(store: Store, run: str) -> Iterator[Completion]:
    """Yield the complete answers that were made in a run and whose tokens were counted."""
    for _, result in store.results(run):
        for step in result.answer.steps if result.answer else ():
            made = step.completion
            if made.is_complete and not made.cached and made.output_tokens is not None:
                yield made


def _past(kept: list[Completion]) -> Past:
    return Past(
        answers=len(kept),
        output_tokens=_middle(one.output_tokens or 0 for one in kept),
        seconds=_middle(one.seconds for one in kept),
        cut=sum(one.finish_reason == "length" for one in kept) / len(kept),
    )


def _middle(values: Iterable[float]) -> tuple[float, float]:
    low, high = np.percentile(list(values), (10, 90))
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Speed:
    """A measured point: what a backend answers on this machine with so many calls at once."""

    concurrency: int
    requests_per_second: float
    tokens_per_second: float | None
    measured: str


def measured_speeds() -> dict[str, list[Speed]]:
    """Return what ``workbench throughput`` measured on this machine, by backend.

    A file that is damaged, or was measured on another machine, is left out.
    """
    files = sorted(settings().throughput.glob("*.json"))
    here = hardware() if files else {}
    speeds: dict[str, list[Speed]] = {}
    for file in files:
        try:
            told = json.loads(file.read_bytes())
            if all(here.get(name) == value for name, value in told["machine"].items()):
                speeds[told["backend"]] = _speeds(told)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return speeds


def _speeds(told: dict[str, Any]) -> list[Speed]:
    when = str(told.get("measured", ""))[:10]
    return [
        Speed(point["concurrency"], point["requests_per_second"], point["tokens_per_second"], when)
        for point in told["points"]
        if point["requests_per_second"] > 0
    ]


def speed_at(speeds: list[Speed], workers: int) -> Speed | None:
    """Return the point measured with as many calls at once, or else with the next fewer."""
    below = [one for one in speeds if one.concurrency <= workers]
    if below:
        return max(below, key=lambda one: one.concurrency)
    return min(speeds, key=lambda one: one.concurrency, default=None)
