"""Errors that say the cause, then the command that mends it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.types import Completion


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
        hint = hint if names else "There is none yet."
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
    """A backend could not answer.

    ``transient``: the same call may well succeed later (HTTP 408, 409, 429, 5xx, a connection
    that was refused or reset); nothing else is ever tried again. ``status`` is the HTTP status,
    None where there was none. ``retry_after`` are the seconds for which the server asked, None
    where it named none. ``partial`` is what had come until then, None where nothing had.
    """

    def __init__(
        self,
        cause: str,
        remedy: str = "",
        *,
        transient: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
        partial: Completion | None = None,
    ) -> None:
        super().__init__(cause, remedy)
        self.transient = transient
        self.status = status
        self.retry_after = retry_after
        self.partial = partial


class BrokenOff(BackendError):
    """A stream ended before its answer did; ``partial`` is what had come."""


class DeadlineExceeded(BackendError):
    """An answer, or its next token, did not come in time."""


class OverBudget(BackendError):
    """The call might cost more than is left of the budget, so it was not made."""


class TooLarge(BackendError):
    """A model does not fit into the memory of this machine; it was not loaded."""
