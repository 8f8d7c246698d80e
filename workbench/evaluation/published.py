"""Figures that the makers of models published, to be quoted beside ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """One published figure. ``value`` is a share, as ours; ``how`` says how it was measured."""

    suite: str
    backend: str
    metric: str
    value: float
    source: str
    how: str

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.source}; {self.how})"


_QWEN = "Qwen2.5-Coder Technical Report, arXiv:2409.12186v3, table of the instruct models"
_EVALPLUS = "EvalPlus's HumanEval, greedy, its own prompt and 16 bit weights"

# The backends that answer with the weights of the row, whatever their quantisation.
PUBLISHED = (
    Published("humaneval", "qwen2.5-coder-0.5b", "pass@1", 0.616, _QWEN, _EVALPLUS),
    Published("humaneval", "qwen2.5-coder-1.5b", "pass@1", 0.707, _QWEN, _EVALPLUS),
    Published("humaneval", "qwen2.5-coder-3b", "pass@1", 0.841, _QWEN, _EVALPLUS),
)


def published(suite: str, backend: str, metric: str) -> Published | None:
    """Return what was published of a model, None where nothing is known.

    A backend is known by its model's name, as ``llama-cpp/qwen2.5-coder-0.5b`` and
    ``transformers/Qwen/Qwen2.5-Coder-0.5B-Instruct``.
    """
    model = backend.rpartition("/")[2].lower().removesuffix("-instruct")
    for one in PUBLISHED:
        if (one.suite, one.backend, one.metric) == (suite, model, metric):
            return one
    return None
