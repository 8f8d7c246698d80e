"""Measure indexing and searching beside what they could at best cost, and the plain LangChain way.

Writes ``index.md`` beside itself. Every build has a home of its own, so that nothing is cached;
what is compared is run in turn, so that other work on the machine disturbs both alike. A part
and its size can be chosen, to try it out: ``--part change --files 50 --embedder static``.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from workbench.corpus import crawl, make_chunker
from workbench.retrieval import EMBEDDERS, Cutting, Index, build_index, load_embedder
from workbench.retrieval.embedding_cache import EmbeddingCache
from workbench.retrieval.quiet_chroma import chromadb, plain_settings
from workbench.retrieval.text import indexed_text
from workbench.settings import settings
from workbench.types import Chunk, Document, TextKind
from workbench.weights import locate

HERE = Path(__file__).parent
COMMAND = "python tests/benchmarks/bench_index.py"
PARTS = ("langchain", "change", "search")
SIZE = 1500  # characters of a piece, for both ways
DIMENSIONS = 384
CLUSTERS = 2000


@dataclass(frozen=True)
class Row:
    """What was measured, the figure, what it is to be, and whether it is."""

    what: str
    figure: str
    target: str
    reached: bool | None


@contextmanager
def fresh_home() -> Iterator[Path]:
    """Set WORKBENCH_HOME to an empty folder that has the same weights."""
    before, models = os.environ.get("WORKBENCH_HOME"), settings().models
    folder = Path(tempfile.mkdtemp(prefix="bench-index-"))
    (folder / "models").symlink_to(models.resolve())
    os.environ["WORKBENCH_HOME"] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["WORKBENCH_HOME"]
        else:
            os.environ["WORKBENCH_HOME"] = before
        shutil.rmtree(folder, ignore_errors=True)


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# --- beside LangChain, and beside the bare encoding ----------------------------------------


class Splitter:
    """LangChain's splitter for Python as a chunker, so that both ways embed the same texts."""

    fingerprint = f"langchain|python|{SIZE}"

    def __init__(self) -> None:
        from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

        self.splitter = RecursiveCharacterTextSplitter.from_language(
            Language.PYTHON, chunk_size=SIZE, chunk_overlap=0
        )

    def chunk(self, document: Document) -> list[Chunk]:
        """Cut a document; without a path, what is indexed is the text alone."""
        return [
            Chunk(f"{document.path}#{number}", text, "", 1, 1, "python", None, "bench", None)
            for number, text in enumerate(self.splitter.split_text(document.text))
        ]


def the_plain_way(documents: Sequence[Document], model: object, folder: Path) -> dict[str, object]:
    """Index as LangChain's tutorials do, and return the vector of each text."""
    from langchain_chroma import Chroma
    from langchain_core.documents import Document as Page

    pages = [Page(one.text, metadata={"source": one.path}) for one in documents]
    pieces = Splitter().splitter.split_documents(pages)
    store = Chroma.from_documents(
        pieces,
        model,  # type: ignore[arg-type]
        persist_directory=str(folder),
        client_settings=plain_settings(),
    )
    kept = store._collection.get(include=["embeddings", "documents"])
    return dict(zip(kept["documents"] or (), kept["embeddings"], strict=True))  # type: ignore[arg-type]


def beside_langchain(documents: Sequence[Document], embedder: str, rounds: int) -> Iterator[Row]:
    """Index the same files by the same model in both ways, in turn, each from nothing."""
    from langchain_huggingface import HuggingFaceEmbeddings

    plain = HuggingFaceEmbeddings(
        model_name=str(locate(embedder)), encode_kwargs={"normalize_embeddings": True}
    )
    bare = load_embedder(embedder)
    texts = [one.text for each in documents for one in Splitter().chunk(each)]
    plain.embed_documents(texts[:8])
    bare.encode(texts[:8], "document")
    ratios, shares, cosine, ours = [], [], 1.0, 0.0
    for number in range(rounds):
        with fresh_home() as home:
            theirs: dict[str, object] = {}
            built: list[Index] = []
            steps: list[Callable[[], object]] = [
                lambda: theirs.update(the_plain_way(documents, plain, home / "plain")),  # noqa: B023
                lambda: built.append(index_of(documents, embedder, Splitter())),  # noqa: B023
                lambda: bare.encode(texts, "document"),
            ]
            order = [0, 1, 2] if number % 2 == 0 else [2, 1, 0]
            times = {step: seconds(steps[step]) for step in order}
            vectors = built[0].vectors()
            for row, chunk in enumerate(built[0]):
                other = np.asarray(theirs[chunk.text], np.float32)
                cosine = min(cosine, float(vectors[row] @ other / np.linalg.norm(other)))
            ratios.append(times[0] / times[1])
            shares.append(times[2] / times[1])
            ours = len(texts) / times[1]
            print(
                f"plain {times[0]:.1f} s, ours {times[1]:.1f} s, bare {times[2]:.1f} s", flush=True
            )
    what = f"{len(documents)} files, {len(texts):,} chunks, {embedder}"
    ratio, share = statistics.median(ratios), statistics.median(shares)
    yield Row(
        f"chunks/s beside plain LangChain ({what})",
        f"{ratio:.2f} x ({min(ratios):.2f} to {max(ratios):.2f}; ours {ours:.0f}/s)",
        ">= 1.4 x",
        ratio >= 1.4,
    )
    yield Row("lowest cosine of both ways' vectors", f"{cosine:.5f}", ">= 0.999", cosine >= 0.999)
    yield Row(
        f"chunks/s beside the bare encode ({what})",
        f"{share:.1%} ({min(shares):.1%} to {max(shares):.1%})",
        ">= 90 %",
        share >= 0.9,
    )


def index_of(
    documents: Sequence[Document], embedder: str, chunker: object = None, digest: str = "first"
) -> Index:
    """Build an index of documents, without a corpus on disk."""
    cutter = chunker or make_chunker()
    return build_index(
        "bench",
        Cutting(lambda: documents, cutter),  # type: ignore[arg-type]
        embedder,
        corpus_digest=digest,
        chunker_fingerprint=cutter.fingerprint,  # type: ignore[attr-defined]
    )


# --- one changed file in a thousand --------------------------------------------------------


def in_pieces(documents: Sequence[Document], count: int) -> list[Document]:
    """Return ``count`` files: the longest are halved until there are as many."""
    files = sorted(documents, key=lambda one: len(one.text))
    if len(files) > count:
        return files[:: len(files) // count][:count]
    while len(files) < count:
        long = files.pop()
        lines = long.text.splitlines(keepends=True)
        halves = ("".join(lines[: len(lines) // 2]), "".join(lines[len(lines) // 2 :]))
        for name, text in zip("ab", halves, strict=True):
            files.append(replace(long, path=f"{long.path}.{name}.py", text=text))
        files.sort(key=lambda one: len(one.text))
    return files


def one_changed(documents: Sequence[Document], embedder: str, rounds: int) -> Iterator[Row]:
    """Build from nothing, then again with one file of middling length changed."""
    load_embedder(embedder).encode(["warm up"], "document")
    files = sorted(documents, key=lambda one: one.path)
    middling = sorted(range(len(files)), key=lambda row: len(files[row].text))[len(files) // 2 :]
    with fresh_home():
        first = seconds(lambda: index_of(files, embedder))
        times = []
        for number in range(rounds):
            row = middling[number]
            text = f"# changed for the {number}th time\n" + files[row].text.replace("if ", "if  ")
            files[row] = replace(files[row], text=text)
            digest = f"change {number}"
            times.append(seconds(lambda: index_of(files, embedder, digest=digest)))  # noqa: B023
            info = index_of(files, embedder, digest=digest).info
            print(f"first {first:.1f} s, change {times[-1]:.2f} s: {info.seconds}", flush=True)
    share = statistics.median(times) / first
    yield Row(
        f"one changed file of {len(files):,} ({info.chunks:,} chunks, {embedder})",
        f"{share:.2%} ({statistics.median(times):.2f} s of {first:.1f} s;"
        f" checking {info.seconds['verify']:.2f} s)",
        "< 2 %",
        share < 0.02,
    )


# --- many chunks ---------------------------------------------------------------------------


class Synthetic:
    """Vectors around 2,000 centres, by the number that a text begins with."""

    fingerprint = "synthetic|2"

    def __init__(self) -> None:
        self._centres = np.random.default_rng(1).normal(size=(CLUSTERS, DIMENSIONS))

    def encode(self, texts: Sequence[str], kind: TextKind) -> np.ndarray:
        """Return float32[len(texts), 384] of unit length."""
        rows = np.stack([self._row(int(text.split()[0])) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def _row(self, number: int) -> np.ndarray:
        noise = np.random.default_rng(number + 7).normal(size=DIMENSIONS)
        return self._centres[number % CLUSTERS] + 0.7 * noise


def synthetic_chunks(count: int) -> Iterator[Chunk]:
    """Yield chunks of 60 words out of 20,000, the common ones more often."""
    dice = np.random.default_rng(3)
    for number in range(count):
        words = " ".join(f"word{w}" for w in np.minimum(dice.zipf(1.3, 60), 20_000))
        place = f"pkg{number % 97}/f{number // 20}.py"
        yield Chunk(
            f"{place}:{number}", f"{number} {words}", "", 1, 1, "python", None, "bench", None
        )


def many_chunks(count: int, queries: int) -> Iterator[Row]:
    """Search among many, and ask Chroma's collection for the same without anything around it."""
    EMBEDDERS.add("synthetic", f"{Path(__file__).stem}:Synthetic", "for this benchmark")
    with fresh_home() as home:
        texts = [indexed_text(chunk) for chunk in synthetic_chunks(count)]
        EmbeddingCache(load_embedder("synthetic")).fill(texts)
        index = build_index(
            "many",
            lambda: synthetic_chunks(count),
            "synthetic",
            corpus_digest="1",
            chunker_fingerprint="synthetic",
        )
        print(index.info.seconds, f"{index.info.bytes / 1e6:.0f} MB", flush=True)
        opening = seconds(lambda: opened_anew(index))
        asked = [f"{number * 7919} how" for number in range(queries)]
        bare = bare_collection(index, home / "bare")
        ours, theirs = [], []
        for query in asked:
            ours.append(seconds(lambda: index.search(query, 10, "dense")))  # noqa: B023
            theirs.append(seconds(lambda: bare(query)))  # noqa: B023
        words = [seconds(lambda: index.search("word3 word77 word501", 10, "bm25")) for _ in asked]
    p95, least = (float(np.percentile(times[5:], 95)) * 1000 for times in (ours, theirs))
    yield Row(
        f"search among {count:,} chunks, p95, beside the bare HNSW query and the query's vector",
        f"{p95 / least:.2f} x ({p95:.2f} ms to {least:.2f} ms)",
        "<= 1.3 x",
        p95 <= 1.3 * least,
    )
    yield Row("the same by words, p95", f"{np.percentile(words, 95) * 1000:.2f} ms", "", None)
    yield Row(
        "opening it: all files hashed, Chroma's copied, the graph read",
        f"{opening:.2f} s",
        "",
        None,
    )
    share = index.info.seconds["verify"] / index.info.seconds["total"]
    yield Row("checking every vector, as a share of its build", f"{share:.0%}", "", None)


def opened_anew(index: Index) -> None:
    """Check the files as a new process does, and search once."""
    from workbench.retrieval.layout import META, damaged_files, read_meta

    meta = read_meta(index.folder / META)
    assert meta is not None
    assert damaged_files(index.folder, meta) == []
    Index(index.folder, index.info).search("1 warm up", 1, "dense")


def bare_collection(index: Index, folder: Path) -> Callable[[str], object]:
    """Open a copy of the collection, and return what encodes a query and asks for ten ids."""
    shutil.copytree(index.folder / "chroma", folder)
    client = chromadb.PersistentClient(str(folder), settings=plain_settings())
    collection = client.get_collection("chunks", embedding_function=None)
    embedder = load_embedder("synthetic")
    return lambda query: collection.query(
        query_embeddings=embedder.encode([query], "query"), n_results=10, include=["distances"]
    )


def report(rows: Sequence[Row], load: float) -> str:
    """Write the whole page."""
    options = " ".join(sys.argv[1:])
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    signs = {True: "yes", False: "no", None: ""}
    return "\n".join(
        [
            "# Indexing and searching, measured",
            "",
            f"`{COMMAND}{' ' + options if options else ''}`",
            "",
            f"{machine}; load average {load:.1f} at the start: above 0, other work shared the"
            " cores. What is compared ran in turn, models loaded before.",
            "",
            f"Both ways cut by LangChain's splitter for Python at {SIZE:,} characters, so that"
            " they embed the same texts. Changes and many chunks go the workbench's own way.",
            "",
            "| what | measured | target | reached |",
            "|---|---|---|---|",
            *(
                f"| {one.what} | {one.figure} | {one.target} | {signs[one.reached]} |"
                for one in rows
            ),
            "",
        ]
    )


def main() -> None:
    """Run it all and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--embedder", default="minilm", help="of the first two parts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--langchain-files", type=int, default=120, help="to index in both ways")
    parser.add_argument("--files", type=int, default=1000, help="of which one is changed")
    parser.add_argument("--chunks", type=int, default=100_000, help="to search among")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--page", type=Path, default=HERE / "index.md", help="what to write")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    documents = [one for one in crawl("python-stdlib").documents() if one.text.strip()]
    rows: list[Row] = []
    work = {
        "langchain": lambda: beside_langchain(
            in_pieces(documents, chosen.langchain_files), chosen.embedder, chosen.rounds
        ),
        "change": lambda: one_changed(
            in_pieces(documents, chosen.files), chosen.embedder, chosen.rounds
        ),
        "search": lambda: many_chunks(chosen.chunks, chosen.queries),
    }
    for part in chosen.part:
        for row in work[part]():
            rows.append(row)
            print(row.what, row.figure, row.target, row.reached, sep=" | ", flush=True)
    chosen.page.write_text(report(rows, load), encoding="utf-8")


if __name__ == "__main__":
    main()
