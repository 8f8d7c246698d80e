"""Retrieval suites: what is read, what is refused and in which words, and what is mined."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.corpus import crawl
from workbench.corpus.entries import make_document
from workbench.corpus.mining import mine
from workbench.errors import BadInput, MissingCorpus, MissingExtra, UnknownName, WorkbenchError
from workbench.settings import settings
from workbench.suites import RETRIEVAL_SUITES, RetrievalSuite, load_suite
from workbench.suites.mined import mined_suite
from workbench.suites.records import suite_digest
from workbench.types import Document

# Read once, as the fixture ``home`` takes WORKBENCH_* away; or where the checkout has it beside.
SIBLING = Path(__file__).parents[2] / "shared" / "data"
DATA = settings().data or (SIBLING if SIBLING.is_dir() else None)

needs_cosqa = pytest.mark.skipif(
    DATA is None or not (DATA / "cosqa").is_dir(),
    reason="CoSQA is not here: set WORKBENCH_DATA to a folder that holds cosqa/",
)

CORPUS = [
    {"_id": "d1", "title": "Sort", "text": "def sort(items):\n    return sorted(items)"},
    {"_id": "d2", "title": "", "text": "def read(path):\n    return open(path).read()"},
    {"_id": "d3", "text": "func Add(a, b int) int { return a + b }", "language": "Go"},
]
QUERIES = [{"_id": "q1", "text": "sort a list"}, {"_id": "q2", "text": "read a file"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td3\t1\nq2\td2\t1\nq2\td1\t0\n"


def jsonl(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A small suite in BEIR's form."""
    folder = tmp_path / "small"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(jsonl(CORPUS), encoding="utf-8")
    (folder / "queries.jsonl").write_text(jsonl(QUERIES), encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text(QRELS, encoding="utf-8")
    (folder / "qrels" / "train.tsv").write_text("q2\td2\t1\n", encoding="utf-8")
    return folder


def check_whole(suite: RetrievalSuite) -> None:
    """Check what every suite promises."""
    paths = [document.path for document in suite.documents]
    assert len(set(paths)) == len(paths)
    assert {unit.path for unit in suite.units} <= set(paths)
    ids = {unit.id for unit in suite.units}
    lines = {document.path: document.text.count("\n") + 1 for document in suite.documents}
    for unit in suite.units:
        assert 1 <= unit.start_line <= (unit.end_line or lines[unit.path]) <= lines[unit.path]
    assert suite.default_split in suite.queries
    for queries in suite.queries.values():
        assert len({query.id for query in queries}) == len(queries) > 0
        for query in queries:
            assert query.text.strip()
            assert set(query.relevant) <= ids and max(query.relevant.values()) > 0
    assert suite.digest == suite_digest(suite.documents, suite.units, suite.queries)
    assert suite.note.endswith(".") and "\n" not in suite.note


# --- BEIR ------------------------------------------------------------------------------


def test_a_folder_in_beirs_form_is_read_whole(beir: Path) -> None:
    suite = load_suite(f"beir:{beir}")
    check_whole(suite)
    assert suite.name == "beir:small" and suite.default_split == "test"
    assert suite.is_whole and suite.paths_are_ids
    texts = {document.path: document.text for document in suite.documents}
    assert texts["d1"] == "Sort\ndef sort(items):\n    return sorted(items)"
    assert texts["d2"] == CORPUS[1]["text"]
    assert [document.language for document in suite.documents] == [None, None, "go"]
    q1, q2 = suite.queries["test"]
    assert dict(q1.relevant) == {"d1": 2, "d3": 1}
    assert dict(q2.relevant) == {"d2": 1}, "a judgement of 0 says wrong"
    assert [query.id for query in suite.queries["train"]] == ["q2"]


def test_the_path_of_a_folder_is_enough(beir: Path) -> None:
    assert load_suite(str(beir)) == load_suite(f"beir:{beir}")


def test_numbers_as_ids_become_text(beir: Path) -> None:
    (beir / "corpus.jsonl").write_text(jsonl([{"_id": 7, "text": "x"}]), encoding="utf-8")
    (beir / "queries.jsonl").write_text(jsonl([{"_id": 1, "text": "y"}]), encoding="utf-8")
    (beir / "qrels" / "test.tsv").write_text("1\t7\t1\n", encoding="utf-8")
    (beir / "qrels" / "train.tsv").unlink()
    check_whole(load_suite(str(beir)))


def test_without_a_test_split_the_nearest_is_reported(beir: Path) -> None:
    (beir / "qrels" / "test.tsv").rename(beir / "qrels" / "dev.tsv")
    assert load_suite(str(beir)).default_split == "dev"


def overwrite(name: str, text: str | bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = text.encode() if isinstance(text, str) else text
        (folder / name).write_bytes(data)

    return change


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def remove_qrels(folder: Path) -> None:
    for path in (folder / "qrels").iterdir():
        path.unlink()


HALF = '{"_id": "d1", "text": "\\ud800"}\n'
MALFORMED = [
    (remove("corpus.jsonl"), "has no corpus.jsonl"),
    (remove("queries.jsonl"), "has no queries.jsonl"),
    (remove_qrels, r"has no qrels/\*\.tsv"),
    (overwrite("corpus.jsonl", ""), "has no documents"),
    (overwrite("corpus.jsonl", '{"_id": "d1"\n'), "corpus.jsonl, line 1 is no JSON"),
    (overwrite("corpus.jsonl", b'{"_id": "\xff"}'), "corpus.jsonl cannot be read"),
    (overwrite("corpus.jsonl", "[1, 2]\n"), "corpus.jsonl, line 1 has no _id"),
    (overwrite("corpus.jsonl", '{"_id": "d1"}\n'), "corpus.jsonl, line 1 has no text"),
    (overwrite("corpus.jsonl", '{"_id": "", "text": "x"}\n'), "line 1 has no _id"),
    (overwrite("corpus.jsonl", '{"_id": "d1", "text": 5}\n'), "line 1 has no text"),
    (overwrite("corpus.jsonl", HALF), "its text holds half of a surrogate pair"),
    (overwrite("corpus.jsonl", jsonl([CORPUS[0], CORPUS[0]])), "line 2: the id 'd1' is taken"),
    (overwrite("queries.jsonl", jsonl([QUERIES[0], QUERIES[0]])), "the id 'q1' is taken"),
    (overwrite("queries.jsonl", '{"_id": "q1", "text": " "}\n'), "queries.jsonl, line 1 has no te"),
    (overwrite("qrels/test.tsv", "q1\td1\n"), "qrels/test.tsv, line 1 has 2 columns"),
    (overwrite("qrels/test.tsv", "q1\td1\tgood\n"), "line 1 has no number as its score"),
    (overwrite("qrels/test.tsv", "q1\td1\tnan\n"), "line 1 has no number as its score"),
    (overwrite("qrels/test.tsv", "q1\td1\tinf\n"), "line 1 has no number as its score"),
    (overwrite("qrels/test.tsv", "q9\td1\t1\n"), "line 1 judges the query 'q9'"),
    (overwrite("qrels/test.tsv", "q1\td9\t1\n"), "line 1 judges the document 'd9'"),
    (overwrite("qrels/test.tsv", b"q1\td\xff\t1\n"), "test.tsv cannot be read"),
]


@pytest.mark.parametrize(("change", "says"), MALFORMED, ids=[row[1][:40] for row in MALFORMED])
def test_a_malformed_folder_is_refused_in_one_line(
    beir: Path, change: Callable[[Path], None], says: str
) -> None:
    change(beir)
    with pytest.raises(BadInput, match=says) as error:
        load_suite(f"beir:{beir}")
    assert "\n" not in str(error.value)


def test_a_suite_that_judges_nothing_right_is_refused(beir: Path) -> None:
    (beir / "qrels" / "train.tsv").unlink()
    (beir / "qrels" / "test.tsv").write_text("q1\td1\t0\n", encoding="utf-8")
    with pytest.raises(BadInput, match="judges no document right"):
        load_suite(str(beir))


def hub_form(folder: Path, configs: dict[str, dict[str, str]]) -> None:
    """Write a data set of the hub: its card says which file is which split of which config."""
    lines = ["---", "configs:"]
    for config, files in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, text in files.items():
            name = f"{config}-{split}.jsonl"
            (folder / name).write_text(text, encoding="utf-8")
            lines += [f"  - split: {split}", f"    path: {name}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")


JUDGED = jsonl(
    [
        {"query-id": "q1", "corpus-id": "d1", "score": 1},
        {"query-id": "q2", "corpus-id": "d2", "score": 1.0},
        {"query-id": "q2", "corpus-id": "d1", "score": 0},
    ]
)
PLAIN = jsonl([{"_id": row["_id"], "title": "", "text": row["text"]} for row in CORPUS])


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what datasets writes out of the real cache."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


@pytest.mark.parametrize("form", ["default", "qrels", "neighbour"])
def test_a_data_set_of_the_hub_is_read_in_each_form(
    form: str, tmp_path: Path, hub_cache: None
) -> None:
    # The library itself, on folders: it reads these as it reads the hub.
    folder, other = tmp_path / "set", tmp_path / "set-qrels"
    folder.mkdir()
    other.mkdir()
    configs = {"corpus": {"corpus": PLAIN}, "queries": {"queries": jsonl(QUERIES)}}
    if form == "neighbour":
        hub_form(other, {"default": {"test": JUDGED}})
    else:
        configs[form] = {"test": JUDGED}
    hub_form(folder, configs)
    suite = load_suite(f"beir:hf:{folder}")
    check_whole(suite)
    assert [dict(query.relevant) for query in suite.queries["test"]] == [{"d1": 1}, {"d2": 1}]


def test_a_data_set_that_cannot_be_had_is_one_line(hub_cache: None) -> None:
    with pytest.raises(
        WorkbenchError, match=r"The data set nobody/nothing cannot be read"
    ) as error:
        load_suite("beir:hf:nobody/nothing")
    assert "\n" not in str(error.value)


def test_offline_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_OFFLINE", "1")
    with pytest.raises(WorkbenchError, match="WORKBENCH_OFFLINE is set"):
        load_suite("beir:hf:someone/something")


def test_reading_the_hub_without_datasets_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"code-workbench\[data\]"):
        load_suite("beir:hf:someone/something")


# --- CoSQA -----------------------------------------------------------------------------


@pytest.fixture
def cosqa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two functions in CoSQA's form."""
    folder = tmp_path / "data" / "cosqa"
    folder.mkdir(parents=True)
    pool = {"def b():\n    return 2": 1, "def a():\n    return 1": 0}
    (folder / "code_idx_map.txt").write_text(json.dumps(pool), encoding="utf-8")
    for split, number in (("dev", 0), ("test", 1)):
        rows = [{"idx": f"{split}-1", "doc": "return a number", "retrieval_idx": number}]
        path = folder / f"cosqa-retrieval-{split}-500.json"
        path.write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setenv("WORKBENCH_DATA", str(folder.parent))
    return folder


def test_cosqa_is_one_document_a_function(cosqa: Path) -> None:
    suite = load_suite("cosqa")
    check_whole(suite)
    assert [document.text for document in suite.documents] == [
        "def a():\n    return 1",
        "def b():\n    return 2",
    ]
    assert {document.language for document in suite.documents} == {"python"}
    assert suite.is_whole and suite.paths_are_ids and suite.default_split == "test"
    (right,) = suite.queries["test"][0].relevant
    assert next(unit for unit in suite.units if unit.id == right).path == suite.documents[1].path


@needs_cosqa
def test_cosqa_is_what_its_paper_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_DATA", str(DATA))
    suite = load_suite("cosqa")
    check_whole(suite)
    assert len(suite.documents) == 6_267
    assert {split: len(asked) for split, asked in suite.queries.items()} == {
        "dev": 500,
        "test": 500,
    }


def test_cosqa_without_its_folder_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"WORKBENCH_DATA is not set\. Set it"):
        load_suite("cosqa")
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    with pytest.raises(BadInput, match=r"WORKBENCH_DATA has no cosqa/code_idx_map\.txt"):
        load_suite("cosqa")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("code_idx_map.txt", "{"),
        ("code_idx_map.txt", "[]"),
        ("code_idx_map.txt", '{"def a(): pass": "first"}'),
        ("cosqa-retrieval-test-500.json", '[{"idx": "1", "doc": "x"}]'),
        ("cosqa-retrieval-test-500.json", '[{"idx": "1", "doc": "x", "retrieval_idx": 99}]'),
        ("cosqa-retrieval-dev-500.json", "null"),
    ],
)
def test_files_that_are_not_cosqas_are_refused_in_one_line(
    cosqa: Path, name: str, text: str
) -> None:
    (cosqa / name).write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"CoSQA|cannot be read") as error:
        load_suite("cosqa")
    assert "\n" not in str(error.value)


# --- mined -----------------------------------------------------------------------------

VERBS = ["parse", "merge", "encode", "rotate", "balance", "schedule", "compress", "validate"]


def function(verb: str, number: int) -> str:
    return (
        f"def {verb}_{number}(first, second):\n"
        f'    """{verb.capitalize()} the {number} largest {verb}rs of a tree by their weight."""\n'
        f"    {verb}d = [first.{verb}(item, {number}) for item in second.{verb}s]\n"
        f"    for {verb}r in {verb}d:\n"
        f"        first.{verb}r_{number}({verb}r, second)\n"
        f"    return {verb}d\n"
    )


def code(count: int, source: str = "folder:here") -> list[Document]:
    return [
        make_document(
            f"pkg{i}/mod.py",
            "\n\n".join(function(verb, i) for verb in VERBS),
            source=source,
            revision=None,
            license="MIT",
        )
        for i in range(count)
    ]


def test_a_mined_suite_finds_each_function_at_its_rows() -> None:
    mined = mine(code(12))
    suite = mined_suite("small", mined)
    check_whole(suite)
    assert not suite.is_whole and not suite.paths_are_ids
    texts = {document.path: document.text.split("\n") for document in suite.documents}
    rows = {unit.id: texts[unit.path][unit.start_line - 1 : unit.end_line] for unit in suite.units}
    for pair in mined.pairs:
        assert "\n".join(rows[pair.id]) == pair.text
        assert pair.query not in pair.text
    for split, asked in suite.queries.items():
        pairs = mined.split(split)  # type: ignore[arg-type]
        assert [query.id for query in asked] == [pair.id for pair in pairs]
        for query, pair in zip(asked, pairs, strict=True):
            assert set(query.relevant) == {pair.id, *pair.twins} and query.one_suffices


def test_sources_that_share_a_path_stay_apart() -> None:
    here = code(12, "pypi:here")
    there = [
        replace(one, source="pypi:there", text=one.text.replace("weight", "colour").upper().lower())
        for one in code(12)
    ]
    other = [
        make_document(
            one.path,
            one.text.replace("first", "alpha").replace("second", "omega"),
            source=one.source,
            revision=None,
            license=None,
        )
        for one in there
    ]
    mined = mine([*here, *other])
    suite = mined_suite("two", mined)
    check_whole(suite)
    assert {path.partition("/")[0] for path in (d.path for d in suite.documents)} == {
        "pypi:here",
        "pypi:there",
    }
    texts = {document.path: document.text.split("\n") for document in suite.documents}
    functions = {one.id: one.text for one in mined.functions}
    for unit in suite.units:
        rows = texts[unit.path][unit.start_line - 1 : unit.end_line]
        assert "\n".join(rows) == functions[unit.id]


def test_a_crawled_corpus_is_mined_the_same_each_time(tmp_path: Path) -> None:
    for one in code(12):
        path = tmp_path / "code" / one.path
        path.parent.mkdir(parents=True)
        path.write_text(one.text, encoding="utf-8")
    crawl("small", [f"folder:{tmp_path / 'code'}"])
    suite = load_suite("mined:small")
    assert suite.name == "mined:small"
    assert suite.digest == load_suite("mined:small").digest
    check_whole(suite)


def test_a_corpus_without_documentation_gives_no_suite() -> None:
    bare = make_document("a.py", "x = 1\n", source="s", revision=None, license=None)
    with pytest.raises(BadInput, match="No query could be mined from bare"):
        mined_suite("bare", mine([bare]))


def test_mining_what_was_not_crawled_says_how_to_crawl_it() -> None:
    with pytest.raises(MissingCorpus, match="workbench crawl"):
        load_suite("mined:nothing-here")


# --- names and digests -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("cosq", UnknownName, "Did you mean cosqa"),
        ("nothing-like-it", UnknownName, "beir:PATH"),
        ("", UnknownName, "No suite is called"),
        ("beir", BadInput, "lacks its PATH"),
        ("beir: ", BadInput, "lacks its PATH"),
        ("mined:", BadInput, "lacks its CORPUS"),
        ("cosqa:test", BadInput, "takes nothing behind a colon"),
        ("beir:/no/such/folder", BadInput, "There is no folder"),
    ],
)
def test_a_wrong_name_says_the_right_form(
    name: str, error: type[WorkbenchError], says: str
) -> None:
    with pytest.raises(error, match=says):
        load_suite(name)


def test_every_suite_of_the_menu_can_be_opened() -> None:
    for entry in RETRIEVAL_SUITES:
        assert callable(RETRIEVAL_SUITES.load(entry.name))


def test_the_digest_changes_with_everything_that_is_asked_or_searched(beir: Path) -> None:
    suite = load_suite(str(beir))
    documents, units, queries = suite.documents, suite.units, dict(suite.queries)
    first = queries["test"][0]
    others = [
        (documents[:-1], units, queries),
        ((replace(documents[0], text="x"), *documents[1:]), units, queries),
        (documents, (replace(units[0], start_line=2), *units[1:]), queries),
        (documents, units, {"test": queries["test"]}),
        (documents, units, {**queries, "test": (replace(first, text="other"),)}),
        (documents, units, {**queries, "test": (replace(first, relevant={"d1": 1, "d3": 1}),)}),
        (documents, units, {**queries, "test": (replace(first, one_suffices=True),)}),
    ]
    digests = {suite.digest, *(suite_digest(*other) for other in others)}
    assert len(digests) == len(others) + 1
    assert suite_digest(documents, units, queries) == suite.digest
