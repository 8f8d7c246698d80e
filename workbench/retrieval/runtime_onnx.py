"""Encode through ONNX runtime, with the pooling that the model's own files ask for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from workbench.errors import BadInput, MissingModel
from workbench.retrieval.hub_models import own_prompt
from workbench.retrieval.unit import unit_rows
from workbench.settings import settings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Encoding

    from workbench.retrieval.embedders import Encode
    from workbench.types import TextKind, Vectors

_LONGEST = 512
# 99 texts/s at 8, 89 at 16, 70 at 32 on two cores, and a third of the memory.
_BATCH = 8
_FILES = ("onnx/model.onnx", "model.onnx")
_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_TOKEN_VECTORS = ("last_hidden_state", "token_embeddings")
_POOLED = "sentence_embedding"
_POOLING = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
_WORDS = {word: mode for mode, word in _POOLING.items()}
_NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What turns a text into a vector, besides the network. Pooling is ``mean`` or ``cls``."""

    pooling: str
    longest: int
    padding: int
    prompts: dict[TextKind, str]


def open_model(
    folder: Path,
    *,
    longest: int | None = None,
    prompts: Mapping[TextKind, str] | None = None,
) -> Encode:
    """Load ``onnx/model.onnx`` (or ``model.onnx``) and ``tokenizer.json``; return what encodes.

    ``longest`` and ``prompts`` replace those of the folder's sentence-transformers files.

    Raises:
        MissingModel: a file is missing or damaged.
        BadInput: the model pools, or takes something in, in a way that is not known here.
    """
    path = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if path is None:
        raise MissingModel(
            f"The folder {folder} holds no ONNX model.", f"It must hold {' or '.join(_FILES)}."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings().threads or 0
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        session = onnxruntime.InferenceSession(str(path), options, providers=_providers())
    except Exception as error:  # both libraries raise their own kinds, without a shared root
        raise MissingModel(
            f"The model in {folder.name} cannot be loaded: {str(error).splitlines()[0]}",
            f"Fetch it again: workbench models pull {folder.name}",
        ) from error
    recipe = _recipe(folder, longest, prompts or {})
    inputs = {one.name for one in session.get_inputs()}
    if not inputs <= _INPUTS:
        raise BadInput(
            f"The ONNX model in {folder.name} wants {', '.join(sorted(inputs - _INPUTS))}.",
            f"It may take {', '.join(sorted(_INPUTS))} and nothing else.",
        )
    output = _output(folder, [one.name for one in session.get_outputs()])
    # The file itself may cut and pad at some other length.
    tokenizer.no_padding()
    tokenizer.enable_truncation(recipe.longest)

    def encode(texts: Sequence[str], kind: TextKind) -> Vectors:
        prompt = recipe.prompts[kind]
        tokens = tokenizer.encode_batch([prompt + text for text in texts])
        longest_first = np.argsort([-len(one.ids) for one in tokens], kind="stable")
        pooled: list[Vectors] = []
        for start in range(0, len(tokens), _BATCH):
            ids, mask = _padded(
                [tokens[i] for i in longest_first[start : start + _BATCH]], recipe.padding
            )
            feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            found = session.run([output], {name: feeds[name] for name in inputs})[0]
            pooled.append(found if found.ndim == 2 else _pool(found, mask, recipe.pooling))
        vectors = np.empty((len(tokens), pooled[0].shape[1]), dtype=np.float32)
        vectors[longest_first] = np.concatenate(pooled)
        return unit_rows(vectors)

    return encode


def _providers() -> list[str]:
    """Choose where to run: the processor, unless a GPU build is installed and not ruled out."""
    gpu = "CUDAExecutionProvider"
    wanted = (settings().device or "cuda").startswith("cuda")
    has = wanted and gpu in onnxruntime.get_available_providers()
    return [gpu, "CPUExecutionProvider"] if has else ["CPUExecutionProvider"]


def _output(folder: Path, names: Sequence[str]) -> str:
    for name in (_POOLED, *_TOKEN_VECTORS):
        if name in names:
            return name
    raise BadInput(
        f"The ONNX model in {folder.name} gives {', '.join(names)}.",
        f"It must give one of {', '.join((_POOLED, *_TOKEN_VECTORS))}.",
    )


def _padded(batch: Sequence[Encoding], padding: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the token ids and the mask of a batch, int64[len(batch), its longest]."""
    ids = np.full((len(batch), max(1, *(len(one.ids) for one in batch))), padding, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, one in enumerate(batch):
        ids[row, : len(one.ids)] = one.ids
        mask[row, : len(one.ids)] = 1
    return ids, mask


def _pool(hidden: Vectors, mask: NDArray[np.int64], pooling: str) -> Vectors:
    """Reduce float32[n, tokens, dim] to float32[n, dim], without the padding."""
    if pooling == "cls":
        return np.ascontiguousarray(hidden[:, 0])
    weights = mask[:, :, None].astype(np.float32)
    mean: Vectors = (hidden * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
    return mean


def _recipe(folder: Path, longest: int | None, given: Mapping[TextKind, str]) -> _Recipe:
    """Read the sentence-transformers files that lie in a folder; each may be missing."""
    config = _read(folder / "config.json", {})
    own = _read(folder / "config_sentence_transformers.json", {}).get("prompts") or {}
    limit = longest or _read(folder / "sentence_bert_config.json", {}).get("max_seq_length")
    tokens = _read(folder / "tokenizer_config.json", {}).get("model_max_length") or _NO_LIMIT
    most = min(tokens, config.get("max_position_embeddings") or _NO_LIMIT)
    kinds: tuple[TextKind, ...] = ("query", "document")
    prompts = {
        kind: given[kind] if kind in given else own_prompt(own, kind) or "" for kind in kinds
    }
    return _Recipe(
        _pooling(folder),
        limit or (most if most < _NO_LIMIT else _LONGEST),
        config.get("pad_token_id") or 0,
        prompts,
    )


def _pooling(folder: Path) -> str:
    modules = _read(folder / "modules.json", [])
    kinds = {str(one.get("type", "")).rpartition(".")[2]: one.get("path", "") for one in modules}
    unknown = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    settings_ = _read(folder / (kinds.get("Pooling") or "1_Pooling") / "config.json", {})
    # Since sentence-transformers 6 the mode is one word; before, a switch for each.
    chosen = {mode for mode, on in settings_.items() if mode.startswith("pooling_mode_") and on}
    if isinstance(settings_.get("pooling_mode"), str):
        chosen = {_WORDS.get(settings_["pooling_mode"], settings_["pooling_mode"])}
    if not chosen:
        chosen = {"pooling_mode_mean_tokens"}
    if unknown or not chosen <= set(_POOLING) or len(chosen) > 1:
        raise BadInput(
            f"The model in {folder.name} has {', '.join(sorted(unknown | chosen))}.",
            f"Use it through PyTorch: sentence-transformers/{folder}",
        )
    return _POOLING[chosen.pop()]


def _read(path: Path, otherwise: Any) -> Any:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return otherwise
    except ValueError as error:
        raise MissingModel(f"{path} is no JSON.", "Mend or fetch the folder again.") from error
    return found if isinstance(found, type(otherwise)) else otherwise
