"""What an embedder is trained on: a query, the function that answers it, functions that do not."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.corpus.mining import MinedPair
from workbench.progress import bar

# Words that people leave out when they type a question into a search box.
_FILLERS = frozenset({"a", "an", "the", "this", "that", "of", "given", "if", "its", "their"})
_OPENINGS = ("python", "how to", "python how to", "")
_PLAIN = re.compile(r"[^\w\s+#.-]|[.](?=\s|$)")
_THIRD_PERSON = re.compile(r"^(\w{2,}(?:[^s\W]))s$")
_BM25_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Example:
    """One row of training: ``negatives`` are functions that answer something else."""

    query: str
    positive: str
    negatives: tuple[str, ...] = ()


def make_examples(
    pairs: Sequence[MinedPair],
    *,
    web_style: float,
    documented: float,
    hard_negatives: int,
    seed: int,
) -> list[Example]:
    """Turn pairs into rows; the same arguments give the same rows.

    ``web_style`` is the share of queries that are rewritten as people type them, ``documented``
    that of functions that keep their documentation (as those of a corpus do that is searched).
    Of functions that are near duplicates only the first is kept: in one batch with another, it
    would be its wrong answer. Each row has ``hard_negatives`` functions, the best by BM25 that
    are neither near duplicates nor documented by the same words.
    """
    chosen = list(_one_of_twins(pairs))
    rng = random.Random(seed)
    texts = [pair.documented if rng.random() < documented else pair.text for pair in chosen]
    queries = [
        in_web_style(pair.query, pair.language, rng) if rng.random() < web_style else pair.query
        for pair in chosen
    ]
    negatives: list[list[int]] = [[] for _ in chosen]
    if hard_negatives:
        negatives = list(_hard_negatives(chosen, hard_negatives))
    return [
        Example(query, text, tuple(texts[i] for i in wrong))
        for query, text, wrong in zip(queries, texts, negatives, strict=True)
        if len(wrong) == hard_negatives
    ]


def in_web_style(query: str, language: str, rng: random.Random) -> str:
    """Rewrite a sentence of documentation as a search: ``python how to sort list by key``."""
    words = _PLAIN.sub(" ", query.lower()).split()
    kept = [word for word in words if word not in _FILLERS] or words
    kept[0] = _THIRD_PERSON.sub(r"\1", kept[0]).removesuffix("'")
    opening = rng.choice(_OPENINGS).replace("python", language)
    if kept[0] in ("return", "returns", "get") and rng.random() < 0.5:
        kept = kept[1:] or kept
    text = f"{opening} {' '.join(kept)}".strip()
    if not opening and rng.random() < 0.5:
        text = f"{text} in {language}"
    return text


def _one_of_twins(pairs: Sequence[MinedPair]) -> Iterator[MinedPair]:
    seen: set[str] = set()
    for pair in pairs:
        if pair.id not in seen:
            seen.update(pair.twins, (pair.id,))
            yield pair


def _hard_negatives(pairs: Sequence[MinedPair], count: int) -> Iterator[list[int]]:
    """Yield for each pair the positions of up to ``count`` others that share its words."""
    from workbench.retrieval.lexical import BM25View

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "bm25"
        BM25View.build(folder, [pair.text for pair in pairs])
        view = BM25View(folder)
        for pair in bar(pairs, desc="Hard negatives", unit=" queries"):
            others = [
                position
                for position, _ in view.search(pair.query, _BM25_DEPTH)
                if (other := pairs[position]).id != pair.id
                and other.id not in pair.twins
                and other.query.lower() != pair.query.lower()
            ]
            yield others[:count]
