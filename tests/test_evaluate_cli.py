"""The commands over whole suites: evaluate, rescore, replay, record, grade; and their specs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from workbench import api
from workbench.backends.replay import Recorder, read_recording
from workbench.cli.evaluate import evaluate, record, replay, rescore
from workbench.cli.grade import grade
from workbench.errors import BackendError, BadInput, MissingCorpus, UnknownName
from workbench.evaluation import (
    EvaluationSpec,
    evaluate_solvers,
    evaluate_spec,
    finish,
    grade_samples,
    open_evaluation,
    recorded_solvers,
    replay_run,
)
from workbench.evaluation.replaying import compared
from workbench.evaluation.spec import OracleRetriever
from workbench.sandbox import Grader, Outcome
from workbench.settings import settings
from workbench.spec import solver
from workbench.store import Store
from workbench.suites import Suite, load_problems
from workbench.tasks import load_task
from workbench.types import (
    Chunk,
    Completion,
    Example,
    Hit,
    ProgramTests,
    Prompt,
    Question,
    Reference,
    SamplingParams,
    Token,
)

ROWS = [
    {
        "id": f"sum/{number}",
        "text": f"Secret words number {number}: return {number}.",
        "reference": f"def f():\n    return {number}",
        "tests": {"program": f"assert f() == {number}"},
        "tags": {"difficulty": "easy"},
    }
    for number in range(4)
]


@dataclass
class Says:
    """A backend that solves all but the last problem, and counts."""

    name: str = "says/it"
    asked: list[str] = field(default_factory=list)

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        text = prompt.messages[-1].content
        number = text.split("Secret words number ")[1][0]
        self.asked.append(number)
        code = f"def f():\n    return {0 if number == '3' else number}"
        yield Token(code)
        yield Completion(f"```python\n{code}\n```", 20, 9, 0.5, 0.1, "stop", self.name)


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    return path


@pytest.fixture
def recording(problems: Path, tmp_path: Path) -> Path:
    """Return recorded answers of ``Says`` to the prompts of the problems, two samples each."""
    file, task = tmp_path / "answers.jsonl", load_task("generate")
    for example in load_problems(str(problems)).examples:
        for sample in range(2):
            prompt = task.render(example.question, ())
            list(Recorder(Says(), file).stream(prompt, task.params.nth(sample)))
    return file


app = typer.Typer()
for command in (evaluate, rescore, replay, record, grade):
    app.command()(command)


def call(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(one) for one in arguments])


def asked_for(problems: Path, recording: Path, *more: object) -> tuple[object, ...]:
    options = ("--suite", problems, "--backend", f"replay/{recording}", "--metric", "exact match")
    return ("evaluate", *options, *more)


# --- the commands ----------------------------------------------------------------------


def test_a_suite_is_evaluated_and_told_of(problems: Path, recording: Path) -> None:
    done = call(*asked_for(problems, recording))
    assert done.exit_code == 0, done.output
    assert "0.750 (0.301 to 0.954)" in done.output
    (row,) = Store(settings().runs).runs()
    assert f"workbench report {row.id}" in done.output


def test_the_json_is_complete_and_the_same_call_is_the_same_run(
    problems: Path, recording: Path
) -> None:
    first, again = (call(*asked_for(problems, recording, "--json")) for _ in range(2))
    told = json.loads(first.stdout)
    assert told["figures"][0]["value"] == 0.75
    assert [row["scores"]["exact match"]["value"] for row in told["results"]] == [1, 1, 1, 0]
    assert json.loads(again.stdout) == told


def test_a_file_says_the_same_as_options_and_options_come_on_top(
    problems: Path, recording: Path, tmp_path: Path
) -> None:
    file = tmp_path / "spec.toml"
    file.write_text(
        f'suite = "{problems}"\nbackends = "replay/{recording}"\n'
        'metrics = ["exact match"]\ntemperature = 0.0\n',
        encoding="utf-8",
    )
    spec = EvaluationSpec.read(file)
    assert spec.backends == (f"replay/{recording}",) and spec.sampling == {"temperature": 0.0}
    assert EvaluationSpec.from_table(json.loads(json.dumps(spec.table()))) == spec
    told = json.loads(call("evaluate", file, "--limit", 2, "--json").stdout)
    assert len(told["results"]) == 2 and told["suite"]["limit"] == 2


def test_a_suite_that_is_an_object_is_cut_to_the_limit(problems: Path, recording: Path) -> None:
    spec = EvaluationSpec(
        "sums", backends=(f"replay/{recording}",), metrics=("exact match",), limit=2
    )
    done = finish(evaluate_spec(spec, load_problems(str(problems))))
    assert len(done.results) == 2 and done.suite.loaded_as is None


def test_errors_are_told_of_and_make_the_exit_code(problems: Path, recording: Path) -> None:
    recording.write_text(recording.read_text().split("\n", 2)[0] + "\n")
    done = call(*asked_for(problems, recording))
    assert done.exit_code == 1
    assert "3 x answers.jsonl holds no answer for this prompt" in done.output


def test_rescoring_adds_a_metric(problems: Path, recording: Path) -> None:
    run = json.loads(call(*asked_for(problems, recording, "--json")).stdout)["run"]
    done = call("rescore", run, "--metric", "AST match", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {one["metric"]: one["value"] for one in told["figures"]} == {
        "exact match": 0.75,
        "AST match": 0.75,
    }


def test_the_last_evaluation_needs_no_id(problems: Path, recording: Path) -> None:
    with pytest.raises(BadInput, match="Nothing was evaluated yet"):
        api.rescore("last", ["AST match"])
    run = json.loads(call(*asked_for(problems, recording, "--json")).stdout)["run"]
    rescored = api.rescore("last", ["AST match"])
    assert rescored.run == run
    assert rescored.figure(rescored.names[0], "AST match").value == 0.75
    again = problems.with_name("again.jsonl")
    assert call("record", "last", str(again)).exit_code == 0 and again.is_file()


def test_a_replay_of_the_same_answers_differs_in_nothing(problems: Path, recording: Path) -> None:
    run = json.loads(call(*asked_for(problems, recording, "--json")).stdout)["run"]
    done = call("replay", run, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["compared"], told["same"], told["differences"]) == (4, 4, [])
    assert told["replay"] != run


def test_a_replay_tells_what_differs(problems: Path, recording: Path) -> None:
    run = json.loads(call(*asked_for(problems, recording, "--json")).stdout)["run"]
    recording.write_text(recording.read_text().replace("return 2", "return 22"))
    replayed = replay_run(run)
    assert (replayed.compared, replayed.same) == (4, 3)
    assert [(one.question_id, one.what) for one in replayed.differences] == [
        ("sum/2", "answer"),
        ("sum/2", "exact match"),
    ]
    assert replayed.figures == ((f"replay/{recording}", "exact match", 0.75, 0.5),)


def test_each_replay_asks_again_and_the_last_one_is_not_told_once_more(
    problems: Path, recording: Path
) -> None:
    run = json.loads(call(*asked_for(problems, recording, "--json")).stdout)["run"]
    first = replay_run(run)
    recording.write_text(recording.read_text().replace("return 2", "return 22"))
    second = replay_run(run)
    assert (first.same, second.same) == (4, 3)
    assert len({run, first.replay, second.replay}) == 3


def test_a_replay_that_was_stopped_goes_on(problems: Path, recording: Path) -> None:
    run = json.loads(call(*asked_for(problems, recording, "--json")).stdout)["run"]
    spec = EvaluationSpec.from_table(open_evaluation(run).record["specs"][0])
    going = evaluate_spec(spec, replay_of=run)
    stopped = next(one.run for one in going if one.answered)
    going.close()
    assert replay_run(run).replay == stopped
    assert replay_run(run).replay != stopped


def test_errors_are_no_equal_answers_and_a_lost_score_differs(
    problems: Path, recording: Path
) -> None:
    whole = recording.read_text()
    recording.write_text(whole.split("\n", 2)[0] + "\n")
    run = json.loads(call(*asked_for(problems, recording, "--json")).stdout)["run"]
    replayed = replay_run(run)
    assert (replayed.compared, replayed.same, replayed.missing) == (1, 1, 0)
    before = open_evaluation(run)
    now = replace(before, results=tuple(replace(one, scores=()) for one in before.results))
    assert [(one.before, one.now) for one in compared(before, now).differences] == [(1.0, None)]
    assert compared(before, replace(now, results=now.results[1:])).missing == 1


def test_samples_have_their_own_figures(problems: Path, recording: Path) -> None:
    done = call(*asked_for(problems, recording, "--samples", 2, "--json"))
    told = json.loads(done.stdout)
    assert len(told["results"]) == 8
    assert any("temperature 0 gives the same sample" in line for line in told["warnings"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Which suite"),
        (("--suite", "humanevl"), "humaneval"),
        (("--suite", "x.jsonl", "--backend", "nothing/x"), "nothing"),
        (("--suite", "x.jsonl", "--oracle"), "no corpus"),
        (("--suite", "x.jsonl", "--metric", "pass"), "pass@1"),
    ],
)
def test_a_wrong_call_says_what_is_wrong_in_a_line(problems: Path, options: Any, said: str) -> None:
    given = [str(problems) if one == "x.jsonl" else one for one in options]
    done = call("evaluate", *given)
    assert isinstance(done.exception, BadInput) and said in str(done.exception)
    assert "\n" not in str(done.exception)
    assert Store(settings().runs).runs() == []


# --- specs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"suite": "a", "backend": "x"}, "backends"),
        ({"suite": "a", "samples": "many"}, "samples"),
        ({"backends": ["x"]}, "suite"),
    ],
)
def test_a_wrong_table_names_what_is_wrong(table: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        EvaluationSpec.from_table(table)


def test_an_unknown_agent_is_refused() -> None:
    with pytest.raises(UnknownName, match="direct"):
        EvaluationSpec("humaneval", agents=("panel",)).check()


def example(name: str, text: str, key: str) -> Example:
    return Example(Question(name, "generate", text), Reference((key,)))


SUITE = Suite(
    "humaneval",
    "generate",
    (example("a", "add numbers", "KEY A"), example("b", "sort a list", "KEY B")),
    *("MIT", "c", "o", "0", ("exact match",)),
)


class Searched:
    """Stands for the retriever of a corpus, and notes what it was asked."""

    asked: list[str]

    def __init__(self, *names: Any) -> None:
        self.names, self.asked = names, []

    def search(self, query: str, k: int) -> list[Hit]:
        self.asked.append(query)
        chunk = Chunk("1", "def g(): pass", "a.py", 1, 1, "python", "g", "s", "MIT")
        return [Hit(chunk, 1.0, 1)]


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(corpus: str, embedder: str | None, chunker: str, exclude: str | None) -> Any:
        info = SimpleNamespace(
            corpus=corpus,
            corpus_digest="d",
            embedder=embedder or "static",
            fingerprint=f"{embedder}@1",
            chunker=f"{chunker}|{exclude}",
        )
        return SimpleNamespace(info=info, mode="dense")

    monkeypatch.setattr("workbench.evaluation.spec.open_corpus_index", opened)
    monkeypatch.setattr("workbench.evaluation.spec.CorpusRetriever", Searched)


def test_there_is_a_solver_for_each_backend_and_arm(corpus: None, recording: Path) -> None:
    name = f"replay/{recording}"
    spec = EvaluationSpec(
        "humaneval",
        backends=(name, "retrieval"),
        corpus="pop",
        embedders=("minilm", "static"),
        oracle=True,
    )
    arms = spec.arms(SUITE)
    assert [one.name for one in arms[:4]] == [
        name,
        f"{name} + pop/minilm",
        f"{name} + pop/static",
        f"{name} + pop/oracle",
    ]
    assert [one.told["arm"] for one in arms] == ["plain", "retrieval", "retrieval", "oracle"] * 2
    assert len({one.digest for one in arms}) == 8
    assert arms[1].told["exclude"] == "humaneval", "solutions of the suite are left out"
    assert [one.make(one.name).name for one in arms] == [one.name for one in arms]


def test_what_decides_the_answers_decides_the_digest(corpus: None) -> None:
    def digest(**changed: Any) -> str:
        told = {"corpus": "pop", "embedders": ("minilm",), "plain": False, **changed}
        (arm,) = EvaluationSpec("humaneval", **told).arms(SUITE)
        return arm.digest

    changes: list[dict[str, Any]] = [
        {"k": 5},
        {"params": {"temperature": 0.5}},
        {"embedders": ("static",)},
        {"exclude": "none"},
        {"retriever": "bm25"},
        {"fallback": "replay/x"},
    ]
    digests = [digest(), *(digest(**one) for one in changes)]
    assert len(set(digests)) == len(digests)
    assert digest(workers=3, samples=5, budget=1.0, cache=False) == digest()


def test_an_index_without_the_solutions_is_asked_for_by_its_whole_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: object) -> None:
        raise MissingCorpus("It is not indexed.", "Run: workbench index pop --embedder minilm")

    monkeypatch.setattr("workbench.evaluation.spec.open_corpus_index", missing)
    for exclude, said in ((None, "minilm --exclude humaneval"), ("none", "--embedder minilm")):
        spec = EvaluationSpec("humaneval", corpus="pop", exclude=exclude)
        with pytest.raises(MissingCorpus) as raised:
            spec.arms(SUITE)
        assert raised.value.remedy.endswith(said)


def test_the_oracle_searches_for_the_key_and_hands_out_chunks_alone() -> None:
    searched = Searched()
    (hit,) = OracleRetriever(searched, SUITE.examples).search("add numbers", 3)
    assert searched.asked == ["KEY A"] and hit.chunk.text == "def g(): pass"
    OracleRetriever(searched, SUITE.examples).search("something else", 3)
    assert searched.asked[-1] == "something else"


def test_no_solver_is_given_the_key_in_its_prompt(corpus: None, tmp_path: Path) -> None:
    file = tmp_path / "none.jsonl"
    file.write_text("")
    spec = EvaluationSpec("humaneval", backends=(f"replay/{file}",), corpus="pop", oracle=True)
    seen = []
    for arm in spec.arms(SUITE):
        events = arm.make(arm.name).stream(SUITE.examples[0].question)
        with pytest.raises(BackendError):
            seen.extend(events)
    assert len(spec.arms(SUITE)) == 3 and "KEY" not in repr(seen)


# --- recordings ------------------------------------------------------------------------


def recorded_run(problems: Path, recording: Path) -> str:
    done = call(*asked_for(problems, recording, "--samples", 2, "--json"))
    return str(json.loads(done.stdout)["run"])


def test_a_recorded_run_answers_the_same_as_a_backend_and_as_solvers(
    problems: Path, recording: Path, tmp_path: Path
) -> None:
    run, file = recorded_run(problems, recording), tmp_path / "kept" / "run.jsonl.gz"
    before = open_evaluation(run)
    done = call("record", run, file)
    assert done.exit_code == 0 and "8 answers" in done.output
    told = json.loads(call(*asked_for(problems, file, "--samples", 2, "--json")).stdout)
    answers = [row["answer"] for row in told["results"] if str(file) in row["solver"]]
    assert answers == [one.answer.text for one in before.results if one.answer]
    going = evaluate_solvers(str(problems), recorded_solvers(file), ["exact match"], samples=2)
    again = finish(going)  # nobody has to be asked what it costs
    assert again.names == before.names
    assert [one.scores for one in again.results] == [one.scores for one in before.results]
    assert again.solvers[0].told["arm"] == "plain"


def test_a_recorded_run_holds_no_text_of_the_suite_and_is_the_same_bytes_again(
    problems: Path, recording: Path, tmp_path: Path
) -> None:
    run = recorded_run(problems, recording)
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        assert call("record", run, tmp_path / name).exit_code == 0
    data = (tmp_path / "one.jsonl.gz").read_bytes()
    assert data == (tmp_path / "two.jsonl.gz").read_bytes()
    assert b"Secret" not in gzip.decompress(data) and b"return 2" in gzip.decompress(data)
    assert len(read_recording(tmp_path / "one.jsonl.gz")) == 8


def test_a_recording_of_a_backend_is_no_run(recording: Path) -> None:
    with pytest.raises(BadInput, match="names no solver"):
        recorded_solvers(recording)


def test_what_was_not_recorded_is_an_error_of_its_own(problems: Path, recording: Path) -> None:
    file = recording.with_name("run.jsonl")
    call("record", recorded_run(problems, recording), file)
    (one,) = recorded_solvers(file)
    done = finish(evaluate_solvers(str(problems), [one], ["exact match"], samples=3))
    assert done.errors == 4 and "sample 2" in str(done.results[2].error)


def test_solver_objects_are_evaluated_under_their_names(problems: Path) -> None:
    says = Says()
    one = solver(says, name="mine", max_tokens=50)
    done = finish(evaluate_solvers(str(problems), [one], ["exact match"], confirm=lambda _: True))
    assert done.names == ("mine",) and len(says.asked) == 4
    told = done.solvers[0].told
    assert (told["backend"], told["arm"], told["params"]) == (
        "says/it",
        "plain",
        {"max_tokens": 50},
    )
    with pytest.raises(BadInput, match="no names"):
        replay_run(done.run)


# --- samples made elsewhere ------------------------------------------------------------


@dataclass
class Judge:
    """Stands for the sandbox: passes what says so, and notes what it was given."""

    given: list[tuple[str, str]] = field(default_factory=list)

    def grade(self, code: str, tests: Any, language: str) -> Outcome:
        self.given.append((code, language))
        if "broken" in code:
            return Outcome("sandbox failure", "no tier")
        good = "right" in code
        return Outcome("passed" if good else "wrong answer", wall_seconds=0.25, tier="judge")


PREFIXED = Suite(
    "h",
    "generate",
    tuple(
        Example(
            Question(f"H/{n}", "generate", "x", target_language="python"),
            Reference(("x",), ProgramTests("python", "f()"), prefix=f"def f{n}():\n"),
        )
        for n in range(3)
    ),
    *("MIT", "c", "o", "0", ("pass@1",)),
)


def samples_file(folder: Path, *rows: Any) -> Path:
    file = folder / "samples.jsonl"
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def sample(task: str, completion: str, **extra: Any) -> dict[str, Any]:
    return {"task_id": task, "completion": completion, **extra}


def test_a_completion_goes_on_where_the_prompt_ends(tmp_path: Path) -> None:
    judge = Judge()
    file = samples_file(tmp_path, sample("H/1", "    right"))
    report = grade_samples(PREFIXED, file, judge)
    assert judge.given == [("def f1():\n    right", "python")]
    told = json.loads(report.to_json())
    assert (told["pass@1"], told["tier"]) == (1.0, "judge")
    assert report.missing == ("H/0", "H/2")


def test_samples_keep_their_order_and_fields(tmp_path: Path) -> None:
    rows = [sample(f"H/{n % 3}", "right" if n % 2 else "no", model=f"m{n}") for n in range(9)]
    told = json.loads(grade_samples(PREFIXED, samples_file(tmp_path, *rows), Judge()).to_json())
    assert [one["model"] for one in told["results"]] == [f"m{n}" for n in range(9)]
    assert told["results"][1] == {
        "model": "m1",
        "task_id": "H/1",
        "verdict": "passed",
        "detail": "",
        "seconds": 0.25,
    }


def test_pass_at_k_is_told_where_there_are_samples_for_it(tmp_path: Path) -> None:
    rows = [sample(f"H/{n % 3}", "right" if n == 0 else "no") for n in range(30)]
    told = json.loads(grade_samples(PREFIXED, samples_file(tmp_path, *rows), Judge()).to_json())
    assert told["pass@1"] == pytest.approx(1 / 30)
    assert told["pass@10"] == pytest.approx(1 / 3)
    assert "pass@100" not in told


def test_bad_rows_are_named_and_cost_nobody_else(tmp_path: Path) -> None:
    rows = [sample("H/0", "right"), "{", "[1]", sample("H/9", "x"), {"task_id": "H/1"}, ""]
    rows += [{"task_id": "H/1", "completion": 3}, sample("H/1", "right")]
    report = grade_samples(PREFIXED, samples_file(tmp_path, *rows), Judge())
    assert [one.sample.task_id for one in report.results] == ["H/0", "H/1"]
    assert [line.split(":")[0] for line in report.bad] == [f"Row {n}" for n in (2, 3, 4, 5, 7)]
    assert "no problem H/9" in report.bad[2]


def test_what_could_not_be_judged_is_in_no_figure(tmp_path: Path) -> None:
    rows = [sample("H/0", "right"), sample("H/1", "broken"), sample("H/2", "no")]
    report = grade_samples(PREFIXED, samples_file(tmp_path, *rows), Judge())
    assert report.figures[0].value == 0.5
    assert report.verdicts == {"passed": 1, "sandbox failure": 1, "wrong answer": 1}
    report.write(tmp_path / "out.jsonl")
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {one["result"]: one["passed"] for one in written} == {
        "passed": True,
        "sandbox failure": None,
        "wrong answer": False,
    }
    assert written[1]["completion"] == "broken"


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"Row 1: it is no JSON\."):
        grade_samples(PREFIXED, samples_file(tmp_path, "{"), Judge())
    with pytest.raises(BadInput, match="cannot be read"):
        grade_samples(PREFIXED, tmp_path / "nothing.jsonl", Judge())


def test_results_that_cannot_be_written_are_refused_in_one_line(
    problems: Path, tmp_path: Path
) -> None:
    file = samples_file(tmp_path, sample("sum/0", "x"))
    done = call("grade", problems, file, "--results", tmp_path / "gone" / "out.jsonl")
    assert isinstance(done.exception, BadInput) and "There is no folder" in str(done.exception)
    report = grade_samples(PREFIXED, samples_file(tmp_path, sample("H/0", "x")), Judge())
    with pytest.raises(BadInput, match="cannot be written"):
        report.write(tmp_path)


def test_a_line_nested_too_deeply_is_one_bad_row(tmp_path: Path) -> None:
    rows = ["[" * 100_000, sample("H/0", "    right")]
    report = grade_samples(PREFIXED, samples_file(tmp_path, *rows), Judge())
    assert report.bad == ("Row 1: it is no JSON.",)


@pytest.mark.parametrize("damage", ["no gzip", "cut off", "changed", "latin"])
def test_a_damaged_file_of_samples_says_so(damage: str, tmp_path: Path) -> None:
    text = "".join(f"{json.dumps(sample('H/0', str(n * n)))}\n" for n in range(500))
    packed = bytearray(gzip.compress(text.encode("utf-8")))
    packed[100:120] = bytes(20)
    content = {
        "no gzip": b"plain",
        "cut off": gzip.compress(text.encode())[:900],
        "changed": bytes(packed),
        "latin": gzip.compress(b"caf\xe9\n"),
    }[damage]
    file = tmp_path / "samples.jsonl.gz"
    file.write_bytes(content)
    said = "is not UTF-8" if damage == "latin" else "it is damaged"
    with pytest.raises(BadInput, match=said):
        grade_samples(PREFIXED, file, Judge())


def can_grade() -> str | None:
    try:
        with Grader(workers=1) as grader:
            tests = ProgramTests("python", "assert f() == 1", "f")
            outcome = grader.grade("def f():\n    return 1\n", tests, "python")
    except Exception as error:
        return str(error)
    return None if outcome.passed else outcome.detail


def test_samples_are_really_run(problems: Path, tmp_path: Path) -> None:
    if why := can_grade():
        pytest.skip(f"no sandbox: {why}")
    rows = [sample("sum/0", "def f():\n    return 0"), sample("sum/1", "def f():\n    return 0")]
    done = call("grade", problems, samples_file(tmp_path, *rows), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [one["verdict"] for one in told["results"]] == ["passed", "wrong answer"]
    assert told["pass@1"] == 0.5
