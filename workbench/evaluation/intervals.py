"""The interval of a metric's figure over the questions of a suite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.metrics.figures import figure

if TYPE_CHECKING:
    from workbench.types import Metric, Score


def interval_of(
    metric: Metric, by_question: Sequence[Sequence[Score]]
) -> tuple[float, float] | None:
    """Return the ends of a figure's 95 % interval, None where there is none.

    See ``workbench.metrics.figures.figure``. A metric of your own whose figure is neither a mean
    over questions nor of sums of statistics has none.
    """
    value, found = metric.aggregate(by_question), figure(metric, by_question)
    if value is None or found.value is None or found.low is None or found.high is None:
        return None
    if not math.isclose(value, found.value, rel_tol=1e-6, abs_tol=1e-9):
        return None
    return found.low, found.high
