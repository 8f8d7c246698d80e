"""Reads the lines of event streams, which end in a line feed and in nothing else.

Python and httpx hold U+0085, U+2028 and U+2029 for ends of lines, too. In JSON they may stand
within a string as they are, and code is full of surprises: whoever cuts there loses an event.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

_OTHER_ENDS = {
    b"\xc2\x85": b"\\u0085",
    b"\xe2\x80\xa8": b"\\u2028",
    b"\xe2\x80\xa9": b"\\u2029",
}
_OTHER_END = re.compile(b"|".join(_OTHER_ENDS))


async def lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[str]:
    """Yield the lines of a stream of UTF-8, without their ends."""
    async for line in _split(chunks):
        yield line.decode(errors="replace").rstrip("\r\n")


async def _split(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield lines with their ends; the last one may have none."""
    held = b""
    async for chunk in chunks:
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if held:
        yield held


def mend(client: Any) -> None:
    """Let an httpx client read events whole that its user would cut, and fail at broken ones.

    Cohere's library skips what it cannot read, so that a text would be short without a word.
    Ollama's reads JSON lines, and cuts them at U+0085.
    """
    hooks = client.event_hooks
    if _mend_response not in hooks["response"]:
        client.event_hooks = {**hooks, "response": [*hooks["response"], _mend_response]}


_MENDED = ("text/event-stream", "application/x-ndjson")


async def _mend_response(response: Any) -> None:
    import httpx

    class Mended(httpx.AsyncByteStream):
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for line in _split(self._inner):
                if line.endswith(b"\n") and not _is_sound(line):
                    raise httpx.RemoteProtocolError("an event that is no JSON")
                yield _OTHER_END.sub(lambda at: _OTHER_ENDS[at[0]], line)

        async def aclose(self) -> None:
            await self._inner.aclose()

    encoded = "content-encoding" in response.headers
    if response.headers.get("content-type", "").startswith(_MENDED) and not encoded:
        response.stream = Mended(response.stream)


def _is_sound(line: bytes) -> bool:
    data = line.removeprefix(b"data:").strip()
    if not line.startswith(b"data:") or data in (b"", b"[DONE]"):
        return True
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
