"""Intervals and tests: laws that must hold, and agreement with scipy on the same data."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workbench.statistics import bootstrap_mean, holm, paired_bootstrap

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=40)
PAIRS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=40)
FEW = 500


def scores(seed: int, count: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).beta(0.5, 0.7, count)


@given(SCORES)
@settings(max_examples=50, deadline=None)
def test_the_interval_holds_the_mean_and_lies_within_the_values(values: list[float]) -> None:
    mean, low, high = bootstrap_mean(values, resamples=FEW)
    assert mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    if len(set(values)) == 1:
        assert low == pytest.approx(mean) and high == pytest.approx(mean)


@given(SCORES, st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_equal_input_and_seed_give_equal_output(values: list[float], seed: int) -> None:
    one = bootstrap_mean(values, resamples=FEW, seed=seed)
    assert one == bootstrap_mean(values, resamples=FEW, seed=seed)


def test_more_queries_make_a_narrower_interval() -> None:
    widths = []
    for count in (100, 400, 1600):
        _, low, high = bootstrap_mean(scores(1, count))
        widths.append(high - low)
    # By the square root: four times as many queries halve the width.
    for wide, narrow in itertools.pairwise(widths):
        assert wide / narrow == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_interval_is_that_of_scipy(seed: int) -> None:
    values = scores(seed)
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=seed, vectorized=True
    )
    _, low, high = bootstrap_mean(values)
    width = found.confidence_interval.high - found.confidence_interval.low
    assert low == pytest.approx(found.confidence_interval.low, abs=width / 25)
    assert high == pytest.approx(found.confidence_interval.high, abs=width / 25)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    truth = 0.5 / 1.2  # the mean of beta(0.5, 0.7)
    covered = [
        low <= truth <= high
        for _, low, high in (bootstrap_mean(scores(seed), resamples=FEW) for seed in range(400))
    ]
    assert 0.91 <= np.mean(covered) <= 0.98


def test_samples_too_large_for_one_go_are_drawn_in_parts() -> None:
    values = scores(3, 9_000)
    _, low, high = bootstrap_mean(values, resamples=1_500)
    error = values.std() / np.sqrt(len(values))
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)


@given(PAIRS)
@settings(max_examples=50, deadline=None)
def test_turning_a_pair_round_turns_the_verdict_round(pairs: list[tuple[float, float]]) -> None:
    a, b = map(list, zip(*pairs, strict=True))
    there = paired_bootstrap(a, b, resamples=FEW)
    back = paired_bootstrap(b, a, resamples=FEW)
    assert there[0] == pytest.approx(-back[0], abs=1e-12)
    assert there[1] == pytest.approx(-back[2], abs=1e-12)
    assert there[2] == pytest.approx(-back[1], abs=1e-12)
    assert there[3] == back[3]
    assert 0 < there[3] <= 1
    assert there[1] - 1e-12 <= there[0] <= there[2] + 1e-12


@given(SCORES)
@settings(max_examples=20, deadline=None)
def test_an_arm_does_not_differ_from_itself(values: list[float]) -> None:
    assert paired_bootstrap(values, values, resamples=FEW) == (0.0, 0.0, 0.0, 1.0)


def test_pairs_see_what_two_intervals_do_not() -> None:
    a = scores(4)
    b = a - 0.01 - np.random.default_rng(5).uniform(0, 0.002, len(a))
    difference, low, high, p_value = paired_bootstrap(a, b)
    assert 0.01 < low <= difference <= high < 0.013
    assert p_value < 0.001
    assert bootstrap_mean(a)[1] < bootstrap_mean(b)[2], "the arms' own intervals overlap widely"


@pytest.mark.parametrize("shift", [0.0, 0.03, 0.06, 0.1])
def test_the_p_value_is_near_that_of_a_permutation_test(shift: float) -> None:
    a = scores(6)
    b = np.clip(scores(7) * 0.5 + a * 0.5 - shift, 0, 1)
    found = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=10_000,
        rng=1,
        vectorized=True,
    )
    # Smucker et al. 2007: bootstrap and randomisation tests largely agree.
    assert paired_bootstrap(a, b)[3] == pytest.approx(found.pvalue, abs=0.02)


def test_under_no_difference_one_in_twenty_is_found_different() -> None:
    found = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        a, b = generator.beta(0.5, 0.7, (2, 100))
        found += paired_bootstrap(a, b, resamples=FEW)[3] < 0.05
    assert 0.02 <= found / 400 <= 0.09


@pytest.mark.parametrize("values", [[], [0.5], [0.5, float("nan")], [[0.1, 0.2], [0.3, 0.4]]])
def test_what_gives_no_interval_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"value"):
        bootstrap_mean(values)


def test_rows_of_different_length_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        paired_bootstrap([0.1, 0.2, 0.3], [0.1, 0.2])


def test_holm_gives_the_worked_example() -> None:
    # Wikipedia, "Holm-Bonferroni method", example: p of 0.01, 0.04, 0.03, 0.005 at 0.05.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_only_raises_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= c <= 1 for p, c in zip(p_values, corrected, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [corrected[i] for i in order] == sorted(corrected)
    # Never stricter than Bonferroni.
    assert all(c <= len(p_values) * p + 1e-12 for p, c in zip(p_values, corrected, strict=True))
