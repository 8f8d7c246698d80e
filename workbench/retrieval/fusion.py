"""Reciprocal rank fusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workbench.types import Hit

RRF_K = 60


def fuse(rankings: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
    """Merge rankings by the sum of ``1 / (60 + rank)``, each ranking with equal weight.

    The constant 60 is that of Cormack, Clarke and Buettcher, SIGIR 2009. Equal sums keep the
    order of first appearance, earlier rankings first. Only ranks count: scores of BM25 and
    cosine differ in scale.
    """
    scores: dict[str, float] = {}
    hits: dict[str, Hit] = {}
    for ranking in rankings:
        for hit in ranking:
            scores[hit.chunk.id] = scores.get(hit.chunk.id, 0.0) + 1.0 / (RRF_K + hit.rank)
            hits.setdefault(hit.chunk.id, hit)
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:k]
    return [replace(hits[id_], score=scores[id_], rank=i) for i, id_ in enumerate(best, 1)]
