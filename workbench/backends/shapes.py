"""How large a model is inside: read from its files' headers, or taken from models of its size.

Nothing here reads weights, and nothing needs PyTorch or llama.cpp.
"""

from __future__ import annotations

import functools
import json
import math
import re
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

# Chat templates are the longest texts of a header; they take some ten thousand bytes.
_LONGEST_TEXT = 1 << 24


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers that decide what a text model takes of memory.

    ``kv_values`` are the numbers kept for each token that was read: keys and values of all
    layers, 2 x layers x kv_heads x head_dim. ``embeddings`` are the parameters that quantisation
    leaves alone. ``context_length`` is what it was trained for, None where unknown. ``like``
    names the model whose shape was taken as this one's is not known, "" where it is.
    """

    parameters: int
    layers: int
    kv_values: int
    hidden: int
    feed_forward: int
    vocabulary: int
    embeddings: int = 0
    context_length: int | None = None
    like: str = ""


def _published(
    parameters: float, layers: int, kv: int, hidden: int, ff: int, words: int, tied: bool = False
) -> Shape:
    tables = 1 if tied else 2
    return Shape(
        int(parameters), layers, 2 * layers * kv, hidden, ff, words, tables * words * hidden
    )


# From the config.json that each model was published with; the third number is
# num_key_value_heads x head_dim.
_TYPICAL = {
    "SmolLM2-135M": _published(134.5e6, 30, 3 * 64, 576, 1536, 49_152, tied=True),
    "Qwen2.5-Coder-0.5B": _published(494e6, 24, 2 * 64, 896, 4864, 151_936, tied=True),
    "Qwen2.5-Coder-1.5B": _published(1.544e9, 28, 2 * 128, 1536, 8960, 151_936, tied=True),
    "Qwen2.5-Coder-3B": _published(3.086e9, 36, 2 * 128, 2048, 11_008, 151_936, tied=True),
    "Qwen2.5-Coder-7B": _published(7.616e9, 28, 4 * 128, 3584, 18_944, 152_064),
    "Qwen2.5-Coder-14B": _published(14.77e9, 48, 8 * 128, 5120, 13_824, 152_064),
    "Qwen2.5-Coder-32B": _published(32.76e9, 64, 8 * 128, 5120, 27_648, 152_064),
    "Llama-3.1-70B": _published(70.55e9, 80, 8 * 128, 8192, 28_672, 128_256),
    "Llama-3.1-405B": _published(405.9e9, 126, 8 * 128, 16_384, 53_248, 128_256),
}


def typical(parameters: float) -> Shape:
    """Return the shape of the known model whose number of parameters is nearest, by ratio."""
    name = min(_TYPICAL, key=lambda one: abs(math.log(_TYPICAL[one].parameters / parameters)))
    return replace(_TYPICAL[name], parameters=int(parameters), like=name)


def parameters_in(name: str) -> int | None:
    """Read the number of parameters off a model's name: "Qwen2.5-Coder-7B" is 7e9."""
    found = re.findall(r"(?<![\w.])(\d+(?:\.\d+)?)([bBmM])(?![a-zA-Z])", name.replace("_", "-"))
    if not found:
        return None
    number, unit = found[-1]
    return int(float(number) * (1e9 if unit in "bB" else 1e6)) or None


# --- GGUF ------------------------------------------------------------------------------

# The value types of the format's description (ggml/docs/gguf.md), as struct's letters.
_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


def of_gguf(path: Path) -> Shape:
    """Read the header of a GGUF file.

    The package ``gguf`` reads every word of the vocabulary into an array of its own, which takes
    12 s for Qwen's; skipping them takes a tenth of a second.

    Raises:
        ValueError: it is no GGUF file, a damaged one, or one without the numbers.
    """
    stat = path.stat()
    return _of_gguf(str(path.resolve()), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _of_gguf(path: str, size: int, changed: int) -> Shape:
    try:
        with Path(path).open("rb") as file:
            fields, parameters, tables = _header(file)
        return _shape_of_fields(fields, parameters, tables)
    except (struct.error, KeyError, TypeError, OverflowError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} has no readable GGUF header") from error


def _header(file: BinaryIO) -> tuple[dict[str, Any], int, int]:
    """Return the fields, the number of parameters, and how many of them are embeddings."""
    magic, version, tensors, count = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version < 2:
        raise ValueError(f"{file.name} is no GGUF file")
    fields = {}
    for _ in range(count):
        key = _text(file)
        fields[key] = _value(file, *_numbers(file, "I"))
    parameters = embeddings = 0
    for _ in range(tensors):
        name = _text(file)
        dimensions = _numbers(file, f"{_numbers(file, 'I')[0]}Q")
        _numbers(file, "IQ")  # its type, and where it lies
        parameters += math.prod(dimensions)
        if name in ("token_embd.weight", "output.weight"):
            embeddings += math.prod(dimensions)
    return fields, parameters, embeddings


def _numbers(file: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))


def _text(file: BinaryIO) -> str:
    (length,) = _numbers(file, "Q")
    if length > _LONGEST_TEXT:  # garbage would ask for all memory there is
        raise struct.error("no length of a text")
    raw = file.read(length)
    if len(raw) < length:
        raise struct.error("cut off")
    return raw.decode()


def _value(file: BinaryIO, kind: int) -> Any:
    """Read one value; of a list of texts, only how many they are."""
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        return _numbers(file, _SCALARS[kind])[0]
    of, count = _numbers(file, "IQ")
    if of == _STRING:
        for _ in range(count):
            (length,) = _numbers(file, "Q")
            file.seek(length, 1)
        return count
    if of == _ARRAY:
        return [_value(file, _ARRAY) for _ in range(count)]
    return list(_numbers(file, f"{count}{_SCALARS[of]}"))


def _shape_of_fields(fields: Mapping[str, Any], parameters: int, embeddings: int) -> Shape:
    kind = fields["general.architecture"]
    layers = fields[f"{kind}.block_count"]
    hidden = fields[f"{kind}.embedding_length"]
    heads = fields[f"{kind}.attention.head_count"]
    kv_heads = fields.get(f"{kind}.attention.head_count_kv", heads)
    size = hidden // (max(heads) if isinstance(heads, list) else heads)
    key_size = fields.get(f"{kind}.attention.key_length", size)
    value_size = fields.get(f"{kind}.attention.value_length", size)
    # Some models have another number of heads in each layer.
    all_heads = sum(kv_heads) if isinstance(kv_heads, list) else layers * kv_heads
    feed_forward = fields.get(f"{kind}.feed_forward_length", 4 * hidden)
    return Shape(
        parameters=parameters,
        layers=layers,
        kv_values=all_heads * (key_size + value_size),
        hidden=hidden,
        feed_forward=max(feed_forward) if isinstance(feed_forward, list) else feed_forward,
        vocabulary=fields.get(f"{kind}.vocab_size") or fields["tokenizer.ggml.tokens"],
        embeddings=embeddings,
        context_length=fields.get(f"{kind}.context_length"),
    )


# --- a folder as transformers reads it -------------------------------------------------


def of_config(config: Mapping[str, Any], parameters: int) -> Shape:
    """Read config.json of a text model, by the names that transformers has for its numbers.

    Raises:
        ValueError: it does not say them.
    """
    text = config.get("text_config") or config
    try:
        layers, hidden = text["num_hidden_layers"], text["hidden_size"]
        heads, words = text["num_attention_heads"], text["vocab_size"]
    except KeyError as error:
        raise ValueError(f"config.json does not say {error}") from error
    kv_heads = text.get("num_key_value_heads") or heads
    size = text.get("head_dim") or hidden // heads
    tables = 1 if text.get("tie_word_embeddings", config.get("tie_word_embeddings")) else 2
    return Shape(
        parameters=parameters,
        layers=layers,
        kv_values=2 * layers * kv_heads * size,
        hidden=hidden,
        feed_forward=text.get("intermediate_size") or 4 * hidden,
        vocabulary=words,
        embeddings=tables * words * hidden,
        context_length=text.get("max_position_embeddings"),
    )


def safetensors_parameters(path: Path) -> tuple[int, int]:
    """Count the parameters of one safetensors file, and the bytes that they take there.

    Its header is JSON behind eight bytes of length (huggingface.co/docs/safetensors).

    Raises:
        ValueError: it is no safetensors file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if not 2 <= length <= size:
            raise ValueError(f"{path.name} is no safetensors file")
        tensors = json.loads(file.read(length))
    tensors.pop("__metadata__", None)
    shapes = [one["shape"] for one in tensors.values()]
    return sum(math.prod(shape) for shape in shapes), size - length - 8
