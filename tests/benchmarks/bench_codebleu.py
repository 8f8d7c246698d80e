"""Measure CodeBLEU beside its reference implementation, on the same pairs in one run.

``CODEBLEU_PYTHON`` is the Python of an environment with the package codebleu 0.7.0 (see
``tests/codebleu_peer.py``), ``WORKBENCH_DATA`` the folder of the public data sets. In turns, both
score each pair by itself; times are seconds of the processor within the process, so that other
work on the machine disturbs them little, and without the start of either. "Fresh" forgets all
references before each pair, "kept" scores as an evaluation does, where a reference has been read
for an earlier answer. ``--write`` writes ``codebleu.md`` beside it.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from codebleu_pairs import pairs, programs
from codebleu_table import ask_peer, task

from workbench.languages import LANGUAGES
from workbench.metrics.codebleu import codebleu, counts

TABLE = Path(__file__).with_name("codebleu.md")


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=150, help="of each language")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    data = Path(os.environ["WORKBENCH_DATA"])
    rows = [
        measure(one.title, tasks_of(data, one.name, options.pairs), options.rounds)
        for one in LANGUAGES
    ]
    table = render(rows, options, load)
    print(table)
    if options.write:
        TABLE.write_text(table, encoding="utf-8")


def tasks_of(data: Path, name: str, number: int) -> list[dict[str, Any]]:
    """Return pairs of one language, no reference twice where there are enough."""
    made = pairs(programs(data, name), name, number)
    return [task(name, [candidate], [[right]]) for candidate, right in made]


def measure(title: str, tasks: Sequence[dict[str, Any]], rounds: int) -> dict[str, Any]:
    """Return the milliseconds a pair of each way: medians over the rounds."""
    python = os.environ["CODEBLEU_PYTHON"]
    times: dict[str, list[float]] = {"reference": [], "fresh": [], "kept": []}
    seconds(tasks[:1], fresh=True)  # loads the grammar
    for _ in range(rounds):
        times["reference"].append(ask_peer(python, tasks)["seconds"])
        times["fresh"].append(seconds(tasks, fresh=True))
        times["kept"].append(seconds(tasks, fresh=False))
    each = 1000 / len(tasks)
    medians = {way: statistics.median(found) * each for way, found in times.items()}
    return {"title": title, "pairs": len(tasks), **medians}


def seconds(tasks: Sequence[dict[str, Any]], *, fresh: bool) -> float:
    """Return the seconds of the processor that scoring takes here."""
    start = time.process_time()
    for one in tasks:
        if fresh:
            counts._reference.cache_clear()
        codebleu(one["candidates"], one["references"], one["language"])
    return time.process_time() - start


def render(rows: Sequence[dict[str, Any]], options: argparse.Namespace, load: float) -> str:
    """Return the Markdown table."""
    lines = [
        f"| {row['title']} | {row['reference']:.2f} | {row['fresh']:.2f} | {row['kept']:.2f} |"
        f" {row['reference'] / row['fresh']:.1f} | {row['reference'] / row['kept']:.1f} |"
        for row in rows
    ]
    command = f"python tests/benchmarks/bench_codebleu.py --pairs {options.pairs}"
    return "\n".join(
        [
            "# CodeBLEU beside its reference implementation",
            "",
            f"`{command} --rounds {options.rounds} --write`",
            "",
            f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()},"
            f" tree-sitter {version('tree-sitter')}; load average {load:.1f} at the start."
            " Milliseconds of the processor a pair, medians of"
            f" {options.rounds} rounds; both ways scored the same {options.pairs} pairs of each"
            " language over the same grammars. Target: not slower than codebleu 0.7.0.",
            "",
            "| language | codebleu 0.7.0 | fresh | references kept | times as fast, fresh |"
            " times as fast, kept |",
            "|---|---:|---:|---:|---:|---:|",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    main()
