"""The filters on all of the standard library: what they drop, and how long they take."""

from __future__ import annotations

import time

from workbench.corpus.entries import Skip
from workbench.corpus.filters import Pipeline
from workbench.corpus.stdlib import StandardLibrary

# A table of 2,231 entities, and functions over tables that mkstringprep.py wrote.
TABLES = {"html/entities.py": "data table", "stringprep.py": "generated"}


def test_of_the_standard_library_only_tables_and_copied_stubs_are_lost() -> None:
    documents = list(StandardLibrary().crawl())
    pipeline = Pipeline()
    lost = {}
    start = time.perf_counter()
    for document in documents:
        try:
            pipeline(document)
        except Skip as skip:
            lost[document.path] = (str(skip), document.text.count("\n"))
    seconds = time.perf_counter() - start
    print(f"{len(documents)} files in {seconds:.1f} s; lost: {lost}")
    assert {path: why for path, (why, _) in lost.items() if path in TABLES} == TABLES
    copies = {path: lines for path, (_, lines) in lost.items() if path not in TABLES}
    assert {why for path, (why, _) in lost.items() if path in copies} <= {
        "duplicate",
        "near duplicate",
    }
    assert max(copies.values(), default=0) <= 10, copies
    assert pipeline.noted["secret redacted"] == pipeline.noted["language corrected"] == 0
    assert seconds < 30
