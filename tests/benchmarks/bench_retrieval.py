"""Measure every embedder and retriever on CoSQA, and the build of the standard library's index.

Writes ``retrieval.md`` beside itself. It runs in an empty home that has the same weights, so that
nothing is cached and every figure is of this run.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from workbench import api
from workbench.retrieval import IndexInfo
from workbench.settings import settings

HERE = Path(__file__).parent
COMMAND = "python tests/benchmarks/bench_retrieval.py"


def stdlib(embedder: str) -> str:
    """Index the standard library and write what it cost as one Markdown line."""
    info: IndexInfo = api.index(api.crawl("python-stdlib"), embedder).info
    steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in info.seconds.items())
    return f"| {embedder} | {info.chunks:,} | {info.encoded:,} | {steps} | {info.bytes / 1e6:.0f} |"


def page(reports: list[str], built: list[str], load: float) -> str:
    """Write the whole page."""
    options = " ".join(sys.argv[1:])
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return "\n".join(
        [
            "# Embedders and retrievers, measured",
            "",
            f"`{COMMAND}{' ' + options if options else ''}`",
            "",
            f"{machine}; load average {load:.1f} at the start: above 0, other work shared the"
            " cores, so read times as ratios. Quality does not depend on it. Each report is that of"
            " `workbench retrieval-report`; defaults were chosen on CoSQA's dev queries.",
            "",
            *reports,
            "### The index of the standard library",
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
    parser.add_argument("--embedder", nargs="+", default=["static", "minilm", "gte-small"])
    parser.add_argument("--split", nargs="+", default=["test", "dev"])
    parser.add_argument("--stdlib", nargs="*", default=["static", "minilm"], help="to index it by")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    models, data = settings().models.resolve(), settings().data
    sibling = HERE.parents[2].parent / "shared" / "data"
    with tempfile.TemporaryDirectory(prefix="bench-retrieval-") as home:
        (Path(home) / "models").symlink_to(models)
        os.environ |= {"WORKBENCH_HOME": home, "WORKBENCH_DATA": str(data or sibling)}
        reports = []
        for split in chosen.split:
            reports.append(
                api.retrieval_report("cosqa", chosen.embedder, split=split).to_markdown()
            )
            print(reports[-1], flush=True)
        built = [stdlib(embedder) for embedder in chosen.stdlib]
    text = page(reports, built, load)
    (HERE / "retrieval.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
