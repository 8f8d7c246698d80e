"""A research workbench that compares code language models side by side.

>>> import workbench as wb
>>> sorted(wb.__all__)[:4]
['Comparison', 'Pane', 'RunSpec', 'WorkbenchError']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.api import (
        ask,
        crawl,
        index,
        open_run,
        runs,
        search,
        stream,
        stream_solvers,
        watch,
    )
    from workbench.comparison import Comparison
    from workbench.corpus import list_corpora, open_corpus
    from workbench.errors import WorkbenchError
    from workbench.spec import Pane, RunSpec, read_source, solver

__all__ = [
    "Comparison",
    "Pane",
    "RunSpec",
    "WorkbenchError",
    "ask",
    "crawl",
    "index",
    "list_corpora",
    "open_corpus",
    "open_run",
    "read_source",
    "runs",
    "search",
    "solver",
    "stream",
    "stream_solvers",
    "watch",
]

_HOMES = {
    "Comparison": "workbench.comparison",
    "Pane": "workbench.spec",
    "RunSpec": "workbench.spec",
    "WorkbenchError": "workbench.errors",
    "list_corpora": "workbench.corpus",
    "open_corpus": "workbench.corpus",
    "read_source": "workbench.spec",
    "solver": "workbench.spec",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562), so that importing costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "workbench.api")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
