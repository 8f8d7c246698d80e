"""How near an answer is to its reference in the space of an embedder."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from workbench.metrics.mean import Mean, library, nrefs, reference_texts
from workbench.types import Answer, Example

if TYPE_CHECKING:
    from workbench.types import Embedder


def similarity(*, embedder: Embedder, references: int | None = None) -> Mean:
    """Make the cosine, from -1 to 1, of an answer and the nearest of its references.

    An answer without text has no direction, and is as far off as what has nothing in common: 0.
    """
    one_at_a_time = threading.Lock()  # fast tokenizers refuse a second thread

    def judge(answer: Answer, example: Example) -> tuple[float, str]:
        texts = reference_texts(example, references)
        if not answer.text.strip():
            return 0.0, "no text"
        with one_at_a_time:
            vectors = embedder.encode([answer.text, *texts], "document")
        return float(np.clip(vectors[1:] @ vectors[0], -1, 1).max()), ""

    signature = (
        f"similarity|{nrefs(references)}|embedder:{embedder.fingerprint}"
        f"|{library('code-workbench')}"
    )
    return Mean("similarity", signature, judge)
