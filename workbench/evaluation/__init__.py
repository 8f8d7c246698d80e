"""Run solvers over suites of problems, score them, and say what the figures are worth."""

from workbench.evaluation.past import evaluations, open_evaluation
from workbench.evaluation.records import Evaluation, Figure, SolverInfo, SuiteInfo
from workbench.evaluation.replaying import (
    Replayed,
    record_run,
    recorded_solvers,
    replay_run,
)
from workbench.evaluation.rescoring import rescore
from workbench.evaluation.running import (
    EvaluationProgress,
    evaluate,
    evaluate_solvers,
    evaluate_spec,
    finish,
)
from workbench.evaluation.samples import SamplesReport, grade_samples
from workbench.evaluation.spec import Arm, EvaluationSpec

__all__ = [
    "Arm",
    "Evaluation",
    "EvaluationProgress",
    "EvaluationSpec",
    "Figure",
    "Replayed",
    "SamplesReport",
    "SolverInfo",
    "SuiteInfo",
    "evaluate",
    "evaluate_solvers",
    "evaluate_spec",
    "evaluations",
    "finish",
    "grade_samples",
    "open_evaluation",
    "record_run",
    "recorded_solvers",
    "replay_run",
    "rescore",
]
