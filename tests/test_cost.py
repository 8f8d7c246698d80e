"""What a run cost: unknown is never zero, the cache is not paid twice, and a solved one is dear."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from workbench.backends.prices import price_of
from workbench.cli.cost import cost_app
from workbench.comparison import Column, Comparison
from workbench.cost import run_cost
from workbench.cost.cases import Case
from workbench.cost.figures import cost_bars
from workbench.cost.run_cost import run_models, run_tokens
from workbench.cost.words import cells, run_cost_html, usd
from workbench.errors import BadInput, UnknownName
from workbench.settings import settings
from workbench.statistics import bootstrap_mean
from workbench.store import Store
from workbench.types import Answer, Completion, Message, Prompt, Question, Result, Score, Step

GPT = "openai/gpt-4o"
OWN = "mistral/nobody-knows"
LOCAL = "llama-cpp/qwen2.5-coder-0.5b"
PROMPT = Prompt((Message("user", "add"),), "generate")


def call(
    model: str = GPT,
    cost: float | None = None,
    tokens: tuple[int | None, int | None] = (100, 50),
    *,
    seconds: float = 2.0,
    cached: bool = False,
) -> Step:
    completion = Completion(
        "x", tokens[0], tokens[1], seconds, 0.1, "stop", model, cost=cost, cached=cached
    )
    return Step(PROMPT, completion)


def result(
    question: str, *steps: Step, solver: str = "a", passed: float | None = -1, sample: int = 0
) -> Result:
    """Return an answered question; ``passed`` -1: it was not scored."""
    scores = () if passed == -1 else (Score("pass@1", passed),)
    return Result(
        solver, question, sample, Answer("x", "x", "python", "raw", steps=steps), scores=scores
    )


def only(results: Sequence[Result], hourly: float | None = None) -> object:
    (one,) = run_cost(results, hourly_usd=hourly).solvers
    return one


# --- paid ------------------------------------------------------------------------------


def test_what_was_written_down_is_added_up() -> None:
    one = only([result("1", call(cost=0.01), call(cost=0.02)), result("2", call(cost=0.05))])
    assert one.usd == pytest.approx(0.08)
    assert (one.answers, one.calls, one.errors) == (2, 3, 0)
    assert (one.input_tokens, one.output_tokens) == (300, 150)
    assert one.priced_today == 0


def test_an_unknown_price_is_unknown_and_never_zero() -> None:
    one = only([result("1", call(OWN)), result("2", call(OWN))])
    assert one.usd is None
    assert one.per_answer is None
    assert one.unpriced == 2
    assert "unknown (2 of 2 calls)" in cells(one)
    with pytest.raises(BadInput, match="known of no solver"):
        cost_bars([one])


def test_one_unknown_call_makes_the_sum_unknown_but_not_what_is_known() -> None:
    one = only([result("1", call(OWN)), result("2", call(OWN, cost=0.5))])
    assert (one.usd, one.known_usd, one.unpriced) == (None, 0.5, 1)
    assert "unknown (1 of 2 calls, 0.5 USD known)" in cells(one)


def test_a_price_that_was_not_written_down_is_todays_and_marked() -> None:
    price = price_of(GPT)
    assert price is not None
    cost = run_cost([result("1", call(tokens=(1000, 500)))])
    (one,) = cost.solvers
    assert one.usd == pytest.approx(price.cost(1000, 500))
    assert one.priced_today == 1
    assert any(cell.endswith("USD *") for cell in cells(one))
    assert any("today" in note for note in cost.notes)


def test_the_users_own_price_counts_here_too(home: Path) -> None:
    home.mkdir()
    (home / "prices.toml").write_text(f'["{OWN}"]\ninput = 1000\noutput = 0\n', encoding="utf-8")
    one = only([result("1", call(OWN, tokens=(100, 50)))])
    assert one.usd == pytest.approx(0.1)


def test_without_tokens_there_is_no_price() -> None:
    assert only([result("1", call(tokens=(None, None)))]).usd is None


def test_what_came_from_the_cache_is_not_paid_again() -> None:
    one = only([result("1", call(cost=0.01)), result("2", call(cost=0.03, cached=True))])
    assert one.usd == pytest.approx(0.01)
    assert one.cached_usd == pytest.approx(0.03)
    assert one.cached == 1
    assert one.per_answer.mean == pytest.approx(0.02)  # what an answer costs, cached or not


def test_errors_and_partial_answers_stand_apart() -> None:
    broken = Result("a", "3", 0, None, error="broke", partial=call(cost=0.02))
    refused = Result("a", "4", 0, None, error="no")
    one = only([result("1", call(cost=0.01)), broken, refused])
    assert (one.answers, one.errors, one.partial) == (1, 2, 1)
    assert one.usd == pytest.approx(0.03)  # what came of the broken one was paid for
    assert one.per_answer.mean == pytest.approx(0.01)


def test_tokens_that_were_not_counted_are_told_and_no_zero() -> None:
    broken = Result("a", "2", 0, None, error="broke", partial=call(tokens=(None, None)))
    one = only([result("1", call()), broken])
    assert (one.input_tokens, one.uncounted) == (100, 1)
    assert "100 (1 uncounted)" in cells(one)
    assert only([broken]).input_tokens is None


# --- an answer -------------------------------------------------------------------------


def test_the_interval_is_the_bootstrap_over_answers() -> None:
    costs = [0.01, 0.02, 0.05, 0.011, 0.3]
    one = only([result(str(at), call(cost=cost)) for at, cost in enumerate(costs)])
    mean = one.per_answer
    assert (mean.mean, mean.low, mean.high) == pytest.approx(bootstrap_mean(costs))


def test_one_answer_has_no_interval() -> None:
    one = only([result("1", call(cost=0.01))])
    assert (one.per_answer.mean, one.per_answer.low, one.per_answer.high) == (0.01, None, None)


# --- a machine of one's own ------------------------------------------------------------


def test_a_local_model_costs_nothing_a_call_but_its_machine_by_the_hour() -> None:
    results = [result("1", call(LOCAL, seconds=1800)), result("2", call(LOCAL, seconds=900))]
    free = only(results)
    assert (free.usd, free.machine_usd, free.per_answer.mean) == (0.0, None, 0.0)
    rented = only(results, hourly=4.0)
    assert rented.machine_usd == pytest.approx(3.0)
    assert rented.usd == 0.0
    assert rented.per_answer.mean == pytest.approx(1.5)


def test_a_hosted_model_is_not_charged_for_this_machine() -> None:
    one = only([result("1", call(cost=0.01, seconds=3600))], hourly=4.0)
    assert one.machine_usd is None
    assert one.per_answer.mean == pytest.approx(0.01)


# --- a solved problem ------------------------------------------------------------------


def test_without_a_verdict_it_is_said_that_there_is_none() -> None:
    one = only([result("1", call(cost=0.01))])
    assert (one.solved, one.per_solved) == (None, None)
    assert "no pass@1 score" in cells(one)


def test_failures_are_paid_by_what_was_solved() -> None:
    results = [result(str(at), call(cost=0.01), passed=float(at < 4)) for at in range(20)]
    one = only(results)
    assert one.solved == 4
    assert one.per_solved.mean == pytest.approx(0.2 / 4)
    # The same by hand: 20 problems, 4 of which solved, drawn with replacement.
    draws = np.random.default_rng(1).binomial(20, 0.2, 100_000)
    low, high = 0.2 / np.quantile(draws, 0.975), 0.2 / np.quantile(draws, 0.025)
    assert one.per_solved.low == pytest.approx(low, rel=0.01)
    assert one.per_solved.high == pytest.approx(high, rel=0.01)


def test_a_problem_is_solved_once_however_many_samples_solve_it() -> None:
    samples = [result("1", call(cost=0.01), passed=1, sample=at) for at in range(5)]
    one = only([*samples, result("2", call(cost=0.05), passed=0)])
    assert one.solved == 1
    assert one.per_solved.mean == pytest.approx(0.1)


def test_what_nobody_could_judge_is_not_solved_and_no_verdict_either() -> None:
    assert only([result("1", call(cost=0.01), passed=None)]).solved is None
    # Of 3 problems one is right, one wrong; the third may be either, as may a sample of the first.
    results = [
        result("1", call(cost=0.01), passed=1),
        result("1", call(cost=5), passed=None, sample=1),
        result("2", call(cost=0.03), passed=0),
        result("3", call(cost=7), passed=None),
        result("4", call(cost=9)),
    ]
    mixed = only(results)
    assert (mixed.solved, mixed.unjudged) == (1, 3)
    assert mixed.per_solved.mean == pytest.approx(0.04)
    assert any("1 solved, 3 not judged" in cell for cell in cells(mixed))


def test_an_error_solves_nothing_and_is_paid_for() -> None:
    broken = Result("a", "2", 0, None, error="broke", partial=call(cost=0.02))
    one = only([result("1", call(cost=0.01), passed=1), broken])
    assert (one.solved, one.unjudged) == (1, 0)
    assert one.per_solved.mean == pytest.approx(0.03)


def test_scores_of_texts_are_no_verdict() -> None:
    scored = Result("a", "1", 0, result("1", call(cost=1)).answer, (Score("BLEU", 1.0),))
    assert only([scored]).solved is None


def test_where_nothing_is_solved_there_is_no_price_of_it() -> None:
    one = only([result("1", call(cost=0.01), passed=0), result("2", call(cost=0.01), passed=0)])
    assert (one.solved, one.per_solved) == (0, None)
    assert "none solved" in cells(one)


def test_an_interval_may_have_no_end() -> None:
    results = [result(str(at), call(cost=0.01), passed=float(at == 0)) for at in range(4)]
    one = only(results)
    assert one.per_solved.high is None  # some draws hold no solved problem
    assert any("no end" in cell for cell in cells(one))


def test_what_costs_nothing_has_no_interval() -> None:
    results = [result(str(at), call(cost=0.0), passed=float(at == 0)) for at in range(4)]
    one = only(results)
    assert (one.per_solved.mean, one.per_solved.low, one.per_solved.high) == (0.0, None, None)
    assert "0 USD, 1 solved" in cells(one)


# --- where it comes from ---------------------------------------------------------------


def stored(*results: Result) -> str:
    store = Store(settings().runs)
    run = store.start({"solvers": ["a"]}, {})
    for one in results:
        store.add(run, Question(one.question_id, "generate", "x"), one)
    return run


def test_a_stored_run_and_its_results_cost_the_same() -> None:
    results = [result("1", call(cost=0.01)), result("2", call(LOCAL), solver="b")]
    run = stored(*results)
    assert run_cost(run).solvers == run_cost(results).solvers
    assert run_cost(run).run == run


def test_a_comparison_costs_what_its_columns_do() -> None:
    one = result("q", call(cost=0.01))
    columns = (Column("a", "done", answer=one.answer), Column("b", "writing", text="half"))
    cost = run_cost(Comparison(Question("q", "generate", "x"), columns, "run"))
    assert [solver.solver for solver in cost.solvers] == ["a"]
    assert cost.solvers[0].usd == 0.01


def test_last_is_the_newest_run() -> None:
    with pytest.raises(BadInput, match="no stored run"):
        run_cost("last")
    stored(result("1", call(cost=1)))
    newest = stored(result("1", call(cost=2)))
    assert run_cost("last") == run_cost(newest)
    assert run_cost("last").solvers[0].usd == 2


def test_a_run_that_is_not_there_or_empty_is_said_so() -> None:
    with pytest.raises(UnknownName):
        run_cost("nowhere")
    with pytest.raises(BadInput, match="no results"):
        run_cost([])
    with pytest.raises(BadInput, match="USD an hour"):
        run_cost([result("1", call())], hourly_usd=-1)


def test_a_runs_tokens_and_its_one_hosted_model_make_a_break_even() -> None:
    run = stored(
        result("1", call(tokens=(100, 20))),
        result("2", call(tokens=(300, 60))),
        result("3", call(LOCAL, tokens=(999, 9)), solver="b"),
        Result("a", "4", 0, None, error="broke", partial=call(tokens=(7, None))),
    )
    tokens = run_tokens(run, "a")
    assert (tokens.input, tokens.output) == ((100, 300), (20, 60))
    assert len(run_tokens(run).input) == 3
    assert run_models(run) == [GPT, LOCAL]
    price = price_of(GPT)
    assert price is not None
    one = Case(4.0, run=run, solver="a").break_even()
    assert one.usd_per_request == pytest.approx(price.cost(200, 40))
    assert one.first_interval is not None
    assert any("2 requests of the run" in source for source in one.sources)
    with pytest.raises(BadInput, match="Hosted in"):
        Case(4.0, run=run, solver="b").break_even()


def test_it_is_written_as_table_json_html_and_picture() -> None:
    cost = run_cost(
        [
            result("1", call(cost=0.01)),
            result("2", call(cost=0.02)),
            result("1", call(OWN), solver="b"),
        ]
    )
    assert cost.df.loc["a", "per_answer"] == pytest.approx(0.015)
    assert json.loads(cost.to_json())["solvers"][1]["usd"] is None
    assert "no pass@1 score" in run_cost_html(cost.solvers, cost.notes)
    figure = cost.figure()
    assert list(figure.data[0].x) == [pytest.approx(0.015)]
    assert "unknown: b" in figure.layout.title.subtitle.text


def test_the_picture_says_who_has_no_bar_and_which_interval_has_no_end() -> None:
    cost = run_cost(
        [
            *(result(str(at), call(cost=0.01), passed=float(at == 0)) for at in range(4)),
            result("1", call(cost=0.01), solver="never", passed=0),
            result("1", call(OWN), solver="unpriced", passed=1),
        ]
    )
    figure = cost.figure("solved")
    assert len(figure.data[0].y) == 1
    note = figure.layout.title.subtitle.text
    assert "to the edge: no end<br>unknown: unpriced<br>none solved: never" in note
    drawn = figure.data[0].x[0] + figure.data[0].error_x.array[0]
    assert drawn > figure.layout.xaxis.range[1]


def test_names_are_escaped() -> None:
    cost = run_cost([result("1", call(cost=0.01), solver="<b>bold</b>")])
    assert "<b>bold" not in cost._repr_html_()


def test_amounts_keep_the_digits_that_count() -> None:
    amounts = (None, 0.0, 0.000025, 0.0253, 0.5, 1234.5)
    assert [usd(amount) for amount in amounts] == [
        "unknown",
        "0 USD",
        "0.000025 USD",
        "0.0253 USD",
        "0.5 USD",
        "1,234.50 USD",
    ]


def test_the_command_shows_a_run() -> None:
    run = stored(result("1", call(cost=0.01)), result("2", call(OWN)))
    done = CliRunner().invoke(cost_app, ["run", run, "--hourly", "2"], catch_exceptions=False)
    assert "unknown" in done.stdout
    found = CliRunner().invoke(cost_app, ["run", run, "--json"], catch_exceptions=False)
    assert json.loads(found.stdout)["solvers"][0]["known_usd"] == 0.01
