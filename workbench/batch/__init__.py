"""Many questions to several solvers: what it will take, and the run itself, which can resume."""

from workbench.batch.forecast import Forecast, Preflight, preflight
from workbench.batch.questions import read_prompts
from workbench.batch.records import Batch, SolverSummary
from workbench.batch.running import BatchProgress, finish, run_batch, run_prompts
from workbench.batch.words import Span

__all__ = [
    "Batch",
    "BatchProgress",
    "Forecast",
    "Preflight",
    "SolverSummary",
    "Span",
    "finish",
    "preflight",
    "read_prompts",
    "run_batch",
    "run_prompts",
]
