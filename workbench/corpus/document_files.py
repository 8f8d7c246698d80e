"""Files of documents: one JSON object a line, written as a stream and read as one."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from workbench.types import Document

_BLOCK = 1 << 20


class DocumentWriter:
    """Writes documents to a file that is whole on disk once the block is left without an error.

    ``bytes`` counts the texts as UTF-8; ``digest`` is the SHA-256 of the file, in hex.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self.languages: Counter[str] = Counter()
        self.licences: Counter[str] = Counter()
        self._hash = hashlib.sha256()

    def __enter__(self) -> DocumentWriter:
        self._file = self.path.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if error is None:
                self._file.flush()
                os.fsync(self._file.fileno())

    def write(self, document: Document) -> None:
        """Append a document."""
        line = json.dumps(asdict(document)).encode() + b"\n"
        self._file.write(line)
        self._hash.update(line)
        self.bytes += len(document.text.encode())
        self.languages[document.language or "other"] += 1
        self.licences[document.license or "unknown"] += 1

    @property
    def read(self) -> int:
        """Count the documents written."""
        return self.languages.total()

    @property
    def digest(self) -> str:
        """Return the digest of what was written."""
        return self._hash.hexdigest()


def read_documents(path: Path) -> Iterator[Document]:
    """Yield the documents of a file, one at a time.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line holds no document.
    """
    with path.open("rb") as lines:
        for line in lines:
            try:
                document = Document(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path.name} is damaged") from error
            yield document


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a file, in hex, or None where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()
