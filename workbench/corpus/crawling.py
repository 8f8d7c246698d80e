"""Crawl: from sources, through the filters, to a corpus on disk."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from workbench.cancel import cancelled
from workbench.corpus.caps import Budget, Caps
from workbench.corpus.entries import Skip
from workbench.corpus.manifest import Manifest, find_manifest, list_manifests
from workbench.corpus.parts import Part, read_sources, remove_parts, was_stopped
from workbench.corpus.sources import Source, parse_source
from workbench.corpus.store import Corpus, Recipe, check_name, read_corpus, tidy, write_corpus
from workbench.errors import BadInput, UnknownName, WorkbenchError
from workbench.locks import exclusive
from workbench.progress import bar
from workbench.settings import settings
from workbench.types import Document

PARTS = "parts"
"""The folder, within that of a corpus, of the sources that an unfinished crawl has read."""


class Filters(Protocol):
    """What each document goes through, in the order of the corpus."""

    @property
    def fingerprint(self) -> str:
        """Identify all that decides what becomes of a document."""

    @property
    def noted(self) -> Counter[str]:
        """Count what was changed in documents that were kept."""

    def __call__(self, document: Document) -> Document:
        """Return the document, changed or not.

        Raises:
            Skip: it is left out; the message is the reason.
        """


def crawl(
    name: str,
    sources: Sequence[str] = (),
    *,
    caps: Caps | None = None,
    without: Sequence[str] | None = None,
) -> Corpus:
    """Read sources, filter what they hold, and keep it as the corpus called ``name``.

    Without sources, ``name`` is that of a manifest, the one source that a manifest consists of
    (``stdlib``), or a corpus of your own, which is then crawled again from where it came, as it
    was. ``caps`` None are the manifest's or else ``DEFAULT_CAPS``; ``without`` names filters to
    leave out.

    The sources are read several at once. What is finished is kept when another one fails, or
    the process dies: the same call goes on from there. The corpus on disk is replaced in one
    step at the end; where nothing changed, nothing is written and the corpus returned says
    ``unchanged``. Sources that are all pinned are not even read for that.

    Raises:
        UnknownName: no manifest, corpus or filter is called so.
        BadInput: the name or a source cannot be used, or there is no code in the sources.
        InUse: another process is crawling the same corpus.
        Cancelled: nobody waits for it any more.
        WorkbenchError: a source could not be read, the disk is full, or the folder may not be
            written.
    """
    name, recipe, asked = _resolve(name, sources, caps, without)
    folder = settings().corpora / name
    try:
        with exclusive(folder, f"The corpus {name} is being written"):
            filters = make_filters(recipe.without, recipe.options)
            recipe = replace(recipe, filters=filters.fingerprint)
            corpus = _as_before(name, recipe, asked)
            if corpus is None:
                parts = read_sources(name, asked, folder / PARTS, recipe.caps)
                corpus = _write(name, recipe, parts, filters, folder / PARTS)
            tidy(corpus)
            remove_parts(folder / PARTS)
            return corpus
    except OSError as error:
        raise WorkbenchError(
            f"The corpus {name} cannot be written: {error.strerror or error}.",
            "Free some space, or set WORKBENCH_HOME to another folder.",
        ) from error


def make_filters(without: Sequence[str], options: Mapping[str, Any]) -> Filters:
    """Return a fresh pipeline of filters, which remembers what it has seen.

    Raises:
        UnknownName: no filter, or no setting of a filter, is called so.
        BadInput: a setting has a value that it cannot have.
    """
    from workbench.corpus.filters import Pipeline

    return Pipeline(without=without, **options)


def _as_before(name: str, recipe: Recipe, sources: Sequence[Source]) -> Corpus | None:
    """Return the corpus on disk if these sources, all pinned, can give nothing else."""
    old = read_corpus(name)
    if old is None or old.recipe != recipe or any(source.pin is None for source in sources):
        return None
    if recipe.caps.beyond_seconds in old.counts.skipped:
        return None  # there was more, had there been time
    python = dict(old.sources).get("stdlib")
    if python not in (None, platform.python_version()) or not old.is_whole():
        return None
    return replace(old, unchanged=True)


def _write(
    name: str, recipe: Recipe, parts: Sequence[Part], filters: Filters, folder: Path
) -> Corpus:
    """Filter the documents of all parts, in order, into the corpus."""
    by_source: dict[str, Part] = {}
    for part in parts:
        known = by_source.setdefault(part.source, part)
        if known.revision != part.revision:
            raise BadInput(
                f"The source {part.source} is named at two revisions: {known.revision} and "
                f"{part.revision}.",
                "Crawl each into a corpus of its own.",
            )
    kept = list(by_source.values())  # a source named twice counts once
    revisions = {part.source: part.revision for part in kept}
    skipped: Counter[str] = Counter()
    for part in kept:
        skipped.update(part.skipped)
    read = bar(
        _within(recipe.caps, kept, folder, skipped),
        total=sum(part.read for part in kept),
        desc=f"Filtering {name}",
        unit=" files",
    )
    changed: Counter[str] = Counter()
    documents = _filtered(name, read, filters, skipped, changed)
    return write_corpus(name, documents, revisions, recipe, skipped, changed)


def _within(
    caps: Caps, parts: Iterable[Part], folder: Path, skipped: Counter[str]
) -> Iterator[Document]:
    """Yield the documents of all parts up to the caps, which hold for all sources together."""
    budget = Budget(caps)
    for part in parts:
        for document in part.documents(folder):
            if budget.take(len(document.text.encode())):
                yield document
            else:
                skipped[str(budget.spent)] += 1


def _filtered(
    name: str,
    documents: Iterable[Document],
    filters: Filters,
    skipped: Counter[str],
    changed: Counter[str],
) -> Iterator[Document]:
    """Yield what the filters keep; count what they leave out, and at the end what they changed."""
    for document in documents:
        if cancelled():
            raise was_stopped(name)
        try:
            kept = filters(document)
        except Skip as skip:
            skipped[str(skip)] += 1
        else:
            yield kept
    changed.update(filters.noted)


def _resolve(
    name: str, sources: Sequence[str], caps: Caps | None, without: Sequence[str] | None
) -> tuple[str, Recipe, list[Source]]:
    """Return the corpus' own name, how it is made, and its sources as they were typed.

    The recipe, which is kept on disk, names them without their passwords.
    """
    manifest = find_manifest(name)
    if sources and manifest is not None:
        raise BadInput(
            f"The name '{name}' belongs to the corpus {manifest.name} of the workbench.",
            "Choose another name for your own.",
        )
    if sources:
        check_name(name)
        recipe = Recipe(sources=tuple(sources))
    elif manifest is not None:
        name, recipe = manifest.name, _recipe_of(manifest)
    elif (own := read_corpus(name)) is not None:
        recipe = own.recipe
    else:
        raise _unknown(name)
    asked = {
        str(source): source for source in (parse_source(text).absolute() for text in recipe.sources)
    }
    recipe = replace(recipe, sources=tuple(asked))
    if caps is not None:
        recipe = replace(recipe, caps=caps)
    if without is not None:
        recipe = replace(recipe, without=tuple(sorted(set(without))))
    return name, recipe, list(asked.values())


def _recipe_of(manifest: Manifest) -> Recipe:
    options = dict(manifest.filters)
    without = tuple(sorted(set(options.pop("without", ()))))
    return Recipe(manifest.sources, manifest.caps, without, options)


def _unknown(name: str) -> BadInput:
    if ":" in name:
        source = parse_source(name)
        return BadInput(
            f"A corpus of {source} needs a name.", f"Run: workbench crawl NAME {source}"
        )
    known = [manifest.name for manifest in list_manifests()]
    return UnknownName(
        "corpus", name, known, f"For your own code, run: workbench crawl {name} folder:PATH"
    )
