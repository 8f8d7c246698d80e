"""Keys of hosted services: from the environment or the system's keyring, and in no text of ours.

No key is ever written by the workbench to a file. ``scrub`` takes every key that is known here out
of a text, as it is and in the forms in which servers, logs and notebooks repeat it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import re
from functools import cache
from urllib.parse import quote, quote_plus

from workbench.errors import MissingKey

KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "cohere": "COHERE_API_KEY",
    "google": "GOOGLE_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "openai-compatible": "OPENAI_COMPATIBLE_API_KEY",
    "hub": "HF_TOKEN",
}
"""The service, and the variable (and keyring entry) that holds its key."""

SERVICE = "code-workbench"
"""The name under which the keyring keeps keys: ``keyring set code-workbench OPENAI_API_KEY``."""

HIDDEN = "***"
# Of shorter ones, as "test", a text may be full without anybody having told a secret.
_SHORTEST = 8
_SECRET = re.compile("(API_?KEY|ACCESS_?KEY|TOKEN|SECRET|PASSWORD|PASSWD)$")
_USER_OF_URL = re.compile(r"(?<=://)[^/\s@\"']*@")

_remembered: set[str] = set()


def find_key(service: str) -> str | None:
    """Return the key of a service of ``KEYS``: the environment's, or else the keyring's."""
    name = KEYS[service]
    return os.environ.get(name) or _from_keyring(name)


def require_key(service: str) -> str:
    """Return the key of a service.

    Raises:
        MissingKey: neither the environment nor the keyring holds one.
    """
    key = find_key(service)
    if key is None:
        name = KEYS[service]
        raise MissingKey(
            f"No key for {service}.",
            f"Set {name} (or: keyring set {SERVICE} {name}), or choose a local backend:"
            " workbench models list",
        )
    return key


def where_keys_are() -> dict[str, str | None]:
    """Say for each key by its name whether the environment or the keyring holds it; no values."""
    return {
        name: "environment" if os.environ.get(name) else "keyring" if _from_keyring(name) else None
        for name in KEYS.values()
    }


def remember(secret: str | None) -> None:
    """Have ``scrub`` take out a key that came from elsewhere, as with an object of the user's."""
    if secret and len(secret) >= _SHORTEST:
        _remembered.add(secret)


def scrub(text: str) -> str:
    """Return the text without any known key, whether raw, URL-, base64-, JSON- or repr-encoded.

    Known are the values of all variables whose names end as those of secrets do, the keyring's
    keys that were used, and what was ``remember``-ed.
    """
    for secret in sorted(_secrets(), key=len, reverse=True):
        for form in _forms(secret):
            text = text.replace(form, HIDDEN)
    return text


def public(text: str) -> str:
    """Return a message without keys, and without the user names and passwords of URLs."""
    return _USER_OF_URL.sub("", scrub(text))


class ScrubbedFormatter(logging.Formatter):
    """Formats log records, tracebacks included, without keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line or lines."""
        return public(super().format(record))


def _secrets() -> set[str]:
    named = {value for name, value in os.environ.items() if _SECRET.search(name.upper())}
    return {one for one in named if len(one) >= _SHORTEST} | _remembered


@cache
def _forms(secret: str) -> tuple[str, ...]:
    """Return how a secret may be written, longest first."""
    raw = secret.encode()
    found = {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(raw)[2:-1],
    }
    # Within a longer text that was encoded as a whole (user:key), it begins at one of three
    # places of a group of four; the characters at its edges are its neighbours', too.
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found.add(encode(raw).decode().rstrip("="))
        for before in range(3):
            coded = encode(b"\0" * before + raw).decode().rstrip("=")
            first = -(-before * 8 // 6)
            last = (before + len(raw)) * 8 // 6
            found.add(coded[first:last])
    return tuple(sorted((one for one in found if len(one) >= _SHORTEST), key=len, reverse=True))


@cache
def _from_keyring(name: str) -> str | None:
    import keyring
    from keyring.errors import KeyringError

    # A machine without a desktop has no keyring, which is no news to anybody there.
    with contextlib.suppress(KeyringError, OSError, RuntimeError):
        found = keyring.get_password(SERVICE, name)
        remember(found)
        return found or None
    return None
