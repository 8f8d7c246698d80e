"""WordLlama's table of token vectors as a sentence-transformers folder, so that it can be tuned."""

from __future__ import annotations

import shutil
from pathlib import Path

from workbench.locks import exclusive
from workbench.settings import settings
from workbench.weights import locate
from workbench.weights.catalogue import CATALOGUE

WEIGHTS = "wordllama"
_WAIT_SECONDS = 60.0


def static_folder() -> Path:
    """Return the folder, and write it where it is not there; it appears whole or not at all.

    Its vectors are those of the embedder ``static``.

    Raises:
        MissingModel: the weights are not to be had.
        MissingExtra: sentence-transformers is not installed.
    """
    digest = CATALOGUE[WEIGHTS].files[0].sha256[:16]
    folder = settings().home / "bases" / f"{WEIGHTS}-{digest}"
    if not folder.is_dir():
        with exclusive(folder.parent, "The base is being written", wait=_WAIT_SECONDS):
            if not folder.is_dir():
                _write(locate(WEIGHTS), folder)
    return folder


def _write(weights: Path, folder: Path) -> None:
    from safetensors.numpy import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(weights / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    table = load_file(weights / "l2_supercat_256.safetensors")["embedding.weight"]
    module = StaticEmbedding(tokenizer, embedding_weights=table.astype("float32"))
    staged = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(staged, ignore_errors=True)
    model = SentenceTransformer(modules=[module], device="cpu")
    model.save(str(staged), create_model_card=False)
    staged.replace(folder)
