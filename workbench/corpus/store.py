"""Corpora on disk: written whole or not at all, read as a stream.

A corpus is a folder with ``corpus.json`` and the file of documents that it names. The documents
go to a file called after their own digest, and only then is ``corpus.json`` replaced, in one
step: whenever the writer dies, what was there before is still whole.
"""

from __future__ import annotations

import contextlib
import difflib
import filecmp
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from workbench import durable
from workbench.corpus.caps import BEYOND, DEFAULT_CAPS, Caps
from workbench.corpus.document_files import DocumentWriter, digest_of, read_documents
from workbench.corpus.manifest import find_manifest, list_manifests
from workbench.corpus.sources import redact
from workbench.errors import BadInput, MissingCorpus
from workbench.settings import settings
from workbench.types import Document

FORMAT = 2
"""Version of the files; one of another version is crawled anew."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Report:
    """What a crawl read and what it left out, by reason: ``read`` + skipped = ``seen``.

    ``bytes`` counts the texts as UTF-8; ``languages`` ("other": none known) and ``licences``
    (SPDX expressions, "unknown") count documents, and ``changed`` those that a filter changed
    and kept, by what was done.
    """

    read: int
    skipped: Mapping[str, int]
    bytes: int
    languages: Mapping[str, int]
    licences: Mapping[str, int] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        """Entries met: a folder that was not entered counts as one."""
        return self.read + sum(self.skipped.values())

    @property
    def is_cut(self) -> bool:
        """Say whether a cap ended the crawl: there is more than was ``seen``."""
        return any(reason.startswith(BEYOND) for reason in self.skipped)

    def _repr_html_(self) -> str:
        tables = [
            _table("Read", {"seen": self.seen, "read": self.read, "bytes": self.bytes}),
            _table("Languages", self.languages),
            _table("Licences", self.licences),
            _table("Left out", self.skipped),
            _table("Changed", self.changed),
        ]
        cut = "<p>The corpus is cut: a cap ended the crawl.</p>" if self.is_cut else ""
        return f'{cut}<div style="display:flex;flex-wrap:wrap;gap:1.5em">{"".join(tables)}</div>'


def _table(title: str, counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    rows = "".join(
        f'<tr><td style="text-align:left">{escape(name)}</td>'
        f'<td style="text-align:right">{count:,}</td></tr>'
        for name, count in counts.items()
    )
    return f'<table><tr><th colspan="2" style="text-align:left">{title}</th></tr>{rows}</table>'


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a corpus is made: the same recipe of pinned sources makes the same corpus.

    ``sources`` are as they were asked for, without passwords, their paths absolute. ``without``
    names the filters left out, ``options`` are those of the filters, and ``filters`` is the
    fingerprint of what the documents went through.
    """

    sources: tuple[str, ...]
    caps: Caps = DEFAULT_CAPS
    without: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    filters: str = ""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A crawled corpus. ``digest`` is the SHA-256 of its documents, in their order.

    ``sources`` pairs each source with its revision, if it has one; ``recipe`` says how it was
    asked for. ``unchanged`` is True where the crawl that returned this found what was there
    already, and wrote nothing.
    """

    name: str
    digest: str
    sources: tuple[tuple[str, str | None], ...]
    created: str
    folder: Path = field(repr=False)
    counts: Report = field(repr=False)
    recipe: Recipe = field(repr=False)
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
            for document in read_documents(_documents_file(self.folder, self.digest)):
                yield document
                read += 1
        except FileNotFoundError:
            raise MissingCorpus(
                f"The corpus {self.name} was crawled anew or removed meanwhile.", "Open it again."
            ) from None
        except ValueError:
            raise _damaged(self.name) from None
        if read != len(self):
            raise _damaged(self.name)

    def is_whole(self) -> bool:
        """Read the file of documents, and say whether it is the one that was written."""
        return digest_of(_documents_file(self.folder, self.digest)) == self.digest

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
            recipe=_recipe(table["recipe"]),
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
            f"A corpus cannot be called '{redact(name)}'.",
            "Use lower case letters, digits, '.', '_' and '-', a letter or digit first.",
        )


def write_corpus(
    name: str,
    documents: Iterable[Document],
    sources: Mapping[str, str | None],
    recipe: Recipe,
    skipped: Mapping[str, int],
    changed: Mapping[str, int],
) -> Corpus:
    """Write a corpus, replacing the one of that name in a single step.

    ``skipped`` and ``changed`` are read after ``documents`` is exhausted. Call it under
    ``exclusive``. Where documents, sources, recipe and counts are what they were, nothing is
    replaced.

    Raises:
        BadInput: there was no document.
    """
    folder = settings().corpora / name
    part = folder / "documents.part"
    try:
        with DocumentWriter(part) as writer:
            for document in documents:
                writer.write(document)
        if not writer.read:
            raise _nothing_found(sources, skipped)
        report = Report(
            read=writer.read,
            skipped=dict(sorted(skipped.items())),
            bytes=writer.bytes,
            languages=dict(writer.languages.most_common()),
            licences=dict(writer.licences.most_common()),
            changed=dict(sorted(changed.items())),
        )
        created = datetime.now(UTC).isoformat(timespec="seconds")
        corpus = Corpus(
            name, writer.digest, tuple(sources.items()), created, folder, report, recipe
        )
        target = _documents_file(folder, corpus.digest)
        old = read_corpus(name)
        if old is not None and replace(old, created=created) == corpus and _same(part, target):
            return replace(old, unchanged=True)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    durable.point("crawl.documents")
    _commit(corpus)
    durable.point("crawl.swap")
    return corpus


def tidy(corpus: Corpus) -> None:
    """Remove what earlier crawls left beside a corpus. Call it under ``exclusive``."""
    keep = _documents_file(corpus.folder, corpus.digest)
    for file in (*corpus.folder.glob("documents-*.jsonl"), *corpus.folder.glob("*.part")):
        if file != keep:
            # A reader on Windows may hold the old file open; the next crawl removes it.
            with contextlib.suppress(PermissionError):
                file.unlink()


def _commit(corpus: Corpus) -> None:
    """Point ``corpus.json`` to the new documents, in one step."""
    table = {
        "format": FORMAT,
        "digest": corpus.digest,
        "sources": corpus.sources,
        "created": corpus.created,
        "recipe": asdict(corpus.recipe),
        "report": asdict(corpus.counts),
    }
    durable.replace_durably(corpus.folder / "corpus.json", json.dumps(table, indent=2) + "\n")


def _recipe(table: Mapping[str, Any]) -> Recipe:
    """Return the recipe that ``corpus.json`` tells of."""
    return Recipe(
        sources=tuple(table["sources"]),
        caps=Caps(**table["caps"]),
        without=tuple(table["without"]),
        options=table["options"],
        filters=table["filters"],
    )


def _documents_file(folder: Path, digest: str) -> Path:
    return folder / f"documents-{digest[:16]}.jsonl"


def _same(one: Path, other: Path) -> bool:
    """Compare two files: a damaged corpus is not unchanged, whatever its digest says."""
    return filecmp.cmp(one, other, shallow=False)


def _missing(name: str) -> MissingCorpus:
    manifests = {manifest.name for manifest in list_manifests()}
    crawled = {corpus.name for corpus in list_corpora()}
    if _NAME.fullmatch(name) and (settings().corpora / name / "corpus.json").is_file():
        return MissingCorpus(
            f"The corpus {name} is damaged, or of another version of the workbench.",
            f"Run: workbench crawl {name}",
        )
    near = difflib.get_close_matches(name, sorted(crawled | manifests), n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else ""
    if (manifest := find_manifest(name)) is not None:
        remedy = f"Run: workbench crawl {manifest.name}"
    elif near and near[0] not in crawled:
        remedy = f"Run: workbench crawl {near[0]}"
    else:
        remedy = f"Run: workbench crawl {redact(name)} folder:PATH"
    return MissingCorpus(f"No corpus is called '{redact(name)}'. {hint}", remedy)


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
