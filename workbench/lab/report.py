"""What a study found: a table with intervals and costs, the verdicts, and the picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import BadInput, MissingExtra, UnknownName
from workbench.lab.verdicts import NOTE, compare
from workbench.metrics.ranking import METRICS, check_metric

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import plotly.graph_objects as go

    from workbench.lab.figures import CostName
    from workbench.lab.records import ArmResult, Cost, Interval, Verdict

# Column -> field of a cost, and the digits to show.
_COSTS = {
    "chunks": ("chunks", 0),
    "build s": ("build_seconds", 1),
    "texts/s": ("texts_per_second", 0),
    "vectors MB": ("vector_megabytes", 1),
    "query ms": ("query_median", 1),
    "p95 ms": ("query_p95", 1),
}
_STYLE = (
    "<style>.wb-lab table{border-collapse:collapse;font-size:13px}"
    ".wb-lab th,.wb-lab td{padding:3px 9px;text-align:right;border-bottom:1px solid #8884}"
    ".wb-lab td:first-child,.wb-lab th:first-child{text-align:left}"
    ".wb-lab small{opacity:.7}.wb-lab .wb-error{text-align:left;color:#b3261e}"
    ".wb-lab li{margin:2px 0}</style>"
)


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """The arms of a study on one suite, measured on the same queries.

    ``metric`` is the one that the table is sorted by and the verdicts are about. ``query_ids``
    are in the order of each arm's scores. Before the study's end there are no verdicts.
    """

    suite: str
    split: str
    digest: str
    note: str
    metric: str
    query_ids: tuple[str, ...] = field(repr=False)
    results: tuple[ArmResult, ...]
    verdicts: tuple[Verdict, ...]
    environment: Mapping[str, Any] = field(repr=False)

    @property
    def ranked(self) -> tuple[ArmResult, ...]:
        """The arms, best first; those that failed come last."""
        return tuple(
            sorted(
                self.results,
                key=lambda one: -one.means[self.metric].mean if self.metric in one.means else 1.0,
            )
        )

    @property
    def hardest(self) -> dict[str, float]:
        """Queries by id with the mean of the metric over all arms, the worst first."""
        measured = [one.scores[self.metric] for one in self.results if one.error is None]
        if not measured:
            return {}
        mean = np.mean(measured, axis=0)
        order = np.argsort(mean, kind="stable")
        return {self.query_ids[at]: float(mean[at]) for at in order}

    @property
    def title(self) -> str:
        """Name the suite, the split and how many queries it was measured by."""
        return f"{self.suite}, {self.split}: {len(self.query_ids):,} queries"

    @property
    def df(self) -> pd.DataFrame:
        """One row an arm, best first: means, ends of intervals, costs, and the error if any."""
        import pandas as pd

        return pd.DataFrame([_cells(one) for one in self.ranked])

    def arm(self, name: str) -> ArmResult:
        """Return the arm called ``name``.

        Raises:
            UnknownName: there is none.
        """
        for one in self.results:
            if one.arm.name == name:
                return one
        raise UnknownName("arm", name, [one.arm.name for one in self.results])

    def compare(self, a: str, b: str, metric: str | None = None) -> Verdict:
        """Compare two arms by name, by paired bootstrap; the p-value is that of this pair alone.

        Raises:
            UnknownName: no arm or metric is called so.
            BadInput: one of the two failed.
        """
        chosen = check_metric(metric or self.metric)
        pair = [self.arm(a), self.arm(b)]
        for one in pair:
            if one.error is not None:
                raise BadInput(f"{one.arm.name} was not measured: {one.error}")
        return compare(pair[0], pair[1], chosen)

    def figure(self, cost: CostName = "query") -> go.Figure:
        """Draw quality against cost: of a query, of the build, or of the vectors.

        Raises:
            MissingExtra: plotly is not installed.
            BadInput: no arm was measured, or none has this cost.
        """
        from workbench.lab.figures import quality_against_cost

        return quality_against_cost(self.results, self.metric, cost)

    def to_markdown(self) -> str:
        """Write table, verdicts and notes as Markdown."""
        header = ["arm", *METRICS, *_COSTS]
        lines = [
            f"### {self.title}",
            "",
            f"| {' | '.join(header)} |",
            "|---|" + "---:|" * (len(header) - 1),
        ]
        best = self._best()
        for one in self.ranked:
            if one.error is not None:
                cells = [one.arm.name, f"failed: {one.error}".replace("|", "\\|")]
                cells += [""] * (len(header) - 2)
            else:
                shown = [
                    f"**{text}**" if one.arm.name in best[metric] else text
                    for metric, text in _means(one).items()
                ]
                cells = [one.arm.name, *shown, *_costs(one.cost)]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", *(f"- {verdict.sentence}." for verdict in self.verdicts), ""]
        lines += [f"{line}  " for line in self._notes()]
        return "\n".join(lines).rstrip() + "\n"

    def to_json(self) -> str:
        """Write everything, the scores of each query included, as JSON."""
        table = {
            "suite": self.suite,
            "split": self.split,
            "digest": self.digest,
            "note": self.note,
            "metric": self.metric,
            "queries": list(self.query_ids),
            "arms": [
                {
                    "name": one.arm.name,
                    **asdict(one.arm),
                    "means": {name: asdict(mean) for name, mean in one.means.items()},
                    "cost": asdict(one.cost) if one.cost else None,
                    "error": one.error,
                    "scores": {name: values.tolist() for name, values in one.scores.items()},
                }
                for one in self.ranked
            ],
            "verdicts": [{**asdict(one), "better": one.better} for one in self.verdicts],
            "environment": dict(self.environment),
        }
        return json.dumps(table, indent=1, ensure_ascii=False)

    def to_html(self, path: Path | str | None = None) -> str:
        """Write a page that needs nothing else, and to ``path`` if one is given.

        The picture is left out where plotly is not installed or nothing could be measured.
        """
        try:
            picture = self.figure().to_html(full_html=False, include_plotlyjs=True)
        except (MissingExtra, BadInput):
            picture = ""
        page = (
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
            f"<title>{escape(self.title)}</title></head>"
            "<body style='font-family:system-ui,sans-serif;margin:24px;max-width:1200px'>"
            f"{self._repr_html_()}{picture}</body></html>"
        )
        if path is not None:
            from pathlib import Path as FilePath

            FilePath(path).write_text(page, encoding="utf-8")
        return page

    def _repr_html_(self) -> str:
        header = "".join(f"<th>{escape(name)}</th>" for name in ("arm", *METRICS, *_COSTS))
        best = self._best()
        rows = "".join(_row(one, best) for one in self.ranked)
        said = "".join(f"<li>{escape(verdict.sentence)}</li>" for verdict in self.verdicts)
        notes = "".join(f"<p><small>{escape(line)}</small></p>" for line in self._notes())
        return (
            f"{_STYLE}<div class='wb-lab'><h4>{escape(self.title)}</h4>"
            f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>"
            f"<ul>{said}</ul>{notes}</div>"
        )

    def _best(self) -> dict[str, set[str]]:
        """Return for each metric the names of the arms with the highest mean."""
        best = {}
        for metric in METRICS:
            means = {one.arm.name: one.means[metric].mean for one in self.results if one.means}
            best[metric] = {name for name, mean in means.items() if mean == max(means.values())}
        return best

    def _notes(self) -> list[str]:
        notes = [self.note]
        if self.verdicts:
            notes.append(NOTE)
        machine = self.environment.get("hardware", {})
        load = self.environment.get("load_average")
        if machine:
            busy = f", load average {load} at the start" if load is not None else ""
            notes.append(
                f"Times on {machine.get('cores')} cores of {machine.get('processor')}{busy}: those"
                " of an arm's first measurement, searches for ten hits, one at a time. Build"
                " seconds are left out where vectors were cached."
            )
        return notes


def _row(one: ArmResult, best: Mapping[str, set[str]]) -> str:
    name = f"<td>{escape(one.arm.name)}</td>"
    if one.error is not None:
        span = len(METRICS) + len(_COSTS)
        return f"<tr>{name}<td class='wb-error' colspan='{span}'>{escape(one.error)}</td></tr>"
    cells = []
    for metric in METRICS:
        mean = one.means[metric]
        text = f"{mean.mean:.3f}"
        if one.arm.name in best[metric]:
            text = f"<b>{text}</b>"
        cells.append(f"<td>{text}<br><small>{mean.low:.3f}–{mean.high:.3f}</small></td>")  # noqa: RUF001
    cells += [f"<td>{text}</td>" for text in _costs(one.cost)]
    return f"<tr>{name}{''.join(cells)}</tr>"


def _means(one: ArmResult) -> dict[str, str]:
    return {metric: _interval(one.means[metric]) for metric in METRICS}


def _interval(mean: Interval) -> str:
    return f"{mean.mean:.3f} ({mean.low:.3f} to {mean.high:.3f})"


def _costs(cost: Cost | None) -> list[str]:
    shown = []
    for name, digits in _COSTS.values():
        value = getattr(cost, name, None)
        shown.append("" if value is None else f"{value:,.{digits}f}")
    return shown


def _cells(one: ArmResult) -> dict[str, Any]:
    cells: dict[str, Any] = {"arm": one.arm.name, "embedder": one.arm.embedder}
    cells |= {"retriever": one.arm.retriever, "chunker": one.arm.chunker}
    for metric in METRICS:
        mean = one.means.get(metric)
        cells[metric] = mean.mean if mean else None
        cells[f"{metric} low"] = mean.low if mean else None
        cells[f"{metric} high"] = mean.high if mean else None
    cells |= {column: getattr(one.cost, name, None) for column, (name, _) in _COSTS.items()}
    return {**cells, "error": one.error}
