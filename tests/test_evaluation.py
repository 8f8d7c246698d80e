"""Evaluations: every question to every solver, scored while it goes on, and what comes of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fake_evaluation import DONE, PROMPT, Exact, Solves, right, says, suite, two_then_none

from workbench.cancel import cancelled_by
from workbench.errors import BackendError, BadInput, BrokenOff, Cancelled, UnknownName
from workbench.evaluation import (
    Evaluation,
    EvaluationProgress,
    evaluate_solvers,
    finish,
    open_evaluation,
)
from workbench.evaluation.intervals import interval_of
from workbench.evaluation.published import published
from workbench.progress import heard_by
from workbench.settings import settings
from workbench.statistics import bootstrap_mean, wilson
from workbench.store import Store
from workbench.types import Answer, Event, Example, Prompted, Question, Score


def yes(_: object) -> bool:
    return True


def evaluated(
    *solvers: Solves, metrics: Any = None, questions: int = 6, **options: Any
) -> Evaluation:
    rules = [Exact()] if metrics is None else metrics
    options = {"confirm": yes, **options}
    return finish(evaluate_solvers(suite(questions), solvers, rules, **options))


def breaks(error: Exception) -> Callable[[Question, int], Iterator[Event]]:
    def script(question: Question, sample: int) -> Iterator[Event]:
        yield Prompted(PROMPT)
        raise error

    return script


# --- what comes of it ------------------------------------------------------------------


def test_every_answer_is_stored_and_scored() -> None:
    done = evaluated(Solves("a"), Solves("b"))
    assert [(one.solver, one.question_id) for one in done.results] == [
        (name, f"q{number}") for name in "ab" for number in range(6)
    ]
    assert [one.scores[0].value for one in done.of("a")] == [0, 1, 1, 0, 1, 1]
    assert done.figure("a", "exact").value == pytest.approx(4 / 6)
    stored = {(r.solver, r.question_id): r for _, r in Store(settings().runs).results(done.run)}
    assert all(stored[one.solver, one.question_id] == one for one in done.results)


def test_an_evaluation_is_opened_as_it_was_without_solvers_or_suite() -> None:
    done = evaluated(Solves("a"), Solves("b"))
    opened = open_evaluation(done.run, [Exact()])
    assert opened.results == done.results
    assert opened.summary == done.summary
    assert opened.questions == done.questions == tuple(e.question for e in suite().examples)
    assert opened.tags["q0"] == {"difficulty": "hard"}
    assert (opened.suite.name, opened.suite.digest) == ("sums", suite().digest)
    assert opened.suite.license == "MIT"


def test_the_answer_key_is_not_stored() -> None:
    example = suite().examples[0]
    secret = replace(
        example, reference=replace(example.reference, texts=("the key that nobody may see",))
    )
    kept = replace(suite(), examples=(secret, *suite().examples[1:]))
    finish(evaluate_solvers(kept, [Solves("a")], [Exact()], confirm=yes))
    held = b"".join(path.read_bytes() for path in settings().home.glob("runs.sqlite*"))
    assert b"nobody may see" not in held


def test_an_error_is_a_result_in_no_figure_and_is_counted() -> None:
    def script(question: Question, sample: int) -> Iterator[Event]:
        if question.id in ("q1", "q2"):
            raise BackendError("The server refused.", "Try later.")
        yield from right(question, sample)

    figure = (done := evaluated(Solves("a", script))).figure("a", "exact")
    assert (figure.value, figure.questions, figure.errors) == (2 / 4, 4, 2)
    assert [one.error for one in done.of("a")][1:3] == ["The server refused. Try later."] * 2
    assert any("2 of 6 are errors" in line for line in done.warnings)


def test_what_cannot_be_judged_is_counted_and_no_zero() -> None:
    def judge(answer: Answer, example: Example) -> Score:
        if example.question.id == "q4":
            return Score("exact", None, "skipped: no javac")
        return Score("exact", 1.0)

    done = evaluated(Solves("a"), metrics=[Exact(judge=judge)])
    figure = done.figure("a", "exact")
    assert (figure.value, figure.judged, figure.unjudged) == (1.0, 5, 1)
    assert any("1 scores could not be judged: skipped: no javac" in one for one in done.warnings)


def test_a_metric_that_breaks_costs_its_own_scores_only() -> None:
    def judge(answer: Answer, example: Example) -> Score:
        raise ZeroDivisionError("by zero")

    done = evaluated(Solves("a"), metrics=[Exact(judge=judge), Exact("sound")])
    assert done.figure("a", "exact").value is None
    assert done.figure("a", "exact").missing == 6
    assert done.figure("a", "sound").value == pytest.approx(4 / 6)


def test_samples_are_scored_one_by_one_and_weigh_by_question() -> None:
    done = evaluated(Solves("a"), samples=3)
    assert len(done.results) == 18
    assert [len(some) for some in done.by_question("a", "exact").values()] == [3] * 6
    assert done.figure("a", "exact").value == pytest.approx(2 / 3)


def test_the_frame_and_the_json_have_a_row_a_result() -> None:
    done = evaluated(Solves("a"))
    frame = done.df
    assert list(frame["exact"]) == [0, 1, 1, 0, 1, 1]
    assert list(frame["tag:difficulty"]) == ["hard", "easy"] * 3
    assert list(frame["exact detail"])[:2] == ["wrong answer", "passed"]
    told = json.loads(done.to_json())
    assert told["figures"][0]["value"] == pytest.approx(4 / 6)
    assert [row["scores"]["exact"]["value"] for row in told["results"]] == [0, 1, 1, 0, 1, 1]
    assert "sums" in done._repr_html_() and done.run in repr(done)


def test_the_record_says_what_decides_the_figures() -> None:
    done = evaluated(Solves("a"))
    assert done.record["metrics"] == {"exact": "exact|v:1"}
    assert done.record["arms"]["a"]["digest"] == done.solver("a").digest
    (here,) = done.record["surroundings"]
    assert {"hardware", "versions", "revision"} <= set(here)
    assert "python" in done.environment["versions"]


def test_unknown_names_offer_the_nearest() -> None:
    done = evaluated(Solves("plain"))
    with pytest.raises(UnknownName, match="Did you mean plain"):
        done.figure("plan", "exact")
    with pytest.raises(UnknownName, match="exact"):
        done.figure("plain", "exacts")
    with pytest.raises(BadInput, match="no evaluation"):
        open_evaluation(Store(settings().runs).start({}, {}))


# --- while it runs ---------------------------------------------------------------------


def test_answers_are_scored_while_others_are_made() -> None:
    judged = threading.Event()

    def judge(answer: Answer, example: Example) -> Score:
        judged.set()
        return Score("exact", 1.0)

    def script(question: Question, sample: int) -> Iterator[Event]:
        if question.id != "q0":
            assert judged.wait(10), "nothing was scored while the answers were made"
        yield says("1")

    done = evaluated(Solves("a", script, workers=1), metrics=[Exact(judge=judge)])
    assert done.errors == 0


def test_progress_counts_answers_scores_errors_and_money() -> None:
    def script(question: Question, sample: int) -> Iterator[Event]:
        if question.id == "q1":
            raise BackendError("Refused.")
        yield from right(question, sample)

    states = list(evaluate_solvers(suite(), [Solves("a", script)], [Exact()], confirm=yes))
    first, *_, before, last = states
    assert (first.done, first.total, first.preflight.calls) == (0, 6, 6)
    assert (before.answered, before.done, before.errors) == (6, 6, 1)
    assert before.usd == pytest.approx(5 * 0.25)
    assert last.evaluation is not None and last.evaluation.errors == 1
    assert all(one.evaluation is None for one in states[:-1])
    counts = [one.done for one in states]
    assert counts == sorted(counts)


def test_the_bar_is_heard() -> None:
    heard: list[tuple[float, float | None, str]] = []
    with heard_by(lambda done, total, what, unit: heard.append((done, total, what))):
        evaluated(Solves("a"), metrics=[Exact(seconds=0.1)])
    assert (6, 6, "Evaluating") in heard or heard[-1][1:] == (6, "Evaluating")


def test_an_answer_is_in_the_store_before_it_is_told_of() -> None:
    store = Store(settings().runs)
    for state in evaluate_solvers(suite(), [Solves("a")], [Exact()], confirm=yes):
        if state.result is not None:
            kept = {result.question_id for _, result in store.results(str(state.run))}
            assert state.result.question_id in kept


def until_scored(states: Iterator[EvaluationProgress], count: int) -> EvaluationProgress:
    return next(state for state in states if state.done >= count)


def test_closing_keeps_what_was_finished_and_nothing_half_done() -> None:
    solver = Solves("a", two_then_none, workers=1)
    states = evaluate_solvers(suite(), [solver], [Exact()], confirm=yes)
    run = str(until_scored(states, 2).run)
    start = time.monotonic()
    states.close()
    assert time.monotonic() - start < 2
    time.sleep(0.3)  # for the thread that is now told to stop
    opened = open_evaluation(run, [Exact()])
    assert [one.question_id for one in opened.results] == ["q0", "q1"]
    assert all(one.scores for one in opened.results)


def test_a_reader_who_is_cancelled_gets_what_was_finished() -> None:
    stop = threading.Event()
    solver = Solves("a", two_then_none, workers=1)
    with cancelled_by(stop):
        states = evaluate_solvers(suite(), [solver], [Exact()], confirm=yes)
        until_scored(states, 2)
        stop.set()
        start = time.monotonic()
        *_, last = states
    assert time.monotonic() - start < 2
    assert last.evaluation is not None
    assert [one.question_id for one in last.evaluation.results] == ["q0", "q1"]
    assert any("4 questions were not asked yet" in one for one in last.evaluation.warnings)


def test_closing_does_not_wait_for_a_grader_and_keeps_no_verdict_of_a_stopped_one() -> None:
    def judge(answer: Answer, example: Example) -> Score:
        return Score("exact", 0.0, "killed")  # as a sandbox would say that is closed

    metric = Exact(seconds=30, judge=judge)
    solver = Solves("a", workers=1)
    states = evaluate_solvers(suite(), [solver], [metric], confirm=yes)
    state = next(state for state in states if state.answered >= 2)
    start = time.monotonic()
    states.close()
    assert time.monotonic() - start < 2
    assert metric.closed == 1
    time.sleep(0.3)
    assert Store(settings().runs).scores(str(state.run)) == {}


def test_a_store_that_cannot_be_written_ends_it_with_the_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "add", full)
    start = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        evaluated(Solves("a"))
    assert time.monotonic() - start < 5


# --- what is asked, and asked before ---------------------------------------------------


def test_nothing_to_ask_is_refused() -> None:
    with pytest.raises(BadInput, match="asks nothing"):
        evaluated()
    with pytest.raises(BadInput, match="asks nothing"):
        evaluated(Solves("a"), samples=0)
    twice = replace(suite(), examples=suite().examples[:1] * 2)
    with pytest.raises(BadInput, match="q0"):
        finish(evaluate_solvers(twice, [Solves("a")], [Exact()]))


def test_an_unknown_price_is_asked_about_and_no_means_no() -> None:
    solver = Solves("a")
    with pytest.raises(BadInput, match="price of a is unknown"):
        evaluated(solver, confirm=None)
    with pytest.raises(Cancelled):
        evaluated(solver, confirm=lambda _: False)
    assert solver.asked == [] and Store(settings().runs).runs() == []


def test_a_broken_off_answer_is_an_error_with_its_part() -> None:
    half = replace(DONE, finish_reason="broken")
    done = evaluated(Solves("a", breaks(BrokenOff("Cut.", partial=half))), questions=2)
    assert [one.error for one in done.results] == ["Cut."] * 2
    assert done.results[0].partial is not None


# --- intervals and published figures ---------------------------------------------------


def rows(*values: list[float | None]) -> list[list[Score]]:
    return [[Score("exact", value) for value in some] for some in values]


def test_a_share_of_solved_questions_has_wilsons_interval() -> None:
    assert interval_of(Exact(), rows([1.0], [0.0], [1.0], [None])) == wilson(2, 3)


def test_means_over_samples_have_the_bootstraps() -> None:
    some = rows([1.0, 0.0], [1.0, 1.0], [0.0, 0.0])
    assert interval_of(Exact(), some) == bootstrap_mean([0.5, 1.0, 0.0])[1:]


def test_a_figure_that_is_no_mean_is_resampled_by_questions() -> None:
    class Pooled(Exact):
        def aggregate(self, by_question: Any) -> float | None:
            sums = [sum(one.statistics[i] for s in by_question for one in s) for i in (0, 1)]
            return sums[0] / sums[1]

    parts = [(1.0, 10.0), (9.0, 10.0), (1.0, 1.0), (0.0, 30.0)]
    some = [[Score("exact", a / b, "", (a, b))] for a, b in parts]
    found = interval_of(Pooled(), some)
    assert found is not None
    assert found[0] < 11 / 51 < found[1] and found[1] <= 1.0


def test_one_question_says_little_and_a_figure_of_ones_own_nothing() -> None:
    class Odd(Exact):
        def aggregate(self, by_question: Any) -> float | None:
            return max(one.value or 0.0 for some in by_question for one in some)

    assert interval_of(Exact(), rows([1.0], [None])) == wilson(1, 1)
    assert interval_of(Exact(verdict=False), rows([1.0], [None])) is None
    assert interval_of(Odd(), rows([1.0], [0.0])) is None


@pytest.mark.parametrize(
    ("backend", "value"),
    [
        ("llama-cpp/qwen2.5-coder-0.5b", 0.616),
        ("transformers/Qwen/Qwen2.5-Coder-0.5B-Instruct", 0.616),
        ("llama-cpp/qwen2.5-coder-1.5b", 0.707),
        ("llama-cpp/smollm2-135m", None),
    ],
)
def test_what_was_published_of_a_model_is_found_by_its_name(backend, value) -> None:
    found = published("humaneval", backend, "pass@1")
    assert (found.value if found else None) == value
    assert published("mbpp", backend, "pass@1") is None
