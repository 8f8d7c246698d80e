"""ROUGE-L by rouge-score, from 0 to 100."""

from __future__ import annotations

from rouge_score.rouge_scorer import RougeScorer

from workbench.metrics.mean import Mean, library, nrefs, reference_texts
from workbench.types import Answer, Example


def rouge_l(*, references: int | None = None, stem: bool = False) -> Mean:
    """Make ROUGE-L's F1 (Lin, Text Summarization Branches Out, 2004), of the best reference."""
    scorer = RougeScorer(["rougeL"], use_stemmer=stem)

    def judge(answer: Answer, example: Example) -> tuple[float, str]:
        found = scorer.score_multi(reference_texts(example, references), answer.text)["rougeL"]
        return 100 * float(found.fmeasure), ""

    stems = "yes" if stem else "no"
    signature = f"ROUGE-L|{nrefs(references)}|figure:F1|stem:{stems}|{library('rouge-score')}"
    return Mean("ROUGE-L", signature, judge)
