"""Reading a retriever's first hits again, query and chunk together, and ordering them anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, MissingModel, UnknownName
from workbench.registry import Registry
from workbench.retrieval.text import cut_query, indexed_text
from workbench.settings import settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.types import Hit, Retriever

    # Returns float64[len(texts)]: how well each text answers the query; only their order counts.
    Judge = Callable[[str, Sequence[str]], NDArray[np.float64]]

SEPARATOR = "+"
"""Between the retriever and what reads its hits again: ``hybrid+cross-encoder/<id or folder>``."""
DEPTH = 50
"""Hits that are read again. Each costs a run of the model, and what is right is seldom deeper."""

RERANKERS = Registry("reranker")
RERANKERS.add(
    "cross-encoder",
    f"{__name__}:cross_encoder",
    "a cross-encoder of the hub or a folder: RETRIEVER+cross-encoder/<id or folder>",
    extra="retrieval",
    needs="the hub, or a folder",
)

_loaded: dict[str, Judge] = {}
_loading = threading.Lock()


def load_reranker(name: str) -> Judge:
    """Return the reranker called ``name``, the same one each time in this process.

    Raises:
        UnknownName: no reranker is called so.
        BadInput: it takes a model, and none was named.
        MissingModel: the model is not to be had.
    """
    kind, model = check_reranker(name)
    with _loading:
        if name not in _loaded:
            _loaded[name] = RERANKERS.load(kind)(model)
        return _loaded[name]


def check_reranker(name: str) -> tuple[str, str]:
    """Return the two parts of a reranker's name: its kind, and the model.

    Raises:
        UnknownName: no reranker is called so.
        BadInput: it takes a model, and none was named.
    """
    kind, _, model = name.partition("/")
    if kind not in RERANKERS:
        known = [f"{entry.name}/<id or folder>" for entry in RERANKERS]
        raise UnknownName("reranker", name, known)
    if not model:
        raise BadInput(f"Which {kind}?", f"Name it: {kind}/<hub id or folder>")
    return kind, model


class Reranked:
    """A retriever whose first ``depth`` hits a second, slower model puts into order.

    ``score`` of a hit is the second model's. What lies deeper than ``depth`` keeps its place
    behind them, with the score of the last one, so that asking for more never finds less.
    """

    def __init__(self, retriever: Retriever, judge: Judge, depth: int = DEPTH) -> None:
        self._retriever = retriever
        self._judge = judge
        self._depth = depth

    def search(self, query: str, k: int) -> list[Hit]:
        """Return at most ``k`` hits, best first.

        Raises:
            BadInput: the query is empty or k is below 1.
        """
        found = self._retriever.search(query, max(k, self._depth))
        head, rest = found[: self._depth], found[self._depth :]
        if not head:
            return []
        scores = self._judge(cut_query(query), [indexed_text(hit.chunk) for hit in head])
        # A stable sort: of equal scores, the first retriever's order decides.
        order = sorted(range(len(head)), key=lambda i: -scores[i])
        ranked = [replace(head[i], score=float(scores[i])) for i in order]
        ranked += [replace(hit, score=ranked[-1].score) for hit in rest]
        return [replace(hit, rank=rank) for rank, hit in enumerate(ranked[:k], 1)]


def cross_encoder(model: str) -> Judge:
    """Open a cross-encoder through sentence-transformers; code in its folder is never run.

    Raises:
        MissingModel: it cannot be loaded.
    """
    import torch
    from sentence_transformers import CrossEncoder

    now = settings()
    try:
        opened: Any = CrossEncoder(
            model, device=now.device, trust_remote_code=False, local_files_only=now.offline
        )
    except (OSError, ValueError, KeyError) as error:
        raise MissingModel(
            f"The cross-encoder {model} cannot be loaded: {str(error).strip().splitlines()[0]}",
            "Check the folder or id, or search without it.",
        ) from error
    one_at_a_time = threading.Lock()

    def judge(query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        pairs = [(query, text) for text in texts]
        with one_at_a_time:
            scores = opened.predict(
                pairs, show_progress_bar=False, activation_fn=torch.nn.Identity()
            )
        if scores.ndim != 1:
            raise BadInput(
                f"The cross-encoder {model} gives {scores.shape[1]} scores a pair.",
                "Take one that was trained to rank: it gives one.",
            )
        return scores.astype("float64")  # type: ignore[no-any-return]

    return judge
