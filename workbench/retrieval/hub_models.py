"""Which model a name of the hub or a folder means, down to the revision."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from workbench.errors import MissingModel
from workbench.settings import settings


@dataclass(frozen=True, slots=True)
class HubModel:
    """What to hand to sentence-transformers, and an identity that changes with the weights."""

    source: str
    revision: str | None
    identity: str


def resolve(model: str) -> HubModel:
    """Find a folder by its contents' sha256, or an id of the hub by its commit.

    Raises:
        MissingModel: the folder holds no model, or the hub cannot be reached or has no such id.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return HubModel(str(folder), None, f"{folder.name}@{_digest(folder)}")
    try:
        config = hf_hub_download(model, "config.json", local_files_only=settings().offline)
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise MissingModel(
            f"The embedder {model} is neither a folder nor to be had from the hub"
            f" ({type(error).__name__}).",
            "Check the name and the network, or use a packaged one: minilm, gte-small, static",
        ) from error
    commit = Path(config).parent.name  # the cache keeps each file under snapshots/<commit>/
    return HubModel(model, commit, f"{model}@{commit[:16]}")


def _digest(folder: Path) -> str:
    """Hash the names and contents of a model's files; a folder without any is no model."""
    files = sorted(
        path
        for pattern in ("*.json", "*.txt", "*.safetensors", "*.bin", "*.model")
        for path in folder.rglob(pattern)
        if path.is_file()
    )
    if not any(path.name in ("config.json", "modules.json") for path in files):
        raise MissingModel(
            f"The folder {folder} holds no sentence-transformers model.",
            "It must hold config.json or modules.json, and the weights.",
        )
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}:{content};".encode())
    return digest.hexdigest()[:16]
