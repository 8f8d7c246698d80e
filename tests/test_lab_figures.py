"""The lab's pictures: every arm is drawn or named, and a map has a point for every chunk."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from workbench.errors import BadInput
from workbench.lab.figures import quality_against_cost
from workbench.lab.map import corpus_map
from workbench.lab.records import Arm, ArmResult, Cost, Interval
from workbench.types import Chunk

METRIC = "nDCG@10"


def arm(
    embedder: str | None, retriever: str, mean: float, query: float, build: float | None = 1.0
) -> ArmResult:
    return ArmResult(
        Arm(retriever, embedder, "syntax"),
        means={METRIC: Interval(mean, mean - 0.02, mean + 0.03)},
        cost=Cost(100, build, 10.0, 1.5 if embedder else 0.0, query, 2 * query),
    )


RESULTS = [
    arm(None, "bm25", 0.3, 0.1),
    arm("static", "dense", 0.25, 1.0, None),
    arm("minilm", "dense", 0.5, 7.0),
    arm("minilm", "hybrid", 0.4, 9.0),
]
FAILED = ArmResult(Arm("dense", "gte-small", "syntax"), error="no weights")


def points(figure: object) -> dict[str, tuple[float, float]]:
    traces = figure.data  # type: ignore[attr-defined]
    return {one.text[0]: (one.x[0], one.y[0]) for one in traces if one.mode == "markers+text"}


def test_every_measured_arm_is_a_point_at_its_cost_and_quality() -> None:
    drawn = points(quality_against_cost([*RESULTS, FAILED], METRIC))
    assert drawn == {
        "bm25": (0.1, 0.3),
        "static dense": (1.0, 0.25),
        "minilm dense": (7.0, 0.5),
        "minilm hybrid": (9.0, 0.4),
    }


def test_error_bars_are_the_interval() -> None:
    (trace,) = [one for one in quality_against_cost(RESULTS[:1], METRIC).data if one.text]
    assert trace.error_y.array[0] == pytest.approx(0.03)
    assert trace.error_y.arrayminus[0] == pytest.approx(0.02)


def test_what_failed_or_has_no_known_cost_is_named_and_not_drawn() -> None:
    figure = quality_against_cost([*RESULTS, FAILED], METRIC, "build")
    assert "static dense" not in points(figure)
    note = figure.layout.title.subtitle.text
    assert "gte-small dense" in note
    assert "static dense" in note


def test_the_line_joins_the_arms_that_no_other_beats_in_both() -> None:
    line = next(one for one in quality_against_cost(RESULTS, METRIC).data if one.mode == "lines")
    assert list(zip(line.x, line.y, strict=True)) == [(0.1, 0.3), (7.0, 0.5)]


def test_an_embedder_has_one_colour_and_a_retriever_one_symbol() -> None:
    traces = [one for one in quality_against_cost(RESULTS, METRIC).data if one.text]
    look = {one.text[0]: (one.marker.color, one.marker.symbol) for one in traces}
    assert look["minilm dense"][0] == look["minilm hybrid"][0] != look["static dense"][0]
    assert look["minilm dense"][1] == look["static dense"][1] != look["minilm hybrid"][1]


def test_a_metric_that_nobody_measured_is_refused() -> None:
    with pytest.raises(BadInput):
        quality_against_cost(RESULTS, "BLEU")
    with pytest.raises(BadInput):
        quality_against_cost([FAILED], METRIC)


class FakeIndex:
    """Chunks of three packages, whose vectors lie in three heaps."""

    info = SimpleNamespace(corpus="fake", embedder="none")

    def __init__(self, count: int = 60, sources: tuple[str, ...] = ("folder:/x",)) -> None:
        self.count = count
        self.sources = sources

    def __iter__(self) -> Iterator[Chunk]:
        for i in range(self.count):
            path = ["json/decoder.py", "heapq.py", "src/email/parser.py"][i % 3]
            source = self.sources[i % len(self.sources)]
            yield Chunk(str(i), "x", path, 1, 1, "python", f"f{i}", source, "MIT")

    def vectors(self) -> np.ndarray:
        random = np.random.default_rng(0)
        heaps = np.eye(8, dtype=np.float32)[np.arange(self.count) % 3]
        return heaps + random.normal(0, 0.05, (self.count, 8)).astype(np.float32)


def test_a_map_keeps_heaps_apart_and_is_the_same_each_time() -> None:
    require_heaps_apart("pca")


def require_heaps_apart(method: str) -> None:
    laid = corpus_map(FakeIndex(), method)  # type: ignore[arg-type]
    again = corpus_map(FakeIndex(), method)  # type: ignore[arg-type]
    assert np.array_equal(laid.points, again.points)
    assert laid.points.shape == (60, 2)
    centres = np.stack([laid.points[i::3].mean(axis=0) for i in range(3)])
    spread = max(float(laid.points[i::3].std(axis=0).max()) for i in range(3))
    apart = min(float(np.linalg.norm(centres[i] - centres[j])) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert apart > 3 * spread


def test_a_map_is_coloured_by_package() -> None:
    assert corpus_map(FakeIndex(6)).groups[:3] == ("json", "heapq", "email")  # type: ignore[arg-type]
    packages = corpus_map(FakeIndex(6, ("pypi:toolz", "pypi:attrs")))  # type: ignore[arg-type]
    assert set(packages.groups) == {"toolz", "attrs"}


def test_a_pca_says_how_much_it_holds() -> None:
    explained = corpus_map(FakeIndex()).explained  # type: ignore[arg-type]
    assert explained is not None
    assert 0.8 < explained <= 1.0


def test_every_chunk_is_a_point_of_its_group() -> None:
    laid = corpus_map(FakeIndex())  # type: ignore[arg-type]
    traces = laid.figure().data
    assert sorted(name for trace in traces for name in trace.text) == sorted(laid.labels)
    assert {trace.name for trace in traces} == {"json (20)", "heapq (20)", "email (20)"}


def test_small_groups_share_a_colour() -> None:
    sources = tuple(f"pypi:p{i}" for i in range(20))
    traces = corpus_map(FakeIndex(60, sources)).figure().data  # type: ignore[arg-type]
    assert traces[-1].name == "13 others (39)"


@pytest.mark.parametrize(("method", "by"), [("tsne", "package"), ("pca", "colour")])
def test_an_unknown_map_is_refused(method: str, by: str) -> None:
    with pytest.raises(BadInput):
        corpus_map(FakeIndex(), method, by)  # type: ignore[arg-type]


def test_two_chunks_make_no_map() -> None:
    with pytest.raises(BadInput, match="3"):
        corpus_map(FakeIndex(2))  # type: ignore[arg-type]
