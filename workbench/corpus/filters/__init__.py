"""Filters: what each crawled document goes through before it is kept, and why others are not.

A filter is a class with one method, ``check``, and its settings as fields. It lives in a module of
its own, beside the reasons that it gives.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import Field, fields
from typing import Any

from workbench.corpus.filters.rule import Filter
from workbench.errors import BadInput, UnknownName
from workbench.registry import Registry
from workbench.types import Document

# In the order in which documents pass them: what costs least, and leaves most out, comes first;
# duplicates are looked for among what would otherwise be kept, as it would be kept.
FILTERS = Registry("filter")
FILTERS.add(
    "vendored",
    "workbench.corpus.filters.vendored:Vendored",
    "leaves out other people's code that a project carries along",
)
FILTERS.add("tests", "workbench.corpus.filters.tests:Tests", "leaves out tests and their data")
FILTERS.add(
    "size", "workbench.corpus.filters.size:Size", "leaves out minified code and what is no text"
)
FILTERS.add(
    "generated",
    "workbench.corpus.filters.generated:Generated",
    "leaves out code that programs wrote, lock files and tables of data",
)
FILTERS.add(
    "language",
    "workbench.corpus.filters.language:ByContent",
    "tells the language by the content where a file's ending does not, or is wrong",
)
FILTERS.add(
    "licence",
    "workbench.corpus.filters.licence:Licence",
    "reads SPDX headers; keeps, where asked to, only what stands under certain licences",
)
FILTERS.add(
    "secrets", "workbench.corpus.filters.secrets:Secrets", "blots out keys, tokens and passwords"
)
FILTERS.add(
    "duplicates",
    "workbench.corpus.filters.duplicates:Duplicates",
    "leaves out what was there before, word by word or nearly so",
)


class Pipeline:
    """All filters but those left out; what they remember is of one crawl.

    ``options`` are settings by the name of their filter, as a manifest gives them:
    ``Pipeline(without=["tests"], licence={"allow": "permissive"}, size={"longest": 2000})``.
    """

    def __init__(self, without: Collection[str] = (), **options: Any) -> None:
        """Set up the filters.

        Raises:
            UnknownName: no filter, or no setting of a filter, is called so.
            BadInput: a setting has a value that it cannot have.
        """
        for name in (*without, *options):
            FILTERS.entry(name)
        self._filters = {
            entry.name: _make(entry.name, options.get(entry.name, {}))
            for entry in FILTERS
            if entry.name not in without
        }

    @property
    def fingerprint(self) -> str:
        """Identify the filters in use, their settings and their versions."""
        used = {
            name: [step.version, {field.name: getattr(step, field.name) for field in _fields(step)}]
            for name, step in self._filters.items()
        }
        return hashlib.sha256(json.dumps(used).encode()).hexdigest()[:16]

    @property
    def noted(self) -> Counter[str]:
        """What was changed in documents that were kept, so far."""
        return sum((step.noted for step in self._filters.values()), Counter())

    def __call__(self, document: Document) -> Document:
        """Return the document as it is to be kept.

        Raises:
            Skip: it is left out; the message is the reason.
        """
        for step in self._filters.values():
            document = step.check(document)
        return document


def _make(name: str, chosen: Any) -> Filter:
    factory = FILTERS.load(name)
    if not isinstance(chosen, Mapping):
        raise BadInput(
            f"The filter {name} takes settings by name, not '{chosen}'.", "Write NAME = VALUE."
        )
    known = {field.name: field for field in _fields(factory)}
    for setting, value in chosen.items():
        if setting not in known:
            raise UnknownName(f"setting of the filter {name}", setting, known)
        if not _fits(value, known[setting].default):
            raise BadInput(f"The filter {name} cannot have {setting} = {value!r}.")
    step: Filter = factory(**chosen)
    return step


def _fields(step: Any) -> list[Field[Any]]:
    return [field for field in fields(step) if field.init]


def _fits(value: Any, default: Any) -> bool:
    """Tell whether a value is of the kind of the default; numbers must be above zero."""
    if isinstance(default, (int, float)) and not isinstance(default, bool):
        kinds = (int,) if isinstance(default, int) else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and value > 0
    return default is None or isinstance(value, type(default))
