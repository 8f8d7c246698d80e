"""BM25 over the words of code."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import bm25s
import numpy as np

from workbench.retrieval.ranking import best
from workbench.retrieval.text import code_words, identifiers, words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

K1 = 1.5
B = 0.75

# The words of each text in their order, as numbers; how many each has; the texts' sha256.
_WORDS, _LENGTHS, _TEXTS = "words.npy", "lengths.npy", "texts.npy"


class BM25View:
    """Positions of chunks by BM25, in Lucene's form (Kamphuis et al. 2020), k1 1.5 and b 0.75."""

    def __init__(self, folder: Path) -> None:
        self._index = bm25s.BM25.load(folder, load_corpus=False)

    @staticmethod
    def build(folder: Path, texts: Sequence[str], before: Path | None = None) -> None:
        """Count the words of ``texts`` and save the index into ``folder``.

        ``before`` is the folder of an earlier build, whose texts are not read again. The files
        are those of a build without it, byte for byte.
        """
        counted = _count(texts, before)
        folder.mkdir()
        np.save(folder / _WORDS, counted.words)
        np.save(folder / _LENGTHS, counted.lengths)
        np.save(folder / _TEXTS, counted.texts)
        index = bm25s.BM25(k1=K1, b=B, method="lucene")
        index.scores = _scores(counted)
        index.nonoccurrence_array = None  # only other forms of BM25 have one
        index.vocab_dict = {word: number for number, word in enumerate(counted.vocabulary)}
        index.save(folder, show_progress=False)

    def search(self, query: str, k: int, allowed: Mask | None = None) -> list[tuple[int, float]]:
        """Return at most ``k`` (position, score), best first, equal scores by position.

        A chunk that shares no word with the query is not returned, nor one whose place in
        ``allowed``, bool[chunks], is False.
        """
        words = self._index.get_tokens_ids(code_words(query))
        if not words:
            return []
        scores = self._index.get_scores_from_ids(words)
        found = np.flatnonzero(scores > 0 if allowed is None else (scores > 0) & allowed)
        return best(scores[found], found, k)

    def contributions(self, query: str, position: int) -> dict[str, float]:
        """Return what each word of the query that the chunk has adds to its score.

        The values sum to the score; a word that the query says twice counts twice.
        """
        matrix = self._index.scores
        summands: dict[str, float] = {}
        for word in code_words(query):
            number = self._index.vocab_dict.get(word)
            if number is None:
                continue
            start, end = matrix["indptr"][number : number + 2]
            row = start + np.searchsorted(matrix["indices"][start:end], position)
            if row < end and matrix["indices"][row] == position:
                summands[word] = summands.get(word, 0.0) + float(matrix["data"][row])
        return summands


@dataclass(frozen=True, slots=True)
class _Counted:
    """Words of all texts, numbered in the order in which they first appear.

    ``words`` is int32[all words], ``lengths`` int32[texts], ``texts`` uint8[texts, 32].
    """

    words: NDArray[np.int32]
    lengths: NDArray[np.int32]
    texts: NDArray[np.uint8]
    vocabulary: list[str]


def _count(texts: Sequence[str], before: Path | None) -> _Counted:
    """Turn texts into numbers of words; those that ``before`` has are looked up."""
    known = _read(before) if before else None
    vocabulary = {word: number for number, word in enumerate(known.vocabulary if known else ())}
    # The same names come again and again: each is split once.
    split: dict[str, list[int]] = {}
    rows: dict[bytes, int] = {}
    ends = np.empty(0, np.int64)
    if known:
        rows = {key.tobytes(): row for row, key in enumerate(known.texts)}
        ends = np.cumsum(known.lengths, dtype=np.int64)

    def numbers(text: str) -> list[int]:
        found: list[int] = []
        for name in identifiers(text):
            if name not in split:
                split[name] = [vocabulary.setdefault(w, len(vocabulary)) for w in words_of(name)]
            found += split[name]
        # A document without a word gets the empty one, so that no length is zero.
        return found or [vocabulary.setdefault("", len(vocabulary))]

    keys, parts = [], []
    for text in texts:
        key = hashlib.sha256(text.encode()).digest()
        keys.append(key)
        row = rows.get(key)
        if known is not None and row is not None:
            parts.append(known.words[ends[row] - known.lengths[row] : ends[row]])
        else:
            parts.append(np.array(numbers(text), np.int32))
    words, used = _by_first_appearance(np.concatenate(parts), len(vocabulary))
    spelled = list(vocabulary)
    return _Counted(
        words,
        np.array([len(part) for part in parts], np.int32),
        np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32),
        [spelled[number] for number in used],
    )


def _by_first_appearance(
    words: NDArray[np.int32], size: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number words anew in the order in which they appear; return the old number of each, too."""
    first = np.full(size, -1, np.int64)
    first[words[::-1]] = np.arange(len(words) - 1, -1, -1)  # of equal ones the last write stays
    used = np.flatnonzero(first >= 0)
    used = used[np.argsort(first[used])]
    new = np.empty(size, np.int32)
    new[used] = np.arange(len(used), dtype=np.int32)
    return new[words], used


def _read(folder: Path) -> _Counted:
    vocabulary = bm25s.BM25.load(folder, load_corpus=False).vocab_dict
    words, lengths, texts = (np.load(folder / name) for name in (_WORDS, _LENGTHS, _TEXTS))
    return _Counted(words, lengths, texts, sorted(vocabulary, key=vocabulary.__getitem__))


def _scores(counted: _Counted) -> dict[str, object]:
    """Return the matrix of summands that bm25s searches, a column (CSC) for each word.

    It is what ``bm25s.BM25.index`` computes, in a fifth of its time: idf times
    ``tf / (tf + k1 (1 - b + b length / mean length))``, idf with Lucene's one inside the log.
    """
    count, lengths = len(counted.lengths), counted.lengths.astype(np.float64)
    text = np.repeat(np.arange(count, dtype=np.int64), counted.lengths)
    pairs = np.sort(counted.words * np.int64(count) + text)
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))
    tf = np.diff(np.append(starts, len(pairs)))
    word, text = np.divmod(pairs[starts], count)
    having = np.bincount(word, minlength=len(counted.vocabulary))
    idf = np.log(1 + (count - having + 0.5) / (having + 0.5))
    weight = tf / (tf + K1 * (1 - B + B * lengths[text] / lengths.mean()))
    return {
        "data": (idf[word] * weight).astype(np.float32),
        "indices": text.astype(np.int32),
        "indptr": np.concatenate([[0], np.cumsum(having)]),
        "num_docs": count,
    }
