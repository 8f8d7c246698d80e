"""Leave out tests and their data: they repeat the code they test, with made-up values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from workbench.corpus.entries import Skip
from workbench.corpus.filters.rule import Filter
from workbench.types import Document

TEST = "test"
"""A test, by the name of a folder or of the file."""

_FOLDERS = frozenset(
    {"__tests__", "spec", "specs", "test", "testdata", "testing_data", "tests", "unittests"}
)
# pytest and unittest; JUnit and NUnit; Go; JavaScript; googletest.
_FILES = re.compile(
    r"(test_.*|.*_tests?|conftest)\.pyw?|.*Tests?\.(java|cs|php)|.*_test\.go|"
    r".*\.(test|spec)\.[cm]?jsx?|.*_(unit)?test\.(cc|cpp|cxx)"
)


@dataclass(kw_only=True)
class Tests(Filter):
    """Judges by the path alone. A package called ``testing`` is code: numpy's, pandas'."""

    def check(self, document: Document) -> Document:
        """Return the document, or skip it as "test"."""
        path = PurePosixPath(document.path)
        if not _FOLDERS.isdisjoint(path.parts[:-1]) or _FILES.fullmatch(path.name):
            raise Skip(TEST)
        return document
