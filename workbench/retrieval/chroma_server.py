"""Vectors in a Chroma server, for indexes that several machines search."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from httpx import HTTPError

from workbench.errors import WorkbenchError
from workbench.retrieval.quiet_chroma import ChromaError, chromadb, plain_settings
from workbench.retrieval.server_url import ServerUrl, server_url
from workbench.retrieval.vectors import Change, ChromaView, fill, missed, not_found

if TYPE_CHECKING:
    from chromadb.api.client import Client

    from workbench.types import Vectors

log = logging.getLogger(__name__)

# Vectors that are compared when an index is opened; all are when it is built.
_LOOKED_AT = 16


class ChromaServer:
    """Collections in a server, one to a build and called after it.

    Raises:
        WorkbenchError: the server called ``label`` is not the one that is set now.
    """

    def __init__(self, label: str) -> None:
        url = server_url()
        if url is None or str(url) != label:
            raise WorkbenchError(
                f"The vectors of this index are in the Chroma server {label}.",
                f"Set WORKBENCH_CHROMA_URL={label}, or open the index again.",
            )
        self._url = url

    def write(
        self, build: Path, ids: Sequence[str], vectors: Vectors, change: Change | None = None
    ) -> None:
        """Write float32[len(ids), dim] in the order of ``ids``.

        A server cannot copy a collection: a change is written as a whole.
        """
        with self._asking() as client:
            fill(client, _name(build), ids, vectors)

    def verify(self, build: Path, ids: Sequence[str], vectors: Vectors) -> None:
        """Find every id with exactly its vector, and every vector by a query.

        Raises:
            WorkbenchError: something is not found, or the server does not answer.
        """
        with self._asking() as client:
            collection = client.get_collection(_name(build), embedding_function=None)
            rows = missed(collection, ids, vectors, range(len(ids)))
        if rows:
            raise not_found(ids, rows)

    def open(self, build: Path, hashes: Mapping[str, str]) -> ChromaView:
        """Open the collection of a build.

        Raises:
            WorkbenchError: it is gone, or the server does not answer.
        """
        with self._asking() as client:
            return ChromaView(client.get_collection(_name(build), embedding_function=None))

    def holds(self, build: Path, ids: Sequence[str], vectors: Vectors) -> bool:
        """Say whether the collection is there with as many vectors, some of them compared.

        Raises:
            WorkbenchError: the server does not answer.
        """
        rows = np.unique(np.linspace(0, len(ids) - 1, _LOOKED_AT, dtype=int)).tolist()
        with self._asking() as client:
            try:
                collection = client.get_collection(_name(build), embedding_function=None)
                return not missed(collection, ids, vectors, rows)
            except (ChromaError, WorkbenchError):
                return False

    def remove(self, build: Path) -> None:
        """Remove a build's collection, if it is there."""
        with self._asking() as client, suppress(ChromaError, ValueError):
            client.delete_collection(_name(build))

    clear = remove

    @contextmanager
    def _asking(self) -> Iterator[Client]:
        try:
            yield _client(self._url)
        except (ChromaError, HTTPError, OSError, ValueError) as error:
            raise WorkbenchError(
                f"The Chroma server {self._url} cannot do this: {error or type(error).__name__}.",
                "Start it (chroma run --path FOLDER), or unset WORKBENCH_CHROMA_URL.",
            ) from error


def _client(url: ServerUrl) -> Client:
    client = chromadb.HttpClient(
        url.host, url.port, ssl=url.ssl, headers=dict(url.headers), settings=plain_settings()
    )
    return cast("Client", client)


def _name(build: Path) -> str:
    """Name a build's collection: readable, and used by no other as builds' names are random."""
    names = (build.parent.parent.name, build.parent.name, build.name)
    return re.sub(r"[^A-Za-z0-9]+", "-", "-".join(("workbench", *names))).strip("-")
