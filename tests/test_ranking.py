"""Ranking metrics: tables worked by hand, and a second implementation of twenty lines."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import MissingExtra, UnknownName
from workbench.metrics.ranking import DEPTH, METRICS, check_metric, score_rankings

# A ranking, the gains of the right answers, and what the metrics must give.
TABLE = [
    # One right answer: nDCG is 1 / log2(rank + 1), MRR 1 / rank.
    ("first", ["r", "x"], {"r": 1}, (1.0, 1.0, 1.0, 1.0, 1.0)),
    ("third", ["x", "y", "r"], {"r": 1}, (0.5, 1 / 3, 0.0, 1.0, 1.0)),
    ("seventh", [*"abcdef", "r"], {"r": 1}, (1 / 3, 1 / 7, 0.0, 0.0, 1.0)),
    ("eleventh", [*"abcdefghij", "r"], {"r": 1}, (0.0, 0.0, 0.0, 0.0, 1.0)),
    ("missing", ["x", "y"], {"r": 1}, (0.0, 0.0, 0.0, 0.0, 0.0)),
    ("nothing found", [], {"r": 1}, (0.0, 0.0, 0.0, 0.0, 0.0)),
    # Gains 3, 2, 3, 0, 1, 2 in this order, and two more of 3 and 2 that were not found:
    # Wikipedia, "Discounted cumulative gain", DCG_6 = 6.861, IDCG_6 = 8.740, nDCG_6 = 0.785.
    # There the best order is cut at six; trec_eval's cut is ten, so IDCG counts all eight.
    (
        "graded",
        ["d1", "d2", "d3", "d4", "d5", "d6"],
        {"d1": 3, "d2": 2, "d3": 3, "d5": 1, "d6": 2, "d7": 3, "d8": 2},
        (6.861 / (8.740 + 1 / math.log2(8)), 1.0, 1 / 7, 4 / 7, 5 / 7),
    ),
    # Two right answers, one found: recall is the share.
    ("half", ["x", "a"], {"a": 1, "b": 1}, (0.38685, 0.5, 0.0, 0.5, 0.5)),
    # A judged document of no gain is a wrong one.
    ("judged wrong", ["w", "r"], {"w": 0, "r": 1}, (0.63093, 0.5, 0.0, 1.0, 1.0)),
]


def reference(ranking: list[str], gains: dict[str, int]) -> tuple[float, ...]:
    """Compute the five metrics by their definitions, sharing nothing with the library."""
    good = {id_ for id_, gain in gains.items() if gain > 0}

    def dcg(values: list[int]) -> float:
        return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(values[:10], 1))

    ideal = dcg(sorted((gains[id_] for id_ in good), reverse=True))
    ranks = [rank for rank, id_ in enumerate(ranking[:10], 1) if id_ in good]
    recall = [len(good.intersection(ranking[:depth])) / len(good) for depth in (1, 5, 20)]
    return (
        dcg([gains.get(id_, 0) for id_ in ranking]) / ideal,
        1 / ranks[0] if ranks else 0.0,
        *recall,
    )


@pytest.mark.parametrize(
    ("ranking", "gains", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_metrics_are_those_worked_by_hand(
    ranking: list[str], gains: dict[str, int], expected: tuple[float, ...]
) -> None:
    scores = score_rankings([ranking], [gains])
    assert [scores[metric][0] for metric in METRICS] == pytest.approx(expected, abs=1e-3)


ASKED = st.lists(
    st.tuples(
        st.permutations([f"d{i}" for i in range(25)]).flatmap(
            lambda order: st.integers(0, 25).map(lambda k: order[:k])
        ),
        st.dictionaries(
            st.sampled_from([f"d{i}" for i in range(30)]), st.integers(1, 3), min_size=1, max_size=6
        ),
    ),
    max_size=5,
)


@given(ASKED)
@settings(max_examples=60, deadline=None)
def test_metrics_are_those_of_their_definitions(
    asked: list[tuple[list[str], dict[str, int]]],
) -> None:
    scores = score_rankings([one for one, _ in asked], [gains for _, gains in asked])
    assert tuple(scores) == METRICS
    for number, (ranking, gains) in enumerate(asked):
        found = [scores[metric][number] for metric in METRICS]
        assert found == pytest.approx(reference(ranking, gains), abs=1e-9)


@given(ASKED)
@settings(max_examples=20, deadline=None)
def test_nothing_below_the_depth_counts(asked: list[tuple[list[str], dict[str, int]]]) -> None:
    rankings, gains = [one for one, _ in asked], [gains for _, gains in asked]
    whole, cut = (
        score_rankings(rankings, gains),
        score_rankings([r[:DEPTH] for r in rankings], gains),
    )
    for metric in METRICS:
        np.testing.assert_array_equal(whole[metric], cut[metric])


def test_the_order_given_decides_and_not_the_names() -> None:
    names = ["z", "a", "10", "9", "é", "a b", "\0", ("chunk", "a")]
    for order in (names, names[::-1]):
        for place, right in enumerate(order, 1):
            (found,) = score_rankings([order], [{right: 1}])["MRR@10"]
            assert found == 1 / place


def test_ids_of_one_query_say_nothing_to_another() -> None:
    scores = score_rankings([["a"], ["b"], ["a"]], [{"a": 1}, {"a": 1}, {"b": 1}])
    assert scores["recall@1"].tolist() == [1.0, 0.0, 0.0]


def test_no_queries_give_no_scores() -> None:
    assert {
        metric: len(values) for metric, values in score_rankings([], []).items()
    } == dict.fromkeys(METRICS, 0)


def test_a_query_without_a_right_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="query 1 has no right answer"):
        score_rankings([["a"], ["a"]], [{"a": 1}, {"a": 0}])


def test_a_ranking_that_names_an_id_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="names an id twice"):
        score_rankings([["a", "b", "a"]], [{"a": 1}])


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingExtra, match=r"pip install 'code-workbench\[lab\]'"):
        score_rankings([], [])


def test_a_wrong_metric_gets_the_nearest_right_one() -> None:
    assert check_metric("MRR@10") == "MRR@10"
    with pytest.raises(UnknownName, match=r"Did you mean .*nDCG@10"):
        check_metric("NDCG@10")
