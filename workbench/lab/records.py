"""What the retrieval lab measures, and what it finds. Pure records: nothing here computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of retrieving: what stands in one row of the table.

    ``embedder`` is None for a retriever that needs none (bm25). ``chunker`` is "whole" where each
    document is one chunk. ``several_chunkers`` is True in a study that compares some.
    """

    retriever: str
    embedder: str | None
    chunker: str
    several_chunkers: bool = False

    @property
    def name(self) -> str:
        """``minilm dense``, ``bm25``, with ``/ lines`` where the study compares chunkers."""
        named = f"{self.embedder} {self.retriever}" if self.embedder else self.retriever
        return f"{named} / {self.chunker}" if self.several_chunkers else named


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What an arm costs.

    ``build_seconds`` is chunking, embedding and writing (None where the build found more than one
    vector in twenty in the cache: such a time says nothing); ``texts_per_second`` is the rate of
    embedding alone (None where more than half of the vectors were cached).
    ``vector_megabytes`` is chunks x dimensions x 4 bytes / 1e6, 0 for bm25, whose
    ``build_seconds`` are those of chunking and counting words. Query times are milliseconds of a
    search for ten hits, one query at a time, the embedding of the query included.
    """

    chunks: int
    build_seconds: float | None
    texts_per_second: float | None
    vector_megabytes: float
    query_median: float
    query_p95: float


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm measured. ``scores`` maps a metric to float64[queries], in the report's order.

    ``error`` stands in place of everything else where the arm failed: it is never a zero.
    """

    arm: Arm
    scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)
    means: Mapping[str, Interval] = field(default_factory=dict)
    cost: Cost | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be said of two arms: the paired difference a - b of means, with its 95 % interval.

    ``better`` is None where the interval holds zero: within noise. ``p_value`` is corrected for
    the number of verdicts in the report (Holm 1979); the interval is that of this pair alone.
    """

    metric: str
    a: str
    b: str
    difference: float
    low: float
    high: float
    p_value: float
    sentence: str

    @property
    def better(self) -> str | None:
        """The name of the better arm, None where they are within noise."""
        if self.low > 0:
            return self.a
        return self.b if self.high < 0 else None
