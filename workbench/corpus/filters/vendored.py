"""Leave out other people's code that a project carries along."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from workbench.corpus.entries import VENDORED as FOLDERS
from workbench.corpus.entries import Skip
from workbench.corpus.filters.rule import Filter
from workbench.types import Document

VENDORED = "vendored"
"""Copied in from another project, by the name of a folder or of the file."""

# The folders that crawlers do not even enter, and those that only look so: pip's and setuptools'.
_FOLDERS = FOLDERS | {"_vendor", "_vendored", "3rdparty", "3rd_party", "extern", "externals"}
# Files that are meant to be copied; the list is that of GitHub's linguist (vendor.yml), cut down to
# the languages of the workbench.
_FILES = re.compile(
    r"jquery([-.].*)?\.js|bootstrap([-.].*)?\.js|modernizr([-.].*)?\.js|"
    r"(angular|react|vue|d3|lodash|underscore|backbone)([-.]\d[\w.]*)?\.js|"
    r"ez_setup\.py|versioneer\.py|get-pip\.py|catch\.hpp|nlohmann_json\.hpp|gtest(-all)?\.(h|cc)"
)


@dataclass(kw_only=True)
class Vendored(Filter):
    """Judges by the path alone."""

    def check(self, document: Document) -> Document:
        """Return the document, or skip it as "vendored"."""
        path = PurePosixPath(document.path)
        if not _FOLDERS.isdisjoint(path.parts[:-1]) or _FILES.fullmatch(path.name):
            raise Skip(VENDORED)
        return document
