"""CodeBLEU of a corpus in one call, and as a metric of an evaluation."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import get_args

from workbench.errors import BadInput, UnknownName
from workbench.languages import LANGUAGES, find_language
from workbench.languages import language as language_of
from workbench.metrics.codebleu.counts import Counts, Variant, count, total
from workbench.metrics.codebleu.ngrams import bleu
from workbench.metrics.mean import CannotJudge, library, reference_texts
from workbench.types import Answer, Example, Score

Weights = tuple[float, float, float, float]
WEIGHTS: Weights = (0.25, 0.25, 0.25, 0.25)
REFERENCE_VERSION = "codebleu-0.7.0"
"""The package whose numbers the reference variant gives."""


@dataclass(frozen=True, slots=True)
class CodeBleuScore:
    """CodeBLEU and its four parts, each from 0 to 100.

    ``dataflow`` is None in the corrected variant where no reference has any data flow; in the
    reference variant it is 0 then, and counts as 100 in ``total``.
    """

    total: float
    ngram: float
    weighted: float
    syntax: float
    dataflow: float | None
    signature: str

    def __str__(self) -> str:
        flow = "none" if self.dataflow is None else f"{self.dataflow:.1f}"
        parts = f"{self.ngram:.1f}/{self.weighted:.1f}/{self.syntax:.1f}/{flow}"
        return f"CodeBLEU {self.total:.1f} ({parts})"


def codebleu(
    candidates: Sequence[str],
    references: Sequence[str | Sequence[str]],
    language: str,
    weights: Sequence[float] = WEIGHTS,
    variant: Variant = "reference",
) -> CodeBleuScore:
    """Return the CodeBLEU of a corpus of candidates, each with one reference or several.

    Counts are summed over the corpus before any share is taken, as the reference implementation
    does: this is not the mean of the candidates' scores. ``weights`` are those of the n-gram, the
    weighted n-gram, the syntactic and the data-flow part. The module's docstring says what the
    variants are.

    Raises:
        UnknownName: there is no such language or variant.
        BadInput: there is no candidate, one has no reference, or the weights are not four.
    """
    name = language_of(language).name
    checked = _check(weights, variant)
    if not candidates or len(candidates) != len(references):
        raise BadInput(
            f"CodeBLEU got {len(candidates)} candidates and references for {len(references)}.",
            "Hand in at least one candidate, and its references for each.",
        )
    rows = []
    for candidate, known in zip(candidates, references, strict=True):
        texts = [known] if isinstance(known, str) else list(known)
        if not texts:
            raise BadInput("A candidate has no reference.", "Leave it out.")
        rows.append(count(candidate, texts, name, variant).sums)
    return _score(total(rows), checked, variant, signature(name, checked, variant))


class CodeBleu:
    """CodeBLEU as a metric, 0 to 100; the figure of a suite sums counts over all its answers.

    ``language`` None takes that of the question's target, or else of the answer. The references
    are the texts of the example; where there is none, or the language has no grammar here, an
    answer cannot be judged. Samples of one question count as answers of their own, and answers in
    several languages are summed as if in one. The ``statistics`` of a score are its sums.
    """

    name = "CodeBLEU"
    higher_is_better = True

    def __init__(
        self,
        language: str | None = None,
        weights: Sequence[float] = WEIGHTS,
        variant: Variant = "reference",
    ) -> None:
        """Choose the settings.

        Raises:
            UnknownName: there is no such language or variant.
            BadInput: the weights are not four.
        """
        self.language = None if language is None else language_of(language).name
        self.weights = _check(weights, variant)
        self.variant: Variant = variant

    @property
    def signature(self) -> str:
        """All that decides a value: language, weights, variant, versions of the grammars."""
        return signature(self.language, self.weights, self.variant)

    def score(self, answer: Answer, example: Example) -> Score:
        """Compare an answer with the texts of the reference."""
        try:
            language = language_for(answer, example, self.language)
            texts = reference_texts(example)
        except CannotJudge as error:
            return Score(self.name, None, str(error))
        counts = count(answer.text, texts, language, self.variant)
        score = _score(counts, self.weights, self.variant, "")
        return Score(self.name, score.total, str(score), counts.sums)

    def aggregate(self, by_question: Sequence[Sequence[Score]]) -> float | None:
        """Return the CodeBLEU of the summed counts of all scores; None where there are none."""
        rows = [
            score.statistics
            for scores in by_question
            for score in scores
            if score.value is not None
        ]
        return _score(total(rows), self.weights, self.variant, "").total if rows else None


def language_for(answer: Answer, example: Example, language: str | None = None) -> str:
    """Return ``language``, or that which the question wants, or else that of the answer.

    Raises:
        CannotJudge: none of them is known, or there is no grammar for it.
    """
    asked = language or example.question.target_language or answer.language
    known = find_language(asked) if asked else None
    if known is None:
        raise CannotJudge(f"no grammar for {asked}" if asked else "no language")
    return known.name


@cache  # the versions of packages are read from disk
def signature(language: str | None, weights: Weights, variant: Variant) -> str:
    """Name all that decides a value: ``CodeBLEU|lang:go|w:.25,.25,.25,.25|v:reference|...``.

    With ``lang:each`` the language is each answer's own.
    """
    shares = ",".join(f"{weight:g}".removeprefix("0") or "0" for weight in weights)
    names = [one.name for one in LANGUAGES] if language is None else [language]
    fields = [f"CodeBLEU|lang:{language or 'each'}", f"w:{shares}", f"v:{variant}"]
    if variant == "reference":
        fields.append(f"of:{REFERENCE_VERSION}")
        if "python" in names:
            fields.append("python:" + ".".join(platform.python_version_tuple()[:2]))
    grammars = ",".join(_grammar_version(name) for name in names)
    # How a broken text is read changes with tree-sitter itself, also between its patch releases.
    fields += [f"grammar:{grammars}", f"tree-sitter:{version('tree-sitter')}"]
    return "|".join((*fields, library("code-workbench")))


def _grammar_version(language: str) -> str:
    package = language_of(language).grammar.partition(":")[0].replace("_", "-")
    return f"{package.removeprefix('tree-sitter-')}-{version(package)}"


def _check(weights: Sequence[float], variant: str) -> Weights:
    if variant not in get_args(Variant):
        raise UnknownName("variant of CodeBLEU", variant, get_args(Variant))
    if len(weights) != 4 or any(weight < 0 for weight in weights) or not math.fsum(weights):
        raise BadInput(
            f"CodeBLEU has four parts; the weights are {', '.join(map(str, weights)) or 'none'}.",
            "Give four numbers from 0 up, e.g. 0.25,0.25,0.25,0.25.",
        )
    one, two, three, four = weights
    return (one, two, three, four)


def _score(counts: Counts, weights: Weights, variant: Variant, signed: str) -> CodeBleuScore:
    """Turn counts into shares, and those into the weighted sum."""
    ngram = bleu(counts.ngram, counts.length, counts.reference_length)
    weighted = bleu(counts.weighted, counts.length, counts.weighted_reference_length)
    syntax = counts.syntax[0] / counts.syntax[1]
    flow = counts.dataflow[0] / counts.dataflow[1] if counts.dataflow[1] else None
    if variant == "reference":
        flow = flow or 0.0
        parts = (ngram, weighted, syntax, flow or 1.0)
        whole = math.fsum(map(math.prod, zip(weights, parts, strict=True)))
    else:
        whole = _mean((ngram, weighted, syntax, flow), weights)
    return CodeBleuScore(
        100 * whole,
        100 * ngram,
        100 * weighted,
        100 * syntax,
        None if flow is None else 100 * flow,
        signed,
    )


def _mean(parts: Sequence[float | None], weights: Weights) -> float:
    """Return the weighted mean of the parts that there are."""
    there = [
        (part, weight) for part, weight in zip(parts, weights, strict=True) if part is not None
    ]
    whole = math.fsum(weight for _, weight in there)
    return math.fsum(part * weight for part, weight in there) / whole if whole else 0.0
