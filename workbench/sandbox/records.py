"""What running an untrusted program may take, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Verdict = Literal[
    "passed",
    "wrong answer",
    "exception",
    "syntax error",
    "no code",
    "timeout (CPU)",
    "timeout (wall)",
    "out of memory",
    "killed",
    "compiler error",
    "sandbox failure",
    "skipped",
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

UNJUDGED: frozenset[Verdict] = frozenset({"sandbox failure", "skipped"})
"""Verdicts that say nothing of the program: they leave the denominator, and are shown."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may take.

    CPU time is what counts; ``wall_seconds`` only ends what waits without computing, so that a
    loaded machine changes no verdict. ``memory`` and the others count bytes: ``output`` what is
    printed or answered, ``files`` what is written into the one folder that it has.
    ``compile_seconds`` is the CPU time of a compiler.
    """

    cpu_seconds: float = 10.0
    wall_seconds: float = 120.0
    memory: int = 1 << 30
    output: int = 8 << 20
    files: int = 16 << 20
    processes: int = 64
    compile_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a grader says of one program. Times are those of the program alone.

    ``tier`` is the sandbox that it ran in, ``detail`` one line on why it did not pass.
    """

    verdict: Verdict
    detail: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    tier: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the program is right; None where it could not be judged."""
        return None if self.verdict in UNJUDGED else self.verdict == "passed"
