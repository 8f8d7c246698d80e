"""Contamination: a solution is found however it was dressed up, and nothing else is."""

from __future__ import annotations

import ast
import gzip
import json
import os
import textwrap
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import REAL_SUITES

from workbench import corpus as corpora
from workbench.corpus.contamination import Contamination, find_contamination
from workbench.corpus.entries import make_document
from workbench.corpus.stdlib import StandardLibrary
from workbench.errors import BadInput, UnknownName
from workbench.suites.humaneval import WHEEL
from workbench.suites.solutions import SOLUTIONS, load_solutions
from workbench.types import Chunk

# Read here: every test gets an environment without it.
DATA = os.environ.get("WORKBENCH_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="WORKBENCH_DATA is not set")

MERGE = '''\
def merge_intervals(intervals):
    """Merge what overlaps."""
    intervals.sort(key=lambda interval: interval[0])
    merged = []
    for interval in intervals:
        if not merged or merged[-1][1] < interval[0]:
            merged.append(interval)  # nothing to merge with
        else:
            merged[-1][1] = max(merged[-1][1], interval[1])
    return merged
'''
PRIMES = """\
from typing import List


def primes_below(limit: int) -> List[int]:
    sieve = [True] * limit
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            for multiple in range(number * number, limit, number):
                sieve[multiple] = False
    return [number for number in range(2, limit) if sieve[number]]
"""
SQUARE = "def square_all(numbers):\n    return [number ** 2 for number in numbers]\n"
SOLUTIONS_HERE = {"merge": MERGE, "primes": PRIMES, "square": SQUARE}
OTHER = '''\
def walk(tree):
    """Yield all nodes of a tree."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))


def total(intervals):
    """Add up the lengths of intervals."""
    result = 0
    for interval in intervals:
        if not interval:
            continue
        result = max(result, interval[1] - interval[0])
    return [result ** 2 for number in range(2, result)]
'''


def chunks_of(text: str, path: str = "a.py") -> list[Chunk]:
    document = make_document(path, text, source="folder:x", revision=None, license=None)
    return corpora.make_chunker("syntax").chunk(document)


def look(text: str, path: str = "a.py") -> Contamination:
    return find_contamination(chunks_of(text, path), SOLUTIONS_HERE)


def renamed(code: str) -> str:
    names = {"intervals": "spans", "interval": "s", "merged": "out", "merge_intervals": "join_up"}
    tree = ast.parse(code)
    for node in ast.walk(tree):
        for field in ("id", "arg", "name"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                setattr(node, field, names.get(value, value))
    return ast.unparse(tree)


DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "formatted anew": lambda code: ast.unparse(ast.parse(code)),
    "with tabs and spaces": lambda code: code.replace("    ", "\t").replace(" = ", "  =  "),
    "in a class": lambda code: "class Tools:\n" + textwrap.indent(code, "    "),
    "with comments": lambda code: code.replace(":\n", ":  # step by step\n"),
    "without its docstring": lambda code: code.replace('    """Merge what overlaps."""\n', ""),
    "with a line put in": lambda code: code.replace(
        "    merged = []\n", "    log(1)\n    merged = []\n"
    ),
    "under another name": lambda code: code.replace("merge_intervals", "join_up"),
    "with other variables": renamed,
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_solution_is_found_in_any_dress(disguise: str) -> None:
    text = f"{OTHER}\n\n{DISGUISES[disguise](MERGE)}\n\n{OTHER.replace('walk', 'go')}"
    found = look(text)
    assert found.found == {"merge"}
    lines = text.split("\n")
    for match in found.matches:
        assert "sort" in "\n".join(lines[match.start_line - 1 : match.end_line])
        assert all("walk" not in chunk.text for chunk in match.chunks)


def test_the_kinds_say_how_alike_they_are() -> None:
    for disguise, kind in {
        "as it is": "exact",
        "formatted anew": "exact",
        "with a line put in": "near",
        "with other variables": "renamed",
    }.items():
        (match,) = look(DISGUISES[disguise](MERGE)).matches
        assert match.kind == kind, disguise
        assert (match.share < 1.0) is (kind == "near"), disguise


def test_code_that_is_alike_in_parts_is_no_solution() -> None:
    assert look(OTHER).matches == ()
    assert look(MERGE.replace("merged[-1][1]", "best").replace("not merged or", "")).matches == ()


def cut(text: str, rows: int, path: str = "a.py") -> list[Chunk]:
    """Cut a text into chunks of so many lines."""
    lines = text.rstrip("\n").split("\n")
    return [
        Chunk(
            id=f"{path}:{start}",
            text="\n".join(lines[start : start + rows]),
            path=path,
            start_line=start + 1,
            end_line=min(start + rows, len(lines)),
            language="python",
            symbol=None,
            source="folder:x",
            license=None,
        )
        for start in range(0, len(lines), rows)
    ]


def test_a_solution_cut_between_chunks_names_every_part() -> None:
    chunks = cut(f"{OTHER}\n\n{MERGE}", 3)
    (match,) = find_contamination(chunks, SOLUTIONS_HERE).matches
    assert match.kind == "exact"
    begin = OTHER.count("\n") + 3
    assert set(match.chunks) == {chunk for chunk in chunks if chunk.end_line >= begin}
    assert len(match.chunks) > 3
    for part in match.chunks:
        assert find_contamination([part], SOLUTIONS_HERE).matches == ()


def test_the_order_of_chunks_does_not_matter() -> None:
    chunks = cut(f"{OTHER}\n\n{MERGE}", 4) + cut(OTHER, 4, "b.py")
    found = find_contamination(chunks, SOLUTIONS_HERE)
    assert find_contamination(chunks[::-1], SOLUTIONS_HERE).chunk_ids == found.chunk_ids


def test_chunks_of_two_files_are_not_put_together() -> None:
    chunks = [replace(chunk, path=f"{number}.py") for number, chunk in enumerate(cut(MERGE, 4))]
    assert find_contamination(chunks, SOLUTIONS_HERE).matches == ()


def test_every_copy_is_named() -> None:
    found = look("\n\n".join([MERGE, OTHER, MERGE, OTHER, MERGE]))
    assert [match.kind for match in found.matches] == ["exact"] * 3
    starts = [match.start_line for match in found.matches]
    assert starts == sorted(set(starts))


def test_a_short_solution_must_stand_there_word_by_word() -> None:
    assert look(f"{OTHER}\n\n{SQUARE}").found == {"square"}
    assert look(f"{OTHER}\n\n{SQUARE.replace('** 2', '** 3')}").matches == ()
    assert look(renamed(SQUARE).replace("number", "x")).matches == ()


def test_the_shortest_solutions_are_not_judged_and_said_so() -> None:
    solutions = {"id": "def f(x):\n    return x\n", "merge": MERGE}
    found = find_contamination(chunks_of("def f(x):\n    return x\n"), solutions)
    assert found.matches == ()
    assert found.too_short == ("id",)
    assert "1 are too short" in found.summary


def test_what_many_solutions_begin_with_is_evidence_for_none() -> None:
    head = "class Solution:\n    def solve(self, nums: List[int], target: int) -> List[int]:\n"
    solutions = {
        f"s{n}": f"{head}        return self.way_{n}(nums[{n}:], target) + nums[:{n}]\n"
        for n in range(300)
    }
    assert find_contamination(chunks_of(f"{head}        pass\n"), solutions).matches == ()
    assert find_contamination(chunks_of(solutions["s7"]), solutions).found == {"s7"}


def test_other_languages_are_compared_without_their_comments() -> None:
    code = (
        "function clamp(value, low, high) {\n  if (value < low) { return low; }\n"
        "  if (value > high) { return high; }\n  return value;\n}\n"
    )
    dressed = code.replace("{\n", "{ // here\n").replace("return value", "/* as is */ return value")
    found = find_contamination(chunks_of(dressed, "a.js"), {"clamp": code})
    assert [match.kind for match in found.matches] == ["exact"]


def test_the_table_shows_itself() -> None:
    found = look(f"{OTHER}\n\n{MERGE}")
    (row,) = found.table()
    assert row["solution"] == "merge"
    assert row["location"].startswith("a.py:")
    assert json.loads(json.dumps(row)) == row
    assert list(found.df["kind"]) == ["exact"]
    assert "merge_intervals" in found._repr_html_()
    empty = look(OTHER)
    assert list(empty.df.columns) == list(found.df.columns)
    assert "<table" not in empty._repr_html_()


def test_html_of_a_hostile_path_is_escaped() -> None:
    html = find_contamination(chunks_of(MERGE, "<script>.py"), SOLUTIONS_HERE)._repr_html_()
    assert "<script>" not in html


def test_nothing_to_compare_is_no_error() -> None:
    assert find_contamination([], SOLUTIONS_HERE).matches == ()
    assert find_contamination(chunks_of(MERGE), {}).matches == ()
    assert find_contamination(chunks_of("\n\n# nothing\n"), SOLUTIONS_HERE).matches == ()


@pytest.mark.parametrize("piece", [MERGE, '"""', "'''", "/*", "#", "merged[-1][1] ", "é" * 7 + "("])
def test_a_hostile_file_is_searched_in_seconds(piece: str) -> None:
    text = (piece * (400_000 // len(piece))).rstrip("\n")
    chunk = Chunk("1", text, "a.py", 1, text.count("\n") + 1, "python", None, "x", None)
    start = time.perf_counter()
    find_contamination([chunk], SOLUTIONS_HERE)
    assert time.perf_counter() - start < 10


# --- the suites ------------------------------------------------------------------------


def write_lines(path: Path, rows: Iterable[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data sets with one problem each."""
    folder = tmp_path / "data"
    row = {
        "task_id": "HumanEval/0",
        "prompt": 'def f():\n    """Do\n\n    nothing."""\n',
        "canonical_solution": "    pass\n",
        "test": "def check(candidate):\n    assert candidate() is None\n",
        "entry_point": "f",
    }
    write_lines(folder / "humaneval/HumanEval.jsonl.gz", [row])
    for name, task in {"v0.2.0-train": "two-sum", "v0.3.1-test": "three-sum"}.items():
        row = {"task_id": task, "completion": f"class {name[-1]}: ...\n"}
        write_lines(folder / f"leetcode/LeetCodeDataset-{name}.jsonl.gz", [row])
    (folder / "mbpp-sanitized").mkdir()
    (folder / "mbpp-sanitized/sanitized-mbpp.json").write_text('[{"task_id": 2, "code": "x"}]')
    (folder / "cosqa").mkdir()
    (folder / "cosqa/code_idx_map.txt").write_text('{"def g(): ...": 5}')
    monkeypatch.setenv("WORKBENCH_DATA", str(folder))
    return folder


def test_each_suite_has_its_solutions(data: Path) -> None:
    assert {entry.name: load_solutions(entry.name) for entry in SOLUTIONS} == {
        "humaneval": {"HumanEval/0": "def f():\n    pass\n"},
        "mbpp": {"2": "x"},
        "leetcode": {"two-sum": "class n: ...\n", "three-sum": "class t: ...\n"},
        "cosqa": {"5": "def g(): ..."},
    }


@pytest.fixture
def packages(home: Path) -> None:
    """The wheels of problem sets that were fetched before."""
    home.mkdir()
    (home / "suites").symlink_to(REAL_SUITES, target_is_directory=True)
    if not WHEEL.is_here:
        pytest.skip("HumanEval's package is not here; run: workbench suites show humaneval")


@pytest.mark.usefixtures("packages")
def test_what_a_package_carries_needs_no_data() -> None:
    solutions = load_solutions("humaneval")
    assert len(solutions) == 164
    for code in solutions.values():
        statements = [one for one in ast.walk(ast.parse(code)) if isinstance(one, ast.Expr)]
        assert not any(isinstance(one.value, ast.Constant) for one in statements)


@pytest.mark.parametrize("name", [one.name for one in SOLUTIONS if one.name != "humaneval"])
def test_missing_data_names_the_variable_and_the_file(
    name: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in data.rglob("*.*"):
        path.unlink()
    with pytest.raises(BadInput, match=r"WORKBENCH_DATA .*has no .*\.(gz|json|txt)"):
        load_solutions(name)
    monkeypatch.delenv("WORKBENCH_DATA")
    with pytest.raises(BadInput, match="WORKBENCH_DATA is not set"):
        load_solutions(name)


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
def test_a_file_of_ones_own_is_a_suite(tmp_path: Path, ending: str) -> None:
    path = write_lines(tmp_path / f"mine{ending}", [{"id": 1, "solution": MERGE, "more": 2}])
    assert load_solutions(str(path)) == {"1": MERGE}


@pytest.mark.parametrize(
    "rows",
    [
        [{"id": "a"}],
        [{"id": "a", "solution": ""}],
        [{"id": "a", "solution": 7}],
        [{"id": "a", "solution": "x"}, {"id": "a", "solution": "y"}],
        ["no object"],
        [],
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, rows: list[object]) -> None:
    path = write_lines(tmp_path / "mine.jsonl", rows)
    with pytest.raises(BadInput, match=r"mine\.jsonl"):
        load_solutions(str(path))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl.gz").write_bytes(b"no gzip")
    (tmp_path / "mine.jsonl").write_text('{"id": 1, "solu')
    for path in tmp_path.glob("mine*"):
        with pytest.raises(BadInput, match="cannot be read"):
            load_solutions(str(path))


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match="humaneval"):
        load_solutions("human-eval")


@needs_data
@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("suite", "count"), [("humaneval", 164), ("mbpp", 427), ("leetcode", 2118)]
)
def test_the_real_suites_are_found_where_planted_and_nowhere_else(
    suite: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DATA is not None
    monkeypatch.setenv("WORKBENCH_DATA", DATA)
    solutions = load_solutions(suite)
    assert len(solutions) == count
    some = dict(list(solutions.items())[:: count // 50])
    library = [doc for doc in StandardLibrary().crawl() if doc.path < "c"]
    clean = [chunk for doc in library for chunk in cut(doc.text, 60, doc.path)]
    assert find_contamination(clean, solutions).matches == ()
    planted = [
        chunk
        for number, (name, code) in enumerate(some.items())
        for chunk in cut(f"{library[number].text}\n\n{code}", 60, f"{name}.py")
    ]
    found = find_contamination(planted, solutions)
    right = {match.solution for match in found.matches if match.location.startswith(match.solution)}
    assert right == set(some) - set(found.too_short)
