"""Run untrusted programs and say what came of it, so that they cannot forge the verdict."""

from workbench.sandbox.records import UNJUDGED, VERDICTS, Limits, Outcome, Verdict

__all__ = ["UNJUDGED", "VERDICTS", "Limits", "Outcome", "Verdict"]
