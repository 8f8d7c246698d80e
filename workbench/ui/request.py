"""From what stands in the page's fields to a RunSpec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from workbench.corpus import DEFAULT_CHUNKER
from workbench.retrieval import DEFAULT_EMBEDDER
from workbench.spec import Pane, RunSpec, read_source
from workbench.ui.choices import split_index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.types import TaskName

MOST_PANES = 4


def read_request(
    task: str,
    text: str,
    files: Sequence[str] | None,
    source: str,
    target: str,
    audience: str,
    index: str,
    retriever: str,
    k: float,
    max_tokens: float | None,
    temperature: float | None,
    seed: float | None,
    cache: bool,
    budget: float | None,
    fallback: str | None,
    shown: int,
    *panes: Any,
) -> RunSpec:
    """Return what is asked for; ``panes`` are pairs of backend and "with retrieval".

    A language counts only where its field is shown for the task, and an empty number is left to
    the task. Nothing is checked but the files: ``RunSpec.check`` does the rest.

    Raises:
        BadInput: a file cannot be read.
    """
    corpus, chunker, embedder = split_index(index) or (None, DEFAULT_CHUNKER, DEFAULT_EMBEDDER)
    sampling = {
        "max_tokens": None if max_tokens is None else int(max_tokens),
        "temperature": temperature,
        "seed": None if seed is None else int(seed),
    }
    pairs = zip(panes[::2], panes[1::2], strict=True)
    return RunSpec(
        task=cast("TaskName", task),
        text=text or "",
        files=tuple(read_source(path) for path in files or ()),
        language=(source or None) if task != "generate" else None,
        target_language=(target or None) if task != "summarize" else None,
        audience=(audience or None) if task == "summarize" else None,
        panes=tuple(Pane((name or "").strip(), bool(retrieve)) for name, retrieve in pairs)[:shown],
        corpus=corpus,
        embedder=embedder,
        chunker=chunker,
        retriever=retriever or None,
        k=int(k),
        params=tuple((name, value) for name, value in sampling.items() if value is not None),
        cache=cache,
        budget=budget,
        fallback=(fallback or "").strip() or None,
    )
