"""Score pairs with the reference implementation of CodeBLEU; runs in an environment of its own.

That environment holds the package codebleu 0.7.0 (installed without its dependencies, as it asks
for a tree-sitter that current grammars do not work with), tree-sitter, and the grammars. Standard
input is a JSON list of ``{"language", "candidates", "references"}``; standard output an object
of ``versions``, ``seconds`` and ``scores``, the latter in the order of the input.

``--ordered`` puts sets that keep the order in which they were filled in the place of the two
modules' ``set``: the order of Python's own follows the seed of string hashes, and the reference's
numbers with it. No other line of the package is touched. ``seconds`` are those of the processor
that the scores took.
"""

from __future__ import annotations

import json
import logging
import platform
import sys
import time
from importlib.metadata import distributions

import codebleu
from codebleu import dataflow_match
from codebleu.parser import DFG

NAMES = {"csharp": "c_sharp"}
PARTS = (
    "ngram_match_score",
    "weighted_ngram_match_score",
    "syntax_match_score",
    "dataflow_match_score",
    "codebleu",
)


class OrderedSet(dict):
    def __init__(self, items=()):
        super().__init__(dict.fromkeys(items))

    def add(self, item):
        self[item] = None


def main() -> None:
    logging.disable(logging.CRITICAL)
    if "--ordered" in sys.argv:
        DFG.set = dataflow_match.set = OrderedSet
    tasks = json.load(sys.stdin)
    start = time.process_time()
    scores = [score(task) for task in tasks]
    seconds = time.process_time() - start
    json.dump({"versions": versions(), "scores": scores, "seconds": seconds}, sys.stdout)


def score(task: dict) -> list[float]:
    language = NAMES.get(task["language"], task["language"])
    scores = codebleu.calc_codebleu(task["references"], task["candidates"], language)
    return [scores[part] for part in PARTS]


def versions() -> dict[str, str]:
    found = {one.metadata["Name"]: one.version for one in distributions()}
    wanted = ("codebleu", "tree-sitter")
    kept = {name: version for name, version in found.items() if name.startswith(wanted)}
    return {"python": platform.python_version(), **dict(sorted(kept.items()))}


if __name__ == "__main__":
    main()
