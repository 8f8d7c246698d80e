"""What is said of an evaluation is what its scores say: in pairs, splits, effects, tables."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pandas as pd
import pytest

from workbench.errors import BadInput, UnknownName
from workbench.evaluation import effects, figures, pairs, splits, tables
from workbench.evaluation.notebook import write_notebook
from workbench.evaluation.page import page_html
from workbench.evaluation.records import SolverInfo, SuiteInfo
from workbench.evaluation.report import FIGURES, EvaluationReport
from workbench.statistics import holm, mcnemar
from workbench.types import Answer, Completion, Prompt, Question, Result, Score, Step

HOSTILE = "a|b_<script>alert(1)</script> & 100% $x$ {y} #1"


class Mean:
    """A metric whose figure is the mean over questions of the mean over samples."""

    higher_is_better = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.verdict = name == "pass@1"
        self.signature = f"{name}|v:test"

    def score(self, answer, example):
        raise NotImplementedError

    def aggregate(self, by_question):
        kept = [[one.value for one in some if one.value is not None] for some in by_question]
        means = [sum(some) / len(some) for some in kept if some]
        return sum(means) / len(means) if means else None


class Pooled(Mean):
    """A metric whose figure is computed from sums: right answers over words written."""

    def aggregate(self, by_question):
        sums = [one.statistics for some in by_question for one in some if one.value is not None]
        return sum(one[0] for one in sums) / sum(one[1] for one in sums) if sums else None


def evaluation(values, *, arms=None, tags=None, metrics=None, cheap=None) -> EvaluationReport:
    """Make a run of ``solver -> [value of pass@1 a question]``; None could not be judged."""
    count = max(len(some) for some in values.values())
    questions = tuple(Question(f"q{n}", "generate", f"Write {n} {HOSTILE}") for n in range(count))
    results = []
    for solver, some in values.items():
        for number, value in enumerate(some):
            detail = {1.0: "passed", 0.0: "wrong answer: 1 != 2", None: "sandbox failure: x"}[value]
            scores = [Score("pass@1", value, detail)]
            if cheap is not None:
                scores.append(Score("BLEU", cheap[solver][number]))
            call = Completion("code", 10, 20, 2.0, 0.1, "stop", solver)
            steps = (Step(Prompt((), "t"), call),)
            answer = Answer(f"# {solver}\nprint({number})", "raw", "python", "fence", steps=steps)
            results.append(Result(solver, f"q{number}", 0, answer, tuple(scores)))
    rules = metrics or (Mean("pass@1"), *((Mean("BLEU"),) if cheap is not None else ()))
    return EvaluationReport(
        run="20261120-abc",
        suite=SuiteInfo("made-up", "generate", count, "d" * 64, "MIT", "me", "here", "c" * 64),
        questions=questions,
        tags=tags or {},
        solvers=tuple(
            SolverInfo(name, name, (arms or {}).get(name, {"backend": name})) for name in values
        ),
        metrics=tuple(rules),
        samples=1,
        results=tuple(results),
        record={"spec": {"suite": "made-up"}},
        environment={},
        warnings=(f"Beware of {HOSTILE}",),
    )


A = [1.0] * 30 + [0.0] * 10 + [1.0] * 5 + [0.0] * 5
B = [1.0] * 20 + [0.0] * 20 + [1.0] * 5 + [0.0] * 5
TWO = {"a": A, "b": B}


def test_a_pairs_difference_is_that_of_the_figures_on_shared_questions():
    run = evaluation({"a": [1.0, 1.0, None, 0.0], "b": [0.0, 1.0, 1.0, None]})
    pair = pairs.compare(run, "a", "b", "pass@1")
    assert pair.paired.n == 2 and pair.left_out == 2
    assert pair.paired.difference == pytest.approx(1.0 - 0.5)
    assert "2 questions were not judged for both" in pair.sentence


def test_flips_are_what_mcnemar_counts():
    pair = pairs.compare(evaluation(TWO), "a", "b", "pass@1")
    assert pair.only_a == tuple(f"q{n}" for n in range(20, 30)) and pair.only_b == ()
    assert pair.paired.p_mcnemar == pytest.approx(mcnemar(10, 0))
    assert pair.better == "a" and "a beats b" in pair.sentence


def test_what_cannot_be_told_says_how_many_more_problems_it_takes():
    run = evaluation({"a": [1.0, 0.0, 1.0, 1.0, 0.0], "b": [1.0, 1.0, 0.0, 0.0, 0.0]})
    pair = pairs.compare(run, "a", "b", "pass@1")
    assert pair.better is None
    assert re.search(r"Cannot tell a from b: .*about [\d,]+ more problems needed", pair.sentence)


def test_all_pairs_are_corrected_together():
    run = evaluation({**TWO, "c": [0.0] * 50})
    found = pairs.all_pairs(run, "pass@1")
    assert [(one.a, one.b) for one in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    alone = [one.paired.p_value for one in found]
    assert [one.p_corrected for one in found] == pytest.approx(holm(alone))
    assert pairs.compare(run, "a", "b", "pass@1").p_corrected is None


def test_a_figure_that_is_no_mean_is_compared_as_it_is():
    run = evaluation(TWO, metrics=(Pooled("pass@1"),))
    for place, result in enumerate(run.results):
        score = result.scores[0]
        words = 1.0 + place % 3
        pooled = Score("pass@1", score.value, score.detail, (score.value, words))
        object.__setattr__(result, "scores", (pooled,))
    pair = pairs.compare(run, "a", "b", "pass@1")
    figures_ = [run.figure(name, "pass@1").value for name in "ab"]
    assert pair.paired.difference == pytest.approx(figures_[0] - figures_[1])
    assert pair.paired.low < pair.paired.difference < pair.paired.high


def test_a_solver_is_not_compared_with_itself_nor_with_a_stranger():
    run = evaluation(TWO)
    with pytest.raises(BadInput, match="itself"):
        pairs.compare(run, "a", "a", "pass@1")
    with pytest.raises(UnknownName):
        pairs.compare(run, "a", "nobody", "pass@1")
    with pytest.raises(BadInput, match="0 questions have a pass@1 of both"):
        pairs.compare(evaluation({"a": [1.0, None], "b": [None, 1.0]}), "a", "b", "pass@1")


def test_a_split_counts_each_question_once_and_levels_stand_in_their_order():
    tags = {f"q{n}": {"difficulty": ("hard", "easy", "medium")[n % 3]} for n in range(50)}
    run = evaluation(TWO, tags=tags)
    assert splits.tags_of(run) == ("difficulty",)
    parts = splits.split(run, "difficulty")
    assert [one.value for one in parts] == ["easy"] * 2 + ["medium"] * 2 + ["hard"] * 2
    mine = [one for one in parts if one.solver == "a"]
    assert sum(one.questions for one in mine) == 50
    whole = sum((one.figure or 0) * one.questions for one in mine) / 50
    assert whole == pytest.approx(run.figure("a", "pass@1").value)
    with pytest.raises(UnknownName):
        splits.split(run, "colour")


def test_a_cheap_metric_that_follows_the_verdict_says_much_and_noise_says_nothing():
    following = {name: [90.0 * value + n % 7 for n, value in enumerate(TWO[name])] for name in TWO}
    found = splits.agreement(evaluation(TWO, cheap=following), "BLEU")
    assert len(found.points) == 100 and "says much about pass@1" in found.sentence
    noise = {name: [float((n * 7919) % 101) for n in range(50)] for name in TWO}
    said = splits.agreement(evaluation(TWO, cheap=noise), "BLEU").sentence
    assert "nothing that could be told from chance" in said
    with pytest.raises(BadInput):
        splits.agreement(evaluation(TWO), "pass@1", "pass@1")


ARMS = {
    "m": {"backend": "m", "arm": "plain"},
    "m + x/e1": {"backend": "m", "arm": "retrieval", "embedder": "e1"},
    "m + x/e2": {"backend": "m", "arm": "retrieval", "embedder": "e2"},
    "m + x/oracle": {"backend": "m", "arm": "oracle", "embedder": "e1"},
    "other": {"backend": "other", "arm": "plain"},
}


def arms() -> EvaluationReport:
    worse, better = [0.0] * 15 + A[15:], [1.0] * 45 + [0.0] * 5
    values = {"m": A, "m + x/e1": worse, "m + x/e2": A, "m + x/oracle": better, "other": B}
    return evaluation(values, arms=ARMS)


def test_the_retrieval_effect_is_each_arm_beside_the_same_backend_without_hits():
    found = effects.retrieval_effect(arms(), "pass@1")
    assert [(one.backend, one.label) for one in found] == [
        ("m", "none"),
        ("m", "e1"),
        ("m", "e2"),
        ("m", "oracle"),
    ]
    verdicts = [one.against.better if one.against else None for one in found]
    assert verdicts == [None, "m", None, "m + x/oracle"]
    assert "hurts" in found[1].sentence and "helps" in found[3].sentence
    assert "no difference that could be told" in found[2].sentence
    assert all(one.against is None or one.against.p_corrected is not None for one in found)


def test_an_arm_stands_beside_the_plain_one_that_was_asked_in_the_same_way():
    told = {name: {**ARMS[name], "templates": {"generate": "1"}} for name in ("m", "m + x/e1")}
    told |= {f"{name} @2": {**one, "templates": {"generate": "2"}} for name, one in told.items()}
    values = dict(zip(told, (A, B, B, B), strict=True))
    found = effects.retrieval_effect(evaluation(values, arms=told), "pass@1")
    assert [(one.solver, one.against.b if one.against else None) for one in found] == [
        ("m", None),
        ("m + x/e1", "m"),
        ("m @2", None),
        ("m + x/e1 @2", "m @2"),
    ]
    assert [one.against.paired.difference for one in found if one.against] == [-0.2, 0.0]


def test_without_retrieval_there_is_no_effect():
    assert effects.retrieval_effect(evaluation(TWO), "pass@1") == ()
    with pytest.raises(BadInput, match="with and without retrieval"):
        figures.effect_figure(evaluation(TWO), "pass@1")


def test_every_picture_is_drawn_from_what_the_tables_say():
    pytest.importorskip("plotly")
    tags = {f"q{n}": {"topic": "ab"[n % 2]} for n in range(50)}
    values = {name: [float(n % 9) for n in range(50)] for name in TWO}
    run = evaluation(TWO, tags=tags, cheap=values)
    for kind in FIGURES:
        if kind != "effect":
            assert run.plot(kind).data, kind
    bars = run.plot("leaderboard").data[0]
    assert dict(zip(bars.y, bars.x, strict=True)) == {
        "a": run.figure("a", "pass@1").value,
        "b": run.figure("b", "pass@1").value,
    }
    effect = arms().plot("effect").data[0]
    assert list(effect.x) == ["none", "e1", "e2", "oracle"]
    with pytest.raises(UnknownName):
        run.plot("pie")


def test_verdicts_are_counted_with_what_could_not_be_judged():
    run = evaluation({"a": [1.0, 0.0, None, 1.0]})
    assert figures.verdict_counts(run) == {
        "a": {"passed": 2, "wrong answer": 1, "sandbox failure": 1}
    }


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".md", ".tex"])
@pytest.mark.parametrize("name", tables.TABLES)
def test_every_table_is_written_in_every_form(name, ending, tmp_path):
    run = evaluation(TWO, tags={f"q{n}": {"topic": "ab"[n % 2]} for n in range(50)})
    path = tables.write_table(run, name, tmp_path / "deep" / f"table{ending}")
    assert path.stat().st_size > 100


def test_csv_and_parquet_hold_the_figures_in_full(tmp_path):
    run = evaluation({"a": [1.0, 0.0, 0.0], "b": [1.0, 1.0, 0.0]})
    wanted = tables.leaderboard_table(run)
    csv = pd.read_csv(tables.write_table(run, "leaderboard", tmp_path / "t.csv"))
    parquet = pd.read_parquet(tables.write_table(run, "leaderboard", tmp_path / "t.parquet"))
    for found in (csv, parquet):
        assert list(found["solver"]) == list(wanted["solver"]) == ["b", "a"]
        assert list(found["pass@1"]) == list(wanted["pass@1"])


def test_the_best_figure_is_bold_and_names_are_no_markup():
    run = evaluation({HOSTILE: [1.0, 1.0], "b": [0.0, 1.0]})
    markdown = tables.to_markdown(run)
    first = markdown.splitlines()[2]
    assert "**1.000" in first and "a\\|b" in first and "<script" not in markdown
    assert len(re.findall(r"(?<!\\)\|", first)) == len(
        re.findall(r"(?<!\\)\|", markdown.splitlines()[0])
    )
    latex = tables.to_latex(run)
    assert r"\toprule" in latex and r"\textbf{1.000" in latex
    assert r"100\% \$x\$ \{y\} \#1" in latex and r"a\textbar{}b\_" in latex
    assert tables.latex('[x]\n* <1> "q"') == r"{[}x] {*} \textless{}1\textgreater{} ''q''"


def test_a_wrong_table_or_ending_is_one_line(tmp_path):
    run = evaluation(TWO)
    with pytest.raises(UnknownName):
        tables.write_table(run, "leaderbord", tmp_path / "t.csv")
    with pytest.raises(BadInput, match=r"\.xlsx"):
        tables.write_table(run, "leaderboard", tmp_path / "t.xlsx")
    with pytest.raises(BadInput, match="nothing in the table pairs"):
        tables.write_table(evaluation({"a": A}), "pairs", tmp_path / "t.tex")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        tables.write_table(run, "leaderboard", tmp_path / "file" / "t.csv")


def test_the_page_asks_nothing_of_any_server_and_escapes_what_it_quotes():
    page = page_html(evaluation({**TWO, HOSTILE: B}))
    text = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text)
    assert "alert(1)</script>" not in page.replace("&lt;", "<!")
    assert page.count("<script") >= 2 and "<script>alert(1)" not in page
    assert "Cannot tell" in page or "beats" in page
    assert "10</b> that a did better" in page


def test_the_page_brings_the_library_of_its_pictures_once():
    pytest.importorskip("plotly")
    page = page_html(evaluation(TWO))
    assert page.count("plotly.js v") == 1 and page.count("Plotly.newPlot") >= 2


def test_keys_are_not_in_the_page(monkeypatch):
    from workbench.keys import remember

    remember("sk-verysecretkey123456")
    run = evaluation(TWO)
    object.__setattr__(run, "warnings", ("The server said sk-verysecretkey123456",))
    assert "verysecret" not in page_html(run)


def test_arms_are_found_by_what_they_are_called():
    run = arms()
    assert run.compare("e1", "e2").a == "m + x/e1"
    assert run.compare("oracle", "m").a == "m + x/oracle"
    with pytest.raises(UnknownName):
        run.compare("plain", "e1")  # two solvers are plain
    assert "<details>" in run.compare("oracle", "m")._repr_html_()


def test_a_notebook_names_the_run_and_shows_again_what_the_page_shows(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("plotly")
    cheap = {name: [float(n % 9) for n in range(50)] for name in ARMS}
    tags = {f"q{n}": {"topic": "ab"[n % 2]} for n in range(50)}
    run = evaluation(dict.fromkeys(ARMS, A), arms=ARMS, cheap=cheap, tags=tags)
    book = nbformat.read(write_notebook(run, tmp_path / "n.ipynb"), as_version=4)
    nbformat.validate(book)
    code = [cell.source for cell in book.cells if cell.cell_type == "code"]
    assert "20261120-abc" in code[0]
    for kind in set(FIGURES) - {"pairs"}:
        assert any(f"run.plot({kind!r}" in one for one in code), kind
    names = {"run": run, "wb": None}
    for one in code[1:]:  # nothing in it fails
        eval(one, names)


# --- beside what was published ---------------------------------------------------------


@pytest.mark.parametrize(("solved", "said"), [(13, "within our interval"), (1, "outside of our")])
def test_a_gap_to_what_was_published_is_weighed_and_explained(solved: int, said: str) -> None:
    backend = "llama-cpp/qwen2.5-coder-0.5b"
    found = evaluation({backend: [1.0] * solved + [0.0] * (20 - solved)})
    assert found.gap(found.figure(backend, "pass@1")) == "", "of this suite nothing is published"
    found = replace(found, suite=replace(found.suite, name="humaneval"))
    gap = found.gap(found.figure(backend, "pass@1"))
    assert "0.616" in gap and said in gap and "0 of 20 answers held no program" in gap
    assert html.escape(gap) in page_html(found)
    (who,) = found.solvers
    helped = replace(found, solvers=(replace(who, told={**who.told, "arm": "retrieval"}),))
    assert helped.gap(helped.figure(backend, "pass@1")) == "", "nor was it with sources"
    cut = replace(found, suite=replace(found.suite, limit=20))
    assert cut.gap(cut.figure(backend, "pass@1")) == "", "what was published is of all problems"
