"""What one candidate and its references have in common: sums that add up over a corpus."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from workbench.metrics.codebleu import keywords, ngrams
from workbench.metrics.codebleu.comments import blank_comments, strip_comments
from workbench.metrics.codebleu.dataflow import Flow, data_flow
from workbench.metrics.codebleu.ngrams import Grams, Pairs
from workbench.metrics.codebleu.trees import parse, tagged

Variant = Literal["reference", "corrected"]
Share = tuple[float, float]
"""What matches, and what could."""
WEIGHTED_LENGTH = 2
"""The length of every reference in the weighted part of the reference implementation, which takes
the length of a pair (tokens, weights): its brevity penalty never bites."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What there is to compare of a program's tree: its subtrees and its edges of data flow."""

    subtrees: Counter[int]
    flows: Counter[Flow]


@dataclass(frozen=True, slots=True)
class Program:
    """A reference, read once: the counts of its n-grams, its length in tokens, and its shape."""

    grams: Grams
    length: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Counts:
    """The sums of one or more pairs. ``ngram`` and ``weighted`` hold those of orders 1 to 4."""

    ngram: Pairs
    weighted: Pairs
    length: float
    reference_length: float
    weighted_reference_length: float
    syntax: Share
    dataflow: Share

    @property
    def sums(self) -> tuple[float, ...]:
        """All sums in a row."""
        pairs = (*self.ngram, *self.weighted, self.syntax, self.dataflow)
        lengths = (self.length, self.reference_length, self.weighted_reference_length)
        return tuple(float(number) for pair in (*pairs, lengths) for number in pair)

    @classmethod
    def of(cls, sums: Sequence[float]) -> Counts:
        """Read a row of sums."""
        *numbers, length, reference_length, weighted_length = sums
        pairs = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        lengths = (length, reference_length, weighted_length)
        return cls(pairs[:4], pairs[4:8], *lengths, syntax=pairs[8], dataflow=pairs[9])


def total(rows: Sequence[Sequence[float]]) -> Counts:
    """Sum up the rows of several pairs."""
    return Counts.of([math.fsum(column) for column in zip(*rows, strict=True)])


def count(candidate: str, references: Sequence[str], language: str, variant: Variant) -> Counts:
    """Compare one candidate with its references, of which there is at least one."""
    if variant == "corrected":
        return _count_corrected(candidate, references, language)
    return _count_as_reference(candidate, references, language)


def _count_as_reference(candidate: str, references: Sequence[str], language: str) -> Counts:
    tokens = candidate.split()
    counts = ngrams.grams(tokens)
    known = [_reference(text, language) for text in references]
    grams = [one.grams for one in known]
    syntax, dataflow = (0.0, 0.0), (0.0, 0.0)
    stripped, shape, shaped = candidate.strip(), None, None
    for one in known:
        # The candidate is stripped once more for each reference, which need not change nothing.
        stripped = strip_comments(stripped, language)
        if shape is None or stripped != shaped:
            shape, shaped = _shape_as_reference(stripped, language), stripped
        syntax = _plus(syntax, _shared_subtrees(shape, one.shape))
        dataflow = _plus(dataflow, _clipped(shape.flows, one.shape.flows))
    return Counts(
        ngrams.precision(counts, grams, least=1),
        ngrams.weighted_recall(counts, grams, keywords.REFERENCE[language]),
        len(tokens),
        ngrams.nearest_length(len(tokens), [one.length for one in known]),
        WEIGHTED_LENGTH,
        syntax,
        dataflow,
    )


@lru_cache(maxsize=4096)
def _reference(text: str, language: str) -> Program:
    """Read a reference; kept, as it is compared with many candidates."""
    tokens = text.split()
    stripped = strip_comments(text.strip(), language)
    return Program(ngrams.grams(tokens), len(tokens), _shape_as_reference(stripped, language))


def _shape_as_reference(text: str, language: str) -> Shape:
    tree = parse(text, language, by_characters=True)
    return Shape(tree.subtrees, Counter(data_flow(tree, language, corrected=False)))


def _count_corrected(candidate: str, references: Sequence[str], language: str) -> Counts:
    one = _read_corrected(candidate, language)
    known = [_reference_corrected(text, language) for text in references]
    grams = [other.grams for other in known]
    shapes = [other.shape for other in known]
    return Counts(
        ngrams.precision(one.grams, grams, least=0),
        ngrams.weighted_precision(one.grams, grams, keywords.CORRECTED[language]),
        one.length,
        nearest := ngrams.nearest_length(one.length, [other.length for other in known]),
        nearest,
        _best([_clipped(one.shape.subtrees, shape.subtrees) for shape in shapes]),
        _best([_clipped(one.shape.flows, shape.flows) for shape in shapes]),
    )


def _read_corrected(text: str, language: str) -> Program:
    tree = parse(blank_comments(tagged(text, language), language), language, by_characters=False)
    words = [token.text for token in tree.tokens if token.text]
    flows = Counter(data_flow(tree, language, corrected=True))
    return Program(ngrams.grams(words), len(words), Shape(tree.subtrees, flows))


_reference_corrected = lru_cache(maxsize=4096)(_read_corrected)


def _best(shares: Sequence[Share]) -> Share:
    """Return the share of the reference that is matched best; one with nothing to match is last."""
    return max(shares, key=lambda share: share[0] / share[1] if share[1] else -1.0)


def _shared_subtrees(candidate: Shape, reference: Shape) -> Share:
    """Count the reference's subtrees that the candidate has, however often it has them."""
    shared = sum(times for tree, times in reference.subtrees.items() if tree in candidate.subtrees)
    return shared, reference.subtrees.total()


def _clipped(candidate: Counter[Any], reference: Counter[Any]) -> Share:
    """Count the reference's items that the candidate has, each at most as often as there."""
    shared = sum(min(times, candidate[item]) for item, times in reference.items())
    return shared, reference.total()


def _plus(one: Share, other: Share) -> Share:
    return one[0] + other[0], one[1] + other[1]
