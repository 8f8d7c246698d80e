"""Read the rows of a table in a file, however large: JSON Lines, JSON, CSV, Parquet.

The rows come one at a time, and no more than a few are ever in memory. What is no row stands in
the stream as the ``Skip`` that counts it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from workbench.corpus.caps import BEYOND
from workbench.corpus.entries import Skip
from workbench.errors import BadInput, MissingExtra

MAX_ROW = 10_000_000
"""Longest row, in bytes or characters as they stand in the file, that is read."""
BATCH = 64
"""Rows of a Parquet file that are in memory at once."""
ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")

Row = Mapping[str, Any]

_GAP = re.compile(r"[\s,]*")
_BLOCK = 1 << 16


def is_table(path: str) -> bool:
    """Say whether the name is that of a file with rows."""
    return _ending(path) is not None


def read_rows(path: Path, wanted: Collection[str], max_bytes: int) -> Iterator[Row | Skip]:
    """Yield the rows of a file, and a Skip for each that cannot be read.

    Of a Parquet file only the columns of ``wanted`` are read. Reading ends after ``max_bytes``,
    counted after decompression, with one last Skip.

    Raises:
        BadInput: the file is damaged, or its columns have no names.
        MissingExtra: it is a Parquet file, and pyarrow is not installed.
        OSError: it cannot be read.
    """
    ending = _ending(path.name)
    try:
        if ending == ".parquet":
            yield from _parquet(path, wanted)
            return
        with _open(path) as file:
            stream = _Stream(file, max_bytes)
            if ending == ".csv":
                yield from _csv(stream)
            elif ending == ".json":
                yield from _json(stream)
            else:
                yield from _json_lines(stream)
    except Skip as skip:
        yield skip
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise BadInput(
            f"The file {path} is damaged: {str(error) or type(error).__name__}.",
            "Get it again.",
        ) from error


def _open(path: Path) -> BinaryIO:
    if path.name.lower().endswith(".gz"):
        return cast(BinaryIO, gzip.open(path))
    return path.open("rb")


class _Stream:
    """Bytes of a file, up to a limit, past which reading raises Skip."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._read = 0

    def read(self, size: int) -> bytes:
        return self._count(self._file.read(size))

    def line(self) -> bytes:
        """Return the next line, or as much of it as a row may have."""
        return self._count(self._file.readline(MAX_ROW + 1))

    def _count(self, data: bytes) -> bytes:
        self._read += len(data)
        if self._read > self._max_bytes:
            raise Skip(f"{BEYOND}{self._max_bytes:,} bytes")
        return data


def _json_lines(stream: _Stream) -> Iterator[Row | Skip]:
    while line := stream.line():
        if len(line) > MAX_ROW:
            while line and not line.endswith(b"\n"):
                line = stream.line()
            yield Skip("too large")
        elif line.strip():
            try:
                yield _row(json.loads(line))
            except (ValueError, RecursionError):
                yield Skip("malformed")


def _json(stream: _Stream) -> Iterator[Row | Skip]:
    """Yield the objects of an array, or those that follow each other without one."""
    # Lone surrogates stand for what is no UTF-8; the row that holds them is counted for it.
    decode = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape").decode
    scan = json.JSONDecoder().raw_decode
    text, start, block, is_first, is_array = "", 0, _BLOCK, True, False
    while True:
        start = cast("re.Match[str]", _GAP.match(text, start)).end()
        if is_first and text.startswith("[", start):
            start, is_first, is_array = start + 1, False, True
            continue
        try:
            if start == len(text):
                raise ValueError("the file ends early")
            value, end = scan(text, start)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except ValueError:
            if text.startswith("]", start):
                return
            data = stream.read(block)
            if not data and start == len(text) and not is_array:
                return
            if not data or len(text) - start > MAX_ROW:
                raise
            text, start = text[start:] + decode(data), 0
            block *= 2  # the row is scanned anew each time: not too often
        else:
            is_first, start, block = False, end, _BLOCK
            yield _row(value)


def _csv(stream: _Stream) -> Iterator[Row | Skip]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW))
    lines = (line.decode("utf-8", "surrogateescape") for line in iter(stream.line, b""))
    rows = csv.reader(lines, strict=True)
    try:
        names = next(rows, [])
    except csv.Error as error:
        raise ValueError(f"its header cannot be read ({error})") from error
    if names:
        names[0] = names[0].removeprefix("\ufeff")
    while True:
        try:
            values = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield Skip("malformed")
            continue
        if values:
            is_row = len(values) == len(names)
            yield dict(zip(names, values, strict=True)) if is_row else Skip("malformed")


def _parquet(path: Path, wanted: Collection[str]) -> Iterator[Row | Skip]:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("A Parquet file", "data") from error
    with parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        columns = [name for name in names if name in wanted]
        if not columns:
            yield dict.fromkeys(names)
            return
        for batch in file.iter_batches(batch_size=BATCH, columns=columns):
            yield from batch.to_pylist()


def _row(value: Any) -> Row | Skip:
    return value if isinstance(value, dict) else Skip("malformed")


def _ending(path: str) -> str | None:
    """Return the ending that says how rows are written, or None."""
    name = path.lower()
    plain = name.removesuffix(".gz")
    ending = next((ending for ending in ENDINGS if plain.endswith(ending)), None)
    return None if ending == ".parquet" and name != plain else ending
