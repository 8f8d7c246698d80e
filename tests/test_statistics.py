"""Intervals and tests: laws that must hold, and agreement with scipy on the same data."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workbench.statistics import (
    bootstrap_mean,
    cluster_bootstrap,
    correlation,
    holm,
    mcnemar,
    minimum_detectable,
    paired,
    paired_bootstrap,
    paired_cluster_bootstrap,
    problems_needed,
    wilson,
)

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


# Newcombe, Statistics in Medicine 17, 1998, table I, method 3: the score interval at 95 %.
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(
    successes: int, n: int, low: float, high: float
) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=60, deadline=None)
def test_wilson_is_that_of_scipy(share: tuple[int, int]) -> None:
    for level in (0.9, 0.95, 0.99):
        found = stats.binomtest(*share).proportion_ci(level, method="wilson")
        assert wilson(*share, level) == pytest.approx((found.low, found.high), abs=1e-12)
    low, high = wilson(*share)
    assert 0 <= low <= share[0] / share[1] <= high <= 1


def test_wilson_covers_the_truth_as_often_as_it_says() -> None:
    # Exactly, over all outcomes; the score interval's coverage is 95 % on average over shares.
    n = 50
    ends = [wilson(k, n) for k in range(n + 1)]
    covered = []
    for share in np.linspace(0.05, 0.95, 181):
        chance = stats.binom.pmf(range(n + 1), n, share)
        covered.append(sum(chance[k] for k, (low, high) in enumerate(ends) if low <= share <= high))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.005)
    assert min(covered) > 0.91


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_what_is_no_share_has_no_interval(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(successes, n)


# Fagerland, Lydersen and Laake 2013, table 3: airway hyper-responsiveness (Bentur et al.), and
# complete response (Cavo et al.).
@pytest.mark.parametrize(
    ("b", "c", "exact", "mid"), [(1, 7, 0.0703, 0.0391), (6, 16, 0.0525, 0.0347)]
)
def test_mcnemar_gives_the_published_values(b: int, c: int, exact: float, mid: float) -> None:
    assert mcnemar(b, c) == pytest.approx(exact, abs=5e-5)
    assert mcnemar(b, c, mid=True) == pytest.approx(mid, abs=5e-5)


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_mcnemar_is_the_binomial_test_of_scipy(b: int, c: int) -> None:
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(c, b) == mcnemar(b, c)
    less = expected - stats.binom.pmf(b, b + c, 0.5)
    assert mcnemar(b, c, mid=True) == pytest.approx(1.0 if b == c else less, rel=1e-9)


def test_mcnemar_never_finds_more_than_its_level_where_nothing_differs() -> None:
    for n in range(1, 200):
        chance = stats.binom.pmf(range(n + 1), n, 0.5)
        found = sum(chance[b] for b in range(n + 1) if mcnemar(b, n - b) <= 0.05)
        assert found <= 0.05 + 1e-12


def test_mcnemar_holds_for_counts_beyond_floats() -> None:
    assert mcnemar(4_900, 5_100) == pytest.approx(stats.binomtest(4_900, 10_000).pvalue, rel=1e-9)


# powerandsamplesize.com, "Compare Paired Proportions: McNemar's Z-test" (0.05 and 0.45 at a power
# of 0.8: 23), and the calculator of clinicaltrials-tools.vercel.app (0.15 and 0.30: 155), both
# by Connor 1987. G*Power's manual, paired t-test: an effect of 0.5 takes 34, of 0.2 takes 199,
# of 0.8 takes 15.
@pytest.mark.parametrize(
    ("difference", "noise", "pairs"),
    [
        (0.40, {"discordance": 0.50}, 23),
        (-0.15, {"discordance": 0.45}, 155),
        (0.5, {"sd": 1.0}, 34),
        (0.2, {"sd": 1.0}, 199),
        (1.6, {"sd": 2.0}, 15),
    ],
)
def test_problems_needed_are_the_published_ones(
    difference: float, noise: dict[str, float], pairs: int
) -> None:
    assert problems_needed(difference, **noise) == pairs


@pytest.mark.parametrize("effect", [0.1, 0.2, 0.35, 0.5, 0.8])
@pytest.mark.parametrize("power", [0.8, 0.9])
def test_so_many_problems_give_the_paired_t_test_its_power(effect: float, power: float) -> None:
    def exact(n: int) -> float:
        ends = stats.t.ppf(0.975, n - 1)
        return float(stats.nct.sf(ends, n - 1, effect * np.sqrt(n)))

    n = problems_needed(effect, sd=1.0, power=power)
    assert exact(n + 1) >= power
    assert exact(n - 2) < power


@pytest.mark.parametrize(("difference", "discordance"), [(0.06, 0.2), (0.1, 0.3), (0.05, 0.1)])
def test_so_many_problems_give_mcnemar_its_power(difference: float, discordance: float) -> None:
    def power(n: int) -> float:
        """Sum over all numbers of pairs that differ, then over all their outcomes: mid-p test."""
        right = (discordance + difference) / discordance / 2
        total = 0.0
        for differ in range(n + 1):
            chance = stats.binom.pmf(differ, n, discordance)
            if chance > 1e-9:
                found = [mcnemar(b, differ - b, mid=True) <= 0.05 for b in range(differ + 1)]
                total += chance * stats.binom.pmf(range(differ + 1), differ, right) @ found
        return total

    n = problems_needed(difference, discordance=discordance)
    assert power(n) == pytest.approx(0.8, abs=0.02)


@given(st.integers(10, 3_000), st.floats(0.02, 1))
@settings(max_examples=60, deadline=None)
def test_the_least_difference_needs_the_problems_there_are(n: int, noise: float) -> None:
    least = minimum_detectable(n, discordance=noise)
    if least is not None:
        assert 0 < least <= noise
        assert problems_needed(least, discordance=noise) <= n
        if least > 1e-6:
            assert problems_needed(least * 0.999, discordance=noise) >= n
    other = minimum_detectable(n, sd=noise)
    assert other is not None
    assert (
        problems_needed(other * 1.0001, sd=noise) <= n <= problems_needed(other * 0.9999, sd=noise)
    )


def test_too_few_problems_show_nothing() -> None:
    assert minimum_detectable(5, discordance=0.1) is None
    assert minimum_detectable(100, discordance=0.0) is None
    assert minimum_detectable(1, sd=1.0) is None
    assert minimum_detectable(100, sd=0.0) is None


def test_a_difference_to_one_side_alone_is_not_lost_to_rounding() -> None:
    assert problems_needed(0.1 + 0.2, discordance=0.3) == problems_needed(0.3, discordance=0.3)


def test_what_asks_for_no_number_of_problems_is_refused() -> None:
    with pytest.raises(ValueError, match="difference of 0"):
        problems_needed(0.0, sd=1.0)
    with pytest.raises(ValueError, match="pairs that differ"):
        problems_needed(0.3, discordance=0.2)
    with pytest.raises(ValueError, match="give the share"):
        problems_needed(0.3)
    with pytest.raises(ValueError, match="give the share"):
        minimum_detectable(10, sd=1.0, discordance=0.5)


VERDICTS = [1.0] * 60 + [0.0] * 104


def flipped(up: int, down: int) -> list[float]:
    """Return VERDICTS with some solved that were not, and some not solved that were."""
    return [0.0] * down + [1.0] * (60 - down) + [1.0] * up + [0.0] * (104 - up)


def test_verdicts_are_compared_exactly_and_other_values_by_bootstrap() -> None:
    found = paired(VERDICTS, flipped(17, 4))
    assert (found.n, found.only_a, found.only_b) == (164, 4, 17)
    assert found.difference == pytest.approx(-13 / 164)
    assert found.p_value == found.p_mcnemar == mcnemar(4, 17)
    assert (found.difference, found.low, found.high, found.p_bootstrap) == paired_bootstrap(
        VERDICTS, flipped(17, 4)
    )
    other = paired([0.5, 0.25, 1.0, 0.0], [0.0, 0.25, 0.5, 0.5])
    assert other.p_mcnemar is None and other.p_value == other.p_bootstrap
    assert (other.only_a, other.only_b) == (2, 1)


def test_a_difference_that_is_there_is_named_with_its_winner() -> None:
    found = paired(flipped(30, 4), VERDICTS)
    said = found.sentence("rag", "plain")
    assert said.startswith("rag beats plain by 15.9 points (95 % interval ")
    assert "164 problems: rag ahead in 30, plain in 4" in said
    assert "needed" not in said
    # The other way round it is the same sentence, but for the order of the names.
    turned = paired(VERDICTS, flipped(30, 4)).sentence("plain", "rag")
    assert turned.partition(", p")[0] == said.partition(", p")[0]
    # Of fewer edits or seconds, less is better.
    assert found.sentence("rag", "plain", lower_is_better=True).startswith("plain beats rag")


def test_a_difference_that_may_be_noise_says_how_many_more_problems_it_takes() -> None:
    found = paired(flipped(8, 4), VERDICTS)
    said = found.sentence("rag", "plain")
    assert said.startswith("cannot tell rag from plain: +2.44 points (95 % interval ")
    assert found.more_needed == problems_needed(4 / 164, discordance=12 / 164) - 164
    assert f"; about {round(found.more_needed, -1):,} more problems needed" in said
    assert found.detectable == minimum_detectable(164, discordance=12 / 164)
    assert f"164 problems show one of {100 * found.detectable:.2f} points" in said


def test_no_fewer_problems_are_said_to_do_than_the_exact_test_needs() -> None:
    found = paired([0, 0], [1, 1])
    assert found.more_needed is not None
    assert mcnemar(0, found.n + found.more_needed) <= 0.05 < mcnemar(0, 5)


def test_equal_solvers_are_never_told_apart() -> None:
    found = paired(VERDICTS, VERDICTS)
    assert found.p_value == 1.0 and found.more_needed is None and found.detectable is None
    assert found.sentence().startswith("cannot tell A from B")
    assert found.sentence().endswith("; no problem tells them apart")
    assert paired([0.3, 0.7], [0.3, 0.7]).sentence().endswith("; no problem tells them apart")


def test_a_correction_for_many_comparisons_takes_a_sentence_back() -> None:
    found = paired(flipped(17, 4), VERDICTS)
    assert " beats " in found.sentence()
    said = found.sentence(p_value=0.2)
    assert said.startswith("cannot tell") and said.endswith("not among all that were compared")


def samples(seed: int, questions: int = 60, each: int = 5) -> np.ndarray:
    """Return 0/1 verdicts [questions, samples]: some questions are easy, some are hard."""
    generator = np.random.default_rng(seed)
    return (generator.random((questions, each)) < generator.beta(0.5, 0.5, (questions, 1))) * 1.0


def share(total: np.ndarray) -> float:
    return float(total[0] / total[1])


def counted(verdicts: np.ndarray) -> np.ndarray:
    return np.stack([verdicts.sum(axis=1), np.full(len(verdicts), verdicts.shape[1])], axis=1)


def test_samples_of_one_question_are_not_taken_for_questions() -> None:
    verdicts = samples(1)
    _, low, high = cluster_bootstrap(counted(verdicts), share, resamples=2_000)
    _, naive_low, naive_high = bootstrap_mean(verdicts.ravel(), resamples=2_000)
    # Alike as they are, 5 samples a question say little more than one.
    assert high - low > 1.5 * (naive_high - naive_low)
    # With equally many samples a question, it is the bootstrap of the questions' means.
    assert (low, high) == pytest.approx(
        bootstrap_mean(verdicts.mean(axis=1), resamples=2_000)[1:], abs=0.01
    )


def test_the_cluster_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = []
    for seed in range(300):
        _, low, high = cluster_bootstrap(counted(samples(seed)), share, resamples=FEW)
        covered.append(low <= 0.5 <= high)
    assert 0.90 <= np.mean(covered) <= 0.985


def test_paired_figures_are_compared_on_the_same_questions() -> None:
    a, b = counted(samples(2)), counted(np.minimum(samples(2), samples(3)))
    value, low, high, p_value = paired_cluster_bootstrap(a, b, share, resamples=2_000)
    assert value == pytest.approx(share(a.sum(axis=0)) - share(b.sum(axis=0)))
    expected = paired_bootstrap(a[:, 0] / a[:, 1], b[:, 0] / b[:, 1], resamples=2_000)
    assert (value, low, high, p_value) == pytest.approx(expected, abs=0.015)
    assert paired_cluster_bootstrap(a, a, share, resamples=FEW) == (0.0, 0.0, 0.0, 1.0)


def test_a_resample_without_a_figure_is_left_out() -> None:
    # Only one question of three was judged at all: a resample without it has 0 / 0.
    def judged(total: np.ndarray) -> float:
        return float(total[0] / total[1]) if total[1] else float("nan")

    value, low, high = cluster_bootstrap([[1, 2], [0, 0], [0, 0]], judged, resamples=FEW)
    assert (value, low, high) == (0.5, 0.5, 0.5)


def test_sums_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        paired_cluster_bootstrap([[1, 2], [3, 4]], [[1, 2], [3, 4], [5, 6]], share)
    with pytest.raises(ValueError, match="two questions"):
        cluster_bootstrap([[1, 2]], share)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_correlations_are_those_of_scipy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    solved = (generator.random(150) < 0.4) * 1.0
    cheap = np.round(solved * 10 + generator.normal(0, 12, 150))  # rounded, so that some tie
    found = {one.kind: one for one in correlation(cheap, solved, resamples=300)}
    assert found["Spearman"].value == pytest.approx(stats.spearmanr(cheap, solved).statistic)
    assert found["Kendall"].value == pytest.approx(stats.kendalltau(cheap, solved).statistic)
    expected = stats.pointbiserialr(solved, cheap).statistic
    assert found["point-biserial"].value == pytest.approx(expected)
    for one in found.values():
        assert one.low < one.value < one.high and one.n == 150


def test_the_interval_of_a_correlation_is_that_of_fisher() -> None:
    generator = np.random.default_rng(4)
    x = generator.normal(size=400)
    rank = correlation(x, x + generator.normal(0, 1, 400))[0]
    # Bonett and Wright, Psychometrika 65, 2000: the standard error of Spearman's z.
    error = np.sqrt((1 + rank.value**2 / 2) / (400 - 3))
    ends = np.tanh(np.arctanh(rank.value) + np.array([-1.96, 1.96]) * error)
    assert (rank.low, rank.high) == pytest.approx(ends, abs=0.02)


def test_the_interval_of_a_correlation_covers_nothing_where_nothing_is() -> None:
    covered = []
    for seed in range(60):
        x, y = np.random.default_rng(seed).normal(size=(2, 60))
        rank = correlation(x, y, resamples=200)[0]
        covered.append(rank.low <= 0 <= rank.high)
    assert 0.85 <= np.mean(covered) <= 1


def test_answers_of_several_solvers_to_one_question_are_drawn_together() -> None:
    x, y = np.random.default_rng(5).normal(size=(2, 30))
    four = {"x": np.repeat(x, 4), "y": np.repeat(y, 4), "resamples": 200}
    alone = correlation(x, y, resamples=200)[0]
    together = correlation(**four, groups=[f"q{n // 4}" for n in range(120)])[0]
    # The same answer four times over says no more than once; taken for 120 questions, it would.
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high), abs=0.06)
    apart = correlation(**four)[0]
    assert apart.high - apart.low < 0.7 * (together.high - together.low)
    with pytest.raises(ValueError, match="3 groups"):
        correlation([1, 2], [2, 3], groups=["a", "b", "c"])


def test_two_verdicts_or_two_figures_have_no_point_biserial_correlation() -> None:
    kinds = [one.kind for one in correlation([0, 1, 1, 0], [1, 1, 0, 0], resamples=50)]
    assert kinds == ["Spearman", "Kendall"]
    kinds = [one.kind for one in correlation([0, 2, 1, 0], [1, 3, 0, 0], resamples=50)]
    assert kinds == ["Spearman", "Kendall"]


def test_a_resample_without_a_correlation_is_left_out() -> None:
    # One in three resamples holds no solved problem, so that nothing can be correlated with it.
    for one in correlation([0, 0, 0, 0, 1], [1, 2, 3, 5, 4], resamples=200):
        assert -1 <= one.low <= one.high <= 1
    # Where most of them say nothing, there is no interval.
    for one in correlation([0] * 30 + [1], [5] + [0] * 30, resamples=200):
        assert one.value < 0 and one.low is None and one.high is None


@pytest.mark.parametrize(("x", "y"), [([1, 1, 1, 1], [0, 1, 0, 1]), ([0.5, 1], [0.2, 0.1])])
def test_what_never_changes_correlates_with_nothing(x: list[float], y: list[float]) -> None:
    assert all(one.value is None and one.low is None for one in correlation(x, y))
