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
from collections.abc import Mapping
from functools import cache
from html.entities import html5
from typing import Any

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
_SECRET = re.compile("((^|_|API|ACCESS)KEY|TOKEN|SECRET|PASSWORD|PASSWD)$")
# Up to the last @ before the path: passwords hold some, though they should be encoded.
_USER_OF_URL = re.compile(r"(?<=://)[^/?#\s\"'<>]*@")

_remembered: set[str] = set()


def find_key(service: str) -> str | None:
    """Return the key of a service of ``KEYS``: the environment's, or else the keyring's."""
    name = KEYS[service]
    found = _from_environment(name) or _from_keyring(name)
    if found:
        _keep_logs_clean()
    return found


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
    return {name: _where(name) for name in KEYS.values()}


def remember(secret: str | None) -> None:
    """Have ``scrub`` take out a key that came from elsewhere, as with an object of the user's."""
    if secret and len(secret.strip()) >= _SHORTEST:
        _remembered.add(secret.strip())
        _keep_logs_clean()


def scrub(text: str) -> str:
    """Return the text without any known key: raw, URL-, base64-, JSON-, HTML- or repr-encoded.

    Known are the values of all variables whose names end as those of secrets do, the keyring's
    keys that were used, and what was ``remember``-ed.
    """
    for secret in sorted(_secrets(), key=len, reverse=True):
        for pattern in _patterns(secret):
            text = pattern.sub(HIDDEN, text)
    return text


def scrub_values(value: Any) -> Any:
    """Return plain data (dicts, lists, texts, numbers) with its texts scrubbed; names stay.

    A record is scrubbed so before it becomes JSON: a key that happens to be a field's name would
    break its form.
    """
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {name: scrub_values(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [scrub_values(one) for one in value]
    return value


def public(text: str) -> str:
    """Return a message without keys, and without the user names and passwords of URLs."""
    return _USER_OF_URL.sub("", scrub(text))


class ScrubbedFormatter(logging.Formatter):
    """Formats log records, tracebacks included, without keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line or lines."""
        return public(super().format(record))


@cache
def _keep_logs_clean() -> None:
    """Have all log records made without keys from now on.

    At the level DEBUG, libraries log what servers answer, headers and all, from loggers of many
    names; and whose handlers will write it is not ours to say.
    """
    make = logging.getLogRecordFactory()

    def make_clean(*args: Any, **options: Any) -> logging.LogRecord:
        record = make(*args, **options)
        _clean(record)
        return record

    logging.setLogRecordFactory(make_clean)


def _clean(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
    except Exception:  # it does not fit its arguments: a handler would print both
        message, record.msg, record.args = "", public(f"{record.msg} {record.args}"), ()
    if (shown := public(message)) != message:
        record.msg, record.args = shown, ()
    if record.exc_info:
        traceback = logging.Formatter().formatException(record.exc_info)
        if (shown := public(traceback)) != traceback:
            record.exc_text, record.exc_info = shown, None


def _secrets() -> set[str]:
    # Without white space around: clients take it off before they send a key, and servers repeat
    # what was sent.
    named = {value.strip() for name, value in os.environ.items() if _SECRET.search(name.upper())}
    return {one for one in named if len(one) >= _SHORTEST} | _remembered


@cache
def _patterns(secret: str) -> tuple[re.Pattern[str], ...]:
    """Return what finds a secret in a text: as it is written, then in base64."""
    written = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    coded = sorted({code for one in written for code in _base64(one)}, key=len, reverse=True)
    return tuple(re.compile("".join(map(_written, one))) for one in (secret, *coded))


def _written(character: str) -> str:
    """Return a pattern of one character, as texts within texts may write it.

    In JSON and repr, which may stand in one another, so that backslashes are many; in URLs, twice
    encoded, too; and in HTML. Letters and digits are left as they are by all of these.
    """
    if character.isascii() and character.isalnum():
        return character
    code, raw = ord(character), character.encode()
    units = character.encode("utf-16-be").hex()
    names = [name[:-1] for name, said in html5.items() if said == character and name[-1] == ";"]
    ways = [
        "".join(f"%(?:25)*{byte:02x}" for byte in raw),
        f"&(?:amp;)*(?:{'|'.join([f'#0*{code}', f'#x0*{code:x}', *names])});",
        r"\\+".join(f"u{units[at : at + 4]}" for at in range(0, len(units), 4)),
        r"\\+".join(f"x{byte:02x}" for byte in raw),
        f"U{code:08x}",
    ]
    if code < 0x100:
        ways.append(f"x{code:02x}")
    if character != "\\":  # which is nothing but the backslashes before
        ways.append(re.escape(character))
    slash = r"(?i:\\|%(?:25)*5c)"
    rest = f"{slash}{{0,9}}(?i:{'|'.join(ways)})"
    return f"(?:{rest}|{slash}{{1,9}})" if character == "\\" else rest


def _base64(text: str) -> set[str]:
    """Return what stands in base64 where ``text`` stands in something that is encoded as a whole.

    It (``user:key``) begins at one of three places of a group of four characters; the characters
    at its edges are its neighbours', too.
    """
    found = set()
    raw = text.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            coded = encode(b"\0" * before + raw).decode().rstrip("=")
            first = -(-before * 8 // 6)
            last = (before + len(raw)) * 8 // 6
            found.add(coded[first:last])
    return found


def _where(name: str) -> str | None:
    if _from_environment(name):
        return "environment"
    return "keyring" if _from_keyring(name) else None


def _from_environment(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None


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
