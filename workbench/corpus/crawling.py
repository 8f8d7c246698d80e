"""Crawl: from sources to a corpus on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from workbench.corpus.manifest import find_manifest, list_manifests
from workbench.corpus.sources import SourceCrawler, parse_source
from workbench.corpus.store import Corpus, check_name, read_corpus, write_corpus
from workbench.errors import BadInput, UnknownName, WorkbenchError
from workbench.locks import exclusive
from workbench.progress import bar
from workbench.settings import settings
from workbench.types import Document


def crawl(name: str, sources: Sequence[str] = ()) -> Corpus:
    """Read sources and keep them as the corpus called ``name``.

    Without sources, ``name`` is that of a manifest, the one source that a manifest consists of
    (``stdlib``), or a corpus of your own, which is then crawled again from where it came. The
    corpus on disk is replaced in one step at the end; where nothing changed, nothing is written
    and the corpus returned says ``unchanged``.

    Raises:
        UnknownName: no manifest and no corpus is called so.
        BadInput: the name or a source cannot be used, or there is no code in the sources.
        InUse: another process is crawling the same corpus.
        WorkbenchError: the disk is full, or the folder may not be written.
    """
    name, sources = _resolve(name, sources)
    opened = [parse_source(source).open() for source in sources]
    crawlers = {crawler.source: crawler for crawler in opened}  # a source named twice counts once
    revisions = {source: crawler.revision for source, crawler in crawlers.items()}
    skipped: Counter[str] = Counter()
    documents = _read(name, list(crawlers.values()), skipped)
    try:
        with exclusive(settings().corpora / name, f"The corpus {name} is being written"):
            return write_corpus(name, documents, revisions, skipped)
    except OSError as error:
        raise WorkbenchError(
            f"The corpus {name} cannot be written: {error.strerror or error}.",
            "Free some space, or set WORKBENCH_HOME to another folder.",
        ) from error


def _read(
    name: str, crawlers: Sequence[SourceCrawler], skipped: Counter[str]
) -> Iterator[Document]:
    """Yield the documents of all crawlers, and add what they left out to ``skipped``."""
    with bar(desc=f"Crawling {name}", unit=" files") as progress:
        for crawler in crawlers:
            for document in crawler.crawl():
                progress.update()
                yield document
            skipped.update(crawler.skipped)


def _resolve(name: str, sources: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the corpus' own name, and all its sources."""
    manifest = find_manifest(name)
    if sources:
        if manifest is not None:
            raise BadInput(
                f"The name '{name}' belongs to the corpus {manifest.name} of the workbench.",
                "Choose another name for your own.",
            )
        check_name(name)
        return name, sources
    if manifest is not None:
        return manifest.name, manifest.sources
    own = read_corpus(name)
    if own is not None:
        return name, [source for source, _ in own.sources]
    if ":" in name:
        source = parse_source(name)
        raise BadInput(f"A corpus of {source} needs a name.", f"Run: workbench crawl NAME {name}")
    known = [manifest.name for manifest in list_manifests()]
    raise UnknownName(
        "corpus", name, known, f"For your own code, run: workbench crawl {name} folder:PATH"
    )
