"""An evaluation as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, MissingExtra
from workbench.evaluation import figures
from workbench.evaluation.effects import retrieval_effect
from workbench.evaluation.pairs import Pair, all_pairs
from workbench.evaluation.splits import agreement, split, tags_of
from workbench.evaluation.tables import is_best, leaderboard_table
from workbench.keys import scrub
from workbench.metrics.figures import is_verdict
from workbench.report import answer_html, style

if TYPE_CHECKING:
    from workbench.evaluation.records import Evaluation
    from workbench.evaluation.splits import Part
    from workbench.types import Result

FLIPS = 10
"""Flips of a pair that are shown with both answers; the others are named."""

_PAGE = """
.wb-page{max-width:1180px;margin:0 auto;padding:20px 16px;
font-family:ui-sans-serif,system-ui,sans-serif}
html,body{background:#fff;margin:0}html.dark,html.dark body{background:#0d1117}
.wb-page h1{font-size:22px;margin:0 0 4px}.wb-page h2{font-size:17px;margin:28px 0 8px}
.wb-page section{overflow-x:auto}
"""
_LAYOUT = """
.wb-scroll{overflow-x:auto}
.wb-table{border-collapse:collapse;font-size:13px}
.wb-table th,.wb-table td{padding:4px 10px;text-align:right;border-bottom:1px solid var(--wb-line);
vertical-align:top}
.wb-table th:first-child,.wb-table td:first-child,.wb-table .wb-name{text-align:left;
overflow-wrap:anywhere;min-width:130px}
.wb-flip details pre{white-space:pre-wrap;overflow-wrap:anywhere}
.wb-table small{color:var(--wb-dim);display:block;white-space:nowrap}
.wb-list{padding-left:18px;font-size:14px}.wb-list li{margin:4px 0}
.wb-warn{border-left:3px solid #E69F00;padding:4px 10px;margin:6px 0;font-size:14px}
.wb-flip{border:1px solid var(--wb-line);border-radius:8px;padding:6px 12px;margin:6px 0}
"""
_DARK = (
    "<script>if(matchMedia('(prefers-color-scheme: dark)').matches)"
    "document.documentElement.classList.add('dark')</script>"
)


def page_style() -> str:
    """Return the ``<style>`` elements that the HTML of this module needs, once a page."""
    return f"{style()}<style>{_LAYOUT}</style>"


def write_page(evaluation: Evaluation, path: Path | str) -> Path:
    """Write the whole report to a file; return its path.

    Raises:
        BadInput: the file cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page_html(evaluation), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{target} cannot be written: {error.strerror or error}.") from error
    return target


def page_html(evaluation: Evaluation) -> str:
    """Return the whole report: it asks nothing of any server, and keys are not in it."""
    title = f"{evaluation.suite.name}: {', '.join(one.name for one in evaluation.metrics)}"
    body = "".join(_sections(evaluation))
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title>{_DARK}{page_style()}<style>{_PAGE}</style></head>"
        f"<body><main class='wb wb-page'>{body}</main></body></html>"
    )
    return scrub(page)


def _sections(evaluation: Evaluation) -> Iterator[str]:
    yield head_html(evaluation)
    draw = _Drawing()
    leading = evaluation.metrics[0].name if evaluation.metrics else None
    yield _section("Figures", leaderboard_html(evaluation))
    if leading is None:
        return
    yield draw(figures.leaderboard, evaluation, leading)
    effects = retrieval_effect(evaluation, leading)
    if effects:
        said = _list(one.sentence for one in effects if one.sentence)
        yield _section("Does retrieval help?", said)
        yield draw(figures.effect_figure, evaluation, leading)
    pairs = all_pairs(evaluation, leading)
    if pairs:
        yield _section("Who is better?", _list(one.sentence for one in pairs))
        if len(evaluation.names) > 2:
            yield draw(figures.pairs_figure, evaluation, leading)
        yield _section(
            "Where they part ways", "".join(flips_html(evaluation, one) for one in pairs)
        )
    if is_verdict(evaluation.metric(leading)):
        yield draw(figures.verdict_figure, evaluation, leading)
    for tag in tags_of(evaluation):
        yield _section(f"By {tag}", split_html(evaluation, tag))
        yield draw(figures.split_figure, evaluation, tag, leading)
    yield from _agreements(evaluation, leading, draw)
    yield draw(figures.spending_figure, evaluation, leading)
    yield _section("How it was made", record_html(evaluation))


def _agreements(evaluation: Evaluation, truth: str, draw: _Drawing) -> Iterator[str]:
    """Yield what the other metrics say of the leading one."""
    for rule in evaluation.metrics[1:]:
        try:
            found = agreement(evaluation, rule.name, truth)
        except (BadInput, MissingExtra):
            continue
        yield _section(f"Does {rule.name} say anything?", f"<p>{escape(found.sentence)}</p>")
        yield draw(figures.agreement_figure, evaluation, rule.name, truth)


class _Drawing:
    """Writes figures; the first one brings the library along, so that nothing is fetched."""

    def __init__(self) -> None:
        self._brought = False

    def __call__(self, make: Callable[..., Any], *of: Any) -> str:
        """Return a figure as HTML, "" where there is nothing to draw."""
        try:
            figure = make(*of)
        except (BadInput, MissingExtra):
            return ""
        html = figure.to_html(
            full_html=False,
            include_plotlyjs=not self._brought,
            config={"displaylogo": False, "responsive": True},
        )
        self._brought = True
        return f"<section>{html}</section>"


def head_html(evaluation: Evaluation) -> str:
    """Return what was asked of whom, where the problems come from, and what to beware of."""
    return f"<h1>{escape(evaluation.suite.name)}</h1>{facts_html(evaluation)}" + warnings_html(
        evaluation
    )


def facts_html(evaluation: Evaluation) -> str:
    """Return what there is to know of the suite and the run, as a table."""
    suite = evaluation.suite
    asked = f"{suite.name}, {len(evaluation.questions):,} questions"
    if evaluation.samples > 1:
        asked += f", {evaluation.samples} answers to each"
    facts = {
        "Suite": asked,
        "Run": evaluation.run,
        "Licence": suite.license,
        "Cite": suite.citation,
        "From": suite.origin,
        "SHA-256": suite.checksum,
        "Note": "" if suite.note in evaluation.warnings else suite.note,
    }
    rows = "".join(
        f"<tr><th scope='row'>{name}</th><td>{escape(value)}</td></tr>"
        for name, value in facts.items()
        if value
    )
    return f"<table class='wb-facts'>{rows}</table>"


def warnings_html(evaluation: Evaluation) -> str:
    """Return what a reader of the figures should know, a line each."""
    return "".join(f"<div class='wb-warn'>{escape(one)}</div>" for one in evaluation.warnings)


def leaderboard_html(evaluation: Evaluation) -> str:
    """Return the figures of all solvers, best first, with intervals and what was published."""
    metrics = [one.name for one in evaluation.metrics]
    head = ("solver", *metrics, "answered", "errors", "not judged", "seconds an answer", "tokens")
    order = leaderboard_table(evaluation)
    rows = []
    for _, row in order.iterrows():
        name = str(row["solver"])
        cells = [f"<td>{escape(name)}</td>"]
        cells += [_figure_cell(evaluation, name, metric) for metric in metrics]
        answered = int(row["answered"])
        seconds = f"{row['seconds'] / answered:.2f}" if answered and row["seconds"] else "cached"
        tokens = f"{row['output tokens'] / answered:,.0f}" if answered else ""
        numbers = (answered, int(row["errors"]), int(row["not judged"]))
        cells += [f"<td>{one:,}</td>" for one in numbers]
        cells += [f"<td>{seconds}</td>", f"<td>{tokens}</td>"]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    notes = [gap for one in evaluation.summary if (gap := evaluation.gap(one))]
    notes += [f"{one.name}: {one.signature}" for one in evaluation.metrics]
    below = "".join(f"<div class='wb-dim'>{escape(line)}</div>" for line in notes)
    return _table(head, rows) + below


def _figure_cell(evaluation: Evaluation, solver: str, metric: str) -> str:
    one = evaluation.figure(solver, metric)
    if one.value is None:
        return "<td>not judged</td>"
    value = f"{one.value:.3f}"
    value = f"<b>{value}</b>" if is_best(evaluation, one) else value
    ends = "" if one.low is None else f"<small>{one.low:.3f} to {one.high:.3f}</small>"
    quoted = f"<small>published {one.published.value:.3f}</small>" if one.published else ""
    return f"<td>{value}{ends}{quoted}</td>"


def split_html(evaluation: Evaluation, tag: str) -> str:
    """Return the figures by the values of a tag, metrics side by side."""
    metrics = [one.name for one in evaluation.metrics]
    parts: dict[tuple[str, str], dict[str, Part]] = {}
    for one in split(evaluation, tag):
        parts.setdefault((one.value, one.solver), {})[one.metric] = one
    rows = []
    for (value, solver), found in parts.items():
        count = max(one.questions for one in found.values())
        name = f"<td class='wb-name'>{escape(solver)}</td>"
        cells = [f"<td>{escape(value)}</td>{name}<td>{count:,}</td>"]
        cells += [_part_cell(found[metric]) for metric in metrics]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return _table((tag, "solver", "questions", *metrics), rows)


def _part_cell(one: Part) -> str:
    if one.figure is None:
        return "<td></td>"
    ends = "" if one.low is None else f"<small>{one.low:.3f} to {one.high:.3f}</small>"
    return f"<td>{one.figure:.3f}{ends}</td>"


def flips_html(evaluation: Evaluation, pair: Pair, most: int = FLIPS) -> str:
    """Return the questions that went better for the one or the other, with both answers."""
    sides = ((pair.a, pair.only_a, pair.b), (pair.b, pair.only_b, pair.a))
    parts = []
    for better, names, other in sides:
        if not names:
            continue
        shown = "".join(_flip(evaluation, pair, name) for name in names[:most])
        rest = ", ".join(names[most:])
        more = f"<div class='wb-dim'>And {escape(rest)}</div>" if rest else ""
        parts.append(
            f"<details><summary><b>{len(names):,}</b> that {escape(better)} did better than"
            f" {escape(other)}</summary>{shown}{more}</details>"
        )
    return "".join(parts)


def _flip(evaluation: Evaluation, pair: Pair, question: str) -> str:
    asked = next(one for one in evaluation.questions if one.id == question)
    columns = "".join(
        f"<div class='wb-column'><div class='wb-head'>{escape(name)}</div>"
        f"{_answers(evaluation, name, question, pair.metric)}</div>"
        for name in (pair.a, pair.b)
    )
    return (
        f"<div class='wb-flip'><b>{escape(question)}</b>"
        f"<details><summary class='wb-dim'>The question</summary>"
        f"<pre>{escape(asked.query)}</pre></details>"
        f"<div class='wb-columns'>{columns}</div></div>"
    )


def _answers(evaluation: Evaluation, solver: str, question: str, metric: str) -> str:
    found = [one for one in evaluation.of(solver) if one.question_id == question]
    return "".join(_answer(one, metric) for one in found[:1]) + (
        f"<div class='wb-dim'>and {len(found) - 1} more samples</div>" if len(found) > 1 else ""
    )


def _answer(result: Result, metric: str) -> str:
    if result.answer is None:
        return f"<div class='wb-error'>{escape(result.error or 'no answer')}</div>"
    score = next((one for one in result.scores if one.metric == metric), None)
    value = "" if score is None or score.value is None else f"{score.value:g} "
    detail = "" if score is None else escape(score.detail)
    return f"<div class='wb-dim'>{value}{detail}</div>{answer_html(result.answer)}"


def record_html(evaluation: Evaluation) -> str:
    """Return all that is on record of a run, to unfold, and the command that runs it again."""
    record = {name: value for name, value in evaluation.record.items() if name != "tags"}
    facts = {"Solvers": [one.told for one in evaluation.solvers], "Record": record}
    facts["Environment"] = dict(evaluation.environment)
    unfolded = "".join(
        f"<details><summary>{name}</summary><pre>"
        f"{escape(json.dumps(value, indent=1, default=str, ensure_ascii=False))}</pre></details>"
        for name, value in facts.items()
    )
    commands = (
        f"workbench replay {evaluation.run}    # runs it again, and reports what differs\n"
        f"workbench report {evaluation.run} --html report.html"
    )
    return f"<pre>{escape(commands)}</pre>{unfolded}"


def _table(head: tuple[str, ...], rows: list[str]) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    return (
        f"<table class='wb-table'><thead><tr>{names}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _list(lines: Iterator[str]) -> str:
    return f"<ul class='wb-list'>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2><section>{body}</section>"
