"""Run solvers over suites of problems, score them, and say what the figures are worth."""

from workbench.evaluation.past import evaluations, open_evaluation
from workbench.evaluation.records import Evaluation, Figure, SolverInfo, SuiteInfo
from workbench.evaluation.rescoring import rescore
from workbench.evaluation.running import (
    EvaluationProgress,
    evaluate,
    evaluate_solvers,
    evaluate_spec,
    finish,
)
from workbench.evaluation.spec import Arm, EvaluationSpec

__all__ = [
    "Arm",
    "Evaluation",
    "EvaluationProgress",
    "EvaluationSpec",
    "Figure",
    "SolverInfo",
    "SuiteInfo",
    "evaluate",
    "evaluate_solvers",
    "evaluate_spec",
    "evaluations",
    "finish",
    "open_evaluation",
    "rescore",
]
