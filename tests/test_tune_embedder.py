"""Tuning an embedder: it learns, it is repeatable, and no kill leaves half a model."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.cancel import cancelled_by
from workbench.corpus.mining import MinedPair
from workbench.errors import BadInput, InUse, UnknownName, WorkbenchError
from workbench.locks import exclusive
from workbench.progress import heard_by
from workbench.training import embedder
from workbench.training.embedder import RECORD, Recipe, base_folder, tune
from workbench.training.examples import in_web_style, make_examples
from workbench.training.recipe import default_recipe

WORDS = [f"{a}{b}" for a in ("ba", "de", "fi", "go") for b in ("la", "me", "ni")]
RECIPE = Recipe(epochs=2, batch=8, learning_rate=1e-2, web_style=0, max_tokens=32, weight=1)


def pair(number: int, rng: random.Random, **changes: object) -> MinedPair:
    """Return a query of three words, and a function that holds the next three."""
    picked = rng.sample(range(len(WORDS) - 1), 3)
    says, does = (" ".join(WORDS[i + step] for i in picked) for step in (0, 1))
    text = f"def f ( {does} ) return {does}"
    one = MinedPair(
        id=f"id{number}", query=says, path="a.py", start_line=1, end_line=1, symbol="f",
        language="python", split="train", twins=(), text=text, documented=f"{says} {text}",
    )  # fmt: skip
    return replace(one, **changes)  # type: ignore[arg-type]


PAIRS = [pair(number, random.Random(number)) for number in range(96)]


@pytest.fixture(autouse=True)
def one_thread(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train on one thread: with more, a busy machine makes them wait for each other."""
    monkeypatch.setenv("WORKBENCH_THREADS", "1")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a random model of two small layers, as sentence-transformers folders look."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("base")
    bert = folder / "bert"
    bert.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "def", "f", "(", ")", "return"]
    numbers = {word: number for number, word in enumerate([*vocabulary, *WORDS])}
    BertTokenizerFast(vocab=numbers).save_pretrained(bert)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(numbers), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    BertModel(config).save_pretrained(bert)
    words = Transformer(str(bert), max_seq_length=48)
    model = SentenceTransformer(modules=[words, Pooling(32)], device="cpu")
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def found_first(model: Any) -> int:
    """Count the queries whose own function is the nearest."""
    queries = model.encode([one.query for one in PAIRS])
    functions = model.encode([one.text for one in PAIRS])
    nearest = model.similarity(queries, functions).argmax(1)
    return sum(int(found) == number for number, found in enumerate(nearest))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_loss_falls_and_the_folder_loads(base: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    out = tmp_path / "embedders" / "mine"
    tuned = tune(PAIRS, str(base), out, replace(RECIPE, epochs=8), corpus_digest="abc")
    assert tuned.steps == 8 * (96 // 8)
    assert tuned.losses[-1] < 0.8 * tuned.losses[0]
    assert not tuned.unchanged
    model = SentenceTransformer(str(out), device="cpu")
    assert model.max_seq_length == 48, "the base's length, not that of the training"
    before = SentenceTransformer(str(base), device="cpu")
    assert found_first(model) > 2 * found_first(before)
    record = json.loads((out / RECORD).read_text())
    assert record["corpus_digest"] == "abc"
    assert record["pairs"] == len(PAIRS)
    assert record["recipe"]["epochs"] == 8
    assert set(record["versions"]) == {"sentence-transformers", "transformers", "torch"}
    assert record["seconds"] > 0


def test_the_same_call_does_nothing_and_another_seed_something_else(
    base: Path, tmp_path: Path
) -> None:
    first = tune(PAIRS, str(base), tmp_path / "a", RECIPE)
    again = tune(PAIRS, str(base), tmp_path / "a", RECIPE)
    assert again.unchanged
    assert again == replace(first, unchanged=True)
    tune(PAIRS, str(base), tmp_path / "b", RECIPE)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    before = weights(tmp_path / "a")
    other = tune(PAIRS, str(base), tmp_path / "a", replace(RECIPE, seed=1))
    assert not other.unchanged
    assert weights(tmp_path / "a") != before
    assert names(tmp_path) <= {"a", "b", ".a.work", ".b.work"}
    assert names(tmp_path / ".a.work") <= {"writer.lock"}


def test_averaged_weights_lie_between_base_and_tuned(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from workbench.training.trainer import save_average

    for weight in (1.0, 0.25):
        tune(
            PAIRS,
            str(base),
            tmp_path / str(weight),
            replace(RECIPE, weight=weight, hard_negatives=1),
        )
    of = {
        name: load_file(folder / "model.safetensors")
        for name, folder in (
            ("base", base), ("tuned", tmp_path / "1.0"), ("mixed", tmp_path / "0.25")
        )
    }  # fmt: skip
    for name, mixed in of["mixed"].items():
        expected = 0.75 * of["base"][name] + 0.25 * of["tuned"][name]
        assert (mixed - expected).abs().max() < 1e-6
        assert mixed.shape == of["base"][name].shape
    save_average(tmp_path / "1.0", base, 0.25, tmp_path / "later")
    assert weights(tmp_path / "later") == weights(tmp_path / "0.25")


CHILD = """
import os, pickle, signal, sys
from pathlib import Path
from workbench.training import trainer
from workbench.training.embedder import tune
pairs, recipe = pickle.loads(Path(sys.argv[1]).read_bytes())
step = trainer._Watch.on_step_end
def dies_at_step_14(self, args, state, control, **rest):
    step(self, args, state, control, **rest)
    if state.global_step == 14:
        os.kill(os.getpid(), signal.SIGKILL)
trainer._Watch.on_step_end = dies_at_step_14
tune(pairs, sys.argv[2], Path(sys.argv[3]), recipe)
"""


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(base: Path, tmp_path: Path) -> None:
    out, args = tmp_path / "a", tmp_path / "args"
    args.write_bytes(pickle.dumps((PAIRS, RECIPE)))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(args), str(base), str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-500:]
    assert not out.exists()
    # The kill might have come while the last checkpoint was written: its mark is then not there.
    marks = sorted((tmp_path / ".a.work" / "checkpoints").glob("checkpoint-*/whole"))
    assert [mark.parent.name for mark in marks] == ["checkpoint-12", "checkpoint-9"]
    marks[0].unlink()
    (marks[0].parent / "model.safetensors").write_bytes(b"half")
    heard: list[float] = []
    with heard_by(lambda n, total, desc, unit: heard.append(n) if desc == "Tuning" else None):
        resumed = tune(PAIRS, str(base), out, RECIPE)
    assert min(n for n in heard if n) >= 9
    # There is dropout in the model, so the state of the random numbers matters.
    straight = tune(PAIRS, str(base), tmp_path / "b", RECIPE)
    assert resumed.steps == straight.steps == 24
    assert weights(out) == weights(tmp_path / "b")
    assert resumed.losses == straight.losses


def test_a_cancelled_run_says_so_in_one_line_and_goes_on(base: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def listen(done: float, total: float | None, desc: str, unit: str) -> None:
        if desc == "Tuning" and done >= 1:
            stop.set()

    recipe = replace(RECIPE, epochs=6)
    with (
        cancelled_by(stop),
        heard_by(listen),
        pytest.raises(WorkbenchError, match=r"stopped after \d+ of 72 steps") as caught,
    ):
        tune(PAIRS, str(base), tmp_path / "a", recipe)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a").exists()
    assert tune(PAIRS, str(base), tmp_path / "a", recipe).steps == 72


def test_progress_counts_every_step(base: Path, tmp_path: Path) -> None:
    heard: list[tuple[float, float | None]] = []
    with heard_by(lambda n, total, desc, unit: heard.append((n, total))):
        tune(PAIRS, str(base), tmp_path / "a", RECIPE)
    assert heard[-1] == (24, 24)


@pytest.mark.parametrize("state", ["between", "after"])
def test_a_swap_that_was_killed_is_finished(base: Path, tmp_path: Path, state: str) -> None:
    out, old = tmp_path / "a", tmp_path / ".a.old"
    tune(PAIRS, str(base), out, RECIPE)
    before = weights(out)
    if state == "between":
        out.rename(old)
    else:
        old.mkdir()
        (old / "left").write_text("over")
    assert tune(PAIRS, str(base), out, RECIPE).unchanged
    assert weights(out) == before
    assert not old.exists()


def test_a_failed_save_leaves_the_embedder_that_was_there(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a"
    tune(PAIRS, str(base), out, RECIPE)
    before = weights(out)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(embedder, "write_durably", full)
        tune(PAIRS, str(base), out, replace(RECIPE, seed=3))
    assert weights(out) == before
    assert not tune(PAIRS, str(base), out, replace(RECIPE, seed=3)).unchanged


def test_a_damaged_record_is_trained_anew(base: Path, tmp_path: Path) -> None:
    tune(PAIRS, str(base), tmp_path / "a", RECIPE)
    (tmp_path / "a" / RECORD).write_text("{")
    assert not tune(PAIRS, str(base), tmp_path / "a", RECIPE).unchanged


def test_another_base_under_the_same_path_is_noticed(base: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(base, copy)
    tune(PAIRS, str(copy), tmp_path / "a", RECIPE)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    assert not tune(PAIRS, str(copy), tmp_path / "a", RECIPE).unchanged


def test_a_second_writer_is_told_who_the_first_is(base: Path, tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / ".a.work", "test"),
        pytest.raises(InUse, match=f"process {os.getpid()}"),
    ):
        tune(PAIRS, str(base), tmp_path / "a", RECIPE)


@pytest.mark.parametrize("base_name", ["gte-small", "smollm2-135m", "nothing-here", "/dev/null"])
def test_what_cannot_be_tuned_is_refused_with_what_can(base_name: str) -> None:
    with pytest.raises(BadInput, match="Tune static, minilm, mpnet") as caught:
        base_folder(base_name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    [
        {"epochs": 0}, {"batch": 1}, {"learning_rate": 0.0}, {"learning_rate": float("nan")},
        {"web_style": 1.5}, {"documented": -0.1}, {"weight": 0.0}, {"hard_negatives": -1},
        {"warmup": 1.0}, {"max_tokens": 1}, {"scale": 0.0},
    ],
    ids=str,
)  # fmt: skip
def test_a_recipe_out_of_range_is_refused_by_name(setting: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=next(iter(setting))):
        Recipe(**setting)  # type: ignore[arg-type]


def test_too_few_pairs_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="too few"):
        tune(PAIRS[:5], str(base), tmp_path / "a", RECIPE)
    assert not (tmp_path / "a").exists()


# --- the rows --------------------------------------------------------------------------

STYLE = {"web_style": 0.0, "documented": 0.0, "hard_negatives": 0, "seed": 0}


def test_a_hard_negative_is_neither_twin_nor_documented_alike() -> None:
    same = {"text": "def f(): merge sorted lists into one list"}
    rng = random.Random(0)
    pairs = [
        pair(0, rng, query="merge sorted lists", twins=("id1",), **same),
        pair(1, rng, query="join sorted lists", twins=("id0",), **same),
        pair(2, rng, query="Merge sorted lists", text="def g(): merge lists sorted"),
        pair(3, rng, query="split sorted lists", text="def h(): split sorted lists"),
    ]
    made = make_examples(pairs, **{**STYLE, "hard_negatives": 1})  # type: ignore[arg-type]
    first = next(one for one in made if one.query == "merge sorted lists")
    assert first.negatives == (pairs[3].text,)
    assert all(one.positive not in one.negatives for one in made)


def test_only_one_of_near_duplicates_is_trained_on() -> None:
    rng = random.Random(0)
    pairs = [pair(0, rng, twins=("id1",)), pair(1, rng, twins=("id0",)), pair(2, rng)]
    assert len(make_examples(pairs, **STYLE)) == 2  # type: ignore[arg-type]


def test_shares_of_style_and_documentation_are_kept() -> None:
    rng = random.Random(0)
    pairs = [pair(i, rng, query="Returns the Number of Lists.") for i in range(400)]
    made = make_examples(pairs, web_style=0.5, documented=0.25, hard_negatives=0, seed=3)
    assert 150 < sum(one.query != "Returns the Number of Lists." for one in made) < 250
    assert 60 < sum("Returns" not in one.positive and one.positive[0] != "d" for one in made) < 140
    assert made == make_examples(pairs, web_style=0.5, documented=0.25, hard_negatives=0, seed=3)


def test_web_style_reads_as_people_type() -> None:
    rng = random.Random(0)
    said = {in_web_style("Returns the number of items in a `list`.", "go", rng) for _ in range(60)}
    assert "how to return number items in list" in said
    assert "go number items in list" in said
    assert all(text == text.lower() and "." not in text and "`" not in text for text in said)
    assert in_web_style("the", "python", rng)


@pytest.mark.models
def test_the_static_base_gives_the_vectors_of_the_static_embedder(models_home: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from workbench.retrieval import load_embedder
    from workbench.training.static_base import static_folder

    texts = ["def add(a, b):\n    return a + b", "how to parse a date", "über 100 µs"]
    ours = load_embedder("static").encode(texts, "document")
    model = SentenceTransformer(str(static_folder()), device="cpu")
    theirs = model.encode(texts, normalize_embeddings=True)
    assert np.allclose(ours, theirs, atol=1e-5)


@pytest.mark.models
def test_the_static_base_learns_and_is_not_trained_twice(models_home: Path, tmp_path: Path) -> None:
    recipe = default_recipe("static", epochs=8, batch=16, web_style=0)
    tuned = tune(PAIRS, "static", tmp_path / "static", recipe)
    assert tuned.losses[-1] < tuned.losses[0]
    assert not tuned.unchanged
    assert tune(PAIRS, "static", tmp_path / "static", recipe).unchanged


def test_an_unknown_setting_of_a_tuning_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="learning_rate"):
        default_recipe("minilm", learning_rat=1e-3)
