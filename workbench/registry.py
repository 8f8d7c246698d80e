"""Names -> lazily imported factories, with the nearest right name for a wrong one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from workbench.errors import MissingExtra, UnknownName


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a menu: where the factory lives and what a user should know before choosing.

    ``target`` is ``module:attribute``; the module is imported when the entry is first used.
    ``extra`` is the optional extra of this package that brings what the module imports.
    ``takes`` says, in capitals, what may stand behind a slash after the name, "" for nothing.
    """

    name: str
    target: str
    summary: str
    extra: str | None = None
    needs: str = ""
    takes: str = ""


class Registry:
    """A menu of one kind of thing. Registering imports nothing."""

    def __init__(self, kind: str, remedy: str = "") -> None:
        self.kind = kind
        self._remedy = remedy
        self._entries: dict[str, Entry] = {}

    def add(
        self,
        name: str,
        target: str,
        summary: str,
        *,
        extra: str | None = None,
        needs: str = "",
        takes: str = "",
    ) -> None:
        """Register ``name``; a name can be taken only once."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered already")
        self._entries[name] = Entry(name, target, summary, extra, needs, takes)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def entry(self, name: str) -> Entry:
        """Return the row called ``name``.

        Raises:
            UnknownName: nothing is registered under that name.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownName(self.kind, name, self._entries, self._remedy) from None

    def load(self, name: str) -> Callable[..., Any]:
        """Import and return the factory called ``name``.

        Raises:
            UnknownName: nothing is registered under that name.
            MissingExtra: a package that the factory's module imports is not installed.
        """
        entry = self.entry(name)
        module, _, attribute = entry.target.partition(":")
        try:
            factory: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if entry.extra is None or (error.name or "").startswith("workbench"):
                raise
            raise MissingExtra(f"{self.kind.capitalize()} {name}", entry.extra) from error
        return factory
