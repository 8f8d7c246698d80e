"""Measure every embedder and retriever on CoSQA, and the build of the standard library's index.

Writes ``retrieval.md`` beside itself. Embeddings and indexes are kept in WORKBENCH_HOME, so that
a second run only searches; times of building are those of the first build, which embedded all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ir_measures
import numpy as np
from ir_measures import RR, Qrel, R, ScoredDoc, nDCG

from workbench import retrieval
from workbench.corpus import chunk_corpus, crawl, make_chunker
from workbench.retrieval import Index, build_index, load_embedder
from workbench.settings import settings
from workbench.types import Chunk
from workbench.weights import locate

HERE = Path(__file__).parent
COMMAND = "python tests/benchmarks/bench_retrieval.py"
MEASURES = (RR @ 10, nDCG @ 10, R @ 1, R @ 5)
FLOAT32 = "minilm, float32"


@dataclass(frozen=True)
class Suite:
    """Functions to search in, and for each split the queries with the one right function."""

    chunks: list[Chunk]
    queries: dict[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Row:
    """One line of the table: quality on the test queries, MRR@10 on dev, and cost."""

    embedder: str
    retriever: str
    quality: list[float]
    dev: float
    milliseconds: tuple[float, float]
    index: Index | None
    rate: float


def read_cosqa(folder: Path) -> Suite:
    """Read CoSQA's pool and its dev and test queries (Huang et al., ACL 2021)."""
    pool: dict[str, int] = json.loads((folder / "code_idx_map.txt").read_text(encoding="utf-8"))
    chunks = [
        Chunk(str(i), code, "", 1, code.count("\n") + 1, "python", None, "cosqa", None)
        for code, i in sorted(pool.items(), key=lambda item: item[1])
    ]
    queries = {}
    for split in ("dev", "test"):
        text = (folder / f"cosqa-retrieval-{split}-500.json").read_text(encoding="utf-8")
        queries[split] = [(row["doc"], str(row["retrieval_idx"])) for row in json.loads(text)]
    return Suite(chunks, queries)


def measure(suite: Suite, index: Index, mode: str, split: str) -> tuple[list[float], list[float]]:
    """Return the measures over a split's queries, and the milliseconds of each search."""
    qrels, found, times = [], [], []
    index.search("warm up", 10, mode)
    for number, (query, right) in enumerate(suite.queries[split]):
        qrels.append(Qrel(str(number), right, 1))
        start = time.perf_counter()
        hits = index.search(query, 10, mode)
        times.append((time.perf_counter() - start) * 1000)
        # By rank, as the library breaks equal scores in an order of its own.
        found += [ScoredDoc(str(number), hit.chunk.id, 1 / hit.rank) for hit in hits]
    means = ir_measures.calc_aggregate(MEASURES, qrels, found)
    return [means[one] for one in MEASURES], times


def rows(suite: Suite, embedders: list[str]) -> Iterator[Row]:
    """Build an index for each embedder and measure every retriever on it; BM25 once."""
    names = {name: name for name in embedders}
    if FLOAT32 in names:
        names[FLOAT32] = f"sentence-transformers/{locate('minilm')}"
    rates = texts_per_second(suite, names)
    for number, (name, embedder) in enumerate(names.items()):
        index = build_index(
            "cosqa",
            lambda: suite.chunks,
            embedder,
            corpus_digest="cosqa-6267",
            chunker_fingerprint="whole functions",
        )
        for mode in retrieval.RETRIEVERS:
            if mode == "bm25" and number:
                continue
            dev, _ = measure(suite, index, mode, "dev")
            quality, times = measure(suite, index, mode, "test")
            cost = (float(np.median(times)), float(np.percentile(times, 95)))
            shown = "none" if mode == "bm25" else name
            built = None if mode == "bm25" else index
            yield Row(shown, mode, quality, dev[0], cost, built, rates[name])


def texts_per_second(suite: Suite, names: dict[str, str]) -> dict[str, float]:
    """Encode 64 functions in turn by every embedder, five times, and return each one's best rate.

    Short and in turn, so that other work on the machine disturbs all alike, and some not at all.
    """
    texts = [chunk.text for chunk in suite.chunks[:: len(suite.chunks) // 64]][:64]
    best = dict.fromkeys(names, 0.0)
    for turn in range(6):
        for name, embedder in names.items():
            start = time.perf_counter()
            load_embedder(embedder).encode(texts, "document")
            rate = len(texts) / (time.perf_counter() - start)
            if turn:  # the first loads the model
                best[name] = max(best[name], rate)
    return best


def line(row: Row) -> str:
    """Write one row of the Markdown table."""
    cells = [row.embedder, row.retriever]
    cells += [f"{value:.3f}" for value in (*row.quality, row.dev)]
    if row.index is None:
        cells += ["", "", ""]
    else:
        info = row.index.info
        whole = info.encoded == info.chunks
        total = f"{info.seconds['total']:.1f}" if whole else "cached"
        megabytes = info.chunks * info.dimensions * 4 / 1e6
        cells += [total, f"{row.rate:.0f}", f"{megabytes:.1f}"]
    cells += [f"{row.milliseconds[0]:.1f}", f"{row.milliseconds[1]:.1f}"]
    return f"| {' | '.join(cells)} |"


def stdlib(embedder: str) -> str:
    """Index the standard library and write what it cost as one Markdown line."""
    corpus = crawl("python-stdlib")
    chunker = make_chunker()
    info = build_index(
        corpus.name,
        lambda: chunk_corpus(corpus, chunker),
        embedder,
        corpus_digest=corpus.digest,
        chunker_fingerprint=chunker.fingerprint,
    ).info
    steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in info.seconds.items())
    return f"| {embedder} | {info.chunks:,} | {info.encoded:,} | {steps} | {info.bytes / 1e6:.0f} |"


def report(table: list[str], built: list[str], load: float) -> str:
    """Write the whole page."""
    options = " ".join(sys.argv[1:])
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return "\n".join(
        [
            "# Embedders and retrievers, measured",
            "",
            f"`{COMMAND}{' ' + options if options else ''}`",
            "",
            f"{machine}; load average {load:.1f} at the start: above 0, other work shared"
            " the cores, so read times as ratios. Quality does not depend on it.",
            "",
            "CoSQA: 500 web queries for one of 6,267 Python functions. All columns but dev are"
            " on the test queries; defaults were chosen on dev. Measures by ir_measures. Build"
            " includes chunks, vectors, BM25 and Chroma, with nothing in the cache; texts/s is the"
            " best of five encodes of 64 functions.",
            "",
            "| embedder | retriever | MRR@10 | nDCG@10 | recall@1 | recall@5 | dev MRR@10"
            " | build s | texts/s | vectors MB | query ms | p95 |",
            "|---|---|" + "---:|" * 10,
            *table,
            "",
            "The index of the standard library:",
            "",
            "| embedder | chunks | embedded | seconds | MB on disk |",
            "|---|---:|---:|---|---:|",
            *built,
            "",
        ]
    )


def main() -> None:
    """Run it all and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = ["static", "minilm", FLOAT32, "gte-small"]
    parser.add_argument("--embedder", nargs="+", default=known, choices=known)
    parser.add_argument("--stdlib", nargs="*", default=["static", "minilm"], help="to index it by")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    data = settings().data or HERE.parents[2].parent / "shared" / "data"
    suite = read_cosqa(data / "cosqa")
    table = []
    for row in rows(suite, chosen.embedder):
        table.append(line(row))
        print(table[-1], flush=True)
    built = [stdlib(embedder) for embedder in chosen.stdlib]
    page = report(table, built, load)
    (HERE / "retrieval.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
