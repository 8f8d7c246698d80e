"""The interval of a metric's figure over the questions of a suite."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.metrics.figures import figure, is_verdict

if TYPE_CHECKING:
    from workbench.types import Metric, Score


_REMEMBERED = 256
_known: OrderedDict[Any, tuple[float, float] | None] = OrderedDict()
_guard = threading.Lock()


def interval_of(
    metric: Metric, by_question: Sequence[Sequence[Score]]
) -> tuple[float, float] | None:
    """Return the ends of a figure's 95 % interval, None where there is none.

    See ``workbench.metrics.figures.figure``. A metric of your own whose figure is neither a mean
    over questions nor of sums of statistics has none. What was reckoned is remembered: a report
    asks for each figure a dozen times, and ten thousand resamples take a while.
    """
    value = metric.aggregate(by_question)
    scores = tuple(tuple(some) for some in by_question)
    # A metric need not be hashable; and of one that is stored, the figure tells which rule made it.
    key = (type(metric), metric.signature, is_verdict(metric), value, scores)
    with _guard:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]
    ends = _ends(metric, by_question, value)
    with _guard:
        _known[key] = ends
        if len(_known) > _REMEMBERED:
            _known.popitem(last=False)
    return ends


def _ends(
    metric: Metric, by_question: Sequence[Sequence[Score]], value: float | None
) -> tuple[float, float] | None:
    found = figure(metric, by_question)
    if value is None or found.value is None or found.low is None or found.high is None:
        return None
    if not math.isclose(value, found.value, rel_tol=1e-6, abs_tol=1e-9):
        return None
    return found.low, found.high
