"""Where the Chroma server is, and what of that may be shown."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from workbench.errors import BadInput
from workbench.settings import settings

_PORTS = {"http": 8000, "https": 443}


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A server's address. ``headers`` carry the password and are never shown."""

    host: str
    port: int
    ssl: bool
    headers: dict[str, str] = field(repr=False, compare=False, hash=False)

    def __str__(self) -> str:
        return f"{'https' if self.ssl else 'http'}://{self.host}:{self.port}"


def server_url() -> ServerUrl | None:
    """Return the server of ``WORKBENCH_CHROMA_URL``, None where vectors are kept in files.

    Raises:
        BadInput: it is no address of a server; the message does not repeat it.
    """
    secret = settings().chroma_url
    if secret is None or not secret.get_secret_value().strip():
        return None
    try:
        parts = urlsplit(secret.get_secret_value().strip())
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise _refused() from None
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise _refused()
    headers = {}
    if parts.username is not None or parts.password is not None:
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return ServerUrl(host, port, parts.scheme == "https", headers)


def server_label() -> str | None:
    """Return the server's address as indexes note it: without name and password."""
    url = server_url()
    return None if url is None else str(url)


def _refused() -> BadInput:
    return BadInput(
        "WORKBENCH_CHROMA_URL is no address of a Chroma server.",
        "Set it to one without a path, such as http://127.0.0.1:8000, or unset it.",
    )
