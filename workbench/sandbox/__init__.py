"""Run untrusted programs and say what came of it, so that they cannot forge the verdict."""

from typing import TYPE_CHECKING, Any

from workbench.sandbox.records import UNJUDGED, VERDICTS, Limits, Outcome, Verdict

if TYPE_CHECKING:
    from workbench.sandbox.grader import Grader

__all__ = ["UNJUDGED", "VERDICTS", "Grader", "Limits", "Outcome", "Verdict"]


def __getattr__(name: str) -> Any:
    """Import the grader when it is first asked for."""
    if name == "Grader":
        from workbench.sandbox.grader import Grader

        return Grader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
