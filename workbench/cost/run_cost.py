"""What a run cost: a call, an answer, and a solved problem."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.backends.prices import LOCAL, Price, price_of
from workbench.comparison import Comparison
from workbench.cost.assumptions import Tokens
from workbench.cost.records import Mean, SolverCost
from workbench.cost.resampling import interval, resampled_means
from workbench.errors import BadInput
from workbench.settings import settings
from workbench.statistics import bootstrap_mean
from workbench.store import Store
from workbench.types import Completion, Result

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from workbench.cost.figures import CostOf

# A problem is solved where a metric of this name says 1; see ``Score``.
_SOLVING = "pass@"

_Prices = Callable[[str], Price | None]


@dataclass(frozen=True, slots=True)
class RunCost:
    """What each solver of a run cost; shows itself in a notebook. ``run`` is None if not stored."""

    run: str | None
    hourly_usd: float | None
    solvers: tuple[SolverCost, ...]
    notes: tuple[str, ...]

    @property
    def df(self) -> pd.DataFrame:
        """One row a solver."""
        import pandas as pd

        rows = []
        for one in self.solvers:
            row = asdict(one)
            for name in ("per_answer", "per_solved"):
                mean = row.pop(name) or {"mean": None, "low": None, "high": None}
                row |= {
                    name: mean["mean"],
                    f"{name}_low": mean["low"],
                    f"{name}_high": mean["high"],
                }
            rows.append(row)
        return pd.DataFrame(rows).set_index("solver")

    def to_json(self) -> str:
        """Write everything as JSON."""
        return json.dumps(asdict(self), indent=2)

    def figure(self, of: CostOf = "answer") -> go.Figure:
        """Draw the cost of an answer, or of a solved problem, for each solver.

        Raises:
            BadInput: it is not known of any solver.
            MissingExtra: plotly is not installed.
        """
        from workbench.cost.figures import cost_bars

        return cost_bars(self.solvers, of)

    def _repr_html_(self) -> str:
        from workbench.cost.words import run_cost_html

        return run_cost_html(self.solvers, self.notes)


def run_cost(
    run: str | Comparison | Iterable[Result], *, hourly_usd: float | None = None
) -> RunCost:
    """Add up what a stored run, a comparison, or results cost, solver by solver.

    A stored run is named by its id; "last" is the newest of any kind. ``hourly_usd`` is what an
    hour of this machine costs; it is charged for the seconds in which a local model answered, one
    call after the other.

    Raises:
        UnknownName: no run has that id.
        BadInput: there are no results, or the price is below zero.
    """
    if hourly_usd is not None and not (math.isfinite(hourly_usd) and hourly_usd >= 0):
        raise BadInput(f"A machine for {hourly_usd:g} USD an hour is none.", "Give a price from 0.")
    name, results = _results(run)
    by_solver: dict[str, list[Result]] = {}
    for result in results:
        by_solver.setdefault(result.solver, []).append(result)
    prices = functools.cache(price_of)  # it reads the user's price file
    costs = tuple(
        _solver_cost(solver, kept, hourly_usd, prices) for solver, kept in by_solver.items()
    )
    return RunCost(name, hourly_usd, costs, _notes(costs, hourly_usd))


def run_tokens(run: str, solver: str | None = None) -> Tokens:
    """Return the tokens of the requests of a stored run: of one solver, or of all.

    Raises:
        UnknownName: no run has that id.
        BadInput: no complete call of it was counted.
    """
    pairs = [
        (float(call.input_tokens), float(call.output_tokens))
        for call in _complete_calls(run, solver)
        if call.input_tokens is not None and call.output_tokens is not None
    ]
    if not pairs:
        whose = f" of {solver}" if solver else ""
        raise BadInput(
            f"The run {run} holds no complete call{whose} whose tokens were counted.",
            "Choose another run, or give the tokens.",
        )
    return Tokens(tuple(one for one, _ in pairs), tuple(one for _, one in pairs))


def run_models(run: str, solver: str | None = None) -> list[str]:
    """Return the backends that answered in a stored run, by name.

    Raises:
        UnknownName: no run has that id.
    """
    return list(dict.fromkeys(call.model for call in _complete_calls(run, solver)))


def _complete_calls(run: str, solver: str | None) -> list[Completion]:
    calls = (
        call
        for result in _results(run)[1]
        if solver in (None, result.solver)
        for call in result.calls
    )
    return [call for call in calls if call.is_complete]


def _results(run: str | Comparison | Iterable[Result]) -> tuple[str | None, list[Result]]:
    name: str | None = None
    if isinstance(run, str):
        name = _newest() if run == "last" else run
        results = [result for _, result in Store(settings().runs).results(name)]
    elif isinstance(run, Comparison):
        name, results = run.run, _of_comparison(run)
    else:
        results = list(run)
    if not results:
        raise BadInput(
            f"{f'The run {name}' if name else 'This'} has no results.", "Choose another run."
        )
    return name, results


def _newest() -> str:
    """Return the id of the run that was begun last."""
    rows = Store(settings().runs).runs(1)
    if not rows:
        raise BadInput("There is no stored run.", "Run: workbench ask ... or workbench evaluate")
    return rows[0].id


def _of_comparison(comparison: Comparison) -> list[Result]:
    return [
        Result(
            column.solver,
            comparison.question.id,
            0,
            column.answer,
            error=column.error,
            partial=column.steps[-1] if column.answer is None and column.steps else None,
        )
        for column in comparison
        if column.finished
    ]


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: USD (None unknown), whether that is today's price, the machine's USD."""

    usd: float | None
    today: bool
    machine: float
    completion: Completion = field(repr=False)

    @property
    def counted(self) -> bool:
        return None not in (self.completion.input_tokens, self.completion.output_tokens)

    @property
    def total(self) -> float | None:
        return None if self.usd is None else self.usd + self.machine


def _solver_cost(
    solver: str, results: Sequence[Result], hourly_usd: float | None, prices: _Prices
) -> SolverCost:
    priced = [[_call(one, hourly_usd, prices) for one in result.calls] for result in results]
    calls = [call for some in priced for call in some]
    paid = [call for call in calls if not call.completion.cached]
    cached = [call for call in calls if call.completion.cached]
    answered = [
        _sum(call.total for call in some)
        for result, some in zip(results, priced, strict=True)
        if result.answer is not None
    ]
    solved, unjudged, per_solved = _per_solved(results, priced)
    local = bool(calls) and all(is_local(call.completion.model) for call in calls)
    return SolverCost(
        solver=solver,
        answers=sum(result.answer is not None for result in results),
        errors=sum(result.answer is None for result in results),
        partial=sum(result.partial is not None for result in results),
        calls=len(calls),
        cached=len(cached),
        input_tokens=_count(call.completion.input_tokens for call in calls),
        output_tokens=_count(call.completion.output_tokens for call in calls),
        uncounted=sum(not call.counted for call in calls),
        seconds=math.fsum(call.completion.seconds for call in paid),
        local=local,
        usd=_sum(call.usd for call in paid),
        known_usd=math.fsum(call.usd for call in paid if call.usd is not None),
        cached_usd=_sum(call.usd for call in cached),
        unpriced=sum(call.usd is None for call in calls),
        priced_today=sum(call.today for call in calls),
        machine_usd=math.fsum(call.machine for call in paid)
        if local and hourly_usd is not None
        else None,
        per_answer=_mean(answered),
        solved=solved,
        unjudged=unjudged,
        per_solved=per_solved,
    )


def _call(completion: Completion, hourly_usd: float | None, prices: _Prices) -> _Call:
    usd, local = completion.cost, is_local(completion.model)
    if usd is None:
        usd = _price_now(completion, prices(completion.model))
    today = completion.cost is None and usd is not None and not local
    machine = (hourly_usd or 0.0) * completion.seconds / 3600 if local else 0.0
    return _Call(usd, today, machine, completion)


def is_local(backend: str) -> bool:
    """Say whether a backend's name is that of a model which answers on this machine."""
    return backend.partition("/")[0] in LOCAL


def _price_now(completion: Completion, price: Price | None) -> float | None:
    if price is None:
        return None
    if price.input == price.output == 0:  # however many tokens
        return 0.0
    if completion.input_tokens is None or completion.output_tokens is None:
        return None
    return price.cost(completion.input_tokens, completion.output_tokens)


def _per_solved(
    results: Sequence[Result], priced: Sequence[Sequence[_Call]]
) -> tuple[int | None, int, Mean | None]:
    """Return how many problems were solved, the answers without a verdict, and the cost of one.

    What nobody judged, or not yet, may be right or wrong: it counts neither as cost nor as a
    problem. An error is no such answer: it solves nothing, and what came of it was paid for.
    The interval is over problems: their costs and whether they were solved are drawn together.
    """
    verdicts = [_verdict(result) for result in results]
    unjudged = sum(
        verdict is None and result.answer is not None
        for result, verdict in zip(results, verdicts, strict=True)
    )
    if all(verdict is None for verdict in verdicts):
        return None, unjudged, None
    costs: dict[str, list[float | None]] = {}
    solved: dict[str, bool] = {}
    for result, verdict, calls in zip(results, verdicts, priced, strict=True):
        if verdict is None and result.answer is not None:
            continue
        name = result.question_id
        costs.setdefault(name, []).append(_sum(call.total for call in calls))
        solved[name] = solved.get(name, False) or bool(verdict)
    count = sum(solved.values())
    spent = [_sum(some) for some in costs.values()]
    total = _sum(spent)
    if total is None or not count:
        return count, unjudged, None
    return count, unjudged, Mean(total / count, *_ratio_ends(spent, list(solved.values())))


def _verdict(result: Result) -> bool | None:
    """Return whether an answer is right, None where nobody could judge."""
    values = [score.value for score in result.scores if score.metric.startswith(_SOLVING)]
    judged = [value for value in values if value is not None]
    return all(value >= 1 for value in judged) if judged else None


def _ratio_ends(
    spent: Sequence[float | None], solved: Sequence[bool]
) -> tuple[float | None, float | None]:
    known = [cost for cost in spent if cost is not None]
    if len(known) < 2 or not any(known):  # what costs nothing does so however few are solved
        return None, None
    costs, hits = resampled_means([known, [float(one) for one in solved]], np.random.default_rng(0))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(hits > 0, costs / hits, np.inf)
    low, high = interval(ratios)
    return (low if math.isfinite(low) else None, high if math.isfinite(high) else None)


def _mean(values: Sequence[float | None]) -> Mean | None:
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    if len(known) == 1:
        return Mean(known[0])
    return Mean(*bootstrap_mean(known))


def _sum(values: Iterable[float | None]) -> float | None:
    """Return the sum, None where one is unknown."""
    every = list(values)
    known = [value for value in every if value is not None]
    return math.fsum(known) if len(known) == len(every) else None


def _count(values: Iterable[int | None]) -> int | None:
    """Return the sum of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _notes(costs: Sequence[SolverCost], hourly_usd: float | None) -> tuple[str, ...]:
    notes = []
    if any(one.priced_today for one in costs):
        notes.append("* At today's price: none was written down when the answer was made.")
    if any(one.unpriced for one in costs):
        notes.append(
            "Unknown: the price of the model, or the tokens of a call that broke off. Prices of"
            " your own go into the price file; see: workbench cost prices"
        )
    if any(one.cached for one in costs):
        notes.append("Cached: what answers from the cache had cost when they were made.")
    if any(one.local for one in costs) and hourly_usd is None:
        notes.append("A local model costs nothing a call, but its machine does: name USD an hour.")
    if any(one.local for one in costs) and hourly_usd:
        notes.append("The machine's cost adds up the calls' seconds, also where they overlap.")
    if any(one.answers >= 2 for one in costs):
        notes.append("Intervals: 95 %, bootstrap over the answers or problems of this run.")
    return tuple(notes)
