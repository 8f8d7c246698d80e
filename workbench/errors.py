"""Errors that say the cause, then the command that mends it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorkbenchError(Exception):
    """The root of all errors that a user is meant to read.

    ``cause`` and ``remedy`` are one sentence each; ``str()`` joins them to one line.
    ``exit_code`` is what the command line returns: 1 where the work failed, 2 where the call
    was wrong.
    """

    exit_code = 1

    def __init__(self, cause: str, remedy: str = "") -> None:
        self.cause = " ".join(cause.split())
        self.remedy = " ".join(remedy.split())
        super().__init__(f"{self.cause} {self.remedy}".strip())


class BadInput(WorkbenchError):
    """What was handed in cannot be used."""

    exit_code = 2


class UnknownName(BadInput):
    """A name that nothing is registered under; offers the nearest right ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], remedy: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."
        super().__init__(f"No {kind} is called '{name}'.", f"{hint} {remedy}")


class MissingExtra(WorkbenchError):
    """A package that this feature needs is not installed."""

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed.",
            f"Run: pip install 'code-workbench[{extra}]'",
        )


class MissingKey(WorkbenchError):
    """A hosted backend was called without its key."""

    exit_code = 2


class MissingModel(WorkbenchError):
    """The weights of a model are not to be had here."""


class MissingCorpus(BadInput):
    """A corpus or index that was never built, or was removed."""


class WrongHash(WorkbenchError):
    """A downloaded file is not the official one; it was thrown away."""


class InUse(WorkbenchError):
    """Another process is writing the same thing."""


class Cancelled(WorkbenchError):
    """The work was stopped, as nobody waits for it any more."""


class BackendError(WorkbenchError):
    """A backend could not answer."""
