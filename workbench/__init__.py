"""A research workbench that compares code language models side by side.

>>> import workbench as wb
>>> sorted(wb.__all__)[:4]
['Api', 'Comparison', 'EvaluationSpec', 'OwnGpu']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.api import (
        ask,
        ask_many,
        contamination,
        corpus_map,
        crawl,
        evaluate,
        index,
        inspect_query,
        open_evaluation,
        open_run,
        rescore,
        retrieval_report,
        runs,
        search,
        stream,
        stream_retrieval_report,
        stream_solvers,
        throughput,
        tune_embedder,
        watch,
    )
    from workbench.backends.memory import estimate_memory
    from workbench.backends.serving import serving
    from workbench.comparison import Comparison
    from workbench.corpus import list_corpora, open_corpus
    from workbench.cost.assumptions import Api, OwnGpu, Tokens
    from workbench.cost.break_even import break_even
    from workbench.cost.run_cost import run_cost
    from workbench.errors import WorkbenchError
    from workbench.evaluation import EvaluationSpec, record_run, recorded_solvers
    from workbench.langchain import as_chat_model
    from workbench.retrieval import register_embedder
    from workbench.spec import Pane, RunSpec, read_source, solver
    from workbench.suites import load_problems, load_suite

__all__ = [
    "Api",
    "Comparison",
    "EvaluationSpec",
    "OwnGpu",
    "Pane",
    "RunSpec",
    "Tokens",
    "WorkbenchError",
    "as_chat_model",
    "ask",
    "ask_many",
    "break_even",
    "contamination",
    "corpus_map",
    "crawl",
    "estimate_memory",
    "evaluate",
    "index",
    "inspect_query",
    "list_corpora",
    "load_problems",
    "load_suite",
    "open_corpus",
    "open_evaluation",
    "open_run",
    "read_source",
    "record_run",
    "recorded_solvers",
    "register_embedder",
    "rescore",
    "retrieval_report",
    "run_cost",
    "runs",
    "search",
    "serving",
    "solver",
    "stream",
    "stream_retrieval_report",
    "stream_solvers",
    "throughput",
    "tune_embedder",
    "watch",
]

_HOMES = {
    "Api": "workbench.cost",
    "EvaluationSpec": "workbench.evaluation",
    "OwnGpu": "workbench.cost",
    "Tokens": "workbench.cost",
    "as_chat_model": "workbench.langchain",
    "break_even": "workbench.cost",
    "estimate_memory": "workbench.backends.memory",
    "run_cost": "workbench.cost",
    "serving": "workbench.backends.serving",
    "Comparison": "workbench.comparison",
    "Pane": "workbench.spec",
    "RunSpec": "workbench.spec",
    "WorkbenchError": "workbench.errors",
    "list_corpora": "workbench.corpus",
    "load_problems": "workbench.suites",
    "load_suite": "workbench.suites",
    "open_corpus": "workbench.corpus",
    "read_source": "workbench.spec",
    "record_run": "workbench.evaluation",
    "recorded_solvers": "workbench.evaluation",
    "register_embedder": "workbench.retrieval",
    "rescore": "workbench.api",
    "solver": "workbench.spec",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562), so that importing costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "workbench.api")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
