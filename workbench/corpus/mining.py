"""Pairs of a query and the function that answers it, taken from a corpus itself.

The query is the first sentence of a function's documentation, which is then removed from the
code: what is left can be searched with questions whose answers are known, and an embedder can be
trained on one part of the corpus and measured on another. A docstring is no question that anybody
typed, so figures on mined queries rank embedders; they do not say how well people are served.

After CodeSearchNet (Husain et al. 2019), which mines the same way, but leaves near duplicates as
wrong answers; here they count as right ones.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from workbench.corpus.grammar import Definition, has_grammar, outline
from workbench.corpus.querytext import NoQuery, make_query
from workbench.corpus.windows import Lines
from workbench.progress import bar
from workbench.types import Document

if TYPE_CHECKING:
    from tree_sitter import Node

    from workbench.corpus.grammar import Outline

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

MINING_VERSION = "mining/1"
"""Stands in the digest: change it when the rules below change."""
MIN_ROWS = 2
MIN_WORDS = 8
MAX_ROWS = 400
"""A function has at least so many rows with code and so many words, and at most so many rows."""
MAX_SHARED = 3
"""A query that stands over more functions than this says nothing about any of them."""
MAX_TWINS = 50
"""A function with more near duplicates than this is boilerplate, and no pair is made of it."""
NEAR = 0.8
"""Jaccard similarity of the runs of three words from which two functions are near duplicates."""
NEAR_QUERY = 0.8
"""The same for the words of two queries, which keeps a training pair away from a held-out one."""

_DEV_PERCENT, _TEST_PERCENT = 10, 10
_WORD = re.compile(r"\w+")
_RUN = 3
_PERMUTATIONS = 64
_STUB = re.compile(r"^\s*(?:pass|\.\.\.|raise\s+NotImplementedError\b.*|return(?:\s+None)?);?\s*$")
_KEPT = re.compile(r"^\s*(?:#!|#.*coding[:=]|//go:|//\s*eslint|#\s*type:|#pragma)")


@dataclass(frozen=True, slots=True)
class MinedFunction:
    """A function of the stripped documents; lines count from 1 and are both included."""

    id: str
    path: str
    start_line: int
    end_line: int
    symbol: str
    language: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MinedPair:
    """A query and the function that answers it: rows of a document of ``Mined.documents``.

    ``text`` is exactly those rows, without the documentation that became ``query``;
    ``documented`` is the function as its author wrote it. ``id`` is that of the function.
    ``twins`` are ids of other functions that answer as well: near duplicates, and functions under
    the same query; they stand in ``Mined.functions``, and not each is itself a pair.
    """

    id: str
    query: str
    path: str
    start_line: int
    end_line: int
    symbol: str
    language: str
    split: Split
    twins: tuple[str, ...]
    text: str = field(repr=False)
    documented: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mined:
    """What was mined: the documents without the documentation, and the pairs.

    ``functions`` are all functions of the documents, so that a twin without a query can be found
    too. ``counts`` says for every function met what became of it: "pairs" and one reason for each
    that gave none sum to "functions". ``digest`` is the SHA-256 of the pairs and documents.
    """

    documents: tuple[Document, ...] = field(repr=False)
    functions: tuple[MinedFunction, ...] = field(repr=False)
    pairs: tuple[MinedPair, ...] = field(repr=False)
    counts: Mapping[str, int]
    digest: str

    def split(self, name: Split) -> tuple[MinedPair, ...]:
        """Return the pairs of one split, in the order of the documents."""
        return tuple(pair for pair in self.pairs if pair.split == name)


@dataclass(frozen=True, slots=True)
class _Found:
    """A function, and its query or the reason why it has none."""

    function: MinedFunction
    split: Split
    documented: str
    query: str | None
    reason: str


def mine(documents: Iterable[Document]) -> Mined:
    """Mine query-function pairs; the same documents in the same order give the same pairs.

    Every function loses its docstring, or else the comment that it begins with or stands right
    under, whether a query came of it or not: its presence would tell the functions apart.
    Documents without a known grammar are passed on as they are. Splits are 80 % train, 10 % dev
    and 10 % test of the folders, by a hash of their names alone, so that a held-out function
    comes from a folder never trained on. A document that is nothing but one function, as in
    data sets, is split by its own path.
    """
    stripped: list[Document] = []
    found: list[_Found] = []
    for document in bar(documents, desc="Mining", unit=" files"):
        one = _strip(document)
        stripped.append(one.document)
        found += one.found
    pairs, reasons = _pairs(found)
    counts = {"functions": len(found), "pairs": len(pairs)}
    counts |= {split: sum(pair.split == split for pair in pairs) for split in SPLITS}
    counts |= dict(sorted(reasons.items()))
    functions = tuple(one.function for one in found)
    return Mined(tuple(stripped), functions, pairs, counts, _digest(stripped, pairs))


# --- one document ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stripped:
    document: Document
    found: tuple[_Found, ...]


@dataclass(frozen=True, slots=True)
class _Documented:
    """A function of the outline with its documentation: the text, and the rows that go."""

    definition: Definition
    symbol: str
    text: str
    rows: range


def _strip(document: Document) -> _Stripped:
    if not has_grammar(document.language):
        return _Stripped(document, ())
    parsed = outline(document.text, document.language)
    if parsed is None:
        return _Stripped(document, ())
    lines = Lines(document)
    documented = list(_documented(parsed, lines, document.language))
    gone = {row for one in documented for row in one.rows}
    kept = [row for row in range(len(lines)) if row not in gone]
    new_row = {row: number for number, row in enumerate(kept)}
    # Not the texts of ``lines``, which have lost their carriage returns.
    raw = document.text.split("\n")
    text = "\n".join(raw[row] for row in kept)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    new = replace(document, text=text, sha256=digest)
    split = _split_of(_group(document, parsed, lines))
    found = []
    for one in documented:
        rows = [new_row[row] for row in _code_rows(one, gone)]
        texts = [lines.texts[kept[row]] for row in range(rows[0], rows[-1] + 1)]
        function = _function(one, new, rows[0], texts)
        start = min([one.definition.start, *one.rows[:1]])
        whole = "\n".join(lines.texts[start : one.definition.end])
        found.append(_judge(one, function, split, whole))
    return _Stripped(new, tuple(found))


def _code_rows(one: _Documented, gone: set[int]) -> list[int]:
    rows = range(one.definition.start, one.definition.end)
    return [row for row in rows if row not in gone]


def _documented(parsed: Outline, lines: Lines, language: str) -> Iterator[_Documented]:
    """Yield the functions with their documentation; a comment belongs to what begins below it."""
    claimed: set[int] = set()
    classes: list[Definition] = []
    last_row = -1
    for definition in parsed.definitions:
        while classes and classes[-1].node.end_byte <= definition.node.start_byte:
            classes.pop()
        above = _rows_above(definition, parsed, lines, claimed)
        claimed.update(above)
        # Two functions that share a row cannot be told apart by rows.
        if not definition.is_class and definition.start > last_row:
            last_row = definition.end - 1
            symbol = ".".join([*(one.name for one in classes), definition.name])
            inside = _docstring(definition.node, lines) if language == "python" else None
            if inside is None and len(above):
                inside = _Doc("\n".join(lines.texts[row] for row in above), above)
            if inside is None and language == "python":
                inside = _first_comment(definition.node, lines)
            doc = inside or _Doc("", range(0))
            yield _Documented(definition, symbol, doc.text, doc.rows)
        if definition.is_class:
            classes.append(definition)


@dataclass(frozen=True, slots=True)
class _Doc:
    text: str
    rows: range


def _rows_above(definition: Definition, parsed: Outline, lines: Lines, claimed: set[int]) -> range:
    """Return the rows of comment that end right above a definition."""
    start = definition.start
    while (
        start - 1 in parsed.comment_rows
        and start - 1 not in claimed
        and not lines.blank[start - 1]
        and not _KEPT.match(lines.texts[start - 1])
    ):
        start -= 1
    return range(start, definition.start)


def _docstring(node: Node, lines: Lines) -> _Doc | None:
    """Return a Python docstring that has its rows for itself and is not the whole body."""
    body = node.child_by_field_name("body")
    statements = [] if body is None else [c for c in body.named_children if c.type != "comment"]
    if len(statements) < 2:
        return None
    first = statements[0]
    if first.type == "expression_statement" and first.named_child_count == 1:
        first = first.named_children[0]
    if first.type != "string" or first.text is None:
        return None
    text = first.text.decode("utf-8", "replace")
    match = re.match(r"[rRuU]?(\"\"\"|'''|\"|')", text)
    rows = range(first.start_point[0], first.end_point[0] + 1)
    if match is None or not _alone(first, lines):
        return None
    return _Doc(text[match.end() : -len(match[1])], rows)


def _first_comment(node: Node, lines: Lines) -> _Doc | None:
    """Return the comment that a Python function begins with: rows of it that stand together."""
    # tree-sitter puts it before the block, among the children of the function itself.
    colon = max((i for i, child in enumerate(node.children) if child.type == ":"), default=None)
    if colon is None:
        return None
    rows: list[int] = []
    for child in node.children[colon + 1 :]:
        row = child.start_point[0]
        if child.type != "comment" or not _alone(child, lines) or (rows and row != rows[-1] + 1):
            break
        rows.append(row)
    if not rows:
        return None
    return _Doc("\n".join(lines.texts[row] for row in rows), range(rows[0], rows[-1] + 1))


def _alone(node: Node, lines: Lines) -> bool:
    """Say whether nothing else stands on the rows of ``node``."""
    (top, left), (bottom, right) = node.start_point, node.end_point
    before = lines.texts[top].encode("utf-8", "surrogatepass")[:left]
    after = lines.texts[bottom].encode("utf-8", "surrogatepass")[right:]
    return not before.strip() and not after.strip()


def _function(
    one: _Documented, document: Document, first: int, texts: Sequence[str]
) -> MinedFunction:
    text = "\n".join(texts)
    says = (document.source, document.path, str(first + 1), one.symbol, text)
    key = "\0".join(says).encode("utf-8", "surrogatepass")
    return MinedFunction(
        id=hashlib.sha256(key).hexdigest()[:16],
        path=document.path,
        start_line=first + 1,
        end_line=first + len(texts),
        symbol=one.symbol,
        language=document.language or "",
        text=text,
    )


def _judge(one: _Documented, function: MinedFunction, split: Split, documented: str) -> _Found:
    # Go's comments begin with the name of what they document.
    name = one.definition.name.rpartition(".")[2] if function.language == "go" else ""
    try:
        _check_body(function.text.split("\n"))
        query = make_query(one.text, name)
        if _words(query) in _words(function.text):
            raise NoQuery("query still in the code")
    except NoQuery as reason:
        return _Found(function, split, documented, None, str(reason))
    return _Found(function, split, documented, query, "")


def _check_body(texts: Sequence[str]) -> None:
    rows = [text for text in texts if text.strip()]
    words = sum(len(_WORD.findall(text)) for text in rows)
    if len(rows) > MAX_ROWS:
        raise NoQuery("function too long")
    # The last row of a stub, or the one before a closing brace.
    is_stub = len(rows) < 4 and any(_STUB.match(text) for text in rows[1:])
    if len(rows) < MIN_ROWS or words < MIN_WORDS or is_stub:
        raise NoQuery("function too short")


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.lower()))} "


def _group(document: Document, parsed: Outline, lines: Lines) -> str:
    """Return what is split as one: a folder, a file at the root, or a lone function."""
    folder, _, _ = document.path.rpartition("/")
    outermost = [one for one in parsed.definitions if not one.is_class]
    first, end = lines.trim(0, len(lines))
    alone = len(parsed.definitions) == len(outermost) == 1
    if alone and outermost[0].start <= first and outermost[0].end >= end:
        folder = ""
    return f"{document.source}\0{folder or document.path}"


def _split_of(group: str) -> Split:
    key = hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()
    percent = int.from_bytes(key[:8]) % 100
    if percent < _TEST_PERCENT:
        return "test"
    return "dev" if percent < _TEST_PERCENT + _DEV_PERCENT else "train"


# --- all of them -----------------------------------------------------------------------


def _pairs(found: Sequence[_Found]) -> tuple[tuple[MinedPair, ...], Counter[str]]:
    """Find the twins, leave out what is ambiguous or leaks, and count why."""
    ids = Counter(one.function.id for one in found)
    reasons: dict[int, str] = {i: one.reason for i, one in enumerate(found) if one.query is None}
    # The same rows of the same path twice: a corpus of several sources may hold a file twice.
    reasons |= {i: "same function twice" for i, f in enumerate(found) if ids[f.function.id] > 1}
    asked = [i for i in range(len(found)) if i not in reasons]
    twins = _near_functions([one.function.text for one in found], asked)
    sharing = defaultdict(list)
    for i in asked:
        sharing[_words(found[i].query or "")].append(i)
    for i in asked:
        alike = sharing[_words(found[i].query or "")]
        # Counted first: a list of others for each of 20,000 alike would take minutes.
        is_crowd = len(alike) > MAX_SHARED + MAX_TWINS
        others = [] if is_crowd else [j for j in alike if j != i]
        if is_crowd or len(set(others) - twins.get(i, set())) >= MAX_SHARED:
            reasons[i] = "query shared by many"
        elif i not in twins or len(twins[i]) + len(others) > MAX_TWINS:
            reasons[i] = "too many near duplicates"
        else:
            twins[i].update(others)
    _drop_leaks(found, twins, reasons)
    kept = [i for i in range(len(found)) if i not in reasons]
    return tuple(_pair(found, i, twins[i]) for i in kept), Counter(reasons.values())


def _pair(found: Sequence[_Found], i: int, twins: set[int]) -> MinedPair:
    one, function = found[i], found[i].function
    return MinedPair(
        id=function.id,
        query=one.query or "",
        path=function.path,
        start_line=function.start_line,
        end_line=function.end_line,
        symbol=function.symbol,
        language=function.language,
        split=one.split,
        twins=tuple(dict.fromkeys(found[j].function.id for j in sorted(twins))),
        text=function.text,
        documented=one.documented,
    )


def _near_functions(texts: Sequence[str], asked: Sequence[int]) -> dict[int, set[int]]:
    """Return for each text asked for the positions of its near duplicates among all texts."""
    words = [tuple(_WORD.findall(text)) for text in texts]
    shingles = [
        frozenset(zlib.crc32(" ".join(one[i : i + _RUN]).encode("utf-8", "surrogatepass"))
                  for i in range(max(1, len(one) - _RUN + 1)))
        for one in words
    ]  # fmt: skip
    return near_sets(shingles, asked, NEAR, what="Comparing functions")


def _drop_leaks(
    found: Sequence[_Found], twins: Mapping[int, set[int]], reasons: dict[int, str]
) -> None:
    """Drop training pairs whose function or query nearly stands in dev or test, and dev's in test.

    Functions are held out whether or not they gave a pair themselves.
    """
    order = {split: number for number, split in enumerate(SPLITS)}
    kept = [i for i in range(len(found)) if i not in reasons]
    queries = [
        frozenset(zlib.crc32(word.encode()) for word in _words(found[i].query or "").split())
        for i in kept
    ]
    near = near_sets(queries, range(len(kept)), NEAR_QUERY, what="Comparing queries")
    for number, i in enumerate(kept):
        mine_is = order[found[i].split]
        if any(order[found[j].split] > mine_is for j in twins[i]):
            reasons[i] = "near duplicate of a held-out function"
        elif number not in near or any(order[found[kept[j]].split] > mine_is for j in near[number]):
            reasons[i] = "near duplicate of a held-out query"


def near_sets(
    sets: Sequence[frozenset[int]], asked: Iterable[int], threshold: float, *, what: str
) -> dict[int, set[int]]:
    """Return for each set asked for the others whose Jaccard similarity reaches ``threshold``.

    Candidates come from MinHash (datasketch) and each is then checked by the sets themselves, so
    that what is returned is right, symmetric and the same each time; MinHash alone misses few of
    those at the threshold. A set with more than ``MAX_TWINS`` distinct candidates, or equal ones,
    is left out of the answer: checking all pairs of a crowd takes time in its square.
    """
    from datasketch import MinHash, MinHashLSH  # scipy takes half a second to import

    equal: dict[frozenset[int], list[int]] = defaultdict(list)
    for position, one in enumerate(sets):
        equal[one].append(position)
    index = MinHashLSH(threshold=threshold - 0.1, num_perm=_PERMUTATIONS)
    prints = {}
    for one, positions in bar(equal.items(), desc=what, unit=" texts"):
        prints[one] = MinHash(num_perm=_PERMUTATIONS, hashfunc=int)
        prints[one].update_batch(sorted(one))
        index.insert(positions[0], prints[one])
    near: dict[frozenset[int], set[int]] = {}
    crowded: set[int] = set()
    answer = {}
    for position in asked:
        one = sets[position]
        first = equal[one][0]
        if one not in near and first not in crowded:
            candidates = index.query(prints[one])
            if len(candidates) > MAX_TWINS or len(equal[one]) > MAX_TWINS:
                crowded.update(candidates)
                continue
            close = [i for i in candidates if _jaccard(one, sets[i]) >= threshold]
            near[one] = {j for i in close for j in equal[sets[i]]}
        if one in near:
            answer[position] = near[one] - {position}
    return answer


def _jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


def _digest(documents: Sequence[Document], pairs: Sequence[MinedPair]) -> str:
    digest = hashlib.sha256(MINING_VERSION.encode())
    for document in documents:
        digest.update(f"{document.path}\0{document.sha256}\n".encode("utf-8", "surrogatepass"))
    for pair in pairs:
        says = (pair.id, pair.query, pair.split, *pair.twins)
        digest.update("\0".join(says).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
