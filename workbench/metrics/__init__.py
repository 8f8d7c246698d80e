"""Measures of answers and rankings."""

from workbench.metrics.menu import METRICS, canonical_metric, make_metric, making_of

__all__ = ["METRICS", "canonical_metric", "make_metric", "making_of"]
