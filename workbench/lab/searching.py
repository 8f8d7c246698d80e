"""How a suite is searched: its chunks, its index, and the ranking of units that hits amount to."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.corpus import DEFAULT_CHUNKER, make_chunker
from workbench.progress import bar
from workbench.retrieval import DEFAULT_EMBEDDER, Index, build_index, list_indexes
from workbench.types import Chunk, Hit

if TYPE_CHECKING:
    from workbench.lab.records import Arm
    from workbench.suites.records import Query, RetrievalSuite
    from workbench.types import Chunker, Document

WHOLE = "whole"
"""The chunker that does not cut."""
_NUMBER = "#"


@dataclass(frozen=True, slots=True)
class WholeDocuments:
    """Makes each document one chunk, as BEIR and CoSQA are searched everywhere."""

    @property
    def fingerprint(self) -> str:
        """Identify the chunker and its version."""
        return "whole documents|v1"

    def chunk(self, document: Document) -> list[Chunk]:
        """Return the document as its only chunk."""
        key = f"{document.source}\0{document.path}\0{document.text}"
        return [
            Chunk(
                id=hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32],
                text=document.text,
                path=document.path,
                start_line=1,
                end_line=document.text.count("\n") + 1,
                language=document.language,
                symbol=None,
                source=document.source,
                license=document.license,
            )
        ]


def usual_chunker(suite: RetrievalSuite) -> str:
    """Name the chunker that a suite is searched with unless another is asked for."""
    return WHOLE if suite.is_whole else DEFAULT_CHUNKER


def chunker_called(name: str) -> Chunker:
    """Return the chunker called ``name``, "whole" included.

    Raises:
        UnknownName: no chunker is called so.
    """
    return WholeDocuments() if name == WHOLE else make_chunker(name)


def suite_index(suite: RetrievalSuite, embedder: str, chunker: str) -> Index:
    """Return the index of a suite, built where there is none yet.

    Raises:
        UnknownName: no embedder or chunker is called so.
        InUse: another process is building it.
        MissingModel: the embedder's weights are not to be had.
    """
    cutter = chunker_called(chunker)
    return build_index(
        _corpus_name(suite),
        lambda: suite_chunks(suite, cutter),
        embedder,
        corpus_digest=suite.digest,
        chunker_fingerprint=chunker_fingerprint(suite, cutter),
    )


class Indexes:
    """The indexes of a suite. One that cannot be built is tried once, and fails each time."""

    def __init__(self, suite: RetrievalSuite) -> None:
        self._suite = suite
        self._failed: dict[tuple[str, str], Exception] = {}

    def of(self, arm: Arm, carriers: Sequence[str] = ()) -> Index:
        """Return the index that an arm searches.

        An arm without an embedder searches words, which are the same whatever the embedder: the
        first of ``carriers`` that works will do, or one that the suite is indexed by, or the
        default one.

        Raises:
            WorkbenchError: it cannot be built; whatever else a model may raise.
        """
        if arm.embedder is not None:
            return self._of(arm.embedder, arm.chunker)
        errors = []
        others = () if carriers else self._built(arm.chunker)
        for embedder in dict.fromkeys((*carriers, *others, DEFAULT_EMBEDDER)):
            try:
                return self._of(embedder, arm.chunker)
            except Exception as error:  # a model of somebody else's may raise anything
                errors.append(error)
        raise errors[0]

    def _built(self, chunker: str) -> Iterator[str]:
        """Yield the embedders that the suite is indexed by, cut in this way."""
        cut = chunker_fingerprint(self._suite, chunker_called(chunker))
        wanted = (_corpus_name(self._suite), self._suite.digest, cut)
        for info in list_indexes():
            if (info.corpus, info.corpus_digest, info.chunker) == wanted:
                yield info.embedder

    def _of(self, embedder: str, chunker: str) -> Index:
        key = (embedder, chunker)
        if key in self._failed:
            raise self._failed[key]
        try:
            return suite_index(self._suite, embedder, chunker)
        except Exception as error:
            self._failed[key] = error
            raise


def chunker_fingerprint(suite: RetrievalSuite, chunker: Chunker) -> str:
    """Identify how a suite is cut, and whether its paths are indexed."""
    return f"{chunker.fingerprint}|no paths" if suite.paths_are_ids else chunker.fingerprint


def suite_chunks(suite: RetrievalSuite, chunker: Chunker) -> Iterator[Chunk]:
    """Yield the chunks to index. Paths that are ids move to the chunk's id, out of the text."""
    for document in bar(suite.documents, desc=f"Chunking {suite.name}", unit=" documents"):
        for number, chunk in enumerate(chunker.chunk(document)):
            if suite.paths_are_ids:
                yield replace(chunk, id=f"{chunk.path}{_NUMBER}{number}", path="")
            else:
                yield chunk


class Units:
    """Which units of a suite a chunk overlaps, and what ranking of units hits amount to.

    Chunkers cut differently, so hits are not comparable, but what they lead to is: reading them
    from the top, each hit stands for the units that its rows overlap, the one with most rows in
    it first, and a unit counts where it is met first, as a document does by its best passage
    (MaxP: Dai and Callan, SIGIR 2019; BEIR and MTEB rank whole documents so). A chunk that
    overlaps no unit is one wrong answer. So cutting finer gains nothing by listing one function
    five times, and cutting coarser pays where a chunk holds other functions, too.
    """

    def __init__(self, suite: RetrievalSuite) -> None:
        self._paths_are_ids = suite.paths_are_ids
        self._at: dict[str, list[tuple[int, float, str]]] = defaultdict(list)
        for unit in suite.units:
            end = float("inf") if unit.end_line is None else unit.end_line
            self._at[unit.path].append((unit.start_line, end, unit.id))
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, chunk: Chunk) -> tuple[str, ...]:
        """Return the ids of the units that a chunk overlaps, by rows shared, then by place."""
        if chunk.id not in self._known:
            path = self.located(chunk).path
            shared = [
                (min(end, chunk.end_line) - max(start, chunk.start_line) + 1, start, id_)
                for start, end, id_ in self._at.get(path, ())
                if start <= chunk.end_line and end >= chunk.start_line
            ]
            shared.sort(key=lambda one: (-one[0], one[1]))
            self._known[chunk.id] = tuple(dict.fromkeys(id_ for _, _, id_ in shared))
        return self._known[chunk.id]

    def located(self, chunk: Chunk) -> Chunk:
        """Return a chunk of the index with the path of its document."""
        if self._paths_are_ids:
            return replace(chunk, path=chunk.id.rpartition(_NUMBER)[0])
        return chunk

    def is_right(self, chunk: Chunk, query: Query) -> bool:
        """Say whether a chunk overlaps a unit that answers the query."""
        return any(query.relevant.get(id_, 0) > 0 for id_ in self.of(chunk))

    def ranking(self, hits: Iterable[Hit], query: Query) -> list[Hashable]:
        """Return what the hits of a query lead to, best first, each once.

        Where one right answer suffices, all of them appear as the one that ``answers`` names.
        """
        met: dict[Hashable, None] = {}
        for hit in hits:
            for id_ in self.of(hit.chunk) or (("chunk", hit.chunk.id),):
                suffices = query.one_suffices and id_ in query.relevant
                met[_ANSWER if suffices else id_] = None
        return list(met)


_ANSWER = ("answer",)


def answers(query: Query) -> Mapping[Any, int]:
    """Return the gains of what ``Units.ranking`` lists for a query."""
    if query.one_suffices:
        return {_ANSWER: max(query.relevant.values())}
    return query.relevant


def _corpus_name(suite: RetrievalSuite) -> str:
    """Return the name under which a suite is indexed: two suites never share one."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", suite.name).strip("-")
    if slug == suite.name:
        return f"suite-{slug}"
    return f"suite-{slug[:60]}-{hashlib.sha256(suite.name.encode()).hexdigest()[:8]}"
