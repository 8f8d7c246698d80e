"""What is here: the machine, what can answer and embed, and what has been built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench import machine
from workbench.backends import available
from workbench.corpus import list_corpora
from workbench.keys import where_keys_are
from workbench.retrieval import list_indexes
from workbench.retrieval.embedders import available as available_embedders
from workbench.sandbox.tiers import sandbox_facts
from workbench.settings import settings

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class MenuRow:
    """One thing to choose. ``here`` says whether it works now; ``needs`` what is missing.

    Where ``form`` is True, the capitals of ``name`` stand for what a user fills in.
    """

    kind: Literal["backend", "embedder"]
    name: str
    form: bool
    here: bool
    needs: str
    summary: str


def menu() -> list[MenuRow]:
    """Return the backends and embedders, each with what it needs and whether that is here."""
    rows = [
        MenuRow(
            "backend",
            row.name,
            row.form,
            row.installed and row.weights_here is not False,
            row.needs,
            row.summary,
        )
        for row in available()
    ]
    rows += [
        MenuRow("embedder", one.name, one.form, one.here, one.needs, one.summary)
        for one in available_embedders()
    ]
    return rows


def examine() -> dict[str, dict[str, Any]]:
    """Return everything that decides what works here, in groups of name and value."""
    named = [row for row in menu() if not row.form]
    home = settings()
    return {
        "machine": machine.hardware(),
        "packages": machine.versions(),
        "toolchains": machine.toolchains(),
        "sandbox": sandbox_facts(),
        "keys": where_keys_are(),
        "backends": {row.name: _state(row) for row in named if row.kind == "backend"},
        "embedders": {row.name: _state(row) for row in named if row.kind == "embedder"},
        "corpora": {one.name: f"{len(one):,} documents" for one in list_corpora()},
        "indexes": {
            f"{one.corpus}, {one.embedder}": f"{one.chunks:,} chunks" for one in list_indexes()
        },
        "caches": {
            "home": str(home.home),
            **{
                path.name: _size(path)
                for path in (home.models, home.corpora, home.indexes, home.embeddings, home.runs)
            },
        },
    }


def _state(row: MenuRow) -> str:
    return "ready" if row.here else f"missing: {row.needs}"


def _size(path: Path) -> str | None:
    if not path.exists():
        return None
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 2**20:,.0f} MiB"
