"""What an evaluation found, as pictures."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput
from workbench.evaluation.effects import retrieval_effect
from workbench.evaluation.pairs import all_pairs
from workbench.evaluation.records import ORACLE
from workbench.evaluation.splits import Part, agreement, split
from workbench.plots import COLOURS, INK, go, layout
from workbench.sandbox import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from workbench.evaluation.effects import Effect
    from workbench.evaluation.records import Evaluation, Figure

_BAR = 46
_ERROR = "error, no answer"
_UNKNOWN = "other"
# Right is green, wrong ones are warm, what says nothing of the program is grey.
_SHADES = {
    "passed": COLOURS[2],
    "wrong answer": COLOURS[1],
    "exception": COLOURS[4],
    "syntax error": COLOURS[3],
    "compiler error": COLOURS[3],
    "no code": COLOURS[6],
    "timeout (CPU)": COLOURS[0],
    "timeout (wall)": COLOURS[5],
    "out of memory": "#8A5FBF",
    "killed": "#A33B3B",
    "sandbox failure": "#B5B5B5",
    "skipped": "#D0D0D0",
    _ERROR: COLOURS[7],
    _UNKNOWN: INK,
}
_BARS = {"color": INK, "thickness": 1.4, "width": 5}


def leaderboard(evaluation: Evaluation, metric: str) -> go.Figure:
    """Draw a bar a solver, best first, with its 95 % interval; published figures are diamonds.

    Raises:
        UnknownName: the run has no such metric.
        BadInput: no solver has a figure of it.
    """
    found = _ranked(evaluation, metric)
    names = [one.solver for one in found]
    figure = go.Figure(
        go.Bar(
            x=[one.value for one in found],
            y=names,
            orientation="h",
            marker_color=COLOURS[0],
            error_x=_interval(found),
            hovertemplate=[_told(one) for one in found],
            showlegend=False,
        )
    )
    quoted = [one for one in found if one.published is not None]
    if quoted:
        figure.add_trace(
            go.Scatter(
                x=[one.published.value for one in quoted if one.published],
                y=[one.solver for one in quoted],
                mode="markers",
                marker={"symbol": "diamond-open", "size": 11, "color": INK, "line": {"width": 2}},
                name="published",
                hovertext=[str(one.published) for one in quoted],
                hoverinfo="text",
            )
        )
    figure.update_layout(layout(f"{metric} on {evaluation.suite.name}", note="95 % intervals"))
    figure.update_layout(height=150 + _BAR * len(found), margin_l=10, legend=_BELOW)
    figure.update_xaxes(title=metric, rangemode="tozero")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def effect_figure(evaluation: Evaluation, metric: str) -> go.Figure:
    """Draw each arm of each backend: no hits, each embedder's, the oracle's.

    Above each arm stands its difference to none, with a star where the two can be told apart.

    Raises:
        UnknownName: the run has no such metric.
        BadInput: no backend was asked with hits and without.
    """
    effects = retrieval_effect(evaluation, metric)
    drawn = [one for one in effects if one.figure.value is not None]
    if len(drawn) < 2:
        raise BadInput(
            "No backend was asked with and without retrieval.",
            "Add arms: workbench evaluate ... --corpus python-popular --embedder minilm",
        )
    figure = go.Figure()
    for place, backend in enumerate(dict.fromkeys(one.backend for one in drawn)):
        arms = [one for one in drawn if one.backend == backend]
        figures = [one.figure for one in arms]
        figure.add_trace(
            go.Bar(
                x=[one.label for one in arms],
                y=[one.value for one in figures],
                error_y=_interval(figures),
                name=backend,
                marker={
                    "color": COLOURS[place % len(COLOURS)],
                    "pattern": {"shape": ["/" if one.label == ORACLE else "" for one in arms]},
                },
                text=[_change(one) for one in arms],
                textposition="inside",
                insidetextanchor="start",
                hovertext=[_told(one.figure, one.sentence) for one in arms],
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )
    note = "change to none, * where it can be told from chance (Holm); bars: 95 % intervals"
    figure.update_layout(layout(f"Does retrieval help? {metric}", note=note), barmode="group")
    figure.update_layout(legend=_BELOW)
    figure.update_yaxes(title=metric, rangemode="tozero")
    figure.update_xaxes(title="what the model is given", showgrid=False)
    return figure


def split_figure(evaluation: Evaluation, tag: str, metric: str) -> go.Figure:
    """Draw a metric by the values of a tag, a colour a solver.

    Raises:
        UnknownName: there is no such tag or metric.
    """
    parts = split(evaluation, tag, (metric,))
    figure = go.Figure()
    for place, name in enumerate(evaluation.names):
        mine = [one for one in parts if one.solver == name and one.figure is not None]
        figure.add_trace(
            go.Bar(
                x=[one.value for one in mine],
                y=[one.figure for one in mine],
                error_y=_interval(mine),
                name=name,
                marker_color=COLOURS[place % len(COLOURS)],
                hovertext=[f"{one.questions:,} questions" for one in mine],
                hovertemplate="%{x}: %{y:.3f}, %{hovertext}<extra>%{fullData.name}</extra>",
            )
        )
    figure.update_layout(layout(f"{metric} by {tag}", note="95 % intervals"), barmode="group")
    figure.update_layout(legend=_BELOW)
    figure.update_yaxes(title=metric, rangemode="tozero")
    figure.update_xaxes(showgrid=False)
    return figure


def verdict_figure(evaluation: Evaluation, metric: str = "pass@1") -> go.Figure:
    """Draw how the answers of each solver ended: passed, wrong, broken, timed out, not judged.

    Raises:
        UnknownName: the run has no such metric.
    """
    counts = verdict_counts(evaluation, metric)
    kinds = [kind for kind in _SHADES if any(kind in one for one in counts.values())]
    figure = go.Figure()
    for kind in kinds:
        figure.add_trace(
            go.Bar(
                x=[one.get(kind, 0) for one in counts.values()],
                y=list(counts),
                orientation="h",
                name=kind,
                marker_color=_SHADES[kind],
                hovertemplate=f"%{{x}} {kind}<extra>%{{y}}</extra>",
            )
        )
    figure.update_layout(layout("How the answers ended"), barmode="stack", legend=_BELOW)
    figure.update_layout(height=250 + _BAR * len(counts), margin_l=10)
    figure.update_xaxes(title="answers")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def verdict_counts(evaluation: Evaluation, metric: str = "pass@1") -> dict[str, Mapping[str, int]]:
    """Count how the answers of each solver ended, errors and what was not judged included."""
    evaluation.metric(metric)
    return {name: Counter(_kinds(evaluation, name, metric)) for name in evaluation.names}


def _kinds(evaluation: Evaluation, solver: str, metric: str) -> Iterator[str]:
    for result in evaluation.of(solver):
        if result.answer is None:
            yield _ERROR
        yield from (kind_of(one.detail) for one in result.scores if one.metric == metric)


def kind_of(detail: str) -> str:
    """Return the verdict that a score's detail begins with."""
    kind = detail.partition(":")[0].strip()
    return kind if kind in VERDICTS else _UNKNOWN


def pairs_figure(evaluation: Evaluation, metric: str) -> go.Figure:
    """Draw the differences between all solvers as a matrix: row less column, * where told apart.

    Raises:
        UnknownName: the run has no such metric.
        BadInput: no two solvers share two judged questions.
    """
    pairs = all_pairs(evaluation, metric)
    if not pairs:
        raise BadInput("There are no two solvers to compare.", "Evaluate a second one.")
    names = evaluation.names
    values: list[list[float | None]] = [[None] * len(names) for _ in names]
    texts = [[""] * len(names) for _ in names]
    hover = [[""] * len(names) for _ in names]
    for one in pairs:
        for row, column, sign in ((one.a, one.b, 1), (one.b, one.a, -1)):
            place = names.index(row), names.index(column)
            difference = sign * one.paired.difference
            values[place[0]][place[1]] = difference
            texts[place[0]][place[1]] = f"{difference:+.3f}{'*' if one.decided else ''}"
            hover[place[0]][place[1]] = _wrapped(one.sentence)
    largest = max((abs(one.paired.difference) for one in pairs), default=0) or 1
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=names,
            y=names,
            text=texts,
            texttemplate="%{text}",
            hovertext=hover,
            hoverinfo="text",
            zmin=-largest,
            zmax=largest,
            colorscale=[[0, COLOURS[1]], [0.5, "rgba(128,136,144,0.18)"], [1, COLOURS[2]]],
            colorbar={"title": "", "thickness": 12},
            xgap=2,
            ygap=2,
        )
    )
    note = "row less column; * can be told from chance (Holm)"
    figure.update_layout(layout(f"Differences in {metric}", note=note))
    figure.update_layout(height=240 + _BAR * len(names))
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False)
    return figure


def agreement_figure(evaluation: Evaluation, cheap: str, truth: str = "pass@1") -> go.Figure:
    """Draw how the cheap metric is spread over answers that pass and those that do not.

    Raises:
        UnknownName: the run has no such metric.
        BadInput: no answer has both.
    """
    found = agreement(evaluation, cheap, truth)
    figure = go.Figure()
    values = {one[3] for one in found.points}
    if values <= {0.0, 1.0}:
        for place, (name, wanted) in enumerate((("failed", 0.0), ("passed", 1.0))):
            figure.add_trace(
                go.Violin(
                    y=[one[2] for one in found.points if one[3] == wanted],
                    name=name,
                    box_visible=True,
                    spanmode="hard",
                    points="all",
                    pointpos=0,
                    jitter=0.4,
                    marker={"size": 3, "opacity": 0.5},
                    line_color=COLOURS[1] if place == 0 else COLOURS[2],
                    hovertext=[f"{one[1]}, {one[0]}" for one in found.points if one[3] == wanted],
                    showlegend=False,
                )
            )
        figure.update_yaxes(title=cheap)
    else:
        for place, name in enumerate(evaluation.names):
            mine = [one for one in found.points if one[0] == name]
            figure.add_trace(
                go.Scatter(
                    x=[one[2] for one in mine],
                    y=[one[3] for one in mine],
                    text=[one[1] for one in mine],
                    mode="markers",
                    name=name,
                    marker={"color": COLOURS[place % len(COLOURS)], "size": 6, "opacity": 0.6},
                )
            )
        figure.update_xaxes(title=cheap)
        figure.update_yaxes(title=truth)
    figure.update_layout(layout(f"{cheap} beside {truth}", note=_wrapped(found.sentence)))
    figure.update_layout(legend=_BELOW)
    return figure


def spending_figure(evaluation: Evaluation, metric: str) -> go.Figure:
    """Draw quality against seconds of computing an answer, a point a solver.

    What came from the answer cache took its seconds when it was made.

    Raises:
        UnknownName: the run has no such metric.
        BadInput: no solver has a figure and a time.
    """
    points = [
        (one, seconds)
        for one in _ranked(evaluation, metric)
        if (seconds := _seconds(evaluation, one.solver)) is not None
    ]
    if not points:
        raise BadInput("No answer's time is known.", "Evaluate a backend that tells its time.")
    figure = go.Figure()
    for place, (one, seconds) in enumerate(points):
        figure.add_trace(
            go.Scatter(
                x=[seconds],
                y=[one.value],
                error_y=_interval([one]),
                mode="markers",
                name=one.solver,
                marker={"size": 11, "color": COLOURS[place % len(COLOURS)]},
                hovertemplate=_told(one),
            )
        )
    figure.update_layout(layout(f"{metric} against time", note="95 % intervals"), legend=_BELOW)
    figure.update_xaxes(title="seconds an answer (mean)", rangemode="tozero")
    figure.update_yaxes(title=metric)
    return figure


# At the bottom of the picture, below the names of the axis, however long those are.
_BELOW: dict[str, Any] = {
    "orientation": "h",
    "x": 0,
    "y": 0,
    "yref": "container",
    "yanchor": "bottom",
}


def _seconds(evaluation: Evaluation, solver: str) -> float | None:
    taken = [
        sum(call.seconds for call in one.calls)
        for one in evaluation.of(solver)
        if one.answer is not None and one.calls
    ]
    return sum(taken) / len(taken) if taken else None


def _ranked(evaluation: Evaluation, metric: str) -> list[Figure]:
    found = [evaluation.figure(name, metric) for name in evaluation.names]
    found = [one for one in found if one.value is not None]
    if not found:
        raise BadInput(f"No solver has a {metric} yet.", "Wait for the first scores.")
    sign = -1 if evaluation.metric(metric).higher_is_better else 1
    return sorted(found, key=lambda one: sign * (one.value or 0.0))


def _interval(found: Sequence[Figure | Part]) -> dict[str, Any]:
    """Return the error bars of figures; none where a figure has no interval."""
    values = [one.figure if isinstance(one, Part) else one.value for one in found]
    ends = [
        (value, value if one.low is None else one.low, value if one.high is None else one.high)
        for one, value in zip(found, values, strict=True)
    ]
    return {
        "type": "data",
        "array": [(high or 0) - (value or 0) for value, _, high in ends],
        "arrayminus": [(value or 0) - (low or 0) for value, low, _ in ends],
        **_BARS,
    }


def _change(one: Effect) -> str:
    if one.against is None:
        return f"{one.figure.value:.3f}"
    star = "*" if one.against.decided else ""
    return f"{one.figure.value:.3f}<br>{one.against.paired.difference:+.3f}{star}"


def _told(one: Figure, more: str = "") -> str:
    """Return what a point says when it is pointed at."""
    lines = [f"<b>{one.solver}</b>", f"{one.metric} {one}", f"{one.questions:,} questions"]
    if one.errors or one.unjudged:
        lines.append(f"{one.errors:,} errors, {one.unjudged:,} not judged: not in the figure")
    if more:
        lines.append(_wrapped(more))
    return "<br>".join(lines) + ("" if more else "<extra></extra>")


def _wrapped(text: str, width: int = 80) -> str:
    return "<br>".join(textwrap.wrap(text, width))
