"""Find the chunks of a corpus that contain solutions of a suite.

A model that is given such a chunk is given the answer. The rule is the containment of token
n-grams, as GPT-3's authors measured the overlap of their test sets with the training text (Brown
et al. 2020, appendix C: 13-grams of words); here the n-grams are of code tokens, and count for how
much of a solution stands in one place, not anywhere in a file.
"""

from __future__ import annotations

import builtins
import hashlib
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from workbench.corpus.filters.tokens import Tokens, rolling, tokenize
from workbench.progress import bar
from workbench.types import Chunk, Chunker, Document

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from workbench.corpus.filters.tokens import Hashes, Offsets

Kind = Literal["exact", "near", "renamed"]

VERSION = 1
"""Change it when the rule changes: it stands in the fingerprint of what was cut by it."""
NGRAM = 8
"""Tokens of an n-gram where names are compared: one or two lines of code."""
RENAMED_NGRAM = 10
"""Tokens of an n-gram where names of variables are not."""
SHORTEST = 9
"""Tokens below which a solution cannot be told from what anybody would write."""
SHORTEST_NEAR = 20
"""Tokens below which a solution must stand there exactly: of so few, half stand everywhere."""
SHORTEST_RENAMED = 40
"""Tokens below which names must be the same: short code has few shapes."""
LEAST = 10
"""n-grams that must be found of a solution that has more: ten are two or three lines in a row."""
COMMON = 0.01
"""Share of the solutions of a suite that may hold an n-gram, for it to say which one this is."""
SPREAD = 1.5
"""Length of text, in lengths of the solution, in which its n-grams must stand together."""


@dataclass(frozen=True, slots=True)
class Match:
    """A solution that stands in a document.

    ``share`` is that of the solution's n-grams that stand between ``start_line`` and
    ``end_line``. It is "exact" where all its tokens stand there in a row, "near" where the share
    is high, and "renamed" where it is so only if the names of variables are not compared.
    """

    solution: str
    chunks: tuple[Chunk, ...]
    start_line: int
    end_line: int
    share: float
    kind: Kind

    @property
    def location(self) -> str:
        """Name the place as ``heapq.py:120-141``."""
        return f"{self.chunks[0].path}:{self.start_line}-{self.end_line}"


@dataclass(frozen=True, slots=True)
class Contamination:
    """What was found: the matches, by document and line.

    ``solutions`` and ``documents`` are how many were compared; ``too_short`` are the solutions
    that could not be judged.
    """

    matches: tuple[Match, ...]
    solutions: int
    documents: int
    too_short: tuple[str, ...] = field(default=(), repr=False)

    @property
    def chunk_ids(self) -> frozenset[str]:
        """The ids of all chunks that hold a part of a solution."""
        return frozenset(chunk.id for match in self.matches for chunk in match.chunks)

    @property
    def found(self) -> frozenset[str]:
        """The ids of the solutions that were found."""
        return frozenset(match.solution for match in self.matches)

    @property
    def summary(self) -> str:
        """Say in a sentence what was found."""
        return (
            f"{len(self.found)} of {self.solutions:,} solutions stand in {len(self.chunk_ids)} "
            f"chunks of {self.documents:,} documents; {len(self.too_short)} are too short to judge."
        )

    def table(self) -> list[dict[str, Any]]:
        """Return a row a match: solution, kind, share, source, location and chunks."""
        return [
            {
                "solution": match.solution,
                "kind": match.kind,
                "share": round(match.share, 3),
                "source": match.chunks[0].source,
                "location": match.location,
                "chunks": [chunk.id for chunk in match.chunks],
            }
            for match in self.matches
        ]

    @property
    def df(self) -> pd.DataFrame:
        """The table of the matches."""
        import pandas as pd

        return pd.DataFrame(
            self.table(), columns=["solution", "kind", "share", "source", "location", "chunks"]
        )

    def _repr_html_(self) -> str:
        from workbench.report import code_html, style

        rows = "".join(
            f"<tr><td>{escape(match.solution)}</td><td>{match.kind}</td>"
            f"<td>{match.share:.0%}</td><td><details><summary>{escape(match.location)}</summary>"
            + "".join(code_html(chunk.text, chunk.language) for chunk in match.chunks)
            + "</details></td></tr>"
            for match in self.matches
        )
        heads = "".join(f"<th>{name}</th>" for name in ("solution", "kind", "share", "where"))
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        return (
            f"{style()}<div class='wb'><p>{escape(self.summary)}</p>{table if rows else ''}</div>"
        )


def find_contamination(
    chunks: Iterable[Chunk],
    solutions: Mapping[str, str],
    *,
    near: float = 0.5,
    renamed: float = 0.65,
) -> Contamination:
    """Find the chunks that contain a solution, or a part of one that is cut between chunks.

    The chunks of a file are put together again, so that no cut hides a solution; every chunk on
    the lines where it stands is named. Comments, docstrings, white space, round brackets, the
    kind of quotes, and the imports of a solution are not compared. ``near`` and ``renamed`` are
    the least shares of n-grams.

    Short solutions are held to more: those under 40 tokens are not looked for under other names,
    those under 20 must stand there token by token, and those under 9 are not judged. n-grams that
    more than 1 % of the solutions share (and more than two), such as a class head, are evidence
    for none.
    """
    detector = Detector(solutions, near=near, renamed=renamed)
    files: dict[tuple[str, str], list[Chunk]] = {}
    for chunk in chunks:
        files.setdefault((chunk.source, chunk.path), []).append(chunk)
    matches = [
        match
        for parts in bar(files.values(), desc="Looking for solutions", unit=" files")
        for match in detector.matches(parts)
    ]
    return Contamination(tuple(matches), len(solutions), len(files), detector.too_short)


class Detector:
    """Finds solutions in one file at a time, by the rule of ``find_contamination``.

    ``too_short`` are the solutions that it cannot judge.
    """

    def __init__(
        self, solutions: Mapping[str, str], *, near: float = 0.5, renamed: float = 0.65
    ) -> None:
        codes = {name: _tokens(_IMPORT.sub("", code), "python") for name, code in solutions.items()}
        judged = {name: code for name, code in codes.items() if code.hashes.size >= SHORTEST}
        shapes = {name: _shape(code) for name, code in judged.items()}
        self._exact = _Index(judged, NGRAM, SHORTEST, near)
        self._loose = _Index(shapes, RENAMED_NGRAM, SHORTEST_RENAMED, renamed)
        judgeable = self._exact.names | self._loose.names
        self.too_short = tuple(name for name in solutions if name not in judgeable)

    def matches(self, chunks: Sequence[Chunk]) -> list[Match]:
        """Return what stands in a file, given as all its chunks."""
        return _search(chunks, self._exact, self._loose) if chunks else []


class Excluding:
    """A chunker that leaves out the chunks that hold a solution of a suite."""

    def __init__(self, chunker: Chunker, suite: str, solutions: Mapping[str, str]) -> None:
        self._chunker = chunker
        digest = hashlib.sha256(repr(sorted(solutions.items())).encode()).hexdigest()
        self.fingerprint = f"{chunker.fingerprint}|without {suite}@{digest[:16]}|v{VERSION}"
        self._solutions = solutions
        self._detector: Detector | None = None

    def chunk(self, document: Document) -> list[Chunk]:
        """Cut one document, and keep the chunks that hold no part of a solution."""
        if self._detector is None:  # an index that is only opened needs none
            self._detector = Detector(self._solutions)
        chunks = self._chunker.chunk(document)
        held = {chunk.id for match in self._detector.matches(chunks) for chunk in match.chunks}
        return [chunk for chunk in chunks if chunk.id not in held]


class Place(NamedTuple):
    """Where a solution stands: from the first token to behind the last one, and how much of it."""

    solution: str
    start: int
    end: int
    share: float


class _Index:
    """The n-grams of all solutions, to look up those of a document in one step."""

    def __init__(
        self, solutions: Mapping[str, Tokens], n: int, shortest: int, share: float
    ) -> None:
        self.n = n
        self.codes = {
            name: code.hashes for name, code in solutions.items() if code.hashes.size >= shortest
        }
        order = list(self.codes)
        grams = [np.unique(rolling(code, n)) for code in self.codes.values()]
        owners = np.repeat(np.arange(len(order)), [each.size for each in grams])
        every = np.concatenate(grams) if grams else np.zeros(0, np.uint64)
        values, where, counts = np.unique(every, return_inverse=True, return_counts=True)
        telling = counts[where] <= max(2, COMMON * len(order))
        # Sorted by n-gram; the owners of the i-th stand from bounds[i] to bounds[i + 1].
        self.values = values
        rank = np.argsort(where[telling], kind="stable")
        self.owners = owners[telling][rank]
        self.bounds = np.searchsorted(where[telling][rank], np.arange(values.size + 1))
        self.sizes = np.bincount(self.owners, minlength=len(order))
        self.order = order
        self.names = {name for name, size in zip(order, self.sizes, strict=True) if size >= 3}
        self.needed = np.minimum(self.sizes, np.maximum(share * self.sizes, LEAST))

    def places(self, document: Hashes) -> Iterator[Place]:
        """Yield where solutions stand in a document's tokens, overlapping ones once each."""
        if self.values.size == 0 or document.size < self.n:
            return
        grams = rolling(document, self.n)
        found = np.minimum(np.searchsorted(self.values, grams), self.values.size - 1)
        hits = np.flatnonzero(self.values[found] == grams)
        counts = self.bounds[found[hits] + 1] - self.bounds[found[hits]]
        positions = np.repeat(hits, counts)
        which = np.repeat(found[hits], counts)
        owners = self.owners[np.repeat(self.bounds[found[hits]], counts) + _counting(counts)]
        pairs = np.unique(np.stack([owners, which]), axis=1)
        held = np.bincount(pairs[0], minlength=len(self.order)) if pairs.size else self.sizes * 0
        for owner in np.flatnonzero((held >= self.needed) & (self.sizes >= 3)):
            mine = owners == owner
            yield from self._together(int(owner), positions[mine], which[mine])

    def _together(self, owner: int, positions: Offsets, grams: Offsets) -> Iterator[Place]:
        """Yield the stretches of a document in which enough n-grams of a solution stand."""
        name, total, needed = self.order[owner], int(self.sizes[owner]), self.needed[owner]
        reach = int(SPREAD * self.codes[name].size) + self.n
        while positions.size:
            first, last, count = _densest(positions, grams, reach, needed)
            if count < needed:
                return
            start, end = int(positions[first]), int(positions[last]) + self.n
            yield Place(name, start, end, count / total)
            behind = int(np.searchsorted(positions, end))
            positions, grams = positions[behind:], grams[behind:]

    def exact(self, place: Place, document: Hashes) -> Place | None:
        """Return where all tokens of the solution stand in a row, over a place, or None."""
        code = self.codes[place.solution]
        first = max(place.start - code.size + 1, 0)
        starts = np.arange(first, min(place.end, document.size - code.size + 1))
        for offset, token in enumerate(code):
            starts = starts[document[starts + offset] == token]
        return (
            Place(place.solution, int(starts[0]), int(starts[0]) + code.size, 1.0)
            if starts.size
            else None
        )


def _densest(positions: Offsets, grams: Offsets, reach: int, enough: float) -> tuple[int, int, int]:
    """Return the first stretch with enough distinct n-grams, as far as it gets better.

    That is, the indices of its first and last hit, and the number of n-grams; where no stretch
    of length ``reach`` has enough, it is the best one.
    """
    inside: dict[int, int] = {}
    best = (0, 0, 0)
    first = 0
    for last, gram in enumerate(grams.tolist()):
        if best[2] >= enough and positions[last] - positions[best[0]] > reach:
            break
        inside[gram] = inside.get(gram, 0) + 1
        while positions[last] - positions[first] > reach:
            gone = int(grams[first])
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            first += 1
        if len(inside) > best[2]:
            best = (first, last, len(inside))
    return best


def _search(chunks: Sequence[Chunk], exact: _Index, loose: _Index) -> list[Match]:
    """Find the solutions in one file, given as its chunks."""
    text = _join(chunks)
    tokens = _tokens(text, chunks[0].language)
    breaks = np.flatnonzero(np.frombuffer(text.encode(), np.uint8) == ord("\n"))
    lines = np.searchsorted(breaks, tokens.starts) + 1
    found: dict[tuple[str, int], Match] = {}

    def note(place: Place, kind: Kind) -> None:
        start, end = int(lines[place.start]), int(lines[place.end - 1])
        over = tuple(part for part in chunks if part.start_line <= end and part.end_line >= start)
        match = Match(place.solution, over, start, end, place.share, kind)
        found.setdefault((place.solution, start), match)

    taken = set()
    for place in exact.places(tokens.hashes):
        whole = exact.exact(place, tokens.hashes)
        if whole is not None:
            note(whole, "exact")
        elif exact.codes[place.solution].size >= SHORTEST_NEAR:
            note(place, "near")
        else:
            continue
        taken.add(place.solution)
    for place in loose.places(_shape(tokens).hashes):
        if place.solution not in taken:
            note(place, "renamed")
    return sorted(found.values(), key=lambda match: (match.start_line, match.solution))


def _join(chunks: Sequence[Chunk]) -> str:
    """Return the text of a file, each line in its place; lines of no chunk are empty."""
    rows = [""] * max(chunk.end_line for chunk in chunks)
    for chunk in chunks:
        lines = chunk.text.split("\n")[: chunk.end_line - chunk.start_line + 1]
        rows[chunk.start_line - 1 : chunk.start_line - 1 + len(lines)] = lines
    return "\n".join(rows)


# --- what of a text is compared --------------------------------------------------------

_IMPORT = re.compile(r"^(?:import [\w. ,]+|from [\w.]+ import [^\n(]+)$", re.MULTILINE)
_STRING = r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'"""
_TRIPLE = r""""{3}(?:[^\\]|\\.)*?(?:"{3}|\Z)|'{3}(?:[^\\]|\\.)*?(?:'{3}|\Z)"""
# A string between three quotes that begins a line is a docstring, or reads like one.
_PYTHON = re.compile(
    rf"(?P<drop>^[ \t]*[rRuUbBfF]{{0,2}}(?:{_TRIPLE})|#[^\n]*)|{_TRIPLE}|{_STRING}",
    re.MULTILINE | re.DOTALL,
)
_OTHERS = re.compile(rf"(?P<drop>//[^\n]*|/\*.*?(?:\*/|\Z))|{_STRING}|`[^`]*`", re.DOTALL)
_KEPT = np.unique(
    np.concatenate(
        [tokenize(word).hashes for word in (*keyword.kwlist, *keyword.softkwlist, *dir(builtins))]
    )
)
_NAME_HASH = np.uint64(1)


def _tokens(text: str, language: str | None) -> Tokens:
    """Return the tokens of code without comments, docstrings and brackets, all quotes alike.

    Round brackets are what formatters, and people, put in and leave out most freely.
    """
    pattern = _PYTHON if language in (None, "python") else _OTHERS
    tokens = tokenize(pattern.sub(_blank, text).replace('"', "'"))
    kept = ~np.isin(tokens.first, (ord("("), ord(")")))
    return Tokens(tokens.hashes[kept], tokens.starts[kept], tokens.first[kept])


def _blank(found: re.Match[str]) -> str:
    """Keep strings; of comments and docstrings keep the bytes' places and the line ends."""
    if found["drop"] is None:
        return found[0]
    return "\n".join(" " * len(line.encode()) for line in found[0].split("\n"))


def _shape(tokens: Tokens) -> Tokens:
    """Return tokens with one name for all names, but for keywords, builtins and attributes."""
    starts_name = (tokens.first >= 128) | (tokens.first == ord("_"))
    starts_name |= np.isin(tokens.first | 32, np.arange(ord("a"), ord("z") + 1))
    of_something = np.append(False, tokens.first[:-1] == ord(".")) if tokens.first.size else False
    variable = starts_name & ~of_something & ~np.isin(tokens.hashes, _KEPT)
    return tokens._replace(hashes=np.where(variable, _NAME_HASH, tokens.hashes))


def _counting(counts: NDArray[np.intp]) -> Offsets:
    """Return 0 to count - 1 for each count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
