"""BLEU, chrF and TER by sacreBLEU, from 0 to 100 (TER: and beyond).

A score carries sacreBLEU's own statistics of its answer, and the figure of a suite is computed
from their sum: it is what ``corpus_score`` gives for the same answers, which no mean of sentence
scores is. sacreBLEU has no public name for these statistics; ``tests/test_metrics_text.py`` holds
the figures to its public calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from workbench.metrics.mean import CannotJudge, reference_texts
from workbench.types import Answer, Example, Score


@dataclass(frozen=True, slots=True)
class Corpus:
    """A metric of sacreBLEU: ``of_one`` values one answer, ``of_all`` a sum over answers.

    ``signature`` is that of the figure. ``references`` is how many of an example's references
    count, None for all that it has.
    """

    name: str
    signature: str
    higher_is_better: bool
    references: int | None
    of_one: Any
    of_all: Any

    def score(self, answer: Answer, example: Example) -> Score:
        """Value one answer against its references; one without text is as bad as can be."""
        try:
            texts = reference_texts(example, self.references)
        except CannotJudge as error:
            return Score(self.name, None, str(error))
        (found,) = self.of_all._extract_corpus_statistics([answer.text], [[one] for one in texts])
        statistics = tuple(float(number) for number in found)
        return Score(self.name, _value(self.of_one, statistics), statistics=statistics)

    def aggregate(self, by_question: Sequence[Sequence[Score]]) -> float | None:
        """Return the corpus score over all samples of all questions, each of them one segment."""
        judged = [
            score.statistics
            for samples in by_question
            for score in samples
            if score.value is not None
        ]
        sums = [sum(column) for column in zip(*judged, strict=True)]
        return _value(self.of_all, sums) if judged else None


def bleu(
    *,
    references: int | None = None,
    lowercase: bool = False,
    tokenize: str = "13a",
) -> Corpus:
    """Make BLEU (Papineni et al., ACL 2002; Post, WMT 2018), exponential smoothing.

    A single answer is valued with effective order, as sacreBLEU advises for sentences.
    """
    options: dict[str, Any] = {"lowercase": lowercase, "tokenize": tokenize}
    one = BLEU(effective_order=True, **options)
    return _corpus("BLEU", "BLEU", BLEU(**options), one=one, references=references)


def chrf(
    *,
    references: int | None = None,
    word_order: int = 0,
    lowercase: bool = False,
) -> Corpus:
    """Make chrF2 (Popovic, WMT 2015), with runs of up to ``word_order`` words beside characters."""
    metric = CHRF(word_order=word_order, lowercase=lowercase)
    more = "+" * word_order
    return _corpus(f"chrF{more}", f"chrF2{more}", metric, references=references)


def chrf_words(**options: Any) -> Corpus:
    """Make chrF2++ (Popovic, WMT 2017): with words and pairs of them."""
    return chrf(word_order=2, **options)


def ter(
    *,
    references: int | None = None,
    case_sensitive: bool = False,
    normalized: bool = False,
) -> Corpus:
    """Make the translation edit rate (Snover et al., AMTA 2006): edits per 100 reference words."""
    metric = TER(case_sensitive=case_sensitive, normalized=normalized)
    return _corpus("TER", "TER", metric, references=references, higher_is_better=False)


def _corpus(
    name: str,
    official: str,
    metric: Any,
    *,
    references: int | None,
    one: Any = None,
    higher_is_better: bool = True,
) -> Corpus:
    metric.num_refs = -1 if references is None else references  # -1: "var" in its signature
    signature = f"{official}|{metric.get_signature()}"
    return Corpus(name, signature, higher_is_better, references, one or metric, metric)


def _value(metric: Any, statistics: Sequence[float]) -> float:
    return float(metric._compute_score_from_stats(list(statistics)).score)
