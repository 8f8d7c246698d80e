"""The retrieval lab: which corpus, chunks, embedder and retriever find most, and at what cost.

``study.study`` measures, ``inspect.inspect_query`` shows why, ``figures`` and ``map`` draw.
"""

from workbench.lab.inspection import Found, Inspection
from workbench.lab.map import CorpusMap
from workbench.lab.records import Arm, ArmResult, Cost, Interval, Verdict
from workbench.lab.report import RetrievalReport

__all__ = [
    "Arm",
    "ArmResult",
    "CorpusMap",
    "Cost",
    "Found",
    "Inspection",
    "Interval",
    "RetrievalReport",
    "Verdict",
]
