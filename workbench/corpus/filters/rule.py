"""What all filters have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

from workbench.types import Document


@dataclass(kw_only=True)
class Filter(ABC):
    """One thing to look for in a document. The fields of a subclass are its settings.

    ``version`` changes with what a filter does, so that a corpus knows that it is out of date.
    ``noted`` counts, by reason, what was changed in documents that were kept.
    """

    version: ClassVar[str] = "1"
    noted: Counter[str] = field(default_factory=Counter, init=False, repr=False)

    @abstractmethod
    def check(self, document: Document) -> Document:
        """Return the document, changed or as it is.

        Raises:
            Skip: it is left out; the message is the reason.
        """
