"""What a failed request over a network means: may it be tried again, when, and what mends it.

Each client library raises errors of its own. They are read here by what they have in common (a
status, headers, a body, the names of their classes), so that no library need be imported.
"""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any

from workbench.errors import BackendError, DeadlineExceeded, MissingKey, WorkbenchError
from workbench.keys import public

_EXCERPT = 200
_KEY_REFUSED = (401, 403)
_NOT_FOUND = 404
_TOO_LONG = 413
_TOO_MANY = 429
_ERROR = 400
_TRANSIENT = (408, 409, _TOO_MANY)
_SERVER_FAILED = 500

# Names of classes of httpx, httpx2, aiohttp, the official clients and Python itself.
_NOBODY = {
    "ConnectError",
    "ConnectTimeout",
    "ClientConnectorError",
    "ConnectionRefusedError",
    "gaierror",
}
_SILENT = {"TimeoutException", "APITimeoutError", "TimeoutError", "ServerTimeoutError"}
_BROKEN = {
    "TransportError",
    "StreamError",
    "APIConnectionError",
    "ClientConnectionError",
    "ClientPayloadError",
    "ConnectionError",
}
_BAD_URL = {"InvalidURL", "UnsupportedProtocol", "InvalidUrlClientError"}

# What errors within a stream, whose status was 200, say of themselves.
_BUSY = {
    "api_error",
    "internal_server_error",
    "overloaded_error",
    "rate_limit_error",
    "rate_limit_exceeded",
    "server_error",
    "timeout_error",
    "unavailable",
}
_NO_MONEY = {"insufficient_quota", "billing_error", "billing_hard_limit_reached"}
_NO_MONEY_STATUS = 402
_BAD_KEY = "API_KEY_INVALID"  # Google's reason, under HTTP 400
_CONTEXT = re.compile(r"context|too long|too large|too many tokens|token limit|number of tokens")
_UNSUPPORTED = re.compile(
    r"unsupported|n[o']t support|n[o']t allowed|not permitted|deprecated|cannot both|unknown|"
    r"unrecognized|unexpected|extra inputs"
)
_MEND = (
    ("cannot both", "Ask with top_p 1, so that it is left out"),
    ("temperature", "Ask with temperature 1, the only one that it takes"),
    (r"top_p|\bp\b", "Ask with top_p 1"),
    ("seed", "Ask without a seed"),
    ("stop", "Ask without stop strings"),
    (
        "max_tokens|max_completion_tokens",
        "Ask through openai/MODEL, with OPENAI_BASE_URL for the server",
    ),
)


@dataclass(frozen=True, slots=True)
class Server:
    """Whom an error speaks of: its name or url, and the variable that holds its key.

    ``held`` says whether a key was sent; ``absent`` mends it where nothing answers at all.
    """

    name: str
    key: str
    held: bool = True
    absent: str = "Check the network and the url."
    models: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said instead of an answer. ``status`` is None within a stream that began."""

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


def explained(error: BaseException, server: Server, silence: float | None = None) -> WorkbenchError:
    """Return what the error of a client library means; ``silence`` are the seconds waited for it.

    The library's own message may hold a key, so raise the result ``from None``.
    """
    if isinstance(error, WorkbenchError):
        return error
    chain = list(_chain(error))
    replies = [reply for one in chain if (reply := _reply(one)) is not None]
    if replies:
        # Some libraries leave the headers behind, in the error that theirs was made from.
        headers = next((reply.headers for reply in replies if reply.headers), {})
        return refusal(replace(replies[0], headers=headers), server)
    names = {kind.__name__ for one in chain for kind in type(one).__mro__}
    what = next(type(one).__name__ for one in reversed(chain))
    if names & _NOBODY:
        return BackendError(f"Nothing answers at {server.name}.", server.absent, transient=True)
    if names & _SILENT:
        waited = "" if silence is None else f" for {silence:g} s"
        return DeadlineExceeded(
            f"{server.name} was silent{waited}.",
            "Ask again, or raise WORKBENCH_TOKEN_TIMEOUT.",
            transient=True,
        )
    if names & _BAD_URL:
        return BackendError(f"{server.name} is no url that can be asked.", "Check the url.")
    if names & _BROKEN:
        return BackendError(
            f"{server.name} broke off: {what}.", "Ask again, or check the url.", transient=True
        )
    return BackendError(
        f"{server.name} sent something that is no chat completion, or cannot be asked so:"
        f" {excerpt(f'{type(error).__name__}: {error}')}",
        "Check the model's name and the url.",
    )


def refusal(reply: Reply, server: Server) -> WorkbenchError:
    """Return the error that a server's reply is."""
    status = reply.status
    text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body, default=str)
    if status in _KEY_REFUSED or _BAD_KEY in text:
        # No excerpt: servers repeat the key that they refuse.
        said = "refuses the key it was given" if server.held else "wants a key"
        return MissingKey(f"{server.name} {said} (HTTP {status}).", f"Set {server.key}.")
    kinds = _kinds(reply.body)
    poor = status == _NO_MONEY_STATUS or bool(kinds & _NO_MONEY)
    transient = not poor and (_is_transient(status) if status else _is_busy(kinds))
    how = f"answers HTTP {status}" if status else "failed"
    words = reason(reply.body)
    return BackendError(
        f"{server.name} {how}: {words}",
        _remedy(status, words, server, poor, transient),
        transient=transient,
        status=status,
        retry_after=retry_after(reply.headers, reply.body),
    )


def excerpt(text: str) -> str:
    """Shorten a server's words, on one line and without keys."""
    return " ".join(public(text).split())[:_EXCERPT] or "(nothing)"


def reason(body: Any) -> str:
    """Return the message of an error's body, whatever its shape, as an ``excerpt``."""
    found = _parsed(body)
    if isinstance(found, list) and found:
        found = found[0]
    for step in ("error", "message", "detail", "msg"):
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        if isinstance(found, list) and found:
            found = found[0]
    if not isinstance(found, str):
        found = body if isinstance(body, str) else json.dumps(body, default=str)
    return excerpt(found)


def retry_after(headers: Mapping[str, str], body: Any = None) -> float | None:
    """Return the seconds for which a server asks to wait, None where it does not ask.

    RFC 9110, 10.2.3: ``Retry-After`` in seconds or as a date; ``retry-after-ms`` is OpenAI's,
    ``retryDelay`` within the body Google's (google.rpc.RetryInfo).
    """
    said = {name.lower(): value for name, value in headers.items()}
    milliseconds = _number(said.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = said.get("retry-after", "")
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        date = email.utils.parsedate_to_datetime(text)
        # An HTTP date is UTC, said or not: its oldest form (asctime's) has no place for a zone.
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        pass
    found = re.search(r"""retryDelay['"]: ['"]([\d.]+)s['"]""", str(body or ""))
    return _number(found[1]) if found else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from, even where that was hidden."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _reply(error: BaseException) -> Reply | None:
    """Return the server's reply that an error carries, None where it carries none."""
    response = getattr(error, "response", None)
    found = (
        getattr(error, "status_code", None),
        getattr(error, "code", None),
        getattr(response, "status_code", None),
    )
    status = next((one for one in found if isinstance(one, int)), None)
    body = _body(error, response)
    if status is None and body is None:
        return None
    headers = getattr(error, "headers", None) or getattr(response, "headers", None) or {}
    # An error within a stream comes with the 200 of its beginning, or with Ollama's -1.
    return Reply(status if status is not None and status >= _ERROR else None, headers, body)


def _body(error: BaseException, response: Any) -> Any:
    for name in ("body", "details", "error"):
        if (found := getattr(error, name, None)) is not None and not callable(found):
            return found
    try:
        return getattr(response, "text", None)
    except Exception:  # httpx: the body was not read
        return None


def _parsed(body: Any) -> Any:
    if not isinstance(body, str):
        return body
    try:
        return json.loads(body)
    except ValueError:
        return body


def _kinds(body: Any) -> set[str]:
    """Return the words by which a body says what kind of error it is."""
    found = _parsed(body)
    if isinstance(found, list) and found:
        found = found[0]
    if not isinstance(found, Mapping):
        return set()
    inner = found.get("error")
    places = [found, inner] if isinstance(inner, Mapping) else [found]
    words = (place.get(name) for place in places for name in ("type", "code", "status"))
    return {str(word).lower() for word in words if isinstance(word, str | int)}


def _is_transient(status: int) -> bool:
    return status in _TRANSIENT or status >= _SERVER_FAILED


def _is_busy(kinds: set[str]) -> bool:
    """Judge an error within a stream, whose own status was 200."""
    codes = [int(kind) for kind in kinds if kind.isdecimal()]
    return bool(kinds & _BUSY) or any(_is_transient(code) for code in codes)


def _remedy(status: int | None, words: str, server: Server, poor: bool, transient: bool) -> str:
    if poor:
        return "Check the plan and the balance of the account, or choose another backend."
    if status == _TOO_MANY:
        return "Wait, or set WORKBENCH_REQUESTS_PER_MINUTE or a lower WORKBENCH_CONCURRENCY."
    if transient or status is None:
        return "Ask again later."
    if status == _NOT_FOUND:
        return f"Check the model's name and the url.{server.models}"
    said = words.lower()
    named = next((mend for at, mend in _MEND if re.search(at, said)), None)
    if named and _UNSUPPORTED.search(said):
        return f"{named}, or choose another model."
    if status == _TOO_LONG or _CONTEXT.search(said):
        return "Shorten the prompt, lower max_tokens, or choose a model with a longer context."
    return "Check the model's name, the prompt's length, the parameters and the url."
