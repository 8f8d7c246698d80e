"""A changed corpus: what is done again, and that the result is that of a build from nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_embedder import (
    BlankLines,
    FakeEmbedder,
    document,
    index_documents,
    registered,
    some_documents,
    truncate,
)

from workbench.errors import WorkbenchError
from workbench.retrieval import RETRIEVERS, Index, vectors
from workbench.settings import settings
from workbench.types import Document


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    """Register a fake embedder called ``fake`` and return it."""
    return registered(monkeypatch)


def contents(index: Index) -> dict[str, bytes]:
    """Return all of an index that people's searches depend on, but for Chroma's graph."""
    files = {path.name: path.read_bytes() for path in (index.folder / "bm25").iterdir()}
    files["vectors"] = np.asarray(index.vectors()).tobytes()
    files["chunks"] = repr(list(index)).encode()
    return files


def from_nothing(
    documents: list[Document], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Index:
    """Build the same index in a home where nothing was built before."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("WORKBENCH_HOME", str(tmp_path / "elsewhere"))
        return index_documents(documents)


def edited(documents: list[Document], number: int = 7) -> list[Document]:
    """Return the documents with one changed, one removed and one added."""
    changed = [*documents]
    changed[number] = document(
        number, "def other():\n    unheard socket\n\n" + changed[number].text
    )
    del changed[20]
    return [*changed, document(1000, "def newcomer():\n    queue heap")]


def test_an_unchanged_document_is_not_cut_again(fake: FakeEmbedder) -> None:
    documents, chunker = some_documents(), BlankLines()
    index_documents(documents, chunker=chunker)
    assert len(chunker.cut) == len(documents)
    chunker.cut.clear()
    index_documents(edited(documents), "d2", chunker=chunker)
    assert chunker.cut == ["pkg1/f7.py", "pkg1/f1000.py"]


def test_a_document_with_another_licence_is_cut_again(fake: FakeEmbedder) -> None:
    documents, chunker = some_documents(), BlankLines()
    index_documents(documents)
    documents[5] = replace(documents[5], license="BSD-3-Clause")
    index = index_documents(documents, "d2", chunker=chunker)
    assert chunker.cut == [documents[5].path]
    assert {one.license for one in index if one.path == documents[5].path} == {"BSD-3-Clause"}


def test_another_chunker_gets_every_document(fake: FakeEmbedder) -> None:
    documents, other = some_documents(), BlankLines("blank-lines/2")
    index_documents(documents)
    index_documents(documents, chunker=other)
    assert len(other.cut) == len(documents)


def test_a_second_embedder_gets_the_chunks_of_the_first(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents, chunker = some_documents(), BlankLines()
    first = index_documents(documents, chunker=chunker)
    monkeypatch.setitem(vectors_of_embedders(), "fake", FakeEmbedder("fake/2"))
    chunker.cut.clear()
    second = index_documents(documents, chunker=chunker)
    assert second.folder.parent != first.folder.parent
    assert (chunker.cut, list(second)) == ([], list(first))
    # Damaged chunks are not taken over.
    truncate(first.folder / "chunks.sqlite")
    truncate(second.folder / "chunks.sqlite")
    monkeypatch.setitem(vectors_of_embedders(), "fake", FakeEmbedder("fake/3"))
    assert list(index_documents(documents, chunker=chunker)) == list(some_chunks_of(documents))
    assert len(chunker.cut) == len(documents)


def vectors_of_embedders() -> dict[str, FakeEmbedder]:
    from workbench.retrieval import embedders

    return embedders._loaded  # type: ignore[return-value]


def some_chunks_of(documents: list[Document]) -> list[object]:
    return [one for each in documents for one in BlankLines().chunk(each)]


def test_a_changed_index_equals_one_from_nothing(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    documents = some_documents()
    index_documents(documents)
    changed = edited(documents)
    index = index_documents(changed, "d2")
    assert index.info.changes > 0, "it was built anew"
    other = from_nothing(changed, monkeypatch, tmp_path)
    assert other.info.changes == 0
    assert contents(index) == contents(other)
    for mode in RETRIEVERS:
        for query in ("unheard socket", "queue heap", "merge list", "thing20"):
            assert index.search(query, 50, mode) == other.search(query, 50, mode)
    count = len(index)
    assert len(index.search("sort", 2 * count, "dense")) == count


def test_an_id_that_comes_back_has_its_new_vector(fake: FakeEmbedder) -> None:
    documents = some_documents()
    index_documents(documents)
    texts = ["def a():\n    socket", "def b():\n    unheard", "def c():\n    socket"]
    for turn, text in enumerate(texts):
        documents[2] = document(2, text)
        index = index_documents(documents, f"turn {turn}")
        (best,) = index.search(f"pkg2/f2.py {text}", 1, "dense")
        assert (best.chunk.text, best.chunk.path) == (text, "pkg2/f2.py")
    assert index.info.changes > 0


def test_after_many_changes_the_graph_is_built_whole(fake: FakeEmbedder) -> None:
    documents = some_documents(40)
    index_documents(documents)
    counts = []
    for turn in range(12):
        documents[3] = document(3, f"def turn{turn}():\n    socket n{turn}")
        counts.append(index_documents(documents, f"turn {turn}").info.changes)
    assert max(counts) <= len(index_documents(documents, "turn 11")) / 10
    assert 0 in counts[1:]
    assert max(counts) > 2


def test_a_large_change_is_built_whole(fake: FakeEmbedder) -> None:
    documents = some_documents()
    index_documents(documents)
    index = index_documents([document(i, f"def f{i}():\n    x{i}") for i in range(60)], "d2")
    assert (index.info.changes, len(index)) == (0, 60)


def test_nothing_is_built_upon_a_damaged_build(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    documents = some_documents()
    before = index_documents(documents)
    for path in before.folder.glob("chroma/*/data_level0.bin"):
        truncate(path)
    index = index_documents(edited(documents), "d2")
    assert index.info.changes == 0
    assert contents(index) == contents(from_nothing(edited(documents), monkeypatch, tmp_path))


def test_what_another_version_of_chroma_wrote_is_built_again(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.retrieval import building

    documents = some_documents()
    before = index_documents(documents)
    versions = {**building._versions(), "chromadb": "9.9.9"}
    monkeypatch.setattr(building, "_versions", lambda: versions)
    assert index_documents(documents).folder != before.folder


# --- checked before it takes its place ---------------------------------------------------


def test_a_changed_graph_that_misses_vectors_is_built_whole(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = some_documents()
    index_documents(documents)

    def forgetful(folder: Path, change: vectors.Change, ids: list[str], rows: object) -> None:
        """Take out what is to be taken out, and put nothing in."""
        original(folder, replace(change, rows=()), [], rows)

    original = vectors._apply
    monkeypatch.setattr(vectors, "_apply", forgetful)
    index = index_documents(edited(documents), "d2")
    assert index.info.changes == 0
    assert index.search("unheard socket", 1, "dense")[0].chunk.path == "pkg1/f7.py"


@pytest.mark.parametrize("fault", ["lost", "swapped", "changed"])
def test_a_build_that_keeps_other_vectors_never_takes_its_place(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    documents = some_documents()
    before = index_documents(documents)

    def faulty(collection: object, ids: list[str], rows: np.ndarray, most: int) -> None:
        rows = np.array(rows)
        if fault == "lost":
            ids, rows = ids[:-1], rows[:-1]
        elif fault == "swapped":
            rows[[3, 9]] = rows[[9, 3]]
        else:
            rows[5] = -rows[5]
        original(collection, ids, rows, most)

    original = vectors._add
    monkeypatch.setattr(vectors, "_add", faulty)
    with pytest.raises(WorkbenchError, match="Chroma"):
        index_documents([document(i, f"def f{i}():\n    x{i}") for i in range(60)], "d2")
    monkeypatch.undo()
    monkeypatch.setenv("WORKBENCH_HOME", str(before.folder.parents[3]))
    assert [path.name for path in before.folder.parent.glob("build-*")] == [before.folder.name]


def test_what_a_quick_search_misses_is_searched_for_thoroughly(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def blind_at_first(
        collection: object, ids: list[str], rows: object, wanted: list[int]
    ) -> list[int]:
        asked.append(len(wanted))
        return original(collection, ids, rows, wanted) + (  # type: ignore[arg-type]
            [3, 4] if len(asked) == 1 else []
        )

    original = vectors.missed
    monkeypatch.setattr(vectors, "missed", blind_at_first)
    index = index_documents(some_documents())
    assert asked == [len(index), 2]


def test_building_and_searching_leave_no_private_copies(fake: FakeEmbedder) -> None:
    index = index_documents(some_documents())
    index.search("sort", 1, "dense")
    scratch = settings().indexes / ".scratch"
    copies = [path for path in scratch.glob("*/*") if path.is_dir()]
    assert len(copies) == 1, "the open one"
    before = {path: path.read_bytes() for path in index.folder.rglob("*") if path.is_file()}
    index.search("list", 3, "dense")
    assert before == {path: path.read_bytes() for path in index.folder.rglob("*") if path.is_file()}
