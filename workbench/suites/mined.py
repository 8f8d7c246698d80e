"""Suites mined from a crawled corpus: a function's documentation asks for the function."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.corpus import open_corpus
from workbench.corpus.mining import SPLITS, mine
from workbench.corpus.windows import Lines
from workbench.errors import BadInput
from workbench.suites.records import Query, RetrievalSuite, Unit, suite_digest

if TYPE_CHECKING:
    from workbench.corpus.mining import Mined, MinedFunction
    from workbench.types import Document


def load(corpus: str) -> RetrievalSuite:
    """Mine the suite of a crawled corpus; the same corpus gives the same suite.

    Raises:
        MissingCorpus: none was crawled under that name.
        BadInput: no query could be mined from it.
    """
    opened = open_corpus(corpus)
    return mined_suite(opened.name, mine(opened.documents()))


def mined_suite(corpus: str, mined: Mined) -> RetrievalSuite:
    """Turn what was mined into a suite; near duplicates of a function are right with it.

    Raises:
        BadInput: no query was mined.
    """
    queries: dict[str, tuple[Query, ...]] = {
        split: tuple(
            Query(pair.id, pair.query, dict.fromkeys((pair.id, *pair.twins), 1), one_suffices=True)
            for pair in mined.split(split)
        )
        for split in SPLITS
    }
    queries = {split: asked for split, asked in queries.items() if asked}
    if not queries:
        raise BadInput(
            f"No query could be mined from {corpus}: none of its"
            f" {mined.counts.get('functions', 0):,} functions has a sentence that describes it.",
            "Take a corpus with documented functions.",
        )
    documents, places = _uniquely_named(mined.documents)
    units = tuple(_units(mined.functions, places))
    return RetrievalSuite(
        name=f"mined:{corpus}",
        documents=documents,
        units=units,
        queries=queries,
        default_split="test" if "test" in queries else next(iter(queries)),
        license=None,
        note=(
            f"Mined from the corpus {corpus}: the first sentence of a function's documentation,"
            " which is removed from the code, asks for the function; near duplicates are right,"
            " too. Nobody typed these queries: they rank embedders, and flatter them all."
        ),
        digest=suite_digest(documents, units, queries),
    )


def _uniquely_named(
    documents: Iterable[Document],
) -> tuple[tuple[Document, ...], Mapping[str, Sequence[Document]]]:
    """Return the documents, and by path as mined the ones that were called so.

    Sources of one corpus may share a path, as ``setup.py``: there the source is put before it.
    The same file of the same source is kept once.
    """
    called: dict[str, dict[str, Document]] = defaultdict(dict)
    for document in documents:
        called[document.path].setdefault(document.source, document)
    places = {
        path: [
            replace(one, path=f"{one.source}/{path}") if len(copies) > 1 else one
            for one in copies.values()
        ]
        for path, copies in called.items()
    }
    return tuple(one for copies in places.values() for one in copies), places


def _units(
    functions: Iterable[MinedFunction], places: Mapping[str, Sequence[Document]]
) -> Iterator[Unit]:
    for function in functions:
        candidates = places[function.path]
        rows = slice(function.start_line - 1, function.end_line)
        for document in candidates:
            if len(candidates) == 1 or "\n".join(Lines(document).texts[rows]) == function.text:
                yield Unit(function.id, document.path, function.start_line, function.end_line)
