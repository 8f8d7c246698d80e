"""``workbench metric``: files of every kind, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from workbench.cli.metric import metric as command
from workbench.errors import BadInput, WorkbenchError
from workbench.metrics import METRICS, making_of
from workbench.metrics.files import read_texts, score_files

sacrebleu = pytest.importorskip("sacrebleu", reason="needs the extra 'evaluate'")

HYPOTHESES = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
FIRST = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
SECOND = ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of its own that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, content: object) -> Path:
    """Write text as it is, a list as lines, and a list of objects as JSON lines."""
    if isinstance(content, list):
        lines = [line if isinstance(line, str) else json.dumps(line) for line in content]
        content = "".join(f"{line}\n" for line in lines)
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(str(content).encode())
    return path


def scored(*arguments: str) -> dict[str, dict]:
    """Run the command and return what it says of each metric, by name."""
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    told = json.loads(done.stdout)
    return {one["name"]: one for one in told["metrics"]} | {"": {**told, "exit": done.exit_code}}


def shown(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_lines_of_text_give_the_figure_of_sacrebleu_with_interval_and_signature(folder) -> None:
    write("a.txt", HYPOTHESES)
    write("r.txt", FIRST)
    found = scored("a.txt", "--refs", "r.txt", "--metric", "BLEU", "--metric", "chrF")
    for name, theirs in (("BLEU", sacrebleu.BLEU()), ("chrF", sacrebleu.CHRF())):
        score = theirs.corpus_score(HYPOTHESES, [FIRST])
        assert found[name]["value"] == pytest.approx(score.score)
        assert found[name]["low"] <= score.score <= found[name]["high"]
        assert found[name]["signature"] == f"{score.name}|{theirs.get_signature()}"
        assert [one["id"] for one in found[name]["scores"]] == ["line-1", "line-2", "line-3"]
    assert found[""]["exit"] == 0


def test_several_files_of_references_are_several_right_texts(folder) -> None:
    write("a.txt", HYPOTHESES)
    write("r1.txt", FIRST)
    write("r2.txt", SECOND)
    found = scored("a.txt", "--refs", "r1.txt", "--refs", "r2.txt", "--metric", "BLEU")
    # sacreBLEU's test/test_bleu.py.
    assert found["BLEU"]["value"] == pytest.approx(48.530827, abs=1e-6)
    assert "|nrefs:2|" in found["BLEU"]["signature"]


def test_the_table_shows_figure_interval_and_signature(folder) -> None:
    write("a.txt", HYPOTHESES)
    write("r.txt", FIRST)
    told = shown("a.txt", "--refs", "r.txt", "-m", "bleu", "-m", "exact-match", "-m", "codebleu")
    theirs = sacrebleu.BLEU().corpus_score(HYPOTHESES, [FIRST]).score
    assert f"{theirs:.2f}" in told and "95 % interval" in told
    assert "0.3333" in told, "one of three is its reference"
    assert "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in told
    assert "CodeBLEU: 3 not judged: " in told


def test_the_ends_of_an_interval_have_as_many_digits_as_its_figure(folder) -> None:
    write("a.txt", ["the dog", "cat", "x"])
    write("r.txt", ["the dog bit", "cow", "a man"])
    found = scored("a.txt", "--refs", "r.txt", "-m", "chrF")["chrF"]
    assert found["low"] < 1 < found["value"]
    told = shown("a.txt", "--refs", "r.txt", "-m", "chrF")
    assert f"{found['value']:.2f}  {found['low']:.2f} to {found['high']:.2f} " in told


@pytest.mark.parametrize("field", ["text", "completion", "prediction", "answer"])
@pytest.mark.parametrize("key", ["task_id", "id", "question_id"])
def test_json_lines_meet_by_their_ids_in_any_order(folder, field: str, key: str) -> None:
    write("a.jsonl", [{key: n, field: text} for n, text in enumerate(HYPOTHESES)])
    write("r.jsonl", [{"id": n, "reference": FIRST[n], "x": 1} for n in (2, 0, 1)])
    found = scored("a.jsonl", "--refs", "r.jsonl", "--metric", "BLEU")
    assert found["BLEU"]["value"] == pytest.approx(
        sacrebleu.BLEU().corpus_score(HYPOTHESES, [FIRST]).score
    )


def test_several_references_stand_in_one_line_or_under_one_id(folder) -> None:
    write("a.jsonl", [{"id": n, "text": text} for n, text in enumerate(HYPOTHESES)])
    both = list(enumerate(zip(FIRST, SECOND, strict=True)))
    write("one.jsonl", [{"id": n, "references": list(texts)} for n, texts in both])
    write("two.jsonl", [{"id": n, "reference": text} for n, texts in both for text in texts])
    for name in ("one.jsonl", "two.jsonl"):
        found = scored("a.jsonl", "--refs", name, "--metric", "BLEU")
        assert found["BLEU"]["value"] == pytest.approx(48.530827, abs=1e-6)


def test_answers_under_one_id_are_samples_of_one_question(folder) -> None:
    rows = [{"id": n, "text": text} for n in (1, 2) for text in ("right", "wrong", "wrong")]
    write("a.jsonl", rows)
    write("r.jsonl", [{"id": n, "text": "right"} for n in (1, 2, 3)])
    found = scored("a.jsonl", "--refs", "r.jsonl", "--metric", "exact match")
    told = found["exact match"]
    assert told["value"] == pytest.approx(1 / 3)
    assert (told["questions"], told["samples"], told["interval"]) == (2, 6, "bootstrap")
    assert found[""]["unanswered"] == 1


def test_files_of_code_are_one_text_each_in_the_language_of_their_ending(folder) -> None:
    code = "def add(a, b):\n    # sum\n    return a + b\n"
    write("a.py", code)
    write("r.py", code.replace("    # sum\n", ""))
    found = scored("a.py", "--refs", "r.py", "-m", "AST match", "-m", "exact match")
    assert (found["AST match"]["value"], found["exact match"]["value"]) == (1.0, 0.0)
    (only,) = read_texts(Path("a.py"))
    assert (only.id, only.texts, only.language) == (None, (code,), "python")


def test_folders_meet_by_the_paths_within_them(folder) -> None:
    write("mine/a/x.py", "x = 1\n")
    write("mine/y.java", "class Y {}\n")
    write("mine/.git/z.py", "no text of mine")
    write("right/a/x.py", "x  =  1\n")
    write("right/y.java", "class Y { int i; }\n")
    found = scored("mine", "--refs", "right", "--metric", "AST match")
    told = {one["id"]: one["value"] for one in found["AST match"]["scores"]}
    assert told == {"a/x.py": 1.0, "y.java": 0.0}


def test_the_language_given_holds_for_texts_without_one(folder) -> None:
    write("a.txt", ["x = 1  # one"])
    write("r.txt", ["x = 1"])
    none = scored("a.txt", "--refs", "r.txt", "-m", "CodeBLEU")
    assert none["CodeBLEU"]["value"] is None and none[""]["exit"] == 1
    found = scored("a.txt", "--refs", "r.txt", "-m", "CodeBLEU", "--language", "py")
    assert found["CodeBLEU"]["value"] > 0 and found[""]["exit"] == 0
    write("b.jsonl", [{"text": "x = 1", "language": "Python"}])
    assert read_texts(Path("b.jsonl"))[0].language == "python"


def test_empty_lines_are_empty_answers_and_shift_nothing(folder) -> None:
    write("a.txt", "one\n\nthree\r\n")
    write("r.txt", "one\ntwo\nthree")
    found = scored("a.txt", "--refs", "r.txt", "-m", "exact match")
    assert [one["value"] for one in found["exact match"]["scores"]] == [1.0, 0.0, 1.0]


def test_what_is_read_without_references_needs_none(folder) -> None:
    write("a.txt", ["The cat sat there.", "It ran off."])
    assert scored("a.txt", "-m", "readability")["readability"]["value"] > 90


def test_json_holds_separators_that_are_no_line_ends(folder) -> None:
    write("a.jsonl", json.dumps({"text": "one\u2028two"}, ensure_ascii=False))
    assert read_texts(Path("a.jsonl"))[0].texts == ("one\u2028two",)


@pytest.mark.parametrize("name", [entry.name for entry in METRICS])
def test_a_metric_that_looks_at_more_than_texts_says_where_it_is_to_be_had(folder, name) -> None:
    write("a.txt", HYPOTHESES)
    if making_of(name).looks_at in ("tests", "run"):
        with pytest.raises(BadInput, match=r"Run: workbench (grade|evaluate)"):
            score_files(Path("a.txt"), [], [name])
    elif making_of(name).looks_at == "references":
        with pytest.raises(BadInput, match="Add: --refs FILE"):
            score_files(Path("a.txt"), [], [name])


@pytest.mark.parametrize(
    ("answers", "refs", "metric", "said"),
    [
        (("a.txt", ["one", "two"]), ("r.txt", ["one"]), "BLEU", "a.txt holds 2 texts and r.txt 1."),
        (("a.txt", []), ("r.txt", ["one"]), "BLEU", "a.txt holds no text."),
        (("a.txt", ["one"]), ("r.txt", ["one"]), "BLUE", "Did you mean BLEU"),
        (("a.txt", ["one"]), ("r.txt", ["one"]), "similarity", "--embedder minilm"),
        (
            ("a.jsonl", [{"text": "x"}, "{"]),
            ("r.txt", ["one"]),
            "BLEU",
            "Line 2 of a.jsonl: it is no JSON: ",
        ),
        (("a.jsonl", ["{"]), ("r.txt", ["one"]), "BLEU", " at column 2."),
        (("a.jsonl", ["[" * 100_000]), ("r.txt", ["one"]), "BLEU", "it is nested too deeply."),
        (("a.json", ['["one"]']), ("r.txt", ["one"]), "BLEU", "Write an object a line, as .jsonl."),
        (
            ("a.jsonl", [{"id": 1, "text": "x"}, {"id": 2, "text": "y"}]),
            ("r.jsonl", [{"id": 2, "text": "y"}, {"text": "x"}]),
            "BLEU",
            "Line 2 of r.jsonl: of its lines some have an id, and some none.",
        ),
        (("a.jsonl", ["[1]"]), ("r.txt", ["one"]), "BLEU", "it is no JSON object."),
        (("a.jsonl", [{"x": "y"}]), ("r.txt", ["one"]), "BLEU", "it has none of text, completion"),
        (("a.jsonl", [{"text": 3}]), ("r.txt", ["one"]), "BLEU", "text is no text."),
        (
            ("a.jsonl", [{"text": "x", "language": "cobol"}]),
            ("r.txt", ["one"]),
            "BLEU",
            "No language is called 'cobol'.",
        ),
        (
            ("a.jsonl", [{"id": n, "text": "x"} for n in range(9)]),
            ("r.jsonl", [{"id": 1, "text": "x"}]),
            "BLEU",
            "No reference is there for 0, 2, 3 and 5 more.",
        ),
        (("a.txt", ["one"]), ("r.jsonl", [{"references": []}]), "BLEU", "references is no text."),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(folder, answers, refs, metric, said) -> None:
    paths = write(*answers), [write(*refs)]
    with pytest.raises(WorkbenchError) as error:
        score_files(*paths, [metric])
    assert said in str(error.value)
    assert "\n" not in str(error.value) and error.value.exit_code == 2


def test_a_file_that_is_not_there_or_no_text_is_said_in_one_line(folder) -> None:
    Path("b.txt").write_bytes(b"\xff\xfe\x00")
    for name in ("gone.txt", "b.txt"):
        with pytest.raises(BadInput, match="cannot be read"):
            score_files(Path(name), [], ["readability"])
    with pytest.raises(BadInput, match="No language is called"):
        score_files(write("a.txt", ["x"]), [], ["readability"], language="klingon")
