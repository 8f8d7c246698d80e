"""Leave out documents that were there before, word by word or nearly so."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.corpus.entries import Skip
from workbench.corpus.filters.rule import Filter
from workbench.corpus.filters.tokens import ngrams
from workbench.types import Document

if TYPE_CHECKING:
    from datasketch import MinHash, MinHashLSH

    from workbench.corpus.filters.tokens import Hashes

DUPLICATE = "duplicate"
"""The same text but for white space at line ends and blank lines."""
NEAR_DUPLICATE = "near duplicate"
"""Nearly the same tokens: another version of the file, or a copy with another header."""

NGRAM = 5
"""Tokens of a shingle; Lee et al. 2022 and The Stack's deduplication use 5-grams too."""
BANDS, ROWS = 16, 8
"""LSH that offers 99 of 100 pairs of similarity 0.85, 61 of similarity 0.7: 1 - (1 - s^8)^16."""
SKETCH = 1024
"""Smallest hashes that are kept of a document, to verify what the LSH offers."""
_SLICE = 1024  # n-grams hashed at once; times 128 permutations, they stay in the cache of a core


@dataclass(kw_only=True)
class Duplicates(Filter):
    """Remembers what passed; the first of two documents stays.

    Documents are near duplicates where the Jaccard similarity of their token 5-grams is at least
    ``similarity``. MinHash LSH (Broder 1997; datasketch) finds candidates; each is verified by
    the smallest 1,024 hashes of both (Beyer et al. 2007), which is exact up to 1,024 distinct
    5-grams and has a standard error of 0.011 beyond. A document of fewer than ``least`` distinct
    5-grams can only be an exact duplicate: of so short ones every template looks alike.

    A document takes 32 bytes, and some 14 kilobytes of sketch and LSH tables (measured) if it
    is among the first ``remembered``: together 300 megabytes at most. Later ones are compared
    with those, and with all others word by word.
    """

    similarity: float = 0.85
    least: int = 50
    remembered: int = 20_000
    _seen: set[bytes] = field(default_factory=set, init=False, repr=False)
    _sketches: list[Hashes] = field(default_factory=list, init=False, repr=False)
    _lsh: MinHashLSH | None = field(default=None, init=False, repr=False)
    _empty: MinHash | None = field(default=None, init=False, repr=False)

    def check(self, document: Document) -> Document:
        """Return the document, or skip it as "duplicate" or "near duplicate"."""
        lines = map(str.rstrip, document.text.splitlines())
        digest = hashlib.sha256("\n".join(filter(None, lines)).encode()).digest()
        if digest in self._seen:
            raise Skip(DUPLICATE)
        grams = ngrams(document.text, NGRAM)
        if grams.size >= self.least and self._is_near(grams):
            raise Skip(NEAR_DUPLICATE)
        self._seen.add(digest)
        return document

    def _is_near(self, grams: Hashes) -> bool:
        """Tell whether a document like this one was there; remember it if not."""
        lsh, minhash = self._tables()
        sketch = grams[:SKETCH].copy()  # a slice would keep the whole array alive
        for start in range(0, grams.size, _SLICE):
            minhash.update_batch(grams[start : start + _SLICE].astype(np.uint32).tolist())
        for candidate in lsh.query(minhash):
            if _similarity(sketch, self._sketches[candidate]) >= self.similarity:
                return True
        if len(self._sketches) < self.remembered:
            lsh.insert(len(self._sketches), minhash)
            self._sketches.append(sketch)
        return False

    def _tables(self) -> tuple[MinHashLSH, MinHash]:
        """Return the LSH, and a fresh MinHash that takes hashes as they are."""
        from datasketch import MinHash, MinHashLSH

        if self._lsh is None or self._empty is None:
            self._lsh = MinHashLSH(params=(BANDS, ROWS), num_perm=BANDS * ROWS)
            self._empty = MinHash(num_perm=BANDS * ROWS, seed=1, hashfunc=int)
        return self._lsh, self._empty.copy()


def _similarity(a: Hashes, b: Hashes) -> float:
    """Estimate the Jaccard similarity of two sets from their smallest hashes (both sorted)."""
    union = np.union1d(a, b)
    if a.size == SKETCH or b.size == SKETCH:
        union = union[:SKETCH]
    common = np.intersect1d(a, b, assume_unique=True)
    return float(np.isin(union, common, assume_unique=True).sum() / union.size)
