"""The metrics of an evaluation with all that they stand on: a sandbox, an embedder, a writer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.metrics import make_metric, making_of
from workbench.retrieval import load_embedder
from workbench.sandbox import Limits
from workbench.spec import DEFAULT_BACKEND, solver
from workbench.tasks import load_task
from workbench.types import Answered, Question

if TYPE_CHECKING:
    from workbench.types import Metric

EMBEDDER = "minilm"
"""What measures similarity where nothing else is named."""


@dataclass(frozen=True, slots=True)
class Judges:
    """Metrics that are ready to judge, and what is told of what they stand on."""

    metrics: tuple[Metric, ...]
    told: dict[str, Any] = field(default_factory=dict)


@contextmanager
def judges(
    metrics: Sequence[str | Metric], *, embedder: str | None = None, writer: str | None = None
) -> Iterator[Judges]:
    """Make the metrics that are names, for the block; each signature once.

    ``embedder`` measures similarity, and ``writer`` names the backend that writes code from
    summaries for the round trip. At the end the sandbox is closed, and so are metrics of your own
    that can be.

    Raises:
        UnknownName: no metric is called so.
        MissingExtra: a package that one needs is not installed.
        WorkbenchError: there is no sandbox here.
    """
    names = [one for one in metrics if isinstance(one, str)]
    needs = {part for name in names for part in making_of(name).needs}
    with ExitStack() as stack:
        for one in metrics:
            if (close := getattr(one, "close", None)) is not None:
                stack.callback(close)
        parts: dict[str, Any] = {}
        told: dict[str, Any] = {}
        if "grader" in needs:
            from workbench.sandbox import Grader

            grader = stack.enter_context(Grader(workers=at_once()))
            parts["grader"], told["sandbox"] = grader, grader.tier
        if "embedder" in needs:
            parts["embedder"] = load_embedder(embedder or EMBEDDER)
        if "ask" in needs:
            named = writer or DEFAULT_BACKEND
            parts |= {"ask": Writer(named), "writer": named}
        found = [make_metric(one, **parts) if isinstance(one, str) else one for one in metrics]
        yield Judges(tuple({one.signature: one for one in found}.values()), told)


def at_once() -> int:
    """Return how many answers are judged at once: as many as there are cores for this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def figure_rule(name: str) -> Metric | None:
    """Return the metric of that name to reckon figures by; it cannot judge. None: not known here.

    No sandbox is opened. What needs an embedder or a writer is not known by its name alone.
    """
    try:
        return make_metric(name, grader=_Unopened())
    except WorkbenchError:
        return None


@dataclass(frozen=True, slots=True)
class _Unopened:
    """Stands for a sandbox where only its limits are wanted."""

    limits: Limits = field(default_factory=Limits)

    def grade(self, *_: Any) -> Any:
        """Refuse.

        Raises:
            WorkbenchError: always.
        """
        raise WorkbenchError("Nothing is graded here.", "Rescore the run.")


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes code from a summary, as a backend sees fit: for the round trip."""

    backend: str

    def __call__(self, text: str, language: str, signature: str) -> str:
        """Return code that does what ``text`` says.

        Raises:
            WorkbenchError: the backend failed.
        """
        wish = f"{text}\n\nIt must have this signature:\n\n{signature}" if signature else text
        asked = Question(id="round trip", task="generate", text=wish, target_language=language)
        load_task("generate").render(asked, ())
        for event in solver(self.backend).stream(asked):
            if isinstance(event, Answered):
                return event.answer.text
        raise WorkbenchError(f"{self.backend} wrote nothing.")
