"""Data sets: how one is named, what becomes of its rows, and what the hub may answer."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import httpx2
import pytest
from huggingface_hub import DatasetCardData, HfApi
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from workbench.cancel import cancelled_by
from workbench.corpus import tables
from workbench.corpus.caps import Caps
from workbench.corpus.datasets import DataSet, parse_place
from workbench.corpus.sources import parse_source
from workbench.errors import BadInput, UnknownName, WorkbenchError

SHA = "0123456789abcdef0123456789abcdef01234567"
ROWS = [
    {"code": "def a():\n    return 1\n", "path": "pkg/a.py", "license": "mit"},
    {"code": "class B { }\n", "language": "Java"},
    {"code": "some words\n", "license": ["apache-2.0"]},
]


def write_json_lines(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_json(path: Path, rows: list[Any]) -> None:
    path.write_text(json.dumps(rows, indent=1))


def write_gzip(path: Path, rows: list[Any]) -> None:
    with gzip.open(path, "wt") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))


def write_csv(path: Path, rows: list[Any]) -> None:
    names = sorted({name for row in rows for name in row})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(flat(rows))


def write_parquet(path: Path, rows: list[Any]) -> None:
    names = sorted({name for row in rows for name in row})
    columns = [{name: row.get(name) for name in names} for row in flat(rows)]
    datasets.Dataset.from_list(columns).to_parquet(path)


def flat(rows: list[Any]) -> list[Any]:
    return [{name: str(value) for name, value in row.items()} for row in rows]


WRITERS = {
    "x.jsonl": write_json_lines,
    "x.ndjson": write_json_lines,
    "x.json": write_json,
    "lines.json": write_json_lines,
    "x.jsonl.gz": write_gzip,
    "x.csv": write_csv,
    "x.parquet": write_parquet,
}


def lines(tmp_path: Path, *rows: Any, field: str = "code") -> DataSet:
    file = tmp_path / "rows.jsonl"
    write_json_lines(file, list(rows))
    return DataSet(f"{file}#{field}")


# --- how a data set is named -----------------------------------------------------------


def test_a_data_set_of_the_hub_is_named_by_repository_config_revision_split_and_field() -> None:
    place = parse_place(f"org/name/python@{SHA}:train#output&language=py&license=mit")
    assert (place.repo, place.config, place.revision) == ("org/name", "python", SHA)
    assert (place.split, place.field) == ("train", "output")
    assert (place.language, place.license) == ("python", "MIT")
    assert place.source == "hf:org/name/python:train#output&language=python&license=MIT"
    assert parse_place("squad:train#context").repo == "squad"
    assert parse_source(f"hf:org/name@{SHA}:train#x").pin == SHA
    assert parse_source("hf:org/name@main:train#x").pin is None


@pytest.mark.parametrize(
    ("argument", "cause"),
    [
        ("org/name:train", "lacks a field"),
        ("org/name:train#", "lacks a field"),
        ("#code", "lacks a field"),
        ("org/name#code", "names no data set"),
        ("org/name:#code", "names no data set"),
        ("org/name/config/more:train#code", "names no data set"),
        ("../name:train#code", "names no data set"),
        ("https://host/x:train#code", "names no data set"),
        ("org/name:train[:10%]#code", "names no data set"),
        ("org/na me:train#code", "names no data set"),
        ("org/name:train#code&limit=3", "has no option 'limit'"),
        ("org/name:train#code&license=mine", "no SPDX expression"),
        ("missing.jsonl#code", "does not exist"),
    ],
)
def test_what_names_no_data_set_is_refused_with_the_form(argument: str, cause: str) -> None:
    with pytest.raises(BadInput, match=cause):
        DataSet(argument)


def test_an_unknown_language_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match="Did you mean python"):
        parse_place("org/name:train#code&language=pyton")


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("words")
    with pytest.raises(BadInput, match=r"has no rows. Endings: .jsonl"):
        DataSet(f"{tmp_path / 'x.txt'}#code")
    (tmp_path / "d.jsonl").mkdir()
    with pytest.raises(BadInput, match="is no file"):
        DataSet(f"{tmp_path / 'd.jsonl'}#code")


# --- files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_each_format_gives_the_same_documents(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, ROWS)
    crawler = DataSet(f"{tmp_path / name}#code")
    documents = list(crawler.crawl())
    assert [d.text for d in documents] == [row["code"] for row in ROWS]
    assert [d.path for d in documents] == ["pkg/a.py", "row-000001.java", "row-000002.txt"]
    assert [d.language for d in documents] == ["python", "java", None]
    assert documents[0].license == "MIT"
    assert {d.revision for d in documents} == {crawler.revision}
    assert len(str(crawler.revision)) == 64
    assert not crawler.skipped


def test_each_row_that_is_no_document_is_counted_by_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [
        {"code": "x = 1\n"},
        {"code": None},
        {"other": 1},
        {"code": ["x"]},
        {"code": 3},
        {"code": "\ud800"},
        {"code": "a\0b"},
        {"code": " \n"},
        {"code": "x" * 1_000_001},
        {"code": "x = 1\n", "path": "../../etc/passwd"},
        {"code": "x = 1\n", "path": "/etc/passwd"},
        {"code": "x = 1\n", "path": "node_modules/x.js"},
        ["x"],
    ]
    write_json_lines(file, rows)
    with file.open("ab") as more:
        more.write(b'{"code": \n{"code": "\xff"}\n' + b"[" * 100_000 + b"\n\n")
        more.write(b'{"code": "' + b"y" * tables.MAX_ROW + b'"}\n{"code": "last = 1"}')
    crawler = DataSet(f"{file}#code")
    assert [document.text for document in crawler.crawl()] == ["x = 1\n", "last = 1"]
    assert crawler.skipped == {
        "missing": 2,
        "not text": 2,
        "undecodable": 1,
        "binary": 1,
        "empty": 1,
        "too large": 2,
        "unsafe path": 2,
        "vendored": 1,
        "malformed": 4,
    }
    assert 2 + crawler.skipped.total() == len(rows) + 5


def test_a_field_that_is_not_there_gets_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Did you mean code"):
        list(lines(tmp_path, {"code": "x"}, field="codes").crawl())
    with pytest.raises(BadInput, match="Fields: alpha, beta"):
        list(lines(tmp_path, {"beta": "x", "alpha": "y"}, field="q").crawl())
    write_parquet(tmp_path / "x.parquet", [{"code": "x"}])
    with pytest.raises(BadInput, match=r"Fields: code\."):
        list(DataSet(f"{tmp_path / 'x.parquet'}#q").crawl())


def test_rows_that_share_a_path_get_paths_of_their_own(tmp_path: Path) -> None:
    rows = [{"code": f"x = {n}\n", "path": "setup.py", "repo_name": "a/b"} for n in range(3)]
    paths = [document.path for document in lines(tmp_path, *rows).crawl()]
    assert paths == ["a/b/setup.py", "row-000001/a/b/setup.py", "row-000002/a/b/setup.py"]


def test_a_text_is_decoded_already_whatever_its_coding_cookie_says(tmp_path: Path) -> None:
    text = "# coding: latin-1\nx = 'é'\n"
    (document,) = lines(tmp_path, {"code": text, "path": "a.py"}).crawl()
    assert document.text == text


def test_language_and_licence_of_the_source_hold_where_a_row_says_none(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    write_json_lines(file, [{"t": "x = 1"}, {"t": "y", "language": "go", "license": "mit"}])
    one, other = DataSet(f"{file}#t&language=python&license=0bsd").crawl()
    assert (one.language, one.license, one.path) == ("python", "0BSD", "row-000000.py")
    assert (other.language, other.license, other.path) == ("go", "MIT", "row-000001.go")


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.json", "x.parquet"])
def test_a_file_that_is_cut_off_is_damaged(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, ROWS * 50)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(BadInput, match="is damaged"):
        list(DataSet(f"{tmp_path / name}#code").crawl())


@pytest.mark.parametrize("text", ['{"code": "x"} trailing', "[" * 50_000, '{"code": ', "nonsense"])
def test_what_is_no_json_is_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BadInput, match="is damaged"):
        list(DataSet(f"{tmp_path / 'x.json'}#code").crawl())


def test_a_csv_row_with_other_columns_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b'\xef\xbb\xbfcode,n\r\n"a\r\nb",1\r\nc\r\nd,2,3\r\ne,4\r\n')
    crawler = DataSet(f"{tmp_path / 'x.csv'}#code")
    assert [document.text for document in crawler.crawl()] == ["a\r\nb", "e"]
    assert crawler.skipped == {"malformed": 2}


def test_a_bomb_ends_at_the_cap_and_stays_small_in_memory(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.jsonl.gz", "wb", compresslevel=1) as file:
        file.write(b'{"code": "x = 1"}\n')
        for _ in range(100):
            file.write(bytes(1_000_000))
    crawler = DataSet(f"{tmp_path / 'x.jsonl.gz'}#code", caps=Caps(bytes=50_000_000))
    tracemalloc.start()
    try:
        assert len(list(crawler.crawl())) == 1
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()
    assert crawler.skipped == {"beyond the cap of 50,000,000 bytes": 1}


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, [{"code": "x" * 10_000}] * 1500)  # 15 MB
    crawler = DataSet(f"{tmp_path / name}#code")
    next(iter(crawler.crawl()))  # what is imported for it is no part of the file
    tracemalloc.start()
    try:
        assert sum(1 for _ in crawler.crawl()) == 1500
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_reading_ends_once_nobody_waits(tmp_path: Path) -> None:
    import threading

    event = threading.Event()
    documents = lines(tmp_path, *ROWS).crawl()
    with cancelled_by(event):
        next(documents)
        event.set()
        assert not list(documents)


# --- the hub ---------------------------------------------------------------------------


class Hub:
    """Stands in for the hub behind the two calls that reach it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = ROWS
        self.error: Exception | None = None
        self.asked: list[Any] = []

    def dataset_info(self, repo: str, *, revision: str | None, timeout: float) -> Any:
        if self.error is not None:
            raise self.error
        self.asked.append((repo, revision))
        card = DatasetCardData(license="cc-by-4.0")
        return type("Info", (), {"sha": SHA, "card_data": card})()

    def load_dataset(self, repo: str, config: str | None, **options: Any) -> Any:
        self.asked.append((repo, config, options))

        def rows() -> Any:
            yield from self.rows

        return datasets.IterableDataset.from_generator(rows)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    fake = Hub()
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(HfApi, "dataset_info", lambda self, *a, **k: fake.dataset_info(*a, **k))
    monkeypatch.setattr(datasets, "load_dataset", fake.load_dataset)
    return fake


def test_a_split_is_streamed_at_the_commit_that_the_hub_names(hub: Hub) -> None:
    crawler = DataSet("org/name/python:train#code")
    assert (crawler.source, crawler.revision) == ("hf:org/name/python:train#code", SHA)
    documents = list(crawler.crawl())
    assert [document.text for document in documents] == [row["code"] for row in ROWS]
    assert [document.license for document in documents] == ["MIT", "CC-BY-4.0", "Apache-2.0"]
    expected = {"split": "train", "revision": SHA, "streaming": True}
    assert hub.asked == [("org/name", None), ("org/name", "python", expected)]


def answer(kind: Callable[..., Exception], status: int) -> Exception:
    request = httpx2.Request("GET", "https://hub.invalid/x")
    return kind("no\nmore", response=httpx2.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (answer(GatedRepoError, 403), "is gated. Accept its terms"),
        (answer(RepositoryNotFoundError, 404), "no public data set 'org/name'"),
        (answer(RevisionNotFoundError, 404), "has no revision 'v9'"),
        (httpx2.ConnectError("all is dark"), r"does not give .* \(all is dark\)"),
        (TimeoutError("slow\nvery"), r"does not give .* \(slow\)"),
    ],
)
def test_each_failure_of_the_hub_is_one_line(hub: Hub, error: Exception, told: str) -> None:
    hub.error = error
    with pytest.raises(WorkbenchError, match=told) as caught:
        DataSet("org/name@v9:train#code")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("Unknown split 'tain'. Should be one of ['train']."), "Should be one of"),
        (RuntimeError("Dataset scripts are no longer supported"), "scripts are no longer"),
        (ConnectionError("broke off"), r"\(broke off\)"),
    ],
)
def test_a_stream_that_breaks_is_one_line(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(WorkbenchError, match=told):
        list(DataSet("org/name:train#code").crawl())


@pytest.mark.parametrize("switch", ["WORKBENCH_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_says_which_switch_is_set_and_asks_nobody(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    monkeypatch.setenv(switch, "1")
    with pytest.raises(WorkbenchError, match=f"{switch} is set. Unset it, or download"):
        DataSet("org/name:train#code")
    assert not hub.asked
