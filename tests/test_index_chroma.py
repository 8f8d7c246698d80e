"""Chroma is only a view: its folders are never trusted, its environment never heard, and a
server can take its place.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fake_embedder import (
    FakeEmbedder,
    document,
    flip,
    index_documents,
    registered,
    some_documents,
)

from workbench.errors import BadInput, MissingCorpus, WorkbenchError
from workbench.retrieval import RETRIEVERS, Index, building, layout, list_indexes, open_index
from workbench.retrieval.layout import META, write_meta
from workbench.retrieval.server_url import server_url


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    """Register a fake embedder called ``fake`` and return it."""
    return registered(monkeypatch)


# --- a folder that somebody else wrote ---------------------------------------------------


def sign(index: Index) -> None:
    """Write hashes that agree with the files as they are now."""
    (index.folder / META).unlink()
    write_meta(index.folder, index.info)
    (index.folder.parent / "current").write_bytes((index.folder / META).read_bytes())
    building._opened.clear()


def rewrite(index: Index, column: str, table: dict[str, object]) -> None:
    with closing(sqlite3.connect(index.folder / "chroma" / "chroma.sqlite3")) as database:
        database.execute(f"UPDATE collections SET {column} = ?", [json.dumps(table)])
        database.commit()
    sign(index)


SPY = {"type": "known", "name": "spy", "config": {}}


@pytest.mark.parametrize("column", ["config_json_str", "schema_str"])
def test_an_embedding_function_that_a_folder_names_is_never_made(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    from chromadb.utils import embedding_functions

    made: list[object] = []

    class Spy(embedding_functions.DefaultEmbeddingFunction):
        @staticmethod
        def build_from_config(config: object) -> Spy:
            made.append(config)
            return Spy()

    monkeypatch.setitem(embedding_functions.known_embedding_functions, "spy", Spy)
    index = index_documents(some_documents())
    vector = {"vector_index": {"enabled": True, "config": {"embedding_function": SPY}}}
    rewrite(
        index,
        column,
        {"embedding_function": SPY}
        if column == "config_json_str"
        else {"defaults": {}, "keys": {"#embedding": {"float_list": vector}}},
    )
    with pytest.raises(WorkbenchError, match="name an embedding function"):
        open_index("tiny").search("merge", 5, "dense")
    assert len(open_index("tiny").search("merge", 5, "bm25")) == 5
    # Nor is anything built upon it.
    changed = [*some_documents(), document(99, "def newcomer(): unheard")]
    assert index_documents(changed, "d2").info.changes == 0
    assert made == []


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("pickle-was-loaded",)


SEARCH = """
import sys, warnings
from fake_embedder import FakeEmbedder, register
from workbench.errors import WorkbenchError
from workbench.retrieval import open_index
register(FakeEmbedder())
try:
    print("hits", len(open_index("tiny").search("merge", 5, "dense")))
except WorkbenchError as error:
    print("error", error)
"""


def test_a_pickle_in_a_folder_is_never_executed(fake: FakeEmbedder, tmp_path: Path) -> None:
    index = index_documents(some_documents())
    (path,) = index.folder.glob("chroma/*/index_metadata.pickle")
    path.write_bytes(pickle.dumps(Bomb()))
    sign(index)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SEARCH],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert re.match("error|hits", done.stdout)
    assert not (tmp_path / "pickle-was-loaded").exists()


def test_damage_after_opening_is_found_before_chroma_reads_it(fake: FakeEmbedder) -> None:
    index = index_documents(some_documents())
    for path in index.folder.glob("chroma/*/data_level0.bin"):
        flip(path)
    with pytest.raises(WorkbenchError, match=r"not as it was written.*Open the index again"):
        index.search("merge", 5, "dense")
    assert len(open_index("tiny").search("merge", 5, "dense")) == 5


def test_stray_variables_and_dotenv_files_change_nothing(
    fake: FakeEmbedder, tmp_path: Path
) -> None:
    index_documents(some_documents())
    stray = {
        "CHROMA_API_IMPL": "chromadb.api.fastapi.FastAPI",
        "CHROMA_SERVER_HOST": "203.0.113.1",
        "CHROMA_SERVER_HTTP_PORT": "no number",
        "IS_PERSISTENT": "perhaps",
        "PERSIST_DIRECTORY": str(tmp_path / "stray"),
        "ALLOW_RESET": "TRUE",
        "ANONYMIZED_TELEMETRY": "TRUE",
        "CHROMA_OTEL_COLLECTION_ENDPOINT": "http://203.0.113.1:4317",
        "MIGRATIONS": "none",
    }
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in stray.items()))
    for more in (stray, {}):
        environment = {**os.environ, **more, "PYTHONPATH": str(Path(__file__).parent)}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SEARCH],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout == "hits 5\n", done.stderr
    assert not (tmp_path / "stray").exists()


def test_a_description_that_points_outside_its_build_is_no_description(
    fake: FakeEmbedder, tmp_path: Path
) -> None:
    index = index_documents(some_documents(9))
    table = json.loads((index.folder / META).read_text())
    for name in ("chroma/../../../../outside", str(tmp_path / "outside")):
        table["files"][name] = [0, hashlib.sha256(b"").hexdigest()]
        del table["sha256"]
        table["sha256"] = layout._digest(table)
        (tmp_path / "meta").write_text(json.dumps(table))
        assert layout.read_meta(tmp_path / "meta") is None
        del table["files"][name]
    del table["sha256"]
    table["sha256"] = layout._digest(table)
    (tmp_path / "meta").write_text(json.dumps(table))
    assert layout.read_meta(tmp_path / "meta") is not None


# --- a server ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Chroma server on the loopback and return host and port."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = Path(sys.executable).with_name("chroma")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [command, "run", "--path", folder / "data", "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(300):
            with closing(socket.socket()) as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def collections(address: str) -> dict[str, int]:
    """Return the server's collections and how many vectors each has."""
    from workbench.retrieval.quiet_chroma import chromadb

    host, _, port = address.partition(":")
    client = chromadb.HttpClient(host, int(port))
    return {one.name: one.count() for one in client.list_collections()}


@pytest.fixture
def server(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the workbench to the server, with a password that nobody must see."""
    monkeypatch.setenv("WORKBENCH_CHROMA_URL", f"http://me:hunter2@{address}")
    return address


def test_a_server_gives_the_same_hits_as_files(
    fake: FakeEmbedder, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = index_documents(some_documents(), corpus="same")
    assert index.info.server == f"http://{server}"
    assert not (index.folder / "chroma").exists()
    assert [count for name, count in collections(server).items() if "-same-" in name] == [
        len(index)
    ]
    found = {mode: index.search("merge list", 20, mode) for mode in RETRIEVERS}
    monkeypatch.delenv("WORKBENCH_CHROMA_URL")
    with pytest.raises(MissingCorpus, match="not indexed"):
        open_index("same")
    with pytest.raises(WorkbenchError, match=f"Set WORKBENCH_CHROMA_URL=http://{server}"):
        Index(index.folder, index.info).search("merge", 5, "dense")
    files = index_documents(some_documents(), corpus="same")
    assert files.folder.parent != index.folder.parent
    for mode in RETRIEVERS:
        expected = files.search("merge list", 20, mode)
        assert [hit.chunk for hit in found[mode]] == [hit.chunk for hit in expected]
        assert [hit.score for hit in found[mode]] == pytest.approx(
            [hit.score for hit in expected], abs=1e-5
        )


def test_old_collections_are_removed_and_lost_ones_built_again(
    fake: FakeEmbedder, server: str
) -> None:
    documents = some_documents(20)
    for turn in range(4):
        documents[3] = document(3, f"def turn{turn}():\n    unheard")
        index = index_documents(documents, f"d{turn}", corpus="turns")
    names = [name for name in collections(server) if "-turns-" in name]
    assert len(names) == 2, "the current one and the one before"
    from workbench.retrieval.quiet_chroma import chromadb

    host, _, port = server.partition(":")
    client = chromadb.HttpClient(host, int(port))
    fake.encoded.clear()
    client.delete_collection(next(name for name in names if index.folder.name in name))
    building._opened.clear()
    mended = open_index("turns")
    assert mended.folder != index.folder
    assert len(mended.search("unheard", 5, "dense")) == 5
    (name,) = (name for name in collections(server) if mended.folder.name in name)
    client.get_collection(name).delete(ids=[mended.ids()[0]])
    building._opened.clear()
    again = open_index("turns")
    assert len(again.search("unheard", 500, "dense")) == len(again)
    assert fake.encoded == []


def test_a_password_reaches_neither_logs_nor_the_store(
    fake: FakeEmbedder, server: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    index = index_documents(some_documents(9), corpus="secret")
    index.search("merge", 3, "dense")
    secrets = ("hunter2", "bWU6aHVudGVyMg")  # and as it is sent
    shown = caplog.text + repr(index) + index._repr_html_() + str(list_indexes())
    assert not [secret for secret in secrets if secret in shown]
    for path in home.rglob("*"):
        if path.is_file():
            assert not [one for one in secrets if one.encode() in path.read_bytes()], path


def test_a_server_that_is_not_there_is_one_line(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CHROMA_URL", "http://me:hunter2@127.0.0.1:9")
    with pytest.raises(WorkbenchError, match=r"127\.0\.0\.1:9.*chroma run") as caught:
        index_documents(some_documents(3))
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://h:hunter2@x", "http://", "hunter2", "http://x:70000", "http://x/hunter2"]
)
def test_a_wrong_address_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("WORKBENCH_CHROMA_URL", url)
    with pytest.raises(BadInput, match="WORKBENCH_CHROMA_URL") as caught:
        server_url()
    assert "hunter2" not in str(caught.value)


def test_an_address_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CHROMA_URL", "https://me:p%40ss@chroma.example")
    url = server_url()
    assert url is not None
    assert (str(url), url.ssl, url.port) == ("https://chroma.example:443", True, 443)
    assert "Basic" not in repr(url)
    assert url.headers == {"Authorization": "Basic bWU6cEBzcw=="}
