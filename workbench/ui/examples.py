"""Requests to begin with, one click each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.types import TaskName


@dataclass(frozen=True, slots=True)
class RequestExample:
    """What a click fills in: languages are names of ``workbench.languages``."""

    label: str
    task: TaskName
    text: str
    source: str = "python"
    target: str = "python"


_RUNS = """\
def runs(values):
    found = []
    for value in values:
        if found and found[-1][0] == value:
            found[-1][1] += 1
        else:
            found.append([value, 1])
    return found
"""

_BISECT = """\
def first_at_least(values, wanted):
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low
"""

_JAVA = """\
static int digitSum(int number) {
    int sum = 0;
    while (number > 0) {
        sum += number % 10;
        number /= 10;
    }
    return sum;
}
"""

EXAMPLES = (
    RequestExample(
        "Generate: merge overlapping intervals",
        "generate",
        "Write a function that merges overlapping intervals, given as pairs (start, end).",
    ),
    RequestExample(
        "Generate: the k largest of a stream",
        "generate",
        "Write a function that returns the k largest numbers of an iterator, using a heap.",
    ),
    RequestExample("Summarize: runs of equal values", "summarize", _RUNS),
    RequestExample("Translate: Python to Java", "translate", _BISECT, "python", "java"),
    RequestExample("Translate: Java to Go", "translate", _JAVA, "java", "go"),
)
