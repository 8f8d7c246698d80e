"""The lab's verbs, as a notebook and a shell call them: one small corpus from crawl to verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench.errors import BadInput, MissingCorpus, UnknownName

WORKBENCH = Path(sys.executable).with_name("workbench")
SOLUTION = """\
def merge_intervals(pairs):
    merged = []
    for start, end in sorted(pairs):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
"""
VERBS = ("open", "close", "read", "write", "parse", "render", "count", "sort", "merge", "split")
NOUNS = ("file", "socket", "message", "table", "header", "queue", "date", "path", "token", "page")


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(WORKBENCH), *arguments], capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Write a hundred documented functions in fifty packages, so that every split has some."""
    folder = tmp_path / "code"
    for number, (verb, noun) in enumerate((v, n) for v in VERBS for n in NOUNS):
        package = folder / f"package{number // 2:02d}"
        package.mkdir(parents=True, exist_ok=True)
        with (package / "module.py").open("a", encoding="utf-8") as file:
            file.write(
                f"def {verb}_{noun}({noun}, option={number}):\n"
                f'    """{verb.capitalize()} the given {noun} as the option asks."""\n'
                f"    result = {noun}.{verb}(option)\n"
                f"    if result is None:\n        raise ValueError('{noun} {number}')\n"
                f"    return result + {number}\n\n\n"
            )
    (folder / "intervals.py").write_text(SOLUTION + "\n\ndef other(a):\n    return a\n")
    return folder


@pytest.mark.models
def test_an_excluded_solution_is_not_found_and_the_rest_is(
    models_home: Path, code: Path, tmp_path: Path
) -> None:
    suite = tmp_path / "suite.jsonl"
    suite.write_text(json.dumps({"id": "one", "solution": SOLUTION}) + "\n")
    corpus = wb.crawl("mine", f"folder:{code}")
    found = wb.contamination("mine", str(suite))
    assert found.found == {"one"}
    whole = wb.index(corpus)
    without = wb.index(corpus, exclude=str(suite))
    assert {chunk.id for chunk in whole} - {chunk.id for chunk in without} == found.chunk_ids
    query = "merge intervals that overlap"
    assert wb.search("mine", query)[0].chunk.id in found.chunk_ids
    kept = wb.search("mine", query, exclude=str(suite), k=100)
    assert not {hit.chunk.id for hit in kept} & found.chunk_ids
    assert kept


@pytest.mark.models
def test_an_index_without_a_suite_is_not_the_one_with_it(
    models_home: Path, code: Path, tmp_path: Path
) -> None:
    suite = tmp_path / "suite.jsonl"
    suite.write_text(json.dumps({"id": "one", "solution": SOLUTION}) + "\n")
    wb.index(wb.crawl("mine", f"folder:{code}"))
    with pytest.raises(MissingCorpus, match="not indexed"):
        wb.search("mine", "merge", exclude=str(suite))


@pytest.mark.models
def test_a_report_grows_arm_by_arm_and_ends_with_verdicts(models_home: Path, code: Path) -> None:
    wb.crawl("mine", f"folder:{code}")
    reports = list(wb.stream_retrieval_report("mine", ["static"], retrievers=["bm25", "dense"]))
    assert [len(report.results) for report in reports] == [1, 2, 2]
    assert [bool(report.verdicts) for report in reports] == [False, False, True]
    again = wb.retrieval_report("mine", ["static"], retrievers=["bm25", "dense"])
    assert again.df.equals(reports[-1].df)
    hardest = again.query_ids[0]
    inspection = wb.inspect_query("mine", hardest, ["static"], retrievers=["bm25"])
    assert inspection.answers
    assert "wb-columns" in inspection._repr_html_()


@pytest.mark.models
def test_any_langchain_embeddings_can_be_indexed_and_measured(
    models_home: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from langchain_core.embeddings import DeterministicFakeEmbedding

    monkeypatch.setattr("workbench.retrieval.embedders._registered", {})
    corpus = wb.crawl("mine", f"folder:{code}")
    nameless = DeterministicFakeEmbedding(size=16)
    with pytest.raises(BadInput, match="register_embedder"):
        wb.index(corpus, embedder=nameless)
    wb.register_embedder("fake", nameless)
    index = wb.index(corpus, embedder="fake")
    assert index.info.dimensions == 16
    assert len(index.search("merge", 3)) == 3
    # It is the only index, and nobody has to name it.
    assert wb.search("mine", "merge", k=3) == index.search("merge", 3)
    laid = wb.corpus_map("mine", "fake")
    assert laid.points.shape == (len(index), 2)
    assert np.isfinite(laid.points).all()


def test_a_report_of_nothing_is_refused() -> None:
    with pytest.raises(UnknownName, match="suite"):
        wb.retrieval_report("nosuch")


def test_a_cap_that_is_no_cap_is_refused(code: Path) -> None:
    with pytest.raises((TypeError, BadInput)):
        wb.crawl("mine", f"folder:{code}", pages=3)


@pytest.mark.models
def test_the_shell_goes_from_a_crawl_to_a_verdict(
    models_home: Path, code: Path, tmp_path: Path
) -> None:
    crawled = call("crawl", "mine", f"folder:{code}", "--max-files", "60", "--json")
    assert crawled.returncode == 0, crawled.stderr
    assert json.loads(crawled.stdout)["read"] == 51
    page = tmp_path / "report.html"
    options = ["--embedder", "static", "--retriever", "bm25", "--retriever", "hybrid"]
    report = call("retrieval-report", "mine", *options, "--html", str(page), "--json")
    assert report.returncode == 0, report.stderr
    told = json.loads(report.stdout)
    assert {arm["name"] for arm in told["arms"]} == {"bm25", "static hybrid"}
    assert told["verdicts"]
    assert "plotly" in page.read_text(encoding="utf-8")
    shown = call("retrieval-report", "mine", *options)
    assert "static hybrid" in shown.stdout
    inspected = call("retrieval-report", "mine", *options, "--query", told["queries"][0])
    assert inspected.returncode == 0, inspected.stderr
    assert "What was asked for" in inspected.stdout


@pytest.mark.models
def test_the_shell_searches_among_some_files_only(models_home: Path, code: Path) -> None:
    assert call("crawl", "mine", f"folder:{code}").returncode == 0
    assert call("index", "mine").returncode == 0
    found = call("search", "mine", "merge", "--path", "package0*", "--language", "python", "--json")
    paths = [hit["chunk"]["path"] for hit in json.loads(found.stdout)]
    assert paths
    assert all(path.startswith("package0") for path in paths)
    wrong = call("search", "mine", "merge", "--licence", "MIT")
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["retrieval-report"], "Which suite?"),
        (["retrieval-report", "a", "--suite", "cosqa"], "Which suite?"),
        (["retrieval-report", "--suite", "cosqua"], "cosqa"),
        (["retrieval-report", "--suite", "mined:nothing"], "crawl nothing"),
        (["tune-embedder", "nothing"], "crawl nothing"),
        (["contamination", "nothing", "--suite", "mbpp"], "crawl nothing"),
        (["crawl", "x", "stdlib", "--no-filter", "testss"], "tests"),
        (["crawl", "x", "git:--upload-pack=touch"], "git"),
        (["crawl", "x", "pypi:../../x"], "pypi"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], says: str) -> None:
    done = call(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
