"""An evaluation that compares, draws and writes itself: what notebooks hold in their hands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import BadInput, UnknownName
from workbench.evaluation import effects, pairs, splits, tables
from workbench.evaluation.notebook import write_notebook
from workbench.evaluation.page import flips_html, page_html, write_page
from workbench.evaluation.past import open_evaluation
from workbench.evaluation.records import Evaluation
from workbench.report import style

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from workbench.types import Metric

FigureName = Literal["leaderboard", "effect", "pairs", "verdicts", "split", "agreement", "time"]
FIGURES: Mapping[str, str] = {
    "leaderboard": "leaderboard",
    "effect": "effect_figure",
    "pairs": "pairs_figure",
    "verdicts": "verdict_figure",
    "split": "split_figure",
    "agreement": "agreement_figure",
    "time": "spending_figure",
}
"""The pictures by name, and the functions of ``workbench.evaluation.figures`` that draw them."""


class Comparison(pairs.Pair):
    """A pair of solvers that shows itself in a notebook, flips included."""

    __slots__ = ("_evaluation",)

    @classmethod
    def of(cls, evaluation: Evaluation, pair: pairs.Pair) -> Comparison:
        """Return the pair together with the run that it is of."""
        made = cls(**{one.name: getattr(pair, one.name) for one in fields(pairs.Pair)})
        object.__setattr__(made, "_evaluation", evaluation)
        return made

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        import html

        said = f"<p><b>{html.escape(self.sentence)}</b></p><p class='wb-dim'>{self.test}</p>"
        flips = flips_html(getattr(self, "_evaluation"), self)  # noqa: B009 - a slot of ours
        return f"{style()}<div class='wb'>{said}{flips}</div>"


@dataclass(frozen=True, slots=True, repr=False)
class EvaluationReport(Evaluation):
    """An evaluation with its verbs: ``compare``, ``plot``, ``table``, ``report``."""

    def compare(
        self, a: str | None = None, b: str | None = None, metric: str | None = None
    ) -> Comparison:
        """Compare two solvers on the same questions; see ``workbench.evaluation.pairs.compare``.

        Without names: the first two. ``plain``, ``oracle`` and the names of embedders stand for
        the only solver that is such an arm; ``metric`` defaults to the leading one.

        Raises:
            UnknownName: the run has no such solver or metric.
            BadInput: it has one solver only, or the two share too few questions.
        """
        left = self.names[0] if a is None else self._named(a)
        others = [name for name in self.names if name != left]
        if b is None and not others:
            raise BadInput(f"The run {self.run} has one solver.", "Evaluate a second one.")
        right = others[0] if b is None else self._named(b)
        pair = pairs.compare(self, left, right, self._metric(metric))
        return Comparison.of(self, pair)

    def pairs(self, metric: str | None = None) -> tuple[pairs.Pair, ...]:
        """Compare each solver with each other, corrected for their number."""
        return pairs.all_pairs(self, self._metric(metric))

    def effect(self, metric: str | None = None) -> tuple[effects.Effect, ...]:
        """Return what retrieval did to each backend that was asked with and without."""
        return effects.retrieval_effect(self, self._metric(metric))

    def agreement(self, cheap: str, truth: str | None = None) -> splits.Agreement:
        """Correlate a cheap metric with the leading one, or with ``truth``."""
        return splits.agreement(self, cheap, self._metric(truth))

    def table(self, name: str = "leaderboard") -> pd.DataFrame:
        """Return a table: leaderboard, pairs, splits or results.

        Raises:
            UnknownName: no table is called so.
        """
        return tables.table(self, name)

    def plot(
        self,
        kind: FigureName = "leaderboard",
        *,
        metric: str | None = None,
        tag: str | None = None,
        cheap: str | None = None,
    ) -> go.Figure:
        """Draw a picture: leaderboard, effect, pairs, verdicts, split (by ``tag``), time, or
        agreement (of ``cheap`` with the metric).

        Raises:
            UnknownName: no picture, metric or tag is called so.
            BadInput: there is nothing to draw.
            MissingExtra: plotly is not installed.
        """
        from workbench.evaluation import figures

        if kind not in FIGURES:
            raise UnknownName("picture", kind, FIGURES)
        draw: Callable[..., go.Figure] = getattr(figures, FIGURES[kind])
        leading = self._metric(metric)
        more: tuple[Any, ...] = (leading,)
        if kind == "split":
            more = (tag or next(iter(splits.tags_of(self)), "tag"), leading)
        elif kind == "agreement":
            others = [one.name for one in self.metrics if one.name != leading]
            more = (cheap or next(iter(others), leading), leading)
        return draw(self, *more)

    def report(self, path: Path | str | None = None) -> str:
        """Return the whole report as a page of HTML, and write it to ``path`` if one is given."""
        if path is not None:
            write_page(self, path)
        return page_html(self)

    def notebook(self, path: Path | str) -> Path:
        """Write a notebook that shows this run again; return its path."""
        return write_notebook(self, path)

    def _metric(self, name: str | None) -> str:
        if name is not None:
            return self.metric(name).name
        if not self.metrics:
            raise BadInput(f"The run {self.run} was not scored.", "Run: workbench rescore")
        return self.metrics[0].name

    def _named(self, name: str) -> str:
        """Return the solver of that name, or the only one that is such an arm."""
        if name in self.names:
            return name
        arms = [one.name for one in self.solvers if name in (one.arm, effects.label(one))]
        return arms[0] if len(arms) == 1 else self.solver(name).name


def as_report(evaluation: Evaluation) -> EvaluationReport:
    """Return an evaluation together with its verbs."""
    return EvaluationReport(
        **{one.name: getattr(evaluation, one.name) for one in fields(Evaluation)}
    )


def open_report(run: str = "last", metrics: tuple[Metric, ...] = ()) -> EvaluationReport:
    """Open a stored evaluation by its id, or the ``last`` one; see ``open_evaluation``.

    Raises:
        UnknownName: no run has that id.
        BadInput: it is no evaluation, or there is none yet.
    """
    return as_report(open_evaluation(run, metrics))
