"""How evaluations, pairs and flips look in a terminal."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.syntax import Syntax

from workbench.evaluation.effects import retrieval_effect
from workbench.evaluation.pairs import Pair, all_pairs
from workbench.terminal.evaluate import show_evaluation

if TYPE_CHECKING:
    from workbench.evaluation.records import Evaluation
    from workbench.types import Result


def show_report(evaluation: Evaluation) -> None:
    """Print the figures, then the verdicts between solvers, and what retrieval did."""
    show_evaluation(evaluation)
    if not evaluation.metrics:
        return
    console = Console()
    metric = evaluation.metrics[0].name
    pairs = all_pairs(evaluation, metric)
    if pairs:
        console.print("\nWho is better?", style="bold")
    for pair in pairs:
        console.print(f"- {pair.sentence}", highlight=False, markup=False)
    effects = [one.sentence for one in retrieval_effect(evaluation, metric) if one.sentence]
    if effects:
        console.print("\nDoes retrieval help?", style="bold")
    for sentence in effects:
        console.print(f"- {sentence}", highlight=False, markup=False)


def show_pair(evaluation: Evaluation, pair: Pair, flips: int) -> None:
    """Print the verdict between two solvers, and some of the flips with both answers."""
    console = Console()
    console.print(pair.sentence, style="bold", highlight=False, markup=False)
    console.print(f"{pair.test}; {pair.paired.n:,} questions", style="dim", highlight=False)
    for better, names in ((pair.a, pair.only_a), (pair.b, pair.only_b)):
        console.print(f"\n{len(names):,} went better for {better}", highlight=False, markup=False)
        for name in names[:flips]:
            console.rule(name, align="left")
            for solver in (pair.a, pair.b):
                _show_answer(console, evaluation, solver, name, pair.metric)
        if len(names) > flips:
            console.print(f"and {', '.join(names[flips:])}", style="dim", highlight=False)


def _show_answer(
    console: Console, evaluation: Evaluation, solver: str, question: str, metric: str
) -> None:
    found = next(one for one in evaluation.of(solver) if one.question_id == question)
    console.print(f"{solver}: {_said(found, metric)}", highlight=False, markup=False)
    if found.answer is not None:
        console.print(Syntax(found.answer.text, found.answer.language or "text"))


def _said(result: Result, metric: str) -> str:
    score = next((one for one in result.scores if one.metric == metric), None)
    if score is None:
        return result.error or "not scored"
    value = "" if score.value is None else f"{score.value:g} "
    return f"{value}{score.detail}".strip()


def pair_json(pair: Pair) -> str:
    """Return a pair as JSON, with its verdict in words."""
    told = {**asdict(pair), "p_value": pair.p_value, "better": pair.better, "test": pair.test}
    return json.dumps({**told, "sentence": pair.sentence}, indent=2)
