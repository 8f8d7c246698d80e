"""Corpora: crawl code into documents, keep them on disk, cut them into chunks."""

from workbench.corpus.caps import Caps
from workbench.corpus.chunking import CHUNKERS, DEFAULT_CHUNKER, chunk_corpus, make_chunker
from workbench.corpus.contamination import Excluding
from workbench.corpus.crawling import crawl
from workbench.corpus.manifest import Manifest, list_manifests
from workbench.corpus.sources import CRAWLERS, Source, parse_source
from workbench.corpus.store import Corpus, Report, list_corpora, open_corpus

__all__ = [
    "CHUNKERS",
    "CRAWLERS",
    "DEFAULT_CHUNKER",
    "Caps",
    "Corpus",
    "Excluding",
    "Manifest",
    "Report",
    "Source",
    "chunk_corpus",
    "crawl",
    "list_corpora",
    "list_manifests",
    "make_chunker",
    "open_corpus",
    "parse_source",
]
