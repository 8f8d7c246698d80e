"""Corpora on disk: written whole or not at all, read as a stream.

A corpus is a folder with ``corpus.json`` and the file of documents that it names. The documents
go to a file called after their own digest, and only then is ``corpus.json`` replaced, in one
step: whenever the writer dies, what was there before is still whole.
"""

from __future__ import annotations

import contextlib
import difflib
import filecmp
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from workbench.corpus.manifest import find_manifest, list_manifests
from workbench.errors import BadInput, MissingCorpus
from workbench.settings import settings
from workbench.types import Document

FORMAT = 1
"""Version of the files; one of another version is crawled anew."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Report:
    """What a crawl read and what it left out, by reason: ``read`` + skipped = ``seen``.

    ``bytes`` counts the texts as UTF-8; ``languages`` counts documents ("other": none known).
    """

    read: int
    skipped: Mapping[str, int]
    bytes: int
    languages: Mapping[str, int]

    @property
    def seen(self) -> int:
        """Entries met: a folder that was not entered counts as one."""
        return self.read + sum(self.skipped.values())

    def _repr_html_(self) -> str:
        rows = [("seen", self.seen), ("read", self.read), ("bytes", self.bytes)]
        rows += [(f"language: {name}", count) for name, count in self.languages.items()]
        rows += [(f"skipped: {reason}", count) for reason, count in self.skipped.items()]
        cells = "".join(f"<tr><td>{escape(k)}</td><td>{v:,}</td></tr>" for k, v in rows)
        return f"<table>{cells}</table>"


@dataclass(frozen=True, slots=True)
class Corpus:
    """A crawled corpus. ``digest`` is the SHA-256 of its documents, in their order.

    ``sources`` pairs each source with its revision, if it has one. ``unchanged`` is True where
    the crawl that returned this found what was there already, and wrote nothing.
    """

    name: str
    digest: str
    sources: tuple[tuple[str, str | None], ...]
    created: str
    folder: Path = field(repr=False)
    counts: Report = field(repr=False)
    unchanged: bool = field(default=False, compare=False)

    def __len__(self) -> int:
        """Count the documents."""
        return self.counts.read

    def documents(self) -> Iterator[Document]:
        """Yield the documents from disk, one at a time.

        Raises:
            MissingCorpus: the file is gone or damaged.
        """
        read = 0
        try:
            with _documents_file(self.folder, self.digest).open("rb") as lines:
                for line in lines:
                    yield Document(**json.loads(line))
                    read += 1
        except FileNotFoundError:
            raise MissingCorpus(
                f"The corpus {self.name} was crawled anew or removed meanwhile.", "Open it again."
            ) from None
        except (ValueError, TypeError):
            raise _damaged(self.name) from None
        if read != len(self):
            raise _damaged(self.name)

    def report(self) -> Report:
        """Return what the crawl read and what it left out."""
        return self.counts

    def _repr_html_(self) -> str:
        sources = ", ".join(f"{s} ({r})" if r else s for s, r in self.sources)
        return (
            f"<b>{escape(self.name)}</b> {len(self):,} documents from {escape(sources)}, "
            f"digest {self.digest[:12]}{self.counts._repr_html_()}"
        )


def open_corpus(name: str) -> Corpus:
    """Open a crawled corpus by its name, or by the one source that its manifest names.

    Raises:
        MissingCorpus: none was crawled under that name.
    """
    found = read_corpus(name)
    if found is None and (manifest := find_manifest(name)) is not None:
        found = read_corpus(manifest.name)
    if found is None:
        raise _missing(name)
    return found


def list_corpora() -> tuple[Corpus, ...]:
    """Return all crawled corpora, sorted by name."""
    names = sorted(path.parent.name for path in settings().corpora.glob("*/corpus.json"))
    return tuple(corpus for name in names if (corpus := read_corpus(name)) is not None)


def read_corpus(name: str) -> Corpus | None:
    """Return the corpus that lies on disk under that very name, or None.

    What is damaged, or of another format, counts as not there: it can be crawled anew.
    """
    if _NAME.fullmatch(name) is None:
        return None
    folder = settings().corpora / name
    try:
        table = json.loads((folder / "corpus.json").read_bytes())
        if table["format"] != FORMAT or not _documents_file(folder, table["digest"]).is_file():
            return None
        return Corpus(
            name=name,
            digest=table["digest"],
            sources=tuple((source, revision) for source, revision in table["sources"]),
            created=table["created"],
            folder=folder,
            counts=Report(**table["report"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a corpus, and of a folder on every system.

    Raises:
        BadInput: the name is refused.
    """
    if _NAME.fullmatch(name) is None or name.endswith("."):
        raise BadInput(
            f"A corpus cannot be called '{name}'.",
            "Use lower case letters, digits, '.', '_' and '-', a letter or digit first.",
        )


def write_corpus(
    name: str,
    documents: Iterable[Document],
    sources: Mapping[str, str | None],
    skipped: Mapping[str, int],
) -> Corpus:
    """Write a corpus, replacing the one of that name in a single step.

    ``skipped`` is read after ``documents`` is exhausted. Call it under ``exclusive``. Where
    documents, sources and counts are what they were, nothing is replaced.

    Raises:
        BadInput: there was no document.
    """
    folder = settings().corpora / name
    part = folder / "documents.part"
    digest = hashlib.sha256()
    size, languages = 0, Counter[str]()
    try:
        with part.open("wb") as file:
            for document in documents:
                line = json.dumps(asdict(document)).encode() + b"\n"
                file.write(line)
                digest.update(line)
                size += len(document.text.encode())
                languages[document.language or "other"] += 1
            _flush(file)
        read = languages.total()
        if not read:
            raise _nothing_found(sources, skipped)
        report = Report(read, dict(sorted(skipped.items())), size, dict(languages.most_common()))
        created = datetime.now(UTC).isoformat(timespec="seconds")
        corpus = Corpus(name, digest.hexdigest(), tuple(sources.items()), created, folder, report)
        target = _documents_file(folder, corpus.digest)
        old = read_corpus(name)
        if old is not None and replace(old, created=created) == corpus and _same(part, target):
            return replace(old, unchanged=True)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    _commit(corpus)
    return corpus


def _commit(corpus: Corpus) -> None:
    """Point ``corpus.json`` to the new documents, then remove what it pointed to before."""
    table = {
        "format": FORMAT,
        "digest": corpus.digest,
        "sources": corpus.sources,
        "created": corpus.created,
        "report": asdict(corpus.counts),
    }
    part = corpus.folder / "corpus.part"
    with part.open("wb") as file:
        file.write(json.dumps(table, indent=2).encode() + b"\n")
        _flush(file)
    part.replace(corpus.folder / "corpus.json")
    keep = _documents_file(corpus.folder, corpus.digest)
    for file_of_documents in corpus.folder.glob("documents-*.jsonl"):
        if file_of_documents != keep:
            # A reader on Windows may hold the old file open; the next crawl removes it.
            with contextlib.suppress(PermissionError):
                file_of_documents.unlink()


def _documents_file(folder: Path, digest: str) -> Path:
    return folder / f"documents-{digest[:16]}.jsonl"


def _same(one: Path, other: Path) -> bool:
    """Compare two files: a damaged corpus is not unchanged, whatever its digest says."""
    return filecmp.cmp(one, other, shallow=False)


def _flush(file: Any) -> None:
    """Make sure that the bytes are on disk before anything points to them."""
    file.flush()
    os.fsync(file.fileno())


def _missing(name: str) -> MissingCorpus:
    manifests = {manifest.name for manifest in list_manifests()}
    crawled = {corpus.name for corpus in list_corpora()}
    near = difflib.get_close_matches(name, sorted(crawled | manifests), n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else ""
    if (manifest := find_manifest(name)) is not None:
        remedy = f"Run: workbench crawl {manifest.name}"
    elif near and near[0] not in crawled:
        remedy = f"Run: workbench crawl {near[0]}"
    else:
        remedy = f"Run: workbench crawl {name} folder:PATH"
    return MissingCorpus(f"No corpus is called '{name}'. {hint}", remedy)


def _damaged(name: str) -> MissingCorpus:
    remedy = f"Run: workbench crawl {name}"
    return MissingCorpus(f"The corpus {name} is damaged.", remedy)


def _nothing_found(sources: Mapping[str, str | None], skipped: Mapping[str, int]) -> BadInput:
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
    return BadInput(
        f"There is no code to read in {', '.join(sources)}"
        + (f" (skipped: {reasons})." if reasons else "."),
        "Give another source.",
    )
