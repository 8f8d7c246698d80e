"""What the models are told: one Markdown file a template, rendered by filling its gaps.

A template file has sections under ``## system``, ``## user`` and ``## assistant``, which become
messages in that order of writing, and may have further sections (``## reference``) that are
rendered one at a time. Text above the first section is for the reader of the file only.

A gap is written ``${name}``. Values go in as they are, once: nothing in them is read as a gap, so
dollars, braces and backticks of a user come through byte for byte. A paragraph with a gap whose
value is None or empty is left out as a whole; that is the only condition there is.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import get_args

from workbench.errors import UnknownName
from workbench.types import Message, Role

_SECTION = re.compile(r"^## +(\w+)[ \t]*$", re.MULTILINE)
_ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt with gaps. ``sections`` map a section's name to its paragraphs.

    ``digest`` is the SHA-256 of all sections, in hexadecimal, so that two runs can tell whether
    they asked in the same words.
    """

    name: str
    digest: str
    sections: Mapping[str, tuple[str, ...]]

    @classmethod
    def parse(cls, name: str, text: str) -> Template:
        """Read a template from the text of its file.

        Raises:
            ValueError: a section is written twice, or no section is a role's.
        """
        text = text.replace("\r\n", "\n")
        _, *pieces = _SECTION.split(text)
        names = pieces[::2]
        if len(set(names)) < len(names):
            raise ValueError(f"template {name} has a section twice")
        if not set(names) & set(_ROLES):
            raise ValueError(f"template {name} has no section called {' or '.join(_ROLES)}")
        paragraphs = (tuple(re.split(r"\n{2,}", body.strip())) for body in pieces[1::2])
        digest = hashlib.sha256("\n".join(pieces).encode()).hexdigest()
        return cls(name, digest, dict(zip(names, paragraphs, strict=True)))

    @property
    def label(self) -> str:
        """Name the template and the version of its words: ``generate@1a2b3c4d``."""
        return f"{self.name}@{self.digest[:8]}"

    def render(self, **values: str | None) -> tuple[Message, ...]:
        """Write the messages. A message of which no paragraph is left is left out.

        Raises:
            KeyError: a gap of the template has no value here, which is the caller's mistake.
        """
        written = ((role, self.part(role, **values)) for role in self.sections if role in _ROLES)
        return tuple(Message(role, content) for role, content in written if content)

    def part(self, section: str, **values: str | None) -> str:
        """Write one section, without the paragraphs that have an empty gap.

        Raises:
            KeyError: there is no such section, or one of its gaps has no value here.
        """
        gaps = (string.Template(paragraph) for paragraph in self.sections[section])
        return "\n\n".join(
            gap.substitute(values)
            for gap in gaps
            if all(values[identifier] for identifier in gap.get_identifiers())
        )


@cache
def load_template(name: str) -> Template:
    """Return the template of ``name.md`` beside this module.

    Raises:
        UnknownName: there is no such file.
    """
    files = {
        file.name.removesuffix(".md"): file
        for file in resources.files(__name__).iterdir()
        if file.name.endswith(".md")
    }
    if name not in files:
        raise UnknownName("template", name, files)
    return Template.parse(name, files[name].read_text(encoding="utf-8"))
