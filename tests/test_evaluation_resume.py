"""Evaluations go on: nothing is lost, nothing asked or judged twice, and new things are added."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evaluation_crashes import POINTS, Told, calls_of, evaluate_killed, evaluate_undisturbed
from fake_evaluation import DONE, Exact, Solves, right, says, suite, two_then_none

from workbench.errors import BackendError, BadInput, InUse
from workbench.evaluation import Arm, Evaluation, evaluate, evaluate_solvers, finish
from workbench.evaluation.rescoring import rescore
from workbench.types import Answer, Event, Example, Question, Score


def yes(_: object) -> bool:
    return True


def evaluated(
    *solvers: Solves, metrics: Any = None, problems: Any = None, **options: Any
) -> Evaluation:
    rules = [Exact()] if metrics is None else metrics
    options = {"confirm": yes, **options}
    return finish(evaluate_solvers(problems or suite(), solvers, rules, **options))


# --- the same again --------------------------------------------------------------------


def test_the_same_call_again_asks_and_judges_nothing() -> None:
    first = evaluated(Solves("a"))
    solver, metric = Solves("a"), Exact()
    again = evaluated(solver, metrics=[metric], confirm=None)
    assert (solver.asked, metric.judged) == ([], [])
    assert (again.run, again.results) == (first.run, first.results)


def test_what_was_stopped_goes_on_with_the_rest() -> None:
    stopped = Solves("a", two_then_none, workers=1)
    states = evaluate_solvers(suite(), [stopped], [Exact()], confirm=yes)
    run = next(state.run for state in states if state.done == 2)
    states.close()
    solver, metric = Solves("a"), Exact()
    done = evaluated(solver, metrics=[metric])
    assert done.run == run
    assert sorted(solver.asked) == [(f"q{n}", 0) for n in range(2, 6)]
    assert sorted(metric.judged) == [f"q{n}" for n in range(2, 6)]
    assert len(done.results) == 6 and all(one.scores for one in done.results)


def test_errors_are_tried_again() -> None:
    def fails(question: Question, sample: int) -> Iterator[Event]:
        if question.id == "q1":
            raise BackendError("Refused.")
        yield from right(question, sample)

    first = evaluated(Solves("a", fails))
    solver = Solves("a")
    done = evaluated(solver)
    assert (done.run, solver.asked, done.errors) == (first.run, [("q1", 0)], 0)
    assert done.figure("a", "exact").judged == 6


def test_what_could_not_be_judged_is_judged_again_and_nothing_else() -> None:
    def judge(answer: Answer, example: Example) -> Score:
        value = None if example.question.id == "q1" else 1.0
        return Score("exact", value, "skipped")

    evaluated(Solves("a"), metrics=[Exact(judge=judge)])
    metric = Exact()
    done = evaluated(Solves("a"), metrics=[metric])
    assert metric.judged == ["q1"]
    assert done.figure("a", "exact").unjudged == 0


def test_new_surroundings_are_on_record_where_something_was_done_in_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = evaluated(Solves("a"))
    monkeypatch.setattr("workbench.evaluation.surroundings.revision", lambda: "another")
    looked = evaluated(Solves("a"))
    assert looked.record["surroundings"] == first.record["surroundings"]
    more = evaluated(Solves("a"), Solves("b"))
    assert [one["revision"] for one in more.record["surroundings"]][1:] == ["another"]
    assert any("2 different surroundings" in line for line in more.warnings)


def test_again_begins_anew() -> None:
    first = evaluated(Solves("a"))
    solver = Solves("a")
    second = evaluated(solver, again=True)
    assert second.run != first.run and len(solver.asked) == 6
    assert evaluated(Solves("a")).run == second.run, "the newest one goes on"


# --- more ------------------------------------------------------------------------------


def test_a_further_solver_is_added_to_the_run() -> None:
    first = evaluated(Solves("a"))
    old, new, metric = Solves("a"), Solves("b"), Exact()
    done = evaluated(old, new, metrics=[metric])
    assert (done.run, done.names) == (first.run, ("a", "b"))
    assert old.asked == [] and len(new.asked) == 6 and len(metric.judged) == 6


def test_a_further_metric_judges_what_is_stored() -> None:
    first = evaluated(Solves("a"))
    solver, old, new = Solves("a"), Exact(), Exact("other")
    done = evaluated(solver, metrics=[old, new])
    assert done.run == first.run and solver.asked == [] and old.judged == []
    assert sorted(new.judged) == [f"q{n}" for n in range(6)]
    assert [len(one.scores) for one in done.results] == [2] * 6


def test_a_metric_of_another_version_judges_all_again() -> None:
    evaluated(Solves("a"))
    newer = Exact(version=2, judge=lambda answer, example: Score("exact", 0.5))
    done = evaluated(Solves("a"), metrics=[newer])
    assert len(newer.judged) == 6
    assert [one.scores for one in done.results] == [(Score("exact", 0.5),)] * 6
    assert done.figure("a", "exact").signature == "exact|v:2"


def test_further_samples_are_added() -> None:
    evaluated(Solves("a"))
    solver = Solves("a")
    done = evaluated(solver, samples=3)
    assert len(done.results) == 18 and done.samples == 3
    fewer = evaluated(Solves("a"), samples=1)
    assert (fewer.run, len(fewer.results), fewer.samples) == (done.run, 18, 3)


def test_other_questions_or_other_sampling_are_another_run() -> None:
    first = evaluated(Solves("a"))
    assert evaluated(Solves("a"), problems=suite(5)).run != first.run
    assert evaluated(Solves("a"), problems=suite(name="other")).run != first.run
    assert evaluated(Solves("a"), limit=3).run != first.run
    warm = finish(
        evaluate_solvers(
            suite(), [Solves("a")], [Exact()], sampling={"temperature": 1}, confirm=yes
        )
    )
    assert warm.run != first.run


def arm(name: str, told: dict[str, Any], solver: Solves) -> Arm:
    return Arm(name, told, lambda name: replace(solver, name=name))


def test_another_solver_of_the_same_name_gets_a_column_of_its_own() -> None:
    def wrong(question: Question, sample: int) -> Iterator[Event]:
        yield says("no")

    options = {"confirm": yes}
    first = finish(evaluate(suite(), [arm("a", {"k": 3}, Solves())], [Exact()], **options))
    other = arm("a", {"k": 5}, Solves(script=wrong))
    both = finish(evaluate(suite(), [other], [Exact()], **options))
    assert both.run == first.run
    assert both.names == ("a", f"a @{other.digest[:6]}")
    assert [both.figure(name, "exact").value for name in both.names] == [pytest.approx(4 / 6), 0.0]
    assert finish(evaluate(suite(), [other], [Exact()], **options)).names == both.names


def test_a_solver_object_that_is_another_one_is_told_to_take_a_name() -> None:
    class Other(Solves):
        pass

    evaluated(Solves("a"))
    with pytest.raises(BadInput, match="another solver called a"):
        evaluated(Other("a"))


def test_two_cannot_run_the_same_at_once() -> None:
    states = evaluate_solvers(suite(), [Solves("a")], [Exact()], confirm=yes)
    next(states)
    with pytest.raises(InUse, match="sums is being evaluated"):
        evaluated(Solves("a"))
    states.close()
    evaluated(Solves("a"))


# --- rescoring -------------------------------------------------------------------------


def test_rescoring_judges_what_is_stored_and_calls_nobody() -> None:
    first = evaluated(Solves("a"))
    metric = Exact("other")
    done = finish(rescore(first.run, [metric], suite=suite()))
    assert len(metric.judged) == 6 and done.run == first.run
    assert done.figure("a", "other").value == pytest.approx(4 / 6)
    assert done.figure("a", "exact") == first.figure("a", "exact")


def test_rescoring_leaves_sound_scores_alone_unless_it_is_to_begin_anew() -> None:
    first = evaluated(Solves("a"))
    metric = Exact()
    finish(rescore(first.run, [metric], suite=suite()))
    assert metric.judged == []
    finish(rescore(first.run, [metric], suite=suite(), again=True))
    assert len(metric.judged) == 6


def test_rescoring_by_another_suite_is_refused() -> None:
    run = evaluated(Solves("a")).run
    with pytest.raises(BadInput, match="not the one"):
        finish(rescore(run, [Exact()], suite=suite(5)))


# --- killed ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return evaluate_undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("where", POINTS)
def test_a_run_killed_at_a_write_point_goes_on_to_the_same_end(
    tmp_path: Path, undisturbed: Told, where: str
) -> None:
    assert evaluate_killed(tmp_path, at=[where]) == undisturbed


def test_a_run_killed_at_random_moments_goes_on_to_the_same_end(
    tmp_path: Path, undisturbed: Told
) -> None:
    assert evaluate_killed(tmp_path, after=[0.2, 0.6]) == undisturbed


def test_the_undisturbed_run_asks_everything_once(undisturbed: Told) -> None:
    calls = undisturbed.finished_calls
    assert len(calls) == len(set(calls)) == 24
    assert DONE.is_complete and calls_of is not None
