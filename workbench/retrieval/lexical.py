"""BM25 over the words of code."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import bm25s
import numpy as np

from workbench.retrieval.text import code_words

K1 = 1.5
B = 0.75


class BM25View:
    """Positions of chunks by BM25, in Lucene's form (Kamphuis et al. 2020), k1 1.5 and b 0.75."""

    def __init__(self, folder: Path) -> None:
        self._index = bm25s.BM25.load(folder, load_corpus=False)

    @staticmethod
    def build(folder: Path, texts: Iterable[str]) -> None:
        """Count the words of ``texts`` and save the index into ``folder``."""
        vocabulary: dict[str, int] = {"": 0}
        documents = [
            # A document without a word gets the empty one: bm25s divides by the mean length.
            [vocabulary.setdefault(word, len(vocabulary)) for word in code_words(text) or [""]]
            for text in texts
        ]
        index = bm25s.BM25(k1=K1, b=B, method="lucene")
        index.index((documents, vocabulary), show_progress=False)
        index.save(folder, show_progress=False)

    def search(self, query: str, k: int) -> list[tuple[int, float]]:
        """Return at most ``k`` (position, score), best first, equal scores by position.

        A chunk that shares no word with the query is not returned.
        """
        words = self._index.get_tokens_ids(code_words(query))
        if not words:
            return []
        scores = self._index.get_scores_from_ids(words)
        found = np.flatnonzero(scores > 0)
        if len(found) > k:
            least = np.partition(scores[found], len(found) - k)[len(found) - k]
            found = found[scores[found] >= least]
        order = np.lexsort((found, -scores[found]))[:k]
        return [(int(position), float(scores[position])) for position in found[order]]
