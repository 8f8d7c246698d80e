"""What each suite needs, and whether it is here: by a look at the disk, never at the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.corpus import list_corpora
from workbench.suites import codetransocean, euler, humaneval, humaneval_x, leetcode, mbpp, xlcost
from workbench.suites.problems import SUITES, form_of
from workbench.suites.sources import Wheel, data_path


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """One row of the menu of suites: how it is written, what it needs, and whether that is here."""

    name: str
    form: str
    summary: str
    needs: str
    is_here: bool


def whereabouts() -> list[Whereabouts]:
    """Return a row for each suite of problems, in the order of the menu."""
    return [_of(entry.name, entry.summary) for entry in SUITES]


def _of(name: str, summary: str) -> Whereabouts:
    look = _LOOKS.get(name)
    needs, is_here = look() if look else ("", True)  # it comes with the workbench
    return Whereabouts(name, form_of(name), summary, needs, is_here)


def _data(*names: str) -> tuple[str, bool]:
    is_here = all(data_path(name) for name in names)
    return f"WORKBENCH_DATA/{names[0].partition('/')[0]}", is_here


def _wheel(wheel: Wheel) -> tuple[str, bool]:
    return f"{wheel.requirement} of the package index", wheel.is_here


def _humaneval() -> tuple[str, bool]:
    needs, is_here = _wheel(humaneval.WHEEL)
    return needs, is_here or data_path(humaneval.LOCAL) is not None


def _xlcost() -> tuple[str, bool]:
    names = (
        name.format(split=xlcost.SPLITS[0])
        for stem, keys, _ in xlcost.LEVELS.values()
        for name in (f"{stem}.py", f"{stem}.txt", keys)
    )
    return _data(*names)


_LOOKS: dict[str, Callable[[], tuple[str, bool]]] = {
    "humaneval": _humaneval,
    "mbpp": lambda: _data(mbpp.FILE),
    "leetcode": lambda: _data(*leetcode.FILES.values()),
    "leetcode-sdk": lambda: _wheel(leetcode.SDK),
    "humaneval-x": lambda: _data(*humaneval_x.FILES.values()),
    "xlcost": _xlcost,
    "euler": lambda: _wheel(euler.WHEEL),
    "codetransocean": lambda: _data(codetransocean.FILE),
    "docstrings": lambda: ("a crawled corpus", bool(list_corpora())),
    "file": lambda: ("a file of yours", True),
}
