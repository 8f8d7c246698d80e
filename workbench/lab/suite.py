"""Which suite a name means: one of the registry, or a crawled corpus, which is then mined."""

from __future__ import annotations

from functools import lru_cache

from workbench.corpus.store import read_corpus
from workbench.suites import RETRIEVAL_SUITES, RetrievalSuite, load_suite


def find_suite(name: str) -> RetrievalSuite:
    """Return the suite called ``name``; the name of a crawled corpus means ``mined:NAME``.

    The last few are kept, as mining a corpus takes seconds; a corpus that was crawled anew is
    mined anew.

    Raises:
        UnknownName: neither a suite nor a corpus is called so.
        BadInput: its files are missing or malformed.
    """
    kind, _, argument = name.strip().partition(":")
    if kind in RETRIEVAL_SUITES:
        corpus = read_corpus(argument) if kind == "mined" else None
        # Files of other suites may be edited at any time; reading them is quick.
        return load_suite(name) if corpus is None else _mined(corpus.name, corpus.digest)
    crawled = read_corpus(name.strip())
    return load_suite(name) if crawled is None else _mined(crawled.name, crawled.digest)


@lru_cache(maxsize=3)
def _mined(corpus: str, digest: str) -> RetrievalSuite:
    return load_suite(f"mined:{corpus}")
