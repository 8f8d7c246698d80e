"""Manifests: the corpora that the workbench knows by name, one TOML file each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from workbench.corpus.caps import DEFAULT_CAPS, Caps
from workbench.errors import BadInput

_TEXTS = ("name", "summary", "license")
_TABLES = ("filters", "caps")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A corpus that can be crawled by name: why it exists, and what its licence allows.

    ``license`` is an SPDX expression, or the word of a person on what none says; ``sources`` are
    source strings. ``filters`` are options of the filters (``without``: a list of those to leave
    out), ``caps`` fields of ``Caps`` other than the default.
    """

    name: str
    summary: str
    license: str
    sources: tuple[str, ...]
    filters: Mapping[str, Any] = field(default_factory=dict)
    caps: Caps = DEFAULT_CAPS


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
    allowed = {member.name for member in fields(Manifest)}
    if wrong := sorted((table.keys() - allowed) | (allowed - set(_TABLES) - table.keys())):
        raise BadInput(f"The manifest {path.name} lacks or should not have: {', '.join(wrong)}.")
    if not all(isinstance(table[name], str) for name in _TEXTS):
        raise BadInput(f"The manifest {path.name} has a field that should be a text.")
    sources = table["sources"]
    if not (isinstance(sources, list) and sources and all(isinstance(s, str) for s in sources)):
        raise BadInput(f"The manifest {path.name} needs sources: a list of source strings.")
    for name in _TABLES:
        if not isinstance(table.get(name, {}), dict):
            raise BadInput(f"The manifest {path.name} needs {name} to be a table: [{name}].")
    if table["name"] != path.stem:
        raise BadInput(f"The manifest {path.name} calls itself '{table['name']}'.")
    return Manifest(
        **{name: table[name].strip() for name in _TEXTS},
        sources=tuple(sources),
        filters=_filters(path.name, table.get("filters", {})),
        caps=_caps(path.name, table.get("caps", {})),
    )


def _filters(file: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    without = table.get("without", [])
    if not (isinstance(without, list) and all(isinstance(name, str) for name in without)):
        raise BadInput(f"The manifest {file} needs filters.without to be a list of names.")
    return table


def _caps(file: str, table: Mapping[str, Any]) -> Caps:
    known = {member.name for member in fields(Caps)}
    if wrong := sorted(table.keys() - known):
        raise BadInput(
            f"The manifest {file} should not have in caps: {', '.join(wrong)}.",
            f"Caps are {', '.join(sorted(known))}.",
        )
    for name, value in table.items():
        numbers = (int, float) if name == "seconds" else (int,)
        if isinstance(value, bool) or not isinstance(value, numbers) or value <= 0:
            raise BadInput(f"The manifest {file} needs caps.{name} to be a number above zero.")
    return replace(DEFAULT_CAPS, **table)
