"""What a git source may say: ``URL@REV[#SUBDIR]``, and all that is refused before git starts.

A URL is typed by a user or stands in a manifest of somebody else, and git would run a program for
some (``ext::``, ``--upload-pack=``, ``ssh://-oProxyCommand=``). So each part is held to a list of
what is allowed. No message quotes what was typed: it may be a password that went astray.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, quote, unquote, urlsplit

from workbench.errors import BadInput

MAX_ARGUMENT = 2_000
FORM = "git:URL@REV[#SUBDIR]"
_EXAMPLE = "Write git:https://HOST/PATH@REV, git:ssh://git@HOST/PATH@REV or git:/PATH@REV."

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9a-f:]*:[0-9a-f:.]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_SCP = re.compile(r"(?:(?P<user>[^@:/]+)@)?(?P<host>[^@:/]+):(?P<path>[^:].*)")
_PATH = re.compile(r"/[A-Za-z0-9/._~%+=,!-]*")
_REV = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}")
_SHA = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Address:
    """A repository, a revision of it and a folder in it ("" for all).

    ``url`` is what git gets: it holds no password, and for ``https`` no user either, as hosts
    take tokens for one. ``user`` and ``password`` are never shown.
    """

    protocol: str
    url: str
    revision: str
    subdir: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def source(self) -> str:
        """The source as documents carry it: without revision and secrets."""
        place = self.url.removeprefix("file://") if self.protocol == "file" else self.url
        return f"git:{unquote(place) if self.protocol == 'file' else place}" + (
            f"#{self.subdir}" if self.subdir else ""
        )

    @property
    def label(self) -> str:
        """A short name for messages: the URL without secrets."""
        return self.source.removeprefix("git:").partition("#")[0]

    @property
    def digest(self) -> str:
        """Identify the repository, whatever the revision or the credentials."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:32]

    @property
    def pinned(self) -> str | None:
        """The commit that the revision names beyond doubt, or None for a branch or a tag."""
        return self.revision.lower() if _SHA.fullmatch(self.revision) else None

    @property
    def refs(self) -> tuple[str, ...]:
        """The names that the revision may have on the server, the first that is there counts.

        Tags come before branches, as ``gitrevisions`` has it; ``^{}`` is what a tag points to.
        """
        if self.revision == "HEAD" or self.revision.startswith("refs/"):
            return (f"{self.revision}^{{}}", self.revision)
        tag, branch = f"refs/tags/{self.revision}", f"refs/heads/{self.revision}"
        return (f"{tag}^{{}}", tag, branch)


def parse_address(argument: str) -> Address:
    """Read what stands behind ``git:``.

    Raises:
        BadInput: it is no such address, or one that is not safe to hand to git.
    """
    if len(argument) > MAX_ARGUMENT:
        raise BadInput("The git source is too long.", _EXAMPLE)
    if not argument.isprintable():
        raise BadInput("The git source has characters that cannot be printed.", _EXAMPLE)
    place, mark, subdir = argument.partition("#")
    url, _, revision = place.rpartition("@")
    if not url:
        raise BadInput("The git source lacks its URL or its revision.", f"Write {FORM}.")
    _check_revision(revision)
    if mark:
        subdir = _subdir(subdir)
    protocol, url, user, password = _split(url)
    return Address(protocol, url, revision, subdir, user, password)


def _check_revision(revision: str) -> None:
    if (
        not _REV.fullmatch(revision)
        or ".." in revision
        or "//" in revision
        or revision.endswith(("/", ".", ".lock"))
        or any(part.startswith(".") for part in revision.split("/"))
    ):
        raise BadInput(
            "The git source has no revision that can be used.",
            f"Write {FORM}, where REV is a full commit id, a tag or a branch.",
        )


def _subdir(text: str) -> str:
    """Return the folder in its plain form."""
    parts = text.rstrip("/").split("/")
    if "\\" in text or text.startswith("-") or any(part in ("", ".", "..") for part in parts):
        raise BadInput(
            "The folder behind '#' in the git source cannot be used.",
            "Write a path from the top of the repository, as #src/package.",
        )
    return "/".join(parts)


def _split(url: str) -> tuple[str, str, str, str]:
    """Return protocol, URL without secrets, user and password."""
    if url.startswith("-"):
        raise BadInput("The git source looks like an option.", _EXAMPLE)
    if "::" in url.partition("[")[0].partition("/")[0]:
        raise BadInput("The git source names a remote helper, which runs programs.", _EXAMPLE)
    if url.startswith("/"):
        return "file", _local(url), "", ""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return "ssh", _scp(url), "", ""
    if scheme == "file":
        if not rest.startswith("/"):
            raise BadInput("The git source names a file on another host.", _EXAMPLE)
        return "file", _local(unquote(rest)), "", ""
    if scheme not in ("https", "ssh"):
        raise BadInput("The git source uses a transport that is not supported.", _EXAMPLE)
    return _remote(url)


def _local(path: str) -> str:
    if not path.isprintable() or path.startswith("//"):
        raise BadInput("The path in the git source cannot be used.", _EXAMPLE)
    # Not resolved: Source.absolute did that, and two names of one repository do no harm.
    if not Path(path).is_dir():
        raise BadInput("The git source names a folder that does not exist.", _EXAMPLE)
    return "file://" + quote(PurePosixPath(path).as_posix())


def _remote(url: str) -> tuple[str, str, str, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadInput("The URL of the git source is malformed.", _EXAMPLE) from None
    if not _HOST.fullmatch(host):
        raise BadInput("The git source has no host that can be used.", _EXAMPLE)
    path = parts.path.rstrip("/")
    if not _PATH.fullmatch(path) or not unquote(path).isprintable() or not path.strip("/"):
        raise BadInput("The git source has no path that can be used.", _EXAMPLE)
    if "?" in url or ".." in unquote(path).split("/"):
        raise BadInput("The URL of the git source has a query, or '..' in its path.", _EXAMPLE)
    user, password = _credentials(parts)
    shown = f"[{host}]" if ":" in host else host
    place = f"{shown}:{port}" if port else shown
    if parts.scheme == "ssh":
        if password or not _USER.fullmatch(user or "git"):
            raise BadInput(
                "The git source has a password, or a user that ssh does not take.",
                "Add your key to the ssh agent instead: ssh-add",
            )
        return "ssh", f"ssh://{user}@{place}{path}" if user else f"ssh://{place}{path}", "", ""
    return "https", f"https://{place}{path}", user, password


def _credentials(parts: SplitResult) -> tuple[str, str]:
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    # A line end would begin another field of git's credential protocol.
    if not (user + password).isprintable():
        raise BadInput("The user or password in the git source cannot be used.", _EXAMPLE)
    return user, password


def _scp(url: str) -> str:
    """Check the short form of ssh, ``git@host:path``."""
    found = _SCP.fullmatch(url)
    if found is None:
        raise BadInput("The git source names no repository: a local path is absolute.", _EXAMPLE)
    if not _USER.fullmatch(found["user"] or "git") or not _HOST.fullmatch(found["host"]):
        raise BadInput("The git source has a user or host that ssh does not take.", _EXAMPLE)
    path = found["path"]
    if not _PATH.fullmatch("/" + path.lstrip("/")) or path.startswith("-") or ".." in path:
        raise BadInput("The git source has no path that can be used.", _EXAMPLE)
    return url
