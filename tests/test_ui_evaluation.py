"""The handlers of Evaluate and Results, without a server: nothing is lost, nothing is mixed up."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_evaluation import Exact, Solves, right, suite, two_then_none

pytest.importorskip("gradio", reason="the UI needs its extra: pip install 'code-workbench[ui]'")

import gradio as gr

from workbench.errors import BackendError
from workbench.evaluation import EvaluationSpec, open_evaluation
from workbench.evaluation.running import EvaluationProgress, arms_of, evaluate
from workbench.types import Event, Question
from workbench.ui import evaluate as evaluate_tab
from workbench.ui.evaluate import EvaluateTab, Session
from workbench.ui.live import Progress
from workbench.ui.results import ResultsTab

Script = Callable[[Question, int], Iterator[Event]]


def broken(question: Question, sample: int) -> Iterator[Event]:
    raise BackendError("The server refused.", "Start it.")
    yield


def wrong(question: Question, sample: int) -> Iterator[Event]:
    yield from right(Question("q2", "generate", question.text), sample)


def form(*backends: str, limit: int = 6, suite: str = "sums") -> tuple[Any, ...]:
    """Return what stands in the fields of the page; it may cost money."""
    return (suite, limit, list(backends), "", [], 3, False, 1, 0, 0, [], 0, True)


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Script]:
    """Let fakes answer, by their names; one that is not told of is right at two of three."""
    told: dict[str, Script] = {}

    def evaluated(spec: EvaluationSpec, **options: Any) -> Iterator[EvaluationProgress]:
        solvers = [Solves(name, told.get(name, right)) for name in spec.backends]
        about = {"spec": spec.table(), "limit": spec.limit, "sampling": spec.sampling}
        yield from evaluate(suite(spec.limit or 6), arms_of(solvers), [Exact()], **about, **options)

    monkeypatch.setattr(evaluate_tab, "evaluate_spec", evaluated)
    return told


@pytest.fixture(scope="module")
def tabs(tmp_path_factory: pytest.TempPathFactory) -> tuple[EvaluateTab, ResultsTab]:
    """Build both over an empty home; it takes a second, and nothing is kept between tests."""
    with pytest.MonkeyPatch.context() as patch, gr.Blocks():
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("empty")))
        return EvaluateTab(), ResultsTab()


@pytest.fixture
def tab(tabs: tuple[EvaluateTab, ResultsTab]) -> EvaluateTab:
    return tabs[0]


@pytest.fixture
def results(tabs: tuple[EvaluateTab, ResultsTab]) -> ResultsTab:
    return tabs[1]


def finished(tab: EvaluateTab, *backends: str) -> str:
    """Evaluate to the end, and return the run."""
    *_, last = tab.run(Session(), *form(*backends))
    assert "Done" in last[tab.notice], last[tab.notice]
    return str(last[tab.done])


# --- Evaluate ----------------------------------------------------------------------------


def test_a_run_ends_with_its_figures_and_gives_the_buttons_back(
    tab: EvaluateTab, scripts: dict[str, Script]
) -> None:
    first, *_, last = tab.run(Session(), *form("a"))
    assert first[tab.halt]["visible"] and not first[tab.start]["visible"]
    assert last[tab.start]["visible"] and not last[tab.halt]["visible"]
    assert open_evaluation(last[tab.done]).figure("a", "exact").value == pytest.approx(4 / 6)
    assert "0.667" in last[tab.table]


def test_a_forecast_asks_nothing_and_stores_nothing(
    tab: EvaluateTab, scripts: dict[str, Script]
) -> None:
    scripts["a"] = broken
    *_, last = tab.preflight(Session(), *form("a"))
    assert "Nothing was asked" in last[tab.notice] and "6" in last[tab.table]
    assert evaluate_tab.evaluations() == []


def test_a_failed_backend_has_errors_and_no_figure(
    tab: EvaluateTab, scripts: dict[str, Script]
) -> None:
    scripts["bad"] = broken
    *_, last = tab.run(Session(), *form("a", "bad"))
    row = last[tab.table].split("<td>bad</td>")[1].split("</tr>")[0]
    assert "not judged" in row and "<td>6</td>" in row and "0.000" not in row
    assert "0.667" in last[tab.table]


def test_stop_keeps_what_is_done_and_the_same_settings_do_the_rest(
    tab: EvaluateTab, scripts: dict[str, Script]
) -> None:
    session, waiting = Session(), threading.Barrier(3)

    def some_then_none(question: Question, sample: int) -> Iterator[Event]:
        if question.id not in ("q0", "q1"):
            waiting.wait(60)  # both workers are here: two answers were given
        yield from two_then_none(question, sample)

    def stop() -> None:
        waiting.wait(60)
        tab.stop(session)

    scripts["a"] = some_then_none
    presses = threading.Thread(target=stop)
    presses.start()
    *_, last = tab.run(session, *form("a"))
    presses.join()
    kept = re.search(r"Stopped\. (\d) answers of run", last[tab.notice])
    assert kept and last[tab.start]["visible"]
    asked: list[str] = []

    def noted(question: Question, sample: int) -> Iterator[Event]:
        asked.append(question.id)
        yield from right(question, sample)

    scripts["a"] = noted
    *_, last = tab.run(session, *form("a"))
    assert "Done" in last[tab.notice]
    assert len(asked) == len(set(asked)) == 6 - int(kept[1])
    assert open_evaluation(last[tab.done]).figure("a", "exact").value == pytest.approx(4 / 6)


def test_a_run_outlives_its_page_and_another_page_watches_it_with_its_settings(
    tab: EvaluateTab, scripts: dict[str, Script]
) -> None:
    begun, go = threading.Event(), threading.Event()

    def waits(question: Question, sample: int) -> Iterator[Event]:
        begun.set()
        assert go.wait(60)
        yield from right(question, sample)

    scripts["a"] = waits
    page = tab.run(Session(), *form("a"))
    next(page)
    assert begun.wait(60)
    page.close()  # the page is closed, or loaded again
    watching = tab.watch(Session())
    fields = next(watching)
    assert [fields[part] for part in tab._fields] == list(form("a"))
    assert next(watching)[tab.halt]["visible"]
    go.set()
    *_, last = watching
    assert "Done" in last[tab.notice] and last[tab.done]
    assert [*tab.watch(Session())] == [{tab.notice: gr.skip()}]  # nothing goes on any more


def test_two_pages_that_begin_the_same_watch_one_run(
    tab: EvaluateTab, scripts: dict[str, Script]
) -> None:
    go, asked = threading.Event(), []

    def waits(question: Question, sample: int) -> Iterator[Event]:
        asked.append(question.id)
        assert go.wait(60)
        yield from right(question, sample)

    scripts["a"] = waits
    pages = [tab.run(Session(), *form("a")) for _ in range(2)]
    for page in pages:
        next(page)
    go.set()
    runs = {[*page][-1][tab.done] for page in pages}
    assert len(runs) == 1 and len(asked) == 6


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (form(), "There is no backend."),
        (form("retrieval", suite=""), "There is no suite."),
        (form("retrieval", suite="humanevil"), "humaneval"),
        (form("retrieval", suite="none.jsonl"), "none.jsonl"),
        (form("retrieval", limit=-1), "limit is -1"),
        (form("nobody/one"), "nobody"),
    ],
)
def test_what_is_wrong_is_one_line_and_the_buttons_come_back(
    tab: EvaluateTab, fields: tuple[Any, ...], said: str
) -> None:
    *_, last = tab.run(Session(), *fields)
    assert "wb-problem" in last[tab.notice] and said in last[tab.notice]
    assert last[tab.notice].count("<p>") == 1
    assert last[tab.start]["visible"] and not last[tab.halt]["visible"]


def test_the_settings_of_an_earlier_run_come_back_into_the_fields(
    tab: EvaluateTab, scripts: dict[str, Script]
) -> None:
    run = finished(tab, "a", "b")
    assert [value for _, value in evaluate_tab._earlier()] == [run]
    _, *fields = tab.take(run)
    assert evaluate_tab._spec(tuple(fields)) == evaluate_tab._spec(form("a", "b"))


def test_settings_that_the_page_cannot_say_are_not_offered() -> None:
    said = EvaluationSpec("mbpp", ("retrieval",), corpus="mine", embedders=("static",), oracle=True)
    unsaid = EvaluationSpec("mbpp", ("retrieval",), cache=False)
    assert evaluate_tab._spec_of({"specs": [said.table()]}) == said
    assert evaluate_tab._spec_of({"specs": [unsaid.table()]}) is None
    assert evaluate_tab._spec_of({"specs": [{"suites": 3}]}) is None


def test_the_rate_counts_what_was_done_since_it_was_begun() -> None:
    told = Progress("Evaluating", 110, 130, "answer", begun=0, now=10, before=100)
    assert str(told) == "Evaluating: 110 of 130 answers, 1 a second, about 20 s left"
    slow = Progress("Evaluating", 2, 6, "answer", begun=0, now=60)
    assert str(slow) == "Evaluating: 2 of 6 answers, 2 a minute, about 2 min left"


# --- Results -----------------------------------------------------------------------------


def shown(results: ResultsTab, updates: list[Any]) -> dict[Any, Any]:
    return dict(zip(results.refreshed, updates[1:], strict=True))


def test_an_empty_store_says_what_to_do(results: ResultsTab) -> None:
    found = shown(results, results.refresh(None, None, None, "leaderboard", None))
    assert "Nothing was evaluated yet" in found[results.notice]
    assert found[results.table] == "" and not found[results.plot]["visible"]
    assert "Nothing was evaluated yet" in [*results.do_compare(None, None, None, None)][-1]
    assert "Nothing was evaluated yet" in results.write(None, "CSV")[0]


def test_what_was_finished_since_is_opened_and_else_the_chosen_run_stays(
    tab: EvaluateTab, results: ResultsTab, scripts: dict[str, Script]
) -> None:
    first = finished(tab, "a")
    *_, last = tab.run(Session(), *form("a", "b", limit=5))
    second = last[tab.done]
    found = shown(results, results.refresh(second, first, "exact", "verdicts", None))
    assert found[results.run]["value"] == second and "<td>b</td>" in found[results.table]
    found = shown(results, results.refresh(None, first, "exact", "verdicts", None))
    assert found[results.run]["value"] == first
    assert found[results.picture] == gr.skip() and "<td>b</td>" not in found[results.table]
    assert "ended" in found[results.plot]["value"].layout.title.text


def test_a_pair_has_its_verdict_and_its_flips_and_is_one_of_all(
    tab: EvaluateTab, results: ResultsTab, scripts: dict[str, Script]
) -> None:
    scripts["bad"] = wrong
    run = finished(tab, "a", "bad", "c")
    *_, said = results.do_compare(run, "a", "bad", "exact")
    assert "annot tell a from bad" in said and "Holm" in said
    assert "did better than" in said and "no idea" not in said.split("<details>")[0]
    *_, same = results.do_compare(run, "a", "a", "exact")
    assert "wb-problem" in same


def test_every_picture_is_drawn_or_says_why_not(
    tab: EvaluateTab, results: ResultsTab, scripts: dict[str, Script]
) -> None:
    run = finished(tab, "a", "b")
    for _, picture in results.picture.choices:
        notice, plot, said, _ = results.draw(run, "exact", picture, None)
        assert plot["visible"] == (not notice), picture
        assert ("<li>" in said) == (picture == "pairs")


@pytest.mark.parametrize("form", ["HTML report", "Notebook", "CSV", "Parquet", "Markdown", "LaTeX"])
def test_a_run_is_taken_along_in_every_form(
    tab: EvaluateTab, results: ResultsTab, scripts: dict[str, Script], form: str
) -> None:
    run = finished(tab, "a")
    notice, update = results.write(run, form)
    path = Path(update["value"])
    assert notice == "" and path.stem == run and path.stat().st_size > 100
