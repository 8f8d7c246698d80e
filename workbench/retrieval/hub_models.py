"""Which model a name of the hub or a folder means, down to the revision or the last byte."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from workbench.errors import MissingModel
from workbench.settings import settings
from workbench.types import TextKind
from workbench.weights.hub import within_patience
from workbench.weights.remote import Unavailable

_REMEDY = "Check the name and the network, or use a packaged one: minilm, gte-small, static"

# Prompts' names in sentence-transformers' files, by kind of text.
_PROMPTS: dict[TextKind, tuple[str, ...]] = {
    "query": ("query",),
    "document": ("document", "passage", "corpus"),
}

State = tuple[tuple[str, int, int, int, int], ...]


TUNING_RECORD = "tuning.json"
"""The file in a tuned embedder's folder that says what it was made from, and how."""


@dataclass(frozen=True, slots=True)
class HubModel:
    """Where a model lies, and an identity that changes with the weights.

    ``source`` is a folder, or an id of the hub that goes with ``revision``.
    """

    source: str
    revision: str | None
    identity: str

    @property
    def folder(self) -> Path | None:
        """The folder, None for an id of the hub."""
        return Path(self.source) if self.revision is None else None


def resolve(model: str) -> HubModel:
    """Find a folder by its contents' sha256, or an id of the hub by its commit.

    Raises:
        MissingModel: the folder holds no model, or the hub cannot be reached or has no such id.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return HubModel(str(folder), None, f"{folder.name}@{digest(folder)}")
    # huggingface_hub takes 0.3 s to import, and a folder does not need it.
    from huggingface_hub import hf_hub_download

    offline = settings().offline
    try:
        config = within_patience(
            lambda: hf_hub_download(model, "config.json", local_files_only=offline)
        )
    except Unavailable as error:
        raise MissingModel(
            f"The embedder {model} is neither a folder nor to be had: {error}.", _REMEDY
        ) from error
    commit = Path(config).parent.name  # the cache keeps each file under snapshots/<commit>/
    return HubModel(model, commit, f"{model}@{commit[:16]}")


def own_prompt(prompts: Mapping[str, str | None], kind: TextKind) -> str | None:
    """Return the prompt that a model's files give for a kind of text, None where there is none.

    Since sentence-transformers 6 every model has an empty "document", before which its
    ``encode_document`` does not see a "passage"; so the first that is not empty counts.
    """
    return next((prompts[name] for name in _PROMPTS[kind] if prompts.get(name)), None)


def bring(model: HubModel, patterns: Sequence[str]) -> Path:
    """Return the folder of a model, with the files of the hub that match ``patterns`` in it.

    Raises:
        MissingModel: the hub cannot be reached, or breaks off.
    """
    if model.folder is not None:
        return model.folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        found = snapshot_download(
            model.source,
            revision=model.revision,
            allow_patterns=list(patterns),
            local_files_only=settings().offline,
        )
    except (OSError, HfHubHTTPError) as error:
        raise MissingModel(
            f"{model.source} is not to be had from the hub ({type(error).__name__}).", _REMEDY
        ) from error
    return Path(found)


def digest(folder: Path) -> str:
    """Hash the names and contents of a model's files; a folder without any is no model.

    Raises:
        MissingModel: it holds no model.
    """
    seen = state(folder)
    names = {path.rpartition("/")[2] for path, *_ in seen}
    if not names & {"config.json", "modules.json", "tokenizer.json"}:
        raise MissingModel(
            f"The folder {folder} holds no model.",
            "It must hold config.json or modules.json, and the weights.",
        )
    return _digest(folder, seen)


def state(folder: Path) -> State:
    """Describe a folder's files without reading them: path, size, times and inode of each.

    The time of the last change of the inode cannot be set back, so that a file that was edited
    in place is told from the one before. Hidden files and notes (``.md``, and how long a tuning
    took) do not count.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_note = path.suffix == ".md" or path.name == TUNING_RECORD
        if is_note or any(part.startswith(".") for part in name.split("/")):
            continue
        if path.is_file():
            status = path.stat()
            times = status.st_mtime_ns, status.st_ctime_ns
            found.append((name, status.st_size, *times, status.st_ino))
    return tuple(found)


@lru_cache(maxsize=64)
def _digest(folder: Path, seen: State) -> str:
    whole = hashlib.sha256()
    for name, *_ in seen:
        with (folder / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{name}:{content};".encode())
    return whole.hexdigest()[:16]
