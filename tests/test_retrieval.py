"""Indexing and searching: what is found, what is embedded again, and what survives."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from fake_embedder import (
    WORDS,
    FakeEmbedder,
    chunk,
    flip,
    ids,
    index_of,
    registered,
    some_chunks,
    truncate,
)
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import BadInput, InUse, MissingCorpus, UnknownName, WorkbenchError
from workbench.retrieval import (
    RETRIEVERS,
    Index,
    build_index,
    embedders,
    list_indexes,
    open_index,
)
from workbench.retrieval.fusion import fuse
from workbench.retrieval.layout import IndexInfo, Place
from workbench.retrieval.lexical import BM25View
from workbench.retrieval.retrievers import DEPTH
from workbench.retrieval.text import MAX_QUERY_CHARACTERS, code_words, cut_query, indexed_text
from workbench.types import Chunk, Hit


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    """Register a fake embedder called ``fake`` and return it."""
    return registered(monkeypatch)


# --- words, queries, and what is indexed ------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parseHTTPResponse", ["parse", "http", "response"]),
        ("__init_subclass__", ["init", "subclass"]),
        ("utf8_decode(sha256sum)", ["utf", "8", "decode", "sha", "256", "sum"]),
        ("how to sort a list", ["sort", "list"]),
        ("def größeÄndern(self): return", ["gr", "öß", "e", "ä", "ndern"]),
        ("排序 list", ["排序", "list"]),
        ("+ - * ()", []),
    ],
)
def test_identifiers_are_split_to_lower_case_words(text: str, words: list[str]) -> None:
    assert code_words(text) == words


def test_path_and_symbol_are_indexed_with_the_text() -> None:
    assert indexed_text(chunk(3, "x = 1", "Heap.push")) == "f3.py Heap.push\nx = 1"
    assert indexed_text(replace(chunk(3, "x = 1"), path="")) == "x = 1"
    part = replace(chunk(3, "    x = 1", "Heap.push"), header="class Heap:\n  def push(self):")
    assert indexed_text(part) == "f3.py Heap.push\nclass Heap:\n  def push(self):\n    x = 1"


@pytest.mark.parametrize("query", ["", "   ", "\n\t"])
def test_an_empty_query_is_refused(query: str) -> None:
    with pytest.raises(BadInput, match="query is empty"):
        cut_query(query)


@given(st.text(min_size=1))
def test_a_short_query_is_kept_but_for_what_no_tokenizer_takes(query: str) -> None:
    if query.strip():
        assert cut_query(query) == query.lstrip().encode("utf-8", "replace").decode()


def test_a_long_query_is_cut_at_the_end_of_a_word_quickly() -> None:
    query = "word " * 1_000_000
    start = time.perf_counter()
    cut = cut_query(query)
    assert time.perf_counter() - start < 0.5
    assert len(cut) <= MAX_QUERY_CHARACTERS
    assert set(cut.split()) == {"word"}
    assert len(cut_query("x" * 1_000_000)) == MAX_QUERY_CHARACTERS


# --- BM25 and fusion --------------------------------------------------------------------


def bm25_by_hand(documents: list[list[str]], query: list[str]) -> list[float]:
    """Robertson and Zaragoza 2009, eq. 3.15, with Lucene's never-negative idf, k1 1.5, b 0.75."""
    count = len(documents)
    mean = sum(map(len, documents)) / count
    scores = []
    for words in documents:
        score = 0.0
        for word in query:
            having = sum(word in other for other in documents)
            idf = math.log(1 + (count - having + 0.5) / (having + 0.5))
            tf = Counter(words)[word]
            score += idf * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * len(words) / mean))
        scores.append(score)
    return scores


@pytest.mark.parametrize("query", ["sort list", "heap", "json json file", "unheard socket"])
def test_bm25_agrees_with_the_formula(tmp_path: Path, query: str) -> None:
    texts = [indexed_text(one) for one in some_chunks()]
    BM25View.build(tmp_path / "bm25", texts)
    found = BM25View(tmp_path / "bm25").search(query, len(texts))
    expected = bm25_by_hand([code_words(text) for text in texts], code_words(query))
    assert found == sorted(found, key=lambda one: (-one[1], one[0]))
    assert {position for position, _ in found} == {i for i, one in enumerate(expected) if one > 0}
    for position, score in found:
        assert score == pytest.approx(expected[position], rel=1e-5)


def test_bm25_finds_nothing_where_no_word_is_shared(tmp_path: Path) -> None:
    BM25View.build(tmp_path / "bm25", ["+++", "sort list"])
    view = BM25View(tmp_path / "bm25")
    assert view.search("unheard", 5) == []
    assert view.search("?!", 5) == []
    assert [position for position, _ in view.search("sort", 5)] == [1]


def test_bm25_of_texts_without_any_word_finds_nothing(tmp_path: Path) -> None:
    BM25View.build(tmp_path / "bm25", ["+++", "---"])
    assert BM25View(tmp_path / "bm25").search("sort", 5) == []


def ranking(*numbers: int) -> list[Hit]:
    return [Hit(chunk(number, "x"), 9.0, rank) for rank, number in enumerate(numbers, 1)]


def test_fusion_agrees_with_sums_by_hand() -> None:
    # c1 ranks 1 and 3, c2 ranks 2 and 1, c3 only 3, c4 only 2.
    fused = fuse([ranking(1, 2, 3), ranking(2, 4, 1)], 10)
    assert ids(fused) == ["c2", "c1", "c4", "c3"]
    sums = [1 / 62 + 1 / 61, 1 / 61 + 1 / 63, 1 / 62, 1 / 63]
    assert [hit.score for hit in fused] == pytest.approx(sums)
    assert [hit.rank for hit in fused] == [1, 2, 3, 4]


def test_fusion_of_one_ranking_keeps_it() -> None:
    assert ids(fuse([ranking(5, 3, 9)], 2)) == ["c5", "c3"]
    assert fuse([[], []], 3) == []


def test_equal_sums_keep_the_order_of_first_appearance() -> None:
    assert ids(fuse([ranking(1), ranking(2)], 2)) == ["c1", "c2"]


# --- searching --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", RETRIEVERS)
def test_hits_are_ranked_from_one_best_first_and_whole(fake: FakeEmbedder, mode: str) -> None:
    chunks = some_chunks()
    hits = index_of(chunks).search("merge list", 7, mode)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert 0 < len(hits) <= 7
    assert all(hit.chunk in chunks for hit in hits)


def test_dense_search_agrees_with_the_cosines_of_all_chunks(fake: FakeEmbedder) -> None:
    chunks = some_chunks(300)
    hits = index_of(chunks).search("merge list", 20, "dense")
    vectors = fake.encode([indexed_text(one) for one in chunks], "document")
    cosines = vectors @ fake.encode(["merge list"], "query")[0]
    assert [hit.score for hit in hits] == pytest.approx(sorted(cosines)[::-1][:20], abs=1e-5)
    for hit in hits:
        assert hit.score == pytest.approx(cosines[chunks.index(hit.chunk)], abs=1e-5)


def test_hybrid_is_the_fusion_of_the_two_others(fake: FakeEmbedder) -> None:
    index = index_of(some_chunks(150))
    both = [index.search("read file", DEPTH, mode) for mode in ("bm25", "dense")]
    assert index.search("read file", 5, "hybrid") == fuse(both, 5)
    assert index.retriever("hybrid").search("read file", 5) == fuse(both, 5)


@pytest.mark.parametrize("count", [1, 2, 3, 130])
@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_k_beyond_the_corpus_returns_every_chunk_once(
    fake: FakeEmbedder, count: int, mode: str
) -> None:
    index = index_of(some_chunks(count))
    assert len(index) == count
    assert sorted(ids(index.search("sort", 1000, mode))) == sorted(f"c{i}" for i in range(count))


def test_bad_calls_say_what_is_wrong(fake: FakeEmbedder) -> None:
    index = index_of(some_chunks(3))
    for mode in RETRIEVERS:
        with pytest.raises(BadInput, match="query is empty"):
            index.search(" ", 5, mode)
        with pytest.raises(BadInput, match="k is 0"):
            index.search("sort", 0, mode)
    with pytest.raises(UnknownName, match="Did you mean hybrid"):
        index.search("sort", 5, "hybird")


@pytest.mark.parametrize("mode", RETRIEVERS)
def test_a_whole_file_is_searched_by_its_start(fake: FakeEmbedder, mode: str) -> None:
    index = index_of(some_chunks())
    query = "merge list\n" * 100_000
    start = time.perf_counter()
    hits = index.search(query, 5, mode)
    assert time.perf_counter() - start < 5
    assert hits == index.search(cut_query(query), 5, mode)


def test_lone_surrogates_neither_stop_indexing_nor_searching(fake: FakeEmbedder) -> None:
    index = index_of([chunk(1, "sort \ud800 list"), chunk(2, "socket")])
    for mode in RETRIEVERS:
        assert ids(index.search("\udfff sort", 1, mode)) == ["c1"]


def test_many_threads_find_what_one_finds(fake: FakeEmbedder) -> None:
    index = index_of(some_chunks(200))
    calls = [(word, 5, mode) for word in WORDS for mode in RETRIEVERS]
    alone = [index.search(*call) for call in calls]
    fresh = Index(index.folder, index.info)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda call: fresh.search(*call), calls * 3)) == alone * 3


def test_bm25_asks_no_embedder(fake: FakeEmbedder) -> None:
    index = index_of(some_chunks())
    index.search("sort list", 5, "bm25")
    assert fake.queries == 0
    index.search("sort list", 5, "dense")
    assert fake.queries == 1


def test_an_index_shows_what_it_is(fake: FakeEmbedder) -> None:
    index = index_of(some_chunks(5), chunker="lines <b>")
    html = index._repr_html_()
    assert "lines &lt;b&gt;" in html
    assert "tiny" in html
    assert str(index.info) in repr(index)
    assert "5 chunks" in str(index.info)
    assert list(index) == some_chunks(5)
    assert json.loads(json.dumps(index.info.seconds))["total"] >= index.info.seconds["bm25"]


def test_weak_vectors_are_fused_with_words_and_strong_ones_stand_alone(
    fake: FakeEmbedder,
) -> None:
    index = index_of(some_chunks())
    assert index.search("merge list") == index.search("merge list", 5, "dense")
    static = Index(index.folder, replace(index.info, embedder="static"))
    assert static.mode == "hybrid"


# --- what is embedded again -------------------------------------------------------------


def test_reindexing_an_unchanged_corpus_does_nothing(fake: FakeEmbedder) -> None:
    first = index_of(some_chunks())
    assert len(fake.encoded) == 40

    def never() -> Iterable[Chunk]:
        raise AssertionError("the corpus was chunked again")

    again = build_index("tiny", never, "fake", corpus_digest="d1", chunker_fingerprint="lines/1")
    assert again.folder == first.folder
    assert len(fake.encoded) == 40


def test_a_changed_file_embeds_only_its_new_chunks(fake: FakeEmbedder) -> None:
    chunks = some_chunks()
    index_of(chunks)
    chunks[3] = replace(chunks[3], text="def new(): unheard")
    fake.encoded.clear()
    index = index_of(chunks, "d2")
    assert fake.encoded == [indexed_text(chunks[3])]
    assert index.info.encoded == 1
    assert ids(index.search("unheard", 1, "bm25")) == ["c3"]


def test_another_corpus_or_chunker_shares_the_vectors(fake: FakeEmbedder) -> None:
    index_of(some_chunks())
    index_of(some_chunks(), corpus="other")
    index_of(some_chunks(), chunker="lines/2")
    assert len(fake.encoded) == 40
    assert len(list_indexes()) == 3


def test_another_embedder_under_the_same_name_never_mixes_vectors(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = index_of(some_chunks())
    other = FakeEmbedder("fake/2")
    monkeypatch.setattr(embedders, "_loaded", {"fake": other})
    with pytest.raises(MissingCorpus, match=r"built with another fake.*workbench index tiny"):
        old.search("sort", 5, "dense")
    new = index_of(some_chunks())
    assert len(other.encoded) == 40
    assert new.folder.parent != old.folder.parent


def test_equal_texts_are_embedded_once(fake: FakeEmbedder) -> None:
    twins = [replace(chunk(1, "same"), id=name) for name in ("a", "b")]
    index = index_of(twins)
    assert len(fake.encoded) == 1
    assert sorted(ids(index.search("same", 5, "dense"))) == ["a", "b"]


def test_a_failed_embedding_keeps_what_was_done(fake: FakeEmbedder) -> None:
    fake.fail_after = 128
    with pytest.raises(RuntimeError, match="power"):
        index_of(some_chunks(300))
    assert len(fake.encoded) == 128
    fake.fail_after = None
    assert index_of(some_chunks(300)).info.encoded == 300 - 128


def test_a_damaged_embedding_cache_is_set_aside(fake: FakeEmbedder, home: Path) -> None:
    index_of(some_chunks())
    (cache,) = (home / "embeddings").glob("*.sqlite")
    cache.write_bytes(b"not a database at all " * 500)
    fake.encoded.clear()
    assert index_of(some_chunks(), "d2").info.encoded == 40
    assert cache.with_suffix(".damaged").exists()


HALF_WRITTEN = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA cache_size = 1")
rows = ((i.to_bytes(32, "big"), bytes(4000)) for i in range(500))
database.executemany("INSERT INTO vectors VALUES (?, ?)", rows)
os._exit(9)
"""


def test_a_write_that_was_killed_loses_no_vectors(fake: FakeEmbedder, home: Path) -> None:
    index_of(some_chunks())
    (cache,) = (home / "embeddings").glob("*.sqlite")
    subprocess.run([sys.executable, "-c", HALF_WRITTEN, str(cache)], timeout=60)
    assert cache.with_name(cache.name + "-journal").exists()
    assert index_of(some_chunks(), "d2").info.encoded == 0


# --- building ---------------------------------------------------------------------------


def test_a_build_that_fails_leaves_the_index_before(fake: FakeEmbedder) -> None:
    before = index_of(some_chunks())

    def broken() -> Iterable[Chunk]:
        yield from some_chunks(10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_of(broken(), "d2")
    assert open_index("tiny").folder == before.folder
    assert [path.name for path in before.folder.parent.glob("build-*")] == [before.folder.name]


def test_an_index_stays_searchable_while_the_next_replaces_it(fake: FakeEmbedder) -> None:
    before = index_of(some_chunks())
    index_of([*some_chunks(), chunk(99, "newcomer")], "d2")
    assert "c99" not in ids(before.search("newcomer", 50, "dense"))
    assert ids(open_index("tiny").search("newcomer", 1, "bm25")) == ["c99"]


def test_old_and_half_made_builds_are_removed(fake: FakeEmbedder) -> None:
    place = index_of(some_chunks(3)).folder.parent
    (place / "build-0123456789ab").mkdir()
    for digest in ("d2", "d3", "d4"):
        index_of(some_chunks(3), digest)
    assert len(list(place.glob("build-*"))) == 2


@pytest.mark.parametrize(
    ("chunks", "message"),
    [([], "has no chunks"), ([chunk(1, "a"), chunk(1, "b")], "share an id")],
)
def test_chunks_that_cannot_be_indexed_are_refused(
    fake: FakeEmbedder, chunks: list[Chunk], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        index_of(chunks)
    assert list_indexes() == []


@pytest.mark.parametrize("corpus", ["", "../up", "a/b", ".hidden", "x" * 200, "a\nb"])
def test_a_corpus_name_never_leaves_its_folder(fake: FakeEmbedder, corpus: str) -> None:
    with pytest.raises(BadInput, match="cannot name a corpus"):
        index_of(some_chunks(2), corpus=corpus)


def test_a_full_disk_is_one_clear_line(fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BM25View, "build", full)
    with pytest.raises(WorkbenchError, match=r"No space left.*workbench index tiny") as caught:
        index_of(some_chunks(3))
    assert "\n" not in str(caught.value)
    assert list_indexes() == []


def test_two_threads_build_once(fake: FakeEmbedder) -> None:
    gate = threading.Barrier(2)

    def build(_: int) -> Path:
        gate.wait()
        return index_of(some_chunks()).folder

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(build, range(2))
    assert first == second
    assert len(fake.encoded) == 40


HOLD = """
import sys
from pathlib import Path
from workbench.retrieval.layout import Place
with Place(Path(sys.argv[1])).exclusive():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_builds_within_two_seconds(fake: FakeEmbedder) -> None:
    place = Place.of("tiny", "fake", fake.fingerprint, "lines/1")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(place.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin and holder.stdout
    try:
        assert holder.stdout.readline() == "held\n"
        start = time.perf_counter()
        with pytest.raises(InUse, match=f"process {holder.pid}"):
            index_of(some_chunks(2))
        assert time.perf_counter() - start < 2
    finally:
        holder.communicate("")
    assert len(index_of(some_chunks(2))) == 2


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import fake_embedder as t
from workbench.retrieval import embedders
from workbench.registry import Entry

class Mortal(t.FakeEmbedder):
    def encode(self, texts, kind):
        if len(self.encoded) >= 256:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(texts, kind)

embedders._loaded["fake"] = Mortal()
embedders.EMBEDDERS._entries["fake"] = Entry("fake", "none:none", "for tests")
t.index_of(t.some_chunks(400))
"""


def test_a_killed_build_goes_on_where_it_stood(fake: FakeEmbedder) -> None:
    code = [sys.executable, "-c", KILLED, str(Path(__file__).parent)]
    done = subprocess.run(code, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert list_indexes() == []
    index = index_of(some_chunks(400))
    assert index.info.encoded == 400 - 256
    assert len(list(index.folder.parent.glob("build-*"))) == 1
    assert sorted(ids(index.search("sort", 400, "dense"))) == sorted(f"c{i}" for i in range(400))


def test_a_dotenv_file_of_another_project_changes_nothing(
    fake: FakeEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("CHROMA_API_IMPL=chromadb.api.fastapi.FastAPI\n")
    monkeypatch.chdir(tmp_path)
    assert len(index_of(some_chunks(3)).search("sort", 5, "dense")) == 3


# --- damage -----------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
@pytest.mark.parametrize(
    "pattern", ["bm25/data*", "bm25/vocab*", "chroma/*/data_level0.bin", "chroma/*/header.bin"]
)
def test_a_damaged_view_is_built_again_without_embedding(
    fake: FakeEmbedder, pattern: str, damage: Callable[[Path], None]
) -> None:
    index = index_of(some_chunks())
    expected = {mode: index.search("merge list", 5, mode) for mode in RETRIEVERS}
    (file,) = index.folder.glob(pattern)
    damage(file)
    fake.encoded.clear()
    mended = open_index("tiny", "fake", corpus_digest="d1")
    assert mended.folder != index.folder
    assert {mode: mended.search("merge list", 5, mode) for mode in RETRIEVERS} == expected
    assert fake.encoded == []


@pytest.mark.parametrize("damage", [truncate, Path.unlink])
def test_a_damaged_chroma_database_is_built_again(
    fake: FakeEmbedder, damage: Callable[[Path], None]
) -> None:
    index = index_of(some_chunks())
    damage(index.folder / "chroma" / "chroma.sqlite3")
    mended = index_of(some_chunks())
    assert mended.folder != index.folder
    assert len(mended.search("merge list", 5, "dense")) == 5


@pytest.mark.parametrize("name", ["meta.json", "../current"])
def test_an_index_whose_description_is_damaged_is_mended(fake: FakeEmbedder, name: str) -> None:
    index = index_of(some_chunks())
    expected = index.search("merge list", 5, "hybrid")
    for damage in (truncate, flip, Path.unlink):
        damage(open_index("tiny").folder / name)
        fake.encoded.clear()
        assert open_index("tiny").search("merge list", 5, "hybrid") == expected
        assert fake.encoded == []
        assert len(list_indexes()) == 1


def test_damaged_chunks_are_read_from_the_corpus_again(fake: FakeEmbedder) -> None:
    index = index_of(some_chunks())
    truncate(index.folder / "chunks.sqlite")
    with pytest.raises(MissingCorpus, match=r"damaged\. Run: workbench index tiny"):
        open_index("tiny")
    assert len(open_index("tiny", chunks=some_chunks).search("sort", 5)) == 5
    truncate(open_index("tiny").folder / "chunks.sqlite")
    assert len(index_of(some_chunks()).search("sort", 5)) == 5


# --- opening and listing ----------------------------------------------------------------


def test_a_missing_index_names_the_command_and_the_others(fake: FakeEmbedder) -> None:
    index_of(some_chunks(2))
    with pytest.raises(MissingCorpus, match=r"other is not indexed.* tiny.* index other"):
        open_index("other")
    with pytest.raises(MissingCorpus, match=r"with embedder static.*--embedder static"):
        open_index("tiny", "static/wordllama")
    with pytest.raises(UnknownName, match="Did you mean static"):
        open_index("tiny", "statik")


def test_an_index_older_than_its_corpus_is_refused(fake: FakeEmbedder) -> None:
    index_of(some_chunks(2))
    with pytest.raises(MissingCorpus, match=r"older than the corpus\. Run: workbench index tiny"):
        open_index("tiny", "fake", corpus_digest="d2")
    with pytest.raises(MissingCorpus, match="not indexed"):
        open_index("tiny", "fake", chunker_fingerprint="lines/9")


def test_the_index_built_last_is_opened(fake: FakeEmbedder) -> None:
    index_of(some_chunks(2))
    time.sleep(0.01)
    index_of(some_chunks(3), chunker="lines/2")
    assert len(open_index("tiny")) == 3
    assert len(open_index("tiny", chunker_fingerprint="lines/1")) == 2


def test_indexes_are_listed(fake: FakeEmbedder) -> None:
    assert list_indexes() == []
    index_of(some_chunks(2), corpus="b")
    index_of(some_chunks(3), corpus="a")
    listed = list_indexes()
    assert [(info.corpus, info.chunks) for info in listed] == [("a", 3), ("b", 2)]
    assert all(isinstance(info, IndexInfo) and info.embedder == "fake" for info in listed)


def test_a_search_by_words_loads_neither_torch_nor_chroma(fake: FakeEmbedder) -> None:
    index_of(some_chunks())
    code = textwrap.dedent("""
        import sys
        from workbench.retrieval import open_index
        hits = open_index("tiny").search("sort list", 5, "bm25")
        print(len(hits), *(m for m in ("torch", "chromadb", "onnxruntime") if m in sys.modules))
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "5", done.stderr
