"""Retrieval suites in BEIR's form (Thakur et al., NeurIPS 2021): folders, and data sets of the hub.

A folder holds ``corpus.jsonl`` (``_id``, ``title``, ``text``), ``queries.jsonl`` (``_id``,
``text``) and ``qrels/<split>.tsv`` (query-id, corpus-id, score). On the hub the same stands in
the configurations ``corpus`` and ``queries``, and the judgements in ``default`` or ``qrels`` (as
MTEB and CoIR publish them) or in a second data set NAME-qrels (as BEIR does).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.corpus.entries import make_document
from workbench.errors import BadInput, WorkbenchError
from workbench.languages import find_language
from workbench.progress import bar
from workbench.suites.records import Query, RetrievalSuite, Unit, suite_digest
from workbench.suites.sources import open_hub
from workbench.types import Document

_HUB = "hf:"
_JUDGEMENTS = ("default", "qrels")
# The split to report is the first of these that there is.
_SPLITS = ("test", "dev", "validation", "train")

Row = Mapping[str, Any]


def load(argument: str) -> RetrievalSuite:
    """Read the suite in a folder, or with ``hf:NAME[@REVISION]`` the one of the hub.

    Raises:
        BadInput: a file is missing or malformed; one line says which, and where.
        MissingExtra: datasets is not installed, which reads the hub.
        WorkbenchError: the hub does not hand it out, or must not be asked.
    """
    if argument.startswith(_HUB):
        return _from_hub(argument.removeprefix(_HUB))
    return _from_folder(Path(argument).expanduser())


def _from_folder(folder: Path) -> RetrievalSuite:
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}.", "Name a folder in BEIR's form.")
    splits = {path.stem: path for path in sorted((folder / "qrels").glob("*.tsv"))}
    if not splits:
        raise BadInput(
            f"{folder} has no qrels/*.tsv.", "BEIR's form has one for each split: qrels/test.tsv"
        )
    return _suite(
        f"beir:{folder.resolve().name}",
        _lines(folder / "corpus.jsonl"),
        _lines(folder / "queries.jsonl"),
        {split: _judgements(path) for split, path in splits.items()},
        note=f"A suite in BEIR's form, from the folder {folder.resolve().name}.",
    )


def _lines(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield each object of a JSONL file, with its place."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path.name}, line {number}", json.loads(line)
    except FileNotFoundError:
        raise BadInput(f"{path.parent} has no {path.name}.", "BEIR's form needs one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}.") from error
    except json.JSONDecodeError as error:
        raise BadInput(f"{path.name}, line {number} is no JSON: {error}.") from error


def _judgements(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield each judgement of a TSV file, with its place: by BEIR's header, or TREC's columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, cells in enumerate(csv.reader(file, delimiter="\t", quotechar=None), 1):
                if not cells or (number == 1 and cells[0] == "query-id"):
                    continue
                if len(cells) != 3:
                    raise BadInput(
                        f"qrels/{path.name}, line {number} has {len(cells)} columns, not 3:"
                        " query-id, corpus-id, score."
                    )
                names = ("query-id", "corpus-id", "score")
                place = f"qrels/{path.name}, line {number}"
                yield place, dict(zip(names, cells, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read: {error}.") from error


def _from_hub(argument: str) -> RetrievalSuite:
    name, _, revision = argument.partition("@")
    datasets = open_hub(name, "name a folder in BEIR's form")
    options = {"revision": revision} if revision else {}

    def read(config: str) -> dict[str, Iterable[Row]]:
        found: dict[str, Iterable[Row]] = datasets.load_dataset(name, config, **options)
        return found

    try:
        configs = datasets.get_dataset_config_names(name, **options)
        judging = next((config for config in _JUDGEMENTS if config in configs), None)
        # A revision pins one data set, not its neighbour.
        splits = read(judging) if judging else datasets.load_dataset(f"{name}-qrels")
        corpus, queries = read("corpus"), read("queries")
    except Exception as error:  # datasets, huggingface_hub and HTTP raise kinds of their own
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WorkbenchError(
            f"The data set {name} cannot be read in BEIR's form: {cause}",
            "Check its name, its configurations corpus and queries, and the network.",
        ) from error
    return _suite(
        f"beir:hf:{argument}",
        _rows("corpus", corpus),
        _rows("queries", queries),
        {split: _rows(f"qrels {split}", {split: rows}) for split, rows in splits.items()},
        note=f"The data set {argument} of the Hugging Face hub, in BEIR's form.",
    )


def _rows(what: str, splits: Mapping[str, Iterable[Row]]) -> Iterator[tuple[str, Row]]:
    for rows in splits.values():
        for number, row in enumerate(rows, 1):
            yield f"{what}, row {number}", row


def _suite(
    name: str,
    corpus: Iterable[tuple[str, Row]],
    queries: Iterable[tuple[str, Row]],
    judged: Mapping[str, Iterable[tuple[str, Row]]],
    *,
    note: str,
) -> RetrievalSuite:
    documents = _documents(name, corpus)
    texts = _texts(queries)
    splits = {
        split: asked
        for split, rows in judged.items()
        if (asked := _queries(rows, texts, documents.keys()))
    }
    if not splits:
        raise BadInput(f"{name} judges no document right for any query.")
    default = next((split for split in _SPLITS if split in splits), next(iter(splits)))
    units = tuple(Unit(id_, id_) for id_ in documents)
    found = tuple(documents.values())
    return RetrievalSuite(
        name=name,
        documents=found,
        units=units,
        queries=splits,
        default_split=default,
        license=None,
        note=note,
        digest=suite_digest(found, units, splits),
        paths_are_ids=True,
    )


def _documents(name: str, rows: Iterable[tuple[str, Row]]) -> dict[str, Document]:
    """Return the documents by id: the title, where there is one, stands above the text."""
    documents: dict[str, Document] = {}
    for place, row in bar(rows, desc=f"Reading {name}", unit=" documents"):
        id_ = _text_of(row, "_id", place)
        if id_ in documents:
            raise BadInput(f"{place}: the id '{id_}' is taken by an earlier document.")
        title = str(row.get("title") or "").strip()
        text = _text_of(row, "text", place, empty=True)  # BEIR's own corpora have some
        document = make_document(
            id_,
            f"{title}\n{text}" if title else text,
            source=name,
            revision=None,
            license=None,
        )
        language = find_language(str(row.get("language") or ""))
        documents[id_] = replace(document, language=language.name) if language else document
    if not documents:
        raise BadInput(f"{name} has no documents.")
    return documents


def _texts(rows: Iterable[tuple[str, Row]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for place, row in rows:
        id_ = _text_of(row, "_id", place)
        if id_ in texts:
            raise BadInput(f"{place}: the id '{id_}' is taken by an earlier query.")
        texts[id_] = _text_of(row, "text", place)
    return texts


def _queries(
    rows: Iterable[tuple[str, Row]], texts: Mapping[str, str], documents: Iterable[str]
) -> tuple[Query, ...]:
    """Return a split's queries with their right answers; what gains nothing is not one."""
    known = frozenset(documents)
    relevant: dict[str, dict[str, int]] = {}
    for place, row in rows:
        query, document = (_text_of(row, name, place) for name in ("query-id", "corpus-id"))
        if query not in texts:
            raise BadInput(f"{place} judges the query '{query}', which there is not.")
        if document not in known:
            raise BadInput(f"{place} judges the document '{document}', which there is not.")
        try:
            gain = int(float(row["score"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise BadInput(f"{place} has no number as its score.") from None
        if gain > 0:
            relevant.setdefault(query, {})[document] = gain
    return tuple(Query(id_, texts[id_], right) for id_, right in relevant.items())


def _text_of(row: Any, name: str, place: str, *, empty: bool = False) -> str:
    """Return a field as text; ids that are numbers become text.

    Raises:
        BadInput: it is missing, of another kind, or empty where it must not be.
    """
    value = row.get(name) if isinstance(row, Mapping) else None
    if isinstance(value, int) and not isinstance(value, bool) and name != "text":
        value = str(value)
    if not isinstance(value, str) or not (value.strip() or empty):
        raise BadInput(f"{place} has no {name}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{place}: its {name} holds half of a surrogate pair.") from None
    return value
