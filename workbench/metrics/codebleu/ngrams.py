"""The two n-gram parts of CodeBLEU: counts of one pair, and the figure of counts summed up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

ORDERS = (1, 2, 3, 4)
EPSILON = 0.1
"""What stands for no match: smoothing method 1 of Chen and Cherry (WMT 2014), as NLTK's."""
KEYWORD_WEIGHT, OTHER_WEIGHT = 1.0, 0.2

Grams = tuple[Counter[tuple[str, ...]], ...]
Pairs = tuple[tuple[float, float], ...]
"""Of each order from 1 to 4: what matches, and what could."""


def grams(tokens: Sequence[str]) -> Grams:
    """Count the n-grams of orders 1 to 4."""
    shifted = [tokens[start:] for start in range(len(ORDERS))]
    return tuple(Counter(zip(*shifted[:order], strict=False)) for order in ORDERS)


def precision(candidate: Grams, references: Sequence[Grams], least: int) -> Pairs:
    """Count the candidate's n-grams, and those in a reference, each at most as often as there.

    The modified precision of BLEU (Papineni et al., ACL 2002). What could match is taken for
    ``least`` where it is less: with 1, a text of three tokens has a 4-gram that does not match.
    """
    counted = []
    for order, counts in enumerate(candidate):
        known = [reference[order] for reference in references]
        matches = sum(min(count, max(one[gram] for one in known)) for gram, count in counts.items())
        counted.append((matches, max(least, counts.total())))
    return tuple(counted)


def weighted_recall(
    candidate: Grams, references: Sequence[Grams], keywords: Collection[str]
) -> Pairs:
    """Count the n-grams of all references, and those in the candidate; unigrams have weights.

    The paper defines a precision; this is what its implementation counts.
    """
    counted = []
    for order, counts in enumerate(candidate):
        matches = total = 0.0
        for reference in references:
            weights = _weights(reference[0], keywords) if order == 0 else {}
            found = {gram: min(count, counts[gram]) for gram, count in reference[order].items()}
            matches += _weigh(found, weights)
            total += max(1, _weigh(reference[order], weights))
        counted.append((matches, total))
    return tuple(counted)


def weighted_precision(
    candidate: Grams, references: Sequence[Grams], keywords: Collection[str]
) -> Pairs:
    """Count as ``precision`` does, but give unigrams weights (Ren et al. 2020, equation 1)."""
    plain = precision(candidate, references, least=0)
    weights = _weights(candidate[0], keywords)
    found = {
        gram: min(count, max(reference[0][gram] for reference in references))
        for gram, count in candidate[0].items()
    }
    return ((_weigh(found, weights), _weigh(candidate[0], weights)), *plain[1:])


def nearest_length(length: int, references: Sequence[int]) -> int:
    """Return the reference's length nearest to ``length``, the shorter of two."""
    return min(references, key=lambda one: (abs(one - length), one))


def bleu(pairs: Sequence[tuple[float, float]], length: float, reference_length: float) -> float:
    """Return the geometric mean of four shares times the brevity penalty, 0 to 1.

    A share without a match counts ``EPSILON`` matches; without a common unigram all is 0. Orders
    in which nothing could match are left out, as by the effective order of sacreBLEU.
    """
    if pairs[0][0] == 0 or length == 0:
        return 0.0
    logarithms = [math.log((matches or EPSILON) / total) for matches, total in pairs if total]
    mean = math.exp(math.fsum(logarithms) / len(logarithms))
    brevity = 1.0 if length > reference_length else math.exp(1 - reference_length / length)
    return brevity * mean


def _weights(
    unigrams: Mapping[tuple[str, ...], int], keywords: Collection[str]
) -> dict[tuple[str, ...], float]:
    return {gram: KEYWORD_WEIGHT if gram[0] in keywords else OTHER_WEIGHT for gram in unigrams}


def _weigh(
    counts: Mapping[tuple[str, ...], int], weights: Mapping[tuple[str, ...], float]
) -> float:
    if not weights:
        return sum(counts.values())
    return math.fsum(count * weights[gram] for gram, count in counts.items())
