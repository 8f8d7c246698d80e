"""Encode through PyTorch and sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from workbench.errors import MissingModel
from workbench.retrieval.unit import unit_rows
from workbench.settings import settings

if TYPE_CHECKING:
    from workbench.retrieval.embedders import Encode
    from workbench.types import TextKind, Vectors

# Small batches waste least on padding; 16 was fastest of 16, 32 and 64 on two cores.
_BATCH = 16


def open_model(
    source: Path | str, *, revision: str | None = None, dtype: str = "float32"
) -> Encode:
    """Load the model in a folder or of the hub and return the function that encodes.

    Raises:
        MissingModel: there is no such model.
    """
    now = settings()
    if now.threads:
        torch.set_num_threads(now.threads)
    try:
        with _quiet_loading():
            model = SentenceTransformer(
                str(source),
                revision=revision,
                model_kwargs={"dtype": getattr(torch, dtype)},
                local_files_only=now.offline,
                trust_remote_code=False,
            )
    except (OSError, ValueError, KeyError) as error:
        raise MissingModel(
            f"{source} cannot be loaded: {str(error).strip().splitlines()[0]}",
            "Check the folder or id, or use a packaged embedder: minilm, gte-small, static",
        ) from error

    def encode(texts: Sequence[str], kind: TextKind) -> Vectors:
        method = model.encode_query if kind == "query" else model.encode_document
        vectors = method(
            list(texts), batch_size=_BATCH, show_progress_bar=False, convert_to_tensor=True
        )
        # Unit length in float32: a bfloat16 row is off by up to half a per cent.
        return unit_rows(vectors.float().cpu().numpy())

    return encode


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Keep transformers' bar of a model that loads within a second off the terminal."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
