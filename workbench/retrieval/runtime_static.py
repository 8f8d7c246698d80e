"""Encode by looking up token vectors: no layers, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from model2vec import StaticModel
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from workbench.errors import MissingModel
from workbench.retrieval.unit import unit_rows

if TYPE_CHECKING:
    from workbench.retrieval.embedders import Encode
    from workbench.types import TextKind, Vectors


def open_model(folder: Path, *, packaged: bool = True) -> Encode:
    """Load a table of token vectors and return the function that encodes.

    ``packaged`` is WordLlama's folder, any other that of a model2vec model.

    Raises:
        MissingModel: a file is missing or damaged.
    """
    try:
        model = _wordllama(folder) if packaged else _model2vec(folder)
    except Exception as error:  # the libraries raise their own kinds, without a shared root
        mend = f"Fetch it again: workbench models pull {folder.name}"
        raise MissingModel(
            f"The model in {folder.name} cannot be loaded: {str(error).splitlines()[0]}",
            mend if packaged else "It must be a folder that model2vec wrote.",
        ) from error

    def encode(texts: Sequence[str], kind: TextKind) -> Vectors:
        return unit_rows(model.encode(list(texts), use_multiprocessing=False))

    return encode


def _wordllama(folder: Path) -> StaticModel:
    table = load_file(folder / "l2_supercat_256.safetensors")["embedding.weight"]
    tokenizer = Tokenizer.from_file(str(folder / "l2_supercat_tokenizer_config.json"))
    # Kept in float16 on disk; the mean of float16 numbers is slower and less exact.
    return StaticModel(table.astype(np.float32), tokenizer, max_length=None)


def _model2vec(folder: Path) -> StaticModel:
    return StaticModel.from_pretrained(folder, quantize_to="float32", force_download=False)
