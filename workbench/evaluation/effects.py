"""The retrieval effect: what each embedder's hits, and the oracle's, do to the same problems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.evaluation.pairs import Pair, comparable, compare, corrected
from workbench.evaluation.records import ORACLE, PLAIN
from workbench.statistics import p_words

if TYPE_CHECKING:
    from workbench.evaluation.records import Evaluation, Figure, SolverInfo

# What is told of a solver's search alone.
_SEARCH = {
    *("arm", "corpus", "corpus_digest", "embedder", "fingerprint", "chunker", "retriever", "k"),
    *("exclude", "recording"),
}


@dataclass(frozen=True, slots=True)
class Effect:
    """One arm of one backend: its figure, and how it stands against the same backend without hits.

    ``label`` is "none", an embedder's name, or "oracle". ``against`` compares it (a) with none
    (b), corrected for the number of arms that were compared; None for "none" itself, or where the
    two share too few questions.
    """

    backend: str
    label: str
    solver: str
    figure: Figure
    against: Pair | None

    @property
    def sentence(self) -> str:
        """Say in words what retrieval did, "" for the arm without it."""
        if self.against is None:
            return ""
        pair = self.against
        flips = f"it mends {len(pair.only_a):,} and breaks {len(pair.only_b):,}"
        verdict = {
            self.solver: "helps",
            pair.b: "hurts",
            None: "makes no difference that could be told",
        }[pair.better]
        ends = f"{pair.paired.low:+.3f} to {pair.paired.high:+.3f}"
        what = "The oracle's chunk" if self.label == ORACLE else f"Retrieval by {self.label}"
        said = (
            f"{what} {verdict} for {self.backend}: {pair.metric} {pair.paired.difference:+.3f}"
            f" ({ends}, {p_words(pair.p_value)}); {flips} of {pair.paired.n:,}"
        )
        more = pair.paired.more_needed
        if pair.decided or more is None:
            return f"{said}."
        return f"{said}. Cannot tell: about {more:,} more problems needed."


def retrieval_effect(evaluation: Evaluation, metric: str) -> tuple[Effect, ...]:
    """Return the arms of each backend that was asked with and without hits, "none" first.

    Empty where no backend was asked in both ways.

    Raises:
        UnknownName: the run has no such metric.
    """
    evaluation.metric(metric)
    arms = list(_arms(evaluation))
    pairs = corrected(
        [
            compare(evaluation, arm.name, plain.name, metric)
            for plain, arm in arms
            if plain is not arm and comparable(evaluation, arm.name, plain.name, metric)
        ]
    )
    found = {pair.a: pair for pair in pairs}
    return tuple(
        Effect(
            plain.backend,
            label(arm),
            arm.name,
            evaluation.figure(arm.name, metric),
            None if plain is arm else found.get(arm.name),
        )
        for plain, arm in arms
    )


def label(solver: SolverInfo) -> str:
    """Return what a solver's arm is called beside its siblings."""
    if solver.arm == PLAIN:
        return "none"
    if solver.arm == ORACLE:
        return ORACLE
    return str(solver.told.get("embedder") or solver.arm)


def _asked(solver: SolverInfo) -> dict[str, Any]:
    """Return what decides a solver's answers beside its hits.

    A backend may be in a run twice, as with a template of before and with today's: each of its
    arms stands beside the plain one that was asked in the same way.
    """
    told = {name: value for name, value in solver.told.items() if name not in _SEARCH}
    return {"backend": solver.backend, **told}


def _arms(evaluation: Evaluation) -> Iterator[tuple[SolverInfo, SolverInfo]]:
    """Yield each arm of a backend with its plain sibling, which comes first with itself."""
    known = [one for one in evaluation.solvers if one.arm is not None]
    for plain in known:
        others = [one for one in known if one.arm != PLAIN and _asked(one) == _asked(plain)]
        if plain.arm == PLAIN and others:
            yield plain, plain
            for arm in sorted(others, key=lambda one: one.arm == ORACLE):
                yield plain, arm
