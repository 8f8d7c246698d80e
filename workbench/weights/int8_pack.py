"""Write a sentence-transformers folder out of an int8 pack (``.hmsemb``) of a BERT-like encoder.

The pack is eight bytes ``HMSEMB01``, the header's length (little-endian, 8 bytes), the header
(JSON), the text of ``tokenizer.json``, then the tensors in the header's order, without gaps. A
tensor is float32, or int8 rows followed by a float32 scale for each run of ``group`` numbers in a
row; a number is its int8 times its scale. ``qkv`` holds the rows of query, key and value in this
order.

What is written depends on the pack's bytes alone, so that the files can be pinned by sha256.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WrongHash

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[np.float32]]

_MAGIC = b"HMSEMB01"
_PREFIX = 16
_EMBEDDINGS = {
    "word_emb": "word_embeddings.weight",
    "pos_emb": "position_embeddings.weight",
    "type_emb": "token_type_embeddings.weight",
    "emb_ln.w": "LayerNorm.weight",
    "emb_ln.b": "LayerNorm.bias",
}
_LAYER = {
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "f1": "intermediate.dense",
    "f2": "output.dense",
    "fln": "output.LayerNorm",
}
_SPECIAL = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "mask_token": "<mask>",
    "pad_token": "<pad>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
}


@dataclass(frozen=True, slots=True)
class _Pack:
    """A pack as read: what its header says of the model, its tokenizer, and its tensors."""

    meta: dict[str, Any]
    shape: dict[str, Any]
    tokenizer: bytes
    tensors: Tensors


def files_of(path: Path) -> dict[str, bytes]:
    """Return the files of the folder, by their path in it.

    Raises:
        WrongHash: it is no such pack, or a broken one.
    """
    try:
        pack = _read(path.read_bytes())
        return {
            "model.safetensors": _safetensors(_roberta(pack.tensors, pack.shape["layers"])),
            "tokenizer.json": pack.tokenizer,
            **{name: _json(content) for name, content in _configs(pack).items()},
        }
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise WrongHash(f"{path.name} is no int8 pack that can be read.") from error


def _read(data: bytes) -> _Pack:
    if data[: len(_MAGIC)] != _MAGIC:
        raise ValueError("it starts with other bytes")
    end = _PREFIX + int.from_bytes(data[len(_MAGIC) : _PREFIX], "little")
    header = json.loads(data[_PREFIX:end])
    start = end + header["tokenizer_len"]
    tokenizer = data[end:start]
    tensors = {}
    for one in header["tensors"]:
        tensors[one["name"]] = _tensor(one, data[start : start + one["len"]])
        start += one["len"]
    if start != len(data):
        raise ValueError("it is longer or shorter than its header says")
    return _Pack(header["meta"], header["arch"], tokenizer, tensors)


def _tensor(described: dict[str, Any], data: bytes) -> NDArray[np.float32]:
    shape = described["shape"]
    if described["dtype"] == "f32":
        return np.frombuffer(data, dtype="<f4").reshape(shape)
    rows, columns = shape
    numbers = np.frombuffer(data, dtype=np.int8, count=rows * columns)
    scales = np.frombuffer(data, dtype="<f4", offset=rows * columns)
    grouped = numbers.reshape(rows, -1, described["group"]) * scales.reshape(rows, -1, 1)
    whole: NDArray[np.float32] = grouped.astype(np.float32, copy=False).reshape(shape)
    return whole


def _roberta(pack: Tensors, layers: int) -> Tensors:
    """Give the tensors the names that transformers' ``RobertaModel`` loads them by."""
    named = {f"embeddings.{name}": pack[short] for short, name in _EMBEDDINGS.items()}
    for layer in range(layers):
        old, new = f"l{layer}", f"encoder.layer.{layer}"
        for letter, kind in (("w", "weight"), ("b", "bias")):
            thirds = np.split(pack[f"{old}.qkv.{letter}"], 3)
            for part, third in zip(("query", "key", "value"), thirds, strict=True):
                named[f"{new}.attention.self.{part}.{kind}"] = third
            for short, name in _LAYER.items():
                named[f"{new}.{name}.{kind}"] = pack[f"{old}.{short}.{letter}"]
    return named


def _safetensors(tensors: Tensors) -> bytes:
    """Write the safetensors format here: the library's own layout may change with its version."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blobs: list[bytes] = []
    start = 0
    for name, tensor in sorted(tensors.items()):
        blob = np.ascontiguousarray(tensor, dtype="<f4").tobytes()
        offsets = [start, start + len(blob)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        blobs.append(blob)
        start += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, *blobs))


def _configs(pack: _Pack) -> dict[str, Any]:
    """Describe the model to transformers and sentence-transformers, from the pack's header."""
    shape, longest = pack.shape, pack.meta["max_length"]
    tokenizer = json.loads(pack.tokenizer)
    ids = {one["content"]: one["id"] for one in tokenizer["added_tokens"]}
    modules = ["Transformer", "Pooling", *(["Normalize"] if pack.meta["normalize"] else [])]
    return {
        "config.json": {
            "architectures": ["RobertaModel"],
            "model_type": "roberta",
            "hidden_act": "gelu",
            "hidden_size": shape["hidden"],
            "intermediate_size": shape["intermediate"],
            "layer_norm_eps": shape["layer_norm_eps"],
            "max_position_embeddings": shape["max_positions"],
            "num_attention_heads": shape["heads"],
            "num_hidden_layers": shape["layers"],
            "type_vocab_size": shape["type_vocab"],
            "vocab_size": shape["vocab"],
            "bos_token_id": ids["<s>"],
            "eos_token_id": ids["</s>"],
            "pad_token_id": ids["<pad>"],
        },
        "tokenizer_config.json": {
            "tokenizer_class": "RobertaTokenizerFast",
            "model_max_length": longest,
            **_SPECIAL,
        },
        "special_tokens_map.json": _SPECIAL,
        "modules.json": [
            {
                "idx": number,
                "name": str(number),
                "path": "" if number == 0 else f"{number}_{name}",
                "type": f"sentence_transformers.models.{name}",
            }
            for number, name in enumerate(modules)
        ],
        "sentence_bert_config.json": {"max_seq_length": longest, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": {
                "query": pack.meta["query_prefix"],
                "document": pack.meta["passage_prefix"],
            }
        },
        "1_Pooling/config.json": {
            "word_embedding_dimension": shape["hidden"],
            "pooling_mode_cls_token": pack.meta["pooling"] == "cls",
            "pooling_mode_mean_tokens": pack.meta["pooling"] == "mean",
        },
    }


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
