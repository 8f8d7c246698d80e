"""CodeBLEU beside its reference implementation, on programs of the public data sets.

``CODEBLEU_PYTHON`` is the Python of an environment with the package codebleu 0.7.0, installed with
``pip install --no-deps``, and with tree-sitter and grammars of the versions that are here; what
runs there is ``tests/codebleu_peer.py``. ``WORKBENCH_DATA`` is the folder of the data sets.

With the grammars for which that package was published (tree-sitter 0.22.3; python 0.21.0, java
0.21.0, cpp 0.22.0, javascript 0.21.2, go 0.21.0, c-sharp 0.21.1, php 0.22.5) its totals differ from
those with today's in, of 600 pairs each: python 37, java 6, cpp 12, javascript 194, go 341, csharp
28, php 48. Over those old grammars and one tree-sitter our numbers are its numbers, too.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from codebleu_pairs import pairs, programs
from codebleu_table import ask_peer, task

from workbench.languages import LANGUAGES
from workbench.metrics.codebleu import codebleu

PYTHON = os.environ.get("CODEBLEU_PYTHON", "")
DATA = os.environ.get("WORKBENCH_DATA", "")
NAMES = [language.name for language in LANGUAGES]
PAIRS = 600

pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="CODEBLEU_PYTHON names no environment"),
    pytest.mark.skipif(not DATA, reason="WORKBENCH_DATA names no folder"),
    pytest.mark.timeout(1800),
]


def singles(name: str, number: int, seed: int = 0) -> list[dict]:
    made = pairs(programs(Path(DATA), name), name, number, seed)
    return [task(name, [candidate], [[right]]) for candidate, right in made]


def ours(task: dict) -> list[float]:
    score = codebleu(task["candidates"], task["references"], task["language"])
    parts = (score.ngram, score.weighted, score.syntax, score.dataflow, score.total)
    return [part / 100 for part in parts if part is not None]


def test_both_stand_on_the_same_parsers():
    versions = ask_peer(PYTHON, [])["versions"]
    assert versions.pop("codebleu") == "0.7.0"
    assert (
        versions.pop("python").rpartition(".")[0] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    )
    assert len(versions) >= 1 + len(NAMES)
    assert {name: version(name) for name in versions if name != "tree-sitter-c"} == versions


@pytest.mark.parametrize("name", NAMES)
def test_all_parts_and_the_total_agree(name):
    tasks = singles(name, PAIRS)
    scores = ask_peer(PYTHON, tasks, "--ordered")["scores"]
    for one, theirs in zip(tasks, scores, strict=True):
        assert ours(one) == pytest.approx(theirs, abs=1e-9), one


@pytest.mark.parametrize("name", NAMES)
def test_a_corpus_with_several_references_agrees(name):
    made = singles(name, 120, seed=1)
    candidates = [one["candidates"][0] for one in made]
    rights = [one["references"][0][0] for one in made]
    references = [
        [right, other] for right, other in zip(rights, rights[3:] + rights[:3], strict=True)
    ]
    whole = task(name, candidates, references)
    (theirs,) = ask_peer(PYTHON, [whole], "--ordered")["scores"]
    assert ours(whole) == pytest.approx(theirs, abs=1e-9)


def test_without_any_change_only_its_data_flow_follows_the_seed_of_hashes():
    tasks = [one for name in NAMES for one in singles(name, 60, seed=2)]
    runs = [ask_peer(PYTHON, tasks, PYTHONHASHSEED=seed)["scores"] for seed in ("1", "2", "3")]
    for one, *scores in zip(tasks, *runs, strict=True):
        for theirs in scores:
            assert ours(one)[:3] == pytest.approx(theirs[:3], abs=1e-9), one
    differing = sum(
        len({tuple(score) for score in scores}) > 1 for scores in zip(*runs, strict=True)
    )
    print(f"{differing} of {len(tasks)} totals of the reference implementation follow the seed")
    assert differing > 0
