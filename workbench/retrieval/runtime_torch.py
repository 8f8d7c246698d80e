"""Encode through PyTorch and sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from workbench.errors import MissingModel
from workbench.progress import quiet_transformers
from workbench.retrieval.hub_models import own_prompt
from workbench.retrieval.unit import unit_rows
from workbench.settings import settings

if TYPE_CHECKING:
    from workbench.retrieval.embedders import Encode
    from workbench.types import TextKind, Vectors

# Tokens that a batch may have, padding counted: many short texts, or few long ones.
_BUDGET = {"cpu": 2_048, "cuda": 131_072, "mps": 16_384}
_MOST_TEXTS = 256
# Code has about three characters a token; a guess is enough to size a batch.
_CHARACTERS_A_TOKEN = 3


def open_model(
    source: Path | str,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    prompts: Mapping[TextKind, str] | None = None,
) -> Encode:
    """Load the model in a folder or of the hub and return the function that encodes.

    Pooling, length, dense layers and prompts are the model's own; ``prompts`` replaces the last.

    Raises:
        MissingModel: there is no such model, or it cannot be loaded.
    """
    now = settings()
    if now.threads:
        torch.set_num_threads(now.threads)
    try:
        with quiet_transformers():
            model = SentenceTransformer(
                str(source),
                revision=revision,
                device=now.device,
                model_kwargs={"dtype": getattr(torch, dtype)},
                local_files_only=now.offline,
                trust_remote_code=False,
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise MissingModel(
            f"{source} cannot be loaded: {str(error).strip().splitlines()[0]}",
            "Check the folder or id, or use a packaged embedder: minilm, gte-small, static",
        ) from error
    longest = model.max_seq_length or 512
    budget = _BUDGET.get(model.device.type, _BUDGET["cpu"])
    given = prompts or {}

    def encode(texts: Sequence[str], kind: TextKind) -> Vectors:
        method = model.encode_query if kind == "query" else model.encode_document
        prompt = given[kind] if kind in given else own_prompt(model.prompts, kind)
        rows: Vectors | None = None
        for batch in batches([len(text) for text in texts], longest, budget):
            found = method(
                [texts[i] for i in batch],
                prompt=prompt,
                batch_size=len(batch),
                show_progress_bar=False,
                convert_to_tensor=True,
            )
            # Unit length in float32: a bfloat16 row is off by up to half a per cent.
            vectors = unit_rows(found.float().cpu().numpy())
            if rows is None:
                rows = np.empty((len(texts), vectors.shape[1]), dtype=np.float32)
            rows[batch] = vectors
        assert rows is not None, "a runtime is given at least one text"
        return rows

    return encode


def batches(lengths: Sequence[int], longest: int, budget: int) -> Iterator[list[int]]:
    """Yield the positions of texts, longest first, in batches of about ``budget`` tokens.

    ``lengths`` count characters; a text is cut at ``longest`` tokens. Texts of like length stand
    together, so that little is padding.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        tokens = min(longest, lengths[order[start]] // _CHARACTERS_A_TOKEN + 2)
        count = min(_MOST_TEXTS, max(1, budget // tokens))
        yield order[start : start + count]
        start += count
