"""What every embedder promises, and what each of the packaged ones computes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from workbench.errors import BadInput, MissingExtra, MissingModel, UnknownName
from workbench.registry import Registry
from workbench.retrieval import EMBEDDERS, canonical_name, embedders, load_embedder
from workbench.retrieval.embedders import LazyEmbedder
from workbench.retrieval.embedding_cache import EmbeddingCache
from workbench.retrieval.runtime_torch import batches
from workbench.retrieval.unit import unit_rows
from workbench.types import Embedder, TextKind
from workbench.weights import is_here, locate
from workbench.weights.catalogue import CATALOGUE

TEXTS = [
    "def reverse(items):\n    return items[::-1]",
    "x",
    "class Server:\n    def listen(self):\n        self.socket.bind((host, port))\n" * 3,
    "größe = '排序' # naïve 🙂",
]
REVERSE_LIST = "def reversed_list(items):\n    return items[::-1]"
SOCKET = "def accept(server):\n    connection, address = server.socket.accept()"


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what other tests loaded: it may lie in another home."""
    monkeypatch.setattr(embedders, "_loaded", {})
    monkeypatch.setattr(embedders, "_registered", {})


# --- without weights --------------------------------------------------------------------


def test_unit_rows_have_unit_length_and_keep_their_direction() -> None:
    rows = np.array([[3, 4], [0, 0], [-2, 0]], dtype=np.float32)
    assert unit_rows(rows).dtype == np.float32
    np.testing.assert_allclose(
        unit_rows(rows), [[0.6, 0.8], [0.5**0.5, 0.5**0.5], [-1, 0]], rtol=1e-6
    )


def test_a_wrong_name_gets_the_nearest_right_one() -> None:
    for wrong, right in [
        ("minilmm", "minilm"),
        ("static/wordlama", "static/wordllama"),
        ("granite", "granite-30m"),
        ("onyx/some/model", "onnx"),
    ]:
        with pytest.raises(UnknownName, match=f"Did you mean.*{right}"):
            load_embedder(wrong)
    with pytest.raises(UnknownName):
        load_embedder("minilm/other")


def test_an_embedder_is_one_object_whatever_its_name() -> None:
    assert load_embedder("static") is load_embedder("static/wordllama")
    assert load_embedder("static") is not load_embedder("minilm")


def test_fingerprints_differ_and_are_known_without_weights_or_torch() -> None:
    code = textwrap.dedent("""
        import sys
        from workbench.retrieval import load_embedder
        prints = {load_embedder(name).fingerprint for name in ("static", "minilm", "gte-small")}
        heavy = ("torch", "onnxruntime", "model2vec", "tokenizers")
        print(len(prints), *(name for name in heavy if name in sys.modules))
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "3", done.stderr


@pytest.mark.parametrize("has", [True, False])
def test_bfloat16_is_chosen_where_the_processor_has_it(
    has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedders, "multiplies_bfloat16", lambda: has)
    assert ("bfloat16" if has else "float32") in load_embedder("minilm").fingerprint


def test_weights_that_are_not_here_are_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORKBENCH_OFFLINE", "1")
    for name, weights in [("static", "wordllama"), ("gte-small", "gte-small")]:
        with pytest.raises(MissingModel, match=f"workbench models pull {weights}") as caught:
            load_embedder(name).encode(["x"], "query")
        assert "\n" not in str(caught.value)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    runtimes = Registry("embedding runtime")
    runtimes.add("static", "no_such_package.module:open_model", "", extra="retrieval")
    monkeypatch.setattr(embedders, "RUNTIMES", runtimes)
    with pytest.raises(MissingExtra, match=r"code-workbench\[retrieval\]"):
        load_embedder("static").encode(["x"], "document")


@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_hub_model_out_of_reach_is_one_clear_line(
    offline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_OFFLINE", offline)
    with pytest.raises(MissingModel, match=r"nobody/nothing-at-all.*hub") as caught:
        load_embedder("sentence-transformers/nobody/nothing-at-all")
    assert "\n" not in str(caught.value)


def test_sentence_transformers_needs_a_model(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="sentence-transformers/ID_OR_FOLDER"):
        load_embedder("sentence-transformers")
    with pytest.raises(MissingModel, match="holds no model"):
        load_embedder(f"sentence-transformers/{tmp_path}")


def test_threads_load_a_model_once_and_use_it_one_at_a_time() -> None:
    opened, inside = [], threading.Lock()

    def open_model() -> embedders.Encode:
        opened.append(1)
        time.sleep(0.05)

        def encode(texts: Sequence[str], kind: TextKind) -> np.ndarray:
            assert inside.acquire(blocking=False), "two threads encode at once"
            time.sleep(0.01)
            inside.release()
            return np.ones((len(texts), 1), dtype=np.float32)

        return encode

    embedder = LazyEmbedder("f", open_model)
    with ThreadPoolExecutor(4) as pool:
        shapes = list(pool.map(lambda n: embedder.encode(["x"] * n, "query").shape, range(8)))
    assert shapes == [(n, 1) for n in range(8)]
    assert len(opened) == 1


def test_batches_hold_every_text_once_and_stay_below_their_budget() -> None:
    lengths = [3, 900, 0, 10_000, 40, 900, 41, 7] * 20
    found = list(batches(lengths, 256, 1024))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    assert [lengths[i] for batch in found for i in batch] == sorted(lengths, reverse=True)
    for batch in found:
        assert len(batch) * min(256, max(lengths[i] for i in batch) // 3 + 2) <= 1024
    assert list(batches([10**9], 10**8, 1024)) == [[0]]


# --- folders ----------------------------------------------------------------------------


def test_an_edited_folder_is_another_embedder_in_the_same_process(tmp_path: Path) -> None:
    folder = a_static_folder(tmp_path / "m")
    name = f"static/{folder}"
    before = load_embedder(name)
    assert load_embedder(name) is before
    vectors = before.encode(["reverse list"], "query")
    weights, status = folder / "model.safetensors", (folder / "model.safetensors").stat()
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    with weights.open("r+b") as file:  # in place: same inode, same size
        file.write(data)
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))  # and the same time
    after = load_embedder(name)
    assert after.fingerprint != before.fingerprint
    # The one loaded before keeps the weights that its fingerprint stands for.
    np.testing.assert_array_equal(before.encode(["reverse list"], "query"), vectors)


def test_a_folder_that_changes_before_it_is_loaded_is_not_loaded(tmp_path: Path) -> None:
    folder = a_static_folder(tmp_path / "m")
    embedder = load_embedder(f"static/{folder}")
    config = folder / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(MissingModel, match="changed while"):
        embedder.encode(["x"], "query")
    assert load_embedder(f"static/{folder}").encode(["x"], "query").shape == (1, 9)


def test_a_folder_has_one_name_from_wherever_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_static_folder(tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    assert canonical_name("static/./m") == canonical_name(f"static/{folder}") == f"static/{folder}"


def test_notes_and_hidden_files_do_not_make_another_embedder(tmp_path: Path) -> None:
    folder = a_static_folder(tmp_path / "m")
    before = load_embedder(f"static/{folder}").fingerprint
    (folder / "README.md").write_text("changed")
    (folder / ".lock").write_text("1")
    assert load_embedder(f"static/{folder}").fingerprint == before


def test_an_unknown_tuned_embedder_gets_the_nearest(home: Path) -> None:
    (home / "embedders" / "stdlib-minilm").mkdir(parents=True)
    with pytest.raises(UnknownName, match="Did you mean stdlib-minilm"):
        load_embedder("tuned/stdlib-minil")
    for wrong in ("..", "../embedders", "a/b"):
        with pytest.raises(UnknownName):
            load_embedder(f"tuned/{wrong}")
    with pytest.raises(BadInput, match="tuned/NAME"):
        load_embedder("tuned")


@pytest.mark.parametrize("runtime", ["static", "onnx"])
def test_a_folder_of_nonsense_is_one_clear_line(runtime: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(MissingModel) as caught:
        load_embedder(f"{runtime}/{tmp_path}").encode(["x"], "query")
    assert "\n" not in str(caught.value)


def a_tiny_bert(folder: Path, **own: object) -> Path:
    """Write a sentence-transformers folder of a tiny, untrained BERT, with files as ``own``."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    raw = folder / "raw"
    raw.mkdir(parents=True)
    letters = [chr(c) for c in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    (raw / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(raw / "vocab.txt")).save_pretrained(raw)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(raw)
    transformer = Transformer(str(raw), max_seq_length=48)
    pooling = Pooling(16, pooling_mode="cls")
    model = SentenceTransformer(modules=[transformer, pooling], device="cpu", **own)
    model.save(str(folder / "st"))
    return folder / "st"


def test_prompts_are_the_models_own_unless_others_are_given(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    prompts = {"query": "query: ", "passage": "passage: "}
    folder = a_tiny_bert(tmp_path, prompts=prompts)
    embedder = load_embedder(f"sentence-transformers/{folder}")
    plain = SentenceTransformer(str(folder), device="cpu")
    for kind, prompt in (("query", "query: "), ("document", "passage: ")):
        expected = plain.encode(["a b"], prompt=prompt, normalize_embeddings=True)
        np.testing.assert_allclose(embedder.encode(["a b"], kind), expected, atol=1e-6)
    given = embedders.sentence_transformers(str(folder), prompts={"query": "ask: "})
    expected = plain.encode(["a b"], prompt="ask: ", normalize_embeddings=True)
    np.testing.assert_allclose(given.encode(["a b"], "query"), expected, atol=1e-6)
    assert given.fingerprint != embedder.fingerprint and "ask: " in given.fingerprint


def test_the_number_type_is_part_of_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_tiny_bert(tmp_path)
    prints = {load_embedder(f"sentence-transformers/{folder}").fingerprint}
    for dtype in ("bfloat16", "float16"):
        monkeypatch.setattr(embedders, "_loaded", {})
        monkeypatch.setenv("WORKBENCH_DTYPE", dtype)
        prints.add(load_embedder(f"sentence-transformers/{folder}").fingerprint)
        assert dtype in load_embedder("minilm").fingerprint
    assert len(prints) == 3
    monkeypatch.setattr(embedders, "_loaded", {})
    monkeypatch.setenv("WORKBENCH_DTYPE", "int3")
    with pytest.raises(BadInput, match="WORKBENCH_DTYPE is int3"):
        load_embedder("minilm")


@pytest.mark.parametrize("mode", ["cls", "mean"])
@pytest.mark.parametrize("new", [True, False])
def test_an_onnx_recipe_is_that_of_the_models_own_files(
    mode: str, new: bool, tmp_path: Path
) -> None:
    from workbench.retrieval import runtime_onnx

    folder = a_tiny_bert(tmp_path, prompts={"query": "query: ", "passage": "passage: "})
    config = {"pooling_mode": mode} if new else {f"pooling_mode_{mode}_token": True}
    if not new and mode == "mean":
        config = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    recipe = runtime_onnx._recipe(folder, None, {})
    assert recipe.pooling == mode
    assert recipe.longest == 48
    assert recipe.prompts == {"query": "query: ", "document": "passage: "}
    assert runtime_onnx._recipe(folder, 9, {"query": "x"}).longest == 9
    assert runtime_onnx._recipe(folder, 9, {"query": "x"}).prompts["query"] == "x"
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(BadInput, match="sentence-transformers/"):
        runtime_onnx._recipe(folder, None, {})


# --- the menu ---------------------------------------------------------------------------


def test_the_menu_says_what_each_lacks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("COHERE_API_KEY", "k")
    (home / "embedders" / "mine").mkdir(parents=True)
    rows = {row.name: row for row in embedders.available()}
    assert not rows["minilm"].here and rows["minilm"].needs == "workbench models pull minilm"
    assert rows["openai/MODEL"].form and rows["openai/MODEL"].needs == "set OPENAI_API_KEY"
    assert rows["cohere/MODEL"].here and not rows["cohere/MODEL"].needs
    assert rows["tuned/mine"].here and not rows["tuned/mine"].form
    assert rows["sentence-transformers/ID_OR_FOLDER"].form
    assert "sentence-transformers" not in rows and "openai" not in rows
    assert {name.partition("/")[0] for name in rows} == {entry.name for entry in EMBEDDERS}


# --- the cache --------------------------------------------------------------------------


def test_the_cache_embeds_each_text_once_in_batches_of_like_length(home: Path) -> None:
    asked: list[list[str]] = []

    def encode(texts: Sequence[str], kind: TextKind) -> np.ndarray:
        asked.append(list(texts))
        return unit_rows(np.array([[len(text), 1] for text in texts], dtype=np.float32))

    cache = EmbeddingCache(LazyEmbedder("f", lambda: encode))
    texts = ["x" * (i % 900) + f"{i}" for i in range(1000)] + ["\ud800"]
    assert cache.fill([*texts, *texts]) == len(texts)
    assert sorted(text for batch in asked for text in batch) == sorted(
        text.replace("\ud800", "?") for text in texts
    )
    assert len(asked[0]) == len(asked[1]) == 128
    assert min(map(len, asked[0])) >= max(len(text) for batch in asked[1:] for text in batch)
    assert cache.fill(texts) == 0
    np.testing.assert_array_equal(cache.vectors(texts)[:5], encode(texts[:5], "document"))


# --- the contract, with weights ---------------------------------------------------------


def names() -> list[str]:
    """Return one name to test each entry of the menu by; hosted ones: ``test_langchain.py``."""
    found = []
    for entry in EMBEDDERS:
        if entry.extra == "hosted":
            continue
        if not entry.takes or entry.needs in CATALOGUE:
            found.append(entry.name)
        if entry.takes:
            found.append(f"{entry.name}/{entry.takes}")
    return found


def need(weights: str) -> Path:
    """Return the folder of a model; skip where it is one that ``make install`` does not bring."""
    if not is_here(weights) and weights != "minilm":
        pytest.skip(f"{weights} is not here; run: workbench models pull {weights}")
    return locate(weights, download=False)


def a_static_folder(path: Path) -> Path:
    """Write a model2vec model with a vector for each of a few words."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[UNK]", "[PAD]", "reverse", "reversed", "list", "items", "server", "socket", "return"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    vectors = np.eye(len(words), dtype=np.float32)
    vectors[5] = vectors[4]  # items are a list
    StaticModel(vectors, tokenizer).save_pretrained(path)
    return path


@pytest.fixture
def embedder(request: pytest.FixtureRequest, models_home: Path, tmp_path: Path) -> Embedder:
    """Load an embedder of the menu; those that take a model get one that lies here."""
    name, _, form = request.param.partition("/")
    if name == "tuned":
        shutil.copytree(need("minilm"), models_home / "embedders" / "mine")
        return load_embedder("tuned/mine")
    if not form:
        need(EMBEDDERS.entry(name).needs)
        return load_embedder(name)
    folder = {
        "static": lambda: a_static_folder(tmp_path / "static"),
        "onnx": lambda: need("gte-small"),
        "sentence-transformers": lambda: need("minilm"),
    }[name]()
    return load_embedder(f"{name}/{folder}")


every_embedder = pytest.mark.parametrize("embedder", names(), indirect=True)


@pytest.mark.models
@every_embedder
def test_the_contract_of_an_embedder(embedder: Embedder) -> None:
    fingerprint = embedder.fingerprint
    vectors = embedder.encode(TEXTS, "document")
    assert vectors.dtype == np.float32
    assert vectors.ndim == 2
    assert len(vectors) == len(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert embedder.fingerprint == fingerprint

    # Neither order nor neighbours in a batch decide a vector (bfloat16 rounds to 1/256).
    alone = np.concatenate([embedder.encode([text], "document") for text in TEXTS])
    assert ((alone * vectors).sum(axis=1) > 0.999).all()
    turned = embedder.encode(TEXTS[::-1], "document")[::-1]
    assert ((turned * vectors).sum(axis=1) > 0.999).all()

    assert embedder.encode([], "query").shape == (0, vectors.shape[1])
    odd = embedder.encode(["", "\ud800", "word " * 20_000], "query")
    np.testing.assert_allclose(np.linalg.norm(odd, axis=1), 1, atol=1e-5)

    query = embedder.encode(["reverse a list"], "query")[0]
    near, far = embedder.encode([REVERSE_LIST, SOCKET], "document") @ query
    assert near > far + 0.02


@pytest.mark.models
def test_gte_small_agrees_with_transformers_tokens_and_sentence_transformers_pooling(
    models_home: Path,
) -> None:
    import onnxruntime
    import torch
    from sentence_transformers.models import Normalize, Pooling
    from transformers import AutoTokenizer

    folder = need("gte-small")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    session = onnxruntime.InferenceSession(str(folder / "onnx" / "model.onnx"))
    texts = [*TEXTS, "token " * 600]
    batch = tokenizer(texts, padding=True, truncation=True, max_length=512, return_tensors="np")
    hidden = session.run(None, {key: value.astype(np.int64) for key, value in batch.items()})[0]
    features = {
        "token_embeddings": torch.from_numpy(hidden),
        "attention_mask": torch.from_numpy(batch["attention_mask"]),
    }
    expected = Normalize()(Pooling(384, pooling_mode="mean")(features))["sentence_embedding"]
    found = load_embedder("gte-small").encode(texts, "document")
    assert ((found * expected.numpy()).sum(axis=1) >= 0.999).all()


@pytest.mark.models
def test_an_onnx_folder_is_read_as_the_packaged_one_is(models_home: Path) -> None:
    found = load_embedder(f"onnx/{need('gte-small')}").encode(TEXTS, "document")
    np.testing.assert_allclose(found, load_embedder("gte-small").encode(TEXTS, "document"))


@pytest.mark.models
@pytest.mark.parametrize("kind", ["document", "query"])
def test_batches_by_tokens_change_no_vector(kind: TextKind, models_home: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = need("minilm")
    model = SentenceTransformer(str(folder), device="cpu")
    texts = [f"{text} {i}" * (1 + i % 7) for i, text in enumerate(TEXTS * 5)] + ["", "w " * 5000]
    method = model.encode_query if kind == "query" else model.encode_document
    expected = method(texts, batch_size=32, normalize_embeddings=True)
    found = load_embedder(f"sentence-transformers/{folder}").encode(texts, kind)
    assert ((found * expected).sum(axis=1) >= 0.99999).all()


@pytest.mark.models
def test_minilm_agrees_with_sentence_transformers_in_float32(models_home: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(locate("minilm", download=False)), device="cpu")
    expected = model.encode(TEXTS, normalize_embeddings=True)
    found = load_embedder("minilm").encode(TEXTS, "document")
    # bfloat16 has 8 bits of precision; in float32 they agree to 1e-6.
    least = 0.995 if "bfloat16" in load_embedder("minilm").fingerprint else 0.99999
    assert ((found * expected).sum(axis=1) >= least).all()


@pytest.mark.models
def test_static_is_the_mean_of_token_vectors(models_home: Path) -> None:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    folder = locate("wordllama", download=False)
    table = load_file(folder / "l2_supercat_256.safetensors")["embedding.weight"]
    tokenizer = Tokenizer.from_file(str(folder / "l2_supercat_tokenizer_config.json"))
    found = load_embedder("static").encode(TEXTS[:3], "document")
    for text, vector in zip(TEXTS, found, strict=False):
        tokens = tokenizer.encode(text, add_special_tokens=False).ids
        mean = table[tokens].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


@pytest.mark.models
def test_static_needs_no_torch(models_home: Path) -> None:
    code = textwrap.dedent("""
        import sys
        from workbench.retrieval import load_embedder
        shape = load_embedder("static").encode(["sort a list"], "query").shape
        print(shape, *(name for name in ("torch", "transformers") if name in sys.modules))
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "(1, 256)", done.stderr
