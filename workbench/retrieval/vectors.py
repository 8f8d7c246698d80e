"""Chunks by cosine similarity: a Chroma collection, which is only a view of the embedding cache."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import chromadb
import numpy as np
from chromadb.config import Settings
from chromadb.errors import ChromaError

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.collection_configuration import CreateHNSWConfiguration

    from workbench.types import Vectors

_COLLECTION = "chunks"
# Chroma keeps one system for each path in a process, and opening a second while the first is
# being made is not safe.
_opening = threading.Lock()


class ChromaView:
    """Ids of chunks by the cosine of their vectors.

    The graph is searched almost exhaustively. With 16 neighbours and ``ef_search`` 200, the
    nearest chunk was missed for 2 to 6 of 1,000 CoSQA queries (static, 6,267 chunks), and other
    ones after each build; with 48 and 800 for none, at 0.6 ms a query instead of 0.2.
    """

    def __init__(self, folder: Path) -> None:
        with _opening:
            self._client = _client(folder)
            self._collection = self._client.get_collection(_COLLECTION, embedding_function=None)
            self._count = self._collection.count()
        # The graph lies in memory; an index that nobody holds any more gives it back.
        weakref.finalize(self, self._client.close).atexit = False

    @staticmethod
    def build(folder: Path, ids: Sequence[str], vectors: Iterable[Vectors]) -> None:
        """Write the collection: ``vectors`` in batches, in the order of ``ids``."""
        count = max(len(ids), 2)
        hnsw: CreateHNSWConfiguration = {
            "space": "cosine",
            "max_neighbors": 48,
            "ef_construction": 200,
            "ef_search": 800,
            # The graph is written to disk once, with the last vector. Below the threshold it
            # would be built again from the log at each opening; far above it, rewritten often.
            "batch_size": min(100, count),
            "sync_threshold": count,
        }
        with _opening:
            client = _client(folder)
        try:
            collection = client.create_collection(
                _COLLECTION, embedding_function=None, configuration={"hnsw": hnsw}
            )
            start, most = 0, client.get_max_batch_size()
            for batch in vectors:
                for row in range(0, len(batch), most):
                    part = batch[row : row + most]
                    collection.add(ids=list(ids[start : start + len(part)]), embeddings=part)
                    start += len(part)
            if collection.count() != len(ids):
                raise WorkbenchError(f"Chroma kept {collection.count()} of {len(ids)} vectors.")
        finally:
            client.close()

    def search(self, vector: Vectors, k: int) -> list[tuple[str, float]]:
        """Return at most ``k`` (id, cosine), best first, for one float32[dim] of unit length."""
        try:
            found = self._collection.query(
                query_embeddings=vector[None, :],
                n_results=min(k, self._count),
                include=["distances"],
            )
        except ChromaError as error:
            raise WorkbenchError(
                f"The vectors of this index cannot be read: {error}.",
                "Open the index again: what is damaged is mended then.",
            ) from error
        distances = found["distances"]
        assert distances is not None, "distances were asked for"
        return [
            (id_, 1.0 - distance)
            for id_, distance in zip(found["ids"][0], distances[0], strict=True)
        ]

    @staticmethod
    def answers(folder: Path, count: int) -> bool:
        """Try a collection in a child process: a damaged one can end its process by a signal."""
        command = [sys.executable, "-m", __name__, str(folder), str(count)]
        try:
            return subprocess.run(command, capture_output=True, timeout=300).returncode == 0
        except subprocess.TimeoutExpired:
            return False


def _client(folder: Path) -> Client:
    # Telemetry would call home, and a .env file where the notebook lies is not meant for us.
    options = Settings(_env_file=None, anonymized_telemetry=False)
    return cast("Client", chromadb.PersistentClient(str(folder), settings=options))


def _try_out(folder: Path, count: int) -> bool:
    """Count the vectors, and look for the first one: it must find itself."""
    view = ChromaView(folder)
    first = view._collection.get(limit=1, include=["embeddings"])
    assert first["embeddings"] is not None
    (_, cosine) = view.search(np.asarray(first["embeddings"][0], dtype=np.float32), 1)[0]
    return view._count == count and math.isclose(cosine, 1.0, abs_tol=1e-3)


if __name__ == "__main__":
    sys.exit(0 if _try_out(Path(sys.argv[1]), int(sys.argv[2])) else 1)
