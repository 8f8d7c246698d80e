"""The settings of a tuning."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from workbench.errors import BadInput, UnknownName


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. The defaults are those of the best trial of minilm's.

    The trials are in ``tests/benchmarks/tuning.md``; see also ``default_recipe``.

    ``epochs`` may be a part of one. ``scale`` is the inverse temperature of the loss.
    ``max_tokens`` cuts texts while training; the tuned embedder reads as many as its base.
    ``warmup`` is a share of all steps.
    ``web_style``, ``documented`` and ``hard_negatives`` are those of ``make_examples``.
    ``weight`` is that of the tuned weights in their average with the base's: 1 leaves it out.
    """

    epochs: float = 1
    batch: int = 64
    learning_rate: float = 5e-5
    scale: float = 20.0
    warmup: float = 0.1
    max_tokens: int = 96
    hard_negatives: int = 0
    web_style: float = 0.5
    documented: float = 0.5
    weight: float = 0.35
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with.

        Raises:
            BadInput: a setting is out of range.
        """
        allowed = {
            "epochs": 0 < self.epochs <= 100,
            "batch": 2 <= self.batch <= 4096,
            "learning_rate": 0 < self.learning_rate <= 1,
            "scale": 0 < self.scale <= 1000,
            "warmup": 0 <= self.warmup < 1,
            "max_tokens": 8 <= self.max_tokens <= 8192,
            "hard_negatives": 0 <= self.hard_negatives <= 10,
            "web_style": 0 <= self.web_style <= 1,
            "documented": 0 <= self.documented <= 1,
            "weight": 0 < self.weight <= 1,
        }
        defaults = {one.name: one.default for one in fields(self)}
        for name, is_allowed in allowed.items():
            if not is_allowed:
                raise BadInput(
                    f"An embedder cannot be tuned with {name} {getattr(self, name)}.",
                    f"The default is {defaults[name]}.",
                )


STATIC = "static"
"""The base that is a table of token vectors, without layers."""


def default_recipe(base: str, **settings: float) -> Recipe:
    """Return the recipe that did best for a base, with other settings if given.

    A table of token vectors wants rates a thousand times as high as layers do, and large batches,
    which cost it nothing.

    Raises:
        BadInput: a setting is unknown or out of range.
    """
    known = {one.name for one in fields(Recipe)}
    unknown = sorted(settings.keys() - known)
    if unknown:
        raise UnknownName("setting of a tuning", unknown[0], known)
    best: dict[str, Any] = {}
    if base == STATIC:
        best = {"epochs": 8, "batch": 1024, "learning_rate": 5e-2, "weight": 1.0}
    return Recipe(**best | settings)
