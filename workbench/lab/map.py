"""A corpus seen from above: its chunks' vectors in two dimensions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from workbench.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from workbench.retrieval import Index
    from workbench.types import Chunk

MethodName = Literal["pca", "umap"]
GroupName = Literal["package", "language", "licence"]

METHODS: tuple[MethodName, ...] = ("pca", "umap")
GROUPS: tuple[GroupName, ...] = ("package", "language", "licence")
_FEWEST = 3
# More points are drawn by the graphics card, without outlines.
_MANY = 2_000
_COLOURED = 7


@dataclass(frozen=True, slots=True)
class CorpusMap:
    """The chunks of an index in two dimensions: one row a chunk.

    ``explained`` is the share of variance that the two axes of a PCA hold, None for UMAP.
    """

    corpus: str
    embedder: str
    method: str
    points: NDArray[np.float32] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    groups: tuple[str, ...] = field(repr=False)
    explained: float | None = None

    def figure(self) -> go.Figure:
        """Draw it.

        Raises:
            MissingExtra: plotly is not installed.
        """
        return _figure(self)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Show itself in a notebook as a picture that says more when it is pointed at."""
        return self.figure()._repr_mimebundle_(**options)


def corpus_map(index: Index, method: MethodName = "pca", by: GroupName = "package") -> CorpusMap:
    """Lay the chunks of an index out in two dimensions, grouped by package.

    ``pca`` keeps as much of the variance as a plane can (and says how much); distances mean what
    they say. ``umap`` keeps neighbours together and makes clusters visible, but its distances and
    sizes of clusters mean little (McInnes, Healy and Melville 2018). Both are deterministic.

    Raises:
        BadInput: the method or grouping is unknown, or there are fewer than three chunks.
        MissingExtra: umap-learn, or scikit-learn, is not installed.
    """
    if method not in METHODS or by not in GROUPS:
        raise BadInput(
            f"There is no map by {method} and {by}.",
            f"Methods: {', '.join(METHODS)}; groups: {', '.join(GROUPS)}.",
        )
    vectors = index.vectors()
    if len(vectors) < _FEWEST:
        raise BadInput(
            f"The corpus {index.info.corpus} has {len(vectors)} chunks; a map needs {_FEWEST}.",
            "Crawl more into it.",
        )
    points, explained = _pca(vectors) if method == "pca" else (_umap(vectors), None)
    chunks = list(index)
    return CorpusMap(
        corpus=index.info.corpus,
        embedder=index.info.embedder,
        method=method,
        points=points,
        labels=tuple(_label(chunk) for chunk in chunks),
        groups=_groups(chunks, by),
        explained=explained,
    )


def _pca(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    try:
        from sklearn.decomposition import PCA
    except ModuleNotFoundError as error:
        raise MissingExtra("A map", "lab") from error
    model: Any = PCA(n_components=2, random_state=0)
    points = model.fit_transform(vectors)
    return _oriented(points), float(model.explained_variance_ratio_.sum())


def _umap(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    try:
        from umap import UMAP
    except ModuleNotFoundError as error:
        raise MissingExtra("A map by UMAP", "umap") from error
    neighbours = min(15, len(vectors) - 1)
    start = "spectral" if len(vectors) > 2 * neighbours else "random"
    model: Any = UMAP(
        n_components=2,
        metric="cosine",
        n_neighbors=neighbours,
        init=start,
        random_state=0,
        n_jobs=1,
    )
    return cast("NDArray[np.float32]", model.fit_transform(vectors).astype(np.float32))


def _oriented(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn axes so that each one's largest value is positive: signs of a PCA are arbitrary."""
    largest = points[np.abs(points).argmax(axis=0), np.arange(points.shape[1])]
    return (points * np.where(largest < 0, -1, 1)).astype(np.float32)


def _groups(chunks: Sequence[Chunk], by: GroupName) -> tuple[str, ...]:
    if by == "language":
        return tuple(chunk.language or "other" for chunk in chunks)
    if by == "licence":
        return tuple(chunk.license or "unknown" for chunk in chunks)
    # Of several sources, each is a package; of one, its top folders and modules are.
    sources = {chunk.source for chunk in chunks}
    if len(sources) > 1:
        short = {one: one.partition(":")[2].rpartition("/")[2] or one for one in sources}
        told_apart = len(set(short.values())) == len(sources)
        return tuple(short[chunk.source] if told_apart else chunk.source for chunk in chunks)
    return tuple(_package(chunk.path) for chunk in chunks)


def _package(path: str) -> str:
    """Return ``json`` for ``json/decoder.py``, ``heapq`` for ``heapq.py``, without a ``src``."""
    parts = PurePosixPath(path).parts
    parts = parts[1:] if len(parts) > 1 and parts[0] in ("src", "lib") else parts
    return parts[0] if len(parts) > 1 else PurePosixPath(path).stem


def _label(chunk: Chunk) -> str:
    return f"{chunk.symbol}<br>{chunk.location}" if chunk.symbol else chunk.location


def _figure(corpus_map: CorpusMap) -> go.Figure:
    """Draw the largest groups in colours of their own, the others in one."""
    import plotly.graph_objects as go

    from workbench.plots import COLOURS, INK, layout

    sizes = Counter(corpus_map.groups)
    largest = sorted(sizes, key=lambda group: (-sizes[group], group))[:_COLOURED]
    figure = go.Figure()
    scatter = go.Scattergl if len(corpus_map.groups) > _MANY else go.Scatter
    shown: list[str | None] = [*largest, None]
    for number, group in enumerate(shown):
        rows = [
            row
            for row, one in enumerate(corpus_map.groups)
            if (one == group if group is not None else one not in largest)
        ]
        if not rows:
            continue
        name = group or f"{len(sizes) - len(largest)} others"
        figure.add_trace(
            scatter(
                x=corpus_map.points[rows, 0],
                y=corpus_map.points[rows, 1],
                mode="markers",
                name=f"{name} ({len(rows):,})",
                marker={
                    "size": 4 if len(corpus_map.groups) > _MANY else 7,
                    "color": COLOURS[number] if group is not None else INK,
                    "opacity": 0.75 if group is not None else 0.35,
                },
                text=[corpus_map.labels[row] for row in rows],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    explained = corpus_map.explained
    share = "" if explained is None else f"the two axes hold {explained:.0%} of the variance"
    title = f"{corpus_map.corpus} by {corpus_map.embedder}, {corpus_map.method.upper()}"
    legend = {"itemsizing": "constant", "orientation": "h", "y": -0.02}
    figure.update_layout(layout(title, note=share), height=620, legend=legend)
    figure.update_xaxes(showticklabels=False, zeroline=False)
    figure.update_yaxes(showticklabels=False, zeroline=False)
    return figure
