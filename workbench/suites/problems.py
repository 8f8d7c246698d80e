"""What a suite of problems is made of, and the menu of suites that are known by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from workbench.registry import Registry
from workbench.types import Example, TaskName


@dataclass(frozen=True, slots=True)
class Suite:
    """Problems with their answer keys.

    ``metrics`` are the names of those that it is usually reported by, the leading one first.
    ``digest`` is ``examples_digest`` of its examples, ``checksum`` the SHA-256 of the file that it
    came from, ``origin`` a word on where that is to be had. ``note`` says what to beware of.
    """

    name: str
    task: TaskName
    examples: tuple[Example, ...] = field(repr=False)
    license: str
    citation: str
    origin: str
    checksum: str
    metrics: tuple[str, ...]
    note: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of all that it asks and how it judges, in hex."""
        return examples_digest(self.examples)


def examples_digest(examples: Iterable[Example]) -> str:
    """Return the SHA-256 of examples in their order, in hex."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps(asdict(example), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


# ``needs`` is what stands behind the colon of a suite's name.
SUITES = Registry("suite", "See: workbench suites list")
