"""Blot out keys, tokens and passwords, before anything embeds or shows them."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.corpus.filters.rule import Filter
from workbench.types import Document

if TYPE_CHECKING:
    from detect_secrets.plugins.base import RegexBasedDetector

REDACTED = "secret redacted"

PASSWORD = "Secret Keyword"
"""What detect-secrets calls a value that only its name gives away."""
ROUNDS = 5

PIECE = 1500
"""Lines are searched in pieces of so many characters: some patterns take quadratic time."""
PASSWORD_PIECE = 500
"""The same for passwords, whose patterns take cubic time; none stands so far from its name."""
OVERLAP = 0.2
"""Share of a piece that is in the next one, too."""

_KEY_WORDS = ("api", "key", "pw", "pass", "token")
# Detectors, each with what any match of it holds on the line where it begins; in lower case where
# case does not matter. Most files hold none of it, and need not be searched. A test draws strings
# from the detectors' own patterns to hold this.
NEEDLES: dict[str, tuple[str, ...]] = {
    "ArtifactoryDetector": ("AKC", "AP"),
    "AWSKeyDetector": ("A3T", "ABIA", "ACCA", "AKIA", "ASIA", "aws"),
    "AzureStorageKeyDetector": ("AccountKey=",),
    "BasicAuthDetector": ("://",),
    "CloudantDetector": ("clou", *(f"cl{a}{b}" for a in ("", "_", "-") for b in _KEY_WORDS)),
    "DiscordBotTokenDetector": (".",),
    "GitHubTokenDetector": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "GitLabTokenDetector": (
        *("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "GR1348941"),
        *("glcbt-", "glimt-", "glptt-", "glagent-", "gloas-"),
    ),
    "IbmCloudIamDetector": ("key", "pwd", "pass", "token"),
    "IbmCosHmacDetector": ("secret",),
    "JwtTokenDetector": ("eyJ",),
    "MailchimpDetector": ("-us",),
    "NpmDetector": (":_authToken=",),
    "OpenAIDetector": ("T3BlbkFJ",),
    "PypiTokenDetector": ("pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZw"),
    "SendGridDetector": ("SG.",),
    "SlackDetector": ("xox", "hooks.slack.com"),
    "SoftlayerDetector": ("softlayer", *(f"sl{word}" for word in ("_", "-", *_KEY_WORDS))),
    "SquareOAuthDetector": ("sq0csp-",),
    "StripeDetector": ("k_live_",),
    "TelegramBotTokenDetector": (":",),
    "TwilioKeyDetector": ("AC", "SK"),
}
# Left out on purpose: IPPublicDetector, as an address is no secret, and in code most "addresses"
# are numbers of versions and sections; the high-entropy strings, as in code they are hashes, tables
# and alphabets: 37,000 in the standard library, none of them a secret.

_IBM = re.compile(r"(?:key|pwd|pass|password|token)[\"']?\]? *[:=>]{0,2} *[\"']?[-\w]{44}")
# Their patterns have groups for parts of a token; of the others, a group is the secret.
_WHOLE = frozenset({"GitHubTokenDetector", "GitLabTokenDetector"})
# A name that a secret is assigned to: detect_secrets.plugins.keyword.DENYLIST.
_NAME = re.compile(
    r"(?:api|auth|service|account|db|database|priv|private|client)_?key|(?:db|database|key)_?pass"
    r"|password|passwd|pwd|secret|contrase[nñ]a"
)
_QUOTE = re.compile("[\"'`]")
_WORDS_FOR_SECRETS = re.compile(
    r"(my|your|the|some)?[-_ ]?(pass|pass_?word|passwd|pwd|secret|token)"
)
# re.IGNORECASE takes these for i, s and k; in lower case, the first is two characters.
_ODD_CASES = str.maketrans({"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"})
# A private key is in BASE64 between two lines of dashes; in code, between quotes and escapes.
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z\d ]*PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-\d")
_KEY_ENDS = re.compile(r"-----END |Private-MAC")
_KEY_LENGTH = 12_000  # characters; one of RSA with 8,192 bits has 6,400
_BASE64 = re.compile(r"[A-Za-z\d+/]{24,}={0,2}|(?<![A-Za-z\d+/])[A-Za-z\d+/]+={1,2}")


class Secret(NamedTuple):
    """Where a secret is: offsets into the text, and what kind it is."""

    start: int
    end: int
    kind: str


@dataclass(kw_only=True)
class Secrets(Filter):
    """Replaces each secret by a mark such as ``<redacted: AWS Access Key>``; lines stay.

    Finds what the detectors of detect-secrets find, but for high-entropy strings and addresses.
    Of passwords that only the name of a variable gives away, those count that look random: at
    least ``shortest`` characters, none of them white space, a tenth of them digits, and
    ``entropy`` bits a character. Nothing is ever verified: no secret leaves the machine.
    """

    shortest: int = 8
    entropy: float = 3.0

    def check(self, document: Document) -> Document:
        """Return the document without its secrets; nothing is left out."""
        text = document.text
        # One secret may hide another from a greedy pattern, so look again; but not without end.
        for _ in range(ROUNDS):
            found = _merge(
                (
                    *find_tokens(text),
                    *find_private_keys(text),
                    *self._passwords(document.path, text),
                )
            )
            if not found:
                break
            self.noted[REDACTED] += len(found)
            for secret in reversed(found):
                text = f"{text[: secret.start]}<redacted: {secret.kind}>{text[secret.end :]}"
        if text is document.text:
            return document
        return replace(document, text=text, sha256=hashlib.sha256(text.encode()).hexdigest())

    def _passwords(self, path: str, text: str) -> Iterator[Secret]:
        for secret in find_passwords(path, text):
            if self._looks_random(text[secret.start : secret.end]):
                yield secret

    def _looks_random(self, value: str) -> bool:
        digits = sum(map(str.isdigit, value))
        counts = Counter(value).values()
        entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts)
        return (
            len(value) >= self.shortest
            and 0.1 * len(value) <= digits < len(value)
            and entropy >= self.entropy
            and not any(map(str.isspace, value))
        )


def find_tokens(text: str) -> Iterator[Secret]:
    """Yield keys and tokens that are known by their form."""
    folded = _folded(text)
    haystack = "\n".join(_piece for _, _piece in _pieces(text)) if _has_long_line(text) else text
    for name, detector in _detectors().items():
        if not any(
            needle in (folded if needle == needle.lower() else text) for needle in NEEDLES[name]
        ):
            continue
        if name == "IbmCloudIamDetector" and not _IBM.search(folded):
            continue  # its own pattern begins with ten parts that may all be missing
        # A match within a line is one within the text too: all patterns take a line's end for the
        # end of the text, or for white space. So a whole file is passed by with one search.
        if not any(pattern.search(haystack) for pattern in detector.denylist):
            continue
        for offset, piece in _pieces(text):
            for start, end in _matches(name, detector, piece):
                yield Secret(offset + start, offset + end, detector.secret_type)


def find_private_keys(text: str) -> Iterator[Secret]:
    """Yield the lines of private keys, but not those that hold only their first and last words."""
    for begin in _KEY_BEGINS.finditer(text):
        end = _KEY_ENDS.search(text, begin.end(), begin.end() + _KEY_LENGTH)
        if end is None:
            continue
        runs = list(_BASE64.finditer(text, begin.end(), end.start()))
        ink = sum(not character.isspace() for character in text[begin.end() : end.start()])
        if sum(run.end() - run.start() for run in runs) > 0.4 * ink:
            yield from (Secret(run.start(), run.end(), "Private Key") for run in runs)


def find_passwords(path: str, text: str) -> Iterator[Secret]:
    """Yield what is assigned to, or compared with, a name such as ``password``."""
    from detect_secrets.plugins.keyword import CONFIG_DENYLIST_REGEX_TO_GROUP as UNQUOTED
    from detect_secrets.plugins.keyword import QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP as QUOTED
    from detect_secrets.util.filetype import FileType, determine_file_type

    settings_file = determine_file_type(path) in {
        *(FileType.YAML, FileType.CONFIG, FileType.INI, FileType.PROPERTIES, FileType.TOML)
    }
    patterns = UNQUOTED if settings_file else QUOTED
    for offset, piece in _lines_with(_NAME, text):
        if not settings_file and not _QUOTE.search(piece):
            continue
        for pattern, group in patterns.items():
            for found in pattern.finditer(piece):
                start, end = found.span(group)
                if not _is_placeholder(piece[start:end], piece):
                    yield Secret(offset + start, offset + end, PASSWORD)


def _matches(name: str, detector: RegexBasedDetector, piece: str) -> Iterator[tuple[int, int]]:
    """Yield where the secrets of a detector are in a piece of a line."""
    for pattern in detector.denylist:
        for found in pattern.finditer(piece):
            whole = name in _WHOLE or not found.lastindex
            start, end = found.span(0 if whole else found.lastindex or 0)
            value = piece[start:end].strip(" \t\"'=:")
            start = piece.index(value, start)
            if name == "JwtTokenDetector" and not _is_jwt(value):
                continue
            if not _is_placeholder(value, piece):
                yield start, start + len(value)


def _is_jwt(value: str) -> bool:
    from detect_secrets.plugins.jwt import JwtTokenDetector

    return bool(JwtTokenDetector.is_formally_valid(value))


def _is_placeholder(value: str, line: str) -> bool:
    """Tell a stand-in from a secret: by detect-secrets' own rules, and by words for secrets."""
    from detect_secrets.filters import heuristic

    return (
        len(value) < 4
        or heuristic.is_templated_secret(value)
        or heuristic.is_prefixed_with_dollar_sign(value)
        or heuristic.is_sequential_string(value)
        or heuristic.is_not_alphanumeric_string(value)
        or _WORDS_FOR_SECRETS.fullmatch(value.lower()) is not None
    )


def _merge(secrets: Iterable[Secret]) -> list[Secret]:
    """Return secrets in order, those that overlap as one; the form says more than the name."""
    merged: list[Secret] = []
    for secret in sorted(secrets):
        if merged and secret.start < merged[-1].end:
            last = merged.pop()
            kind = last.kind if last.kind != PASSWORD else secret.kind
            secret = Secret(last.start, max(last.end, secret.end), kind)
        merged.append(secret)
    return merged


def _folded(text: str) -> str:
    """Return the text in lower case, as re.IGNORECASE sees it, each character in its place."""
    return text.lower() if text.isascii() else text.translate(_ODD_CASES).lower()


def _has_long_line(text: str) -> bool:
    return max(map(len, text.split("\n"))) > PIECE


def _pieces(text: str, length: int = PIECE) -> Iterator[tuple[int, str]]:
    """Yield each line with its offset; a long one in pieces that overlap."""
    offset = 0
    for line in text.split("\n"):
        step = int(length * (1 - OVERLAP))
        for start in range(0, max(len(line) - length + step, 1), step):
            yield offset + start, line[start : start + length]
        offset += len(line) + 1


def _lines_with(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, str]]:
    """Yield the pieces of the lines in which a lower-case pattern occurs, in any case."""
    folded = _folded(text)
    end = 0
    for found in pattern.finditer(folded):
        if found.start() < end:
            continue
        start = text.rfind("\n", 0, found.start()) + 1
        end = text.find("\n", found.start())
        end = len(text) if end < 0 else end
        for offset, piece in _pieces(text[start:end], PASSWORD_PIECE):
            yield start + offset, piece


@cache
def _detectors() -> dict[str, RegexBasedDetector]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    classes: Any = get_mapping_from_secret_type_to_class().values()
    known: dict[str, Any] = {plugin.__name__: plugin for plugin in classes}
    return {name: known[name]() for name in NEEDLES}
