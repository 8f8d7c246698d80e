"""Manifests: the corpora that the workbench knows by name, one TOML file each."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from workbench.errors import BadInput


@dataclass(frozen=True, slots=True)
class Manifest:
    """A corpus that can be crawled by name: why it exists, and what its licence allows.

    ``license`` is an SPDX expression; ``sources`` are source strings.
    """

    name: str
    summary: str
    license: str
    sources: tuple[str, ...]


def manifest_folder() -> Path:
    """Return where the manifests are: in an installed wheel, or beside the package."""
    package = Path(__file__).parents[1]
    installed = package / "corpora"
    return installed if installed.is_dir() else package.parent / "corpora"


def list_manifests() -> tuple[Manifest, ...]:
    """Return all manifests, sorted by name.

    Raises:
        BadInput: a manifest is malformed.
    """
    return tuple(read_manifest(path) for path in sorted(manifest_folder().glob("*.toml")))


def find_manifest(word: str) -> Manifest | None:
    """Return the manifest called ``word``, or the one that consists of that one source."""
    manifests = list_manifests()
    by_name = {manifest.name: manifest for manifest in manifests}
    by_source = {
        manifest.sources[0]: manifest for manifest in manifests if len(manifest.sources) == 1
    }
    return by_name.get(word) or by_source.get(word)


def read_manifest(path: Path) -> Manifest:
    """Read one manifest; its name must be that of the file.

    Raises:
        BadInput: a field is missing, unknown or of the wrong type.
    """
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"The manifest {path.name} cannot be read: {error}.") from error
    expected = {field.name for field in fields(Manifest)}
    if table.keys() != expected:
        wrong = ", ".join(sorted(table.keys() ^ expected))
        raise BadInput(f"The manifest {path.name} lacks or should not have: {wrong}.")
    sources = table.pop("sources")
    if not all(isinstance(value, str) for value in table.values()):
        raise BadInput(f"The manifest {path.name} has a field that should be a text.")
    if not (isinstance(sources, list) and sources and all(isinstance(s, str) for s in sources)):
        raise BadInput(f"The manifest {path.name} needs sources: a list of source strings.")
    if table["name"] != path.stem:
        raise BadInput(f"The manifest {path.name} calls itself '{table['name']}'.")
    return Manifest(sources=tuple(sources), **{k: v.strip() for k, v in table.items()})
