"""What a batch came to: its results, and a summary a solver."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from workbench.backends.prices import money
from workbench.batch.words import table_html

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from workbench.types import Question, Result


@dataclass(frozen=True, slots=True)
class SolverSummary:
    """What one solver's share came to.

    ``partial`` of the ``errors`` left a text behind. ``cached`` answers came from the cache. Tokens
    are sums over the calls that were counted, and ``seconds`` over those that were made now.
    ``usd`` was spent, None where the price of a call was unknown.
    """

    solver: str
    answered: int
    errors: int
    partial: int
    refused: int
    cached: int
    input_tokens: int
    output_tokens: int
    seconds: float
    usd: float | None


@dataclass(frozen=True, slots=True)
class Batch:
    """The results of a batch, as the run store keeps them; shows itself in a notebook."""

    run: str
    questions: tuple[Question, ...]
    solvers: tuple[str, ...]
    results: tuple[Result, ...]

    @property
    def summary(self) -> tuple[SolverSummary, ...]:
        """One row a solver."""
        return tuple(
            _summary(name, [one for one in self.results if one.solver == name])
            for name in self.solvers
        )

    @property
    def errors(self) -> int:
        """How many answers there are not."""
        return sum(one.error is not None for one in self.results)

    @property
    def df(self) -> pd.DataFrame:
        """One row a result: question, answer, error, tokens, seconds, cost."""
        import pandas as pd

        return pd.DataFrame([self._row(result) for result in self.results])

    def to_json(self) -> str:
        """Return summary and results as JSON."""
        return json.dumps(
            {
                "run": self.run,
                "summary": [asdict(one) for one in self.summary],
                "results": [self._row(result) for result in self.results],
            },
            indent=2,
        )

    def _row(self, result: Result) -> dict[str, Any]:
        made = result.calls
        last = made[-1] if made else None
        row: dict[str, Any] = {
            "solver": result.solver,
            "question_id": result.question_id,
            "sample": result.sample,
            "answer": result.answer.text if result.answer else None,
            "error": result.error,
            "partial": result.partial.completion.text if result.partial else None,
        }
        for name in ("model", "input_tokens", "output_tokens", "seconds", "finish_reason", "cost"):
            row[name] = getattr(last, name) if last else None
        row["cached"] = last.cached if last else False
        return row

    def _repr_html_(self) -> str:
        rows = ((one.solver, *row(one)) for one in self.summary)
        return table_html(("solver", *COLUMNS), rows, f"Stored as run {self.run}.")


COLUMNS = ("answered", "errors", "cached", "tokens in", "out", "seconds", "spent")
"""The figures of a summary, in the order of ``row``."""


def row(one: SolverSummary) -> tuple[str, ...]:
    """Return the figures of a summary as texts."""
    return (
        f"{one.answered:,}" + (f" ({one.refused:,} refused)" if one.refused else ""),
        f"{one.errors:,}" + (f" ({one.partial:,} partial)" if one.partial else ""),
        f"{one.cached:,}",
        f"{one.input_tokens:,}",
        f"{one.output_tokens:,}",
        f"{one.seconds:,.1f}",
        money(one.usd),
    )


def spent(results: Sequence[Result]) -> float | None:
    """Return what the calls of these results cost in USD, None where that is not known of one.

    What came from the cache was paid before.
    """
    costs = [call.cost for result in results for call in result.calls if not call.cached]
    known = [cost for cost in costs if cost is not None]
    return math.fsum(known) if len(known) == len(costs) else None


def _summary(name: str, results: Sequence[Result]) -> SolverSummary:
    made = [call for result in results for call in result.calls]
    return SolverSummary(
        solver=name,
        answered=sum(one.answer is not None for one in results),
        errors=sum(one.error is not None for one in results),
        partial=sum(one.partial is not None for one in results),
        refused=sum(one.answer is not None and _refused(one) for one in results),
        cached=sum(
            bool(made) and all(call.cached for call in made)
            for made in (one.calls for one in results)
        ),
        input_tokens=sum(call.input_tokens or 0 for call in made),
        output_tokens=sum(call.output_tokens or 0 for call in made),
        seconds=math.fsum(call.seconds for call in made if not call.cached),
        usd=spent(results),
    )


def _refused(result: Result) -> bool:
    return any(call.finish_reason == "refused" for call in result.calls)
