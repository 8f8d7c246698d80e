"""Bare clones of git repositories: fetched whole or not at all, read object by object.

A repository is a thing from a stranger. Nothing of it is checked out, no hook, filter or submodule
of it is ever looked at, and git runs without the user's configuration, without prompts, with one
transport, and within bounds of time, size and memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from workbench.cancel import cancelled
from workbench.corpus.caps import Caps
from workbench.corpus.git_address import Address
from workbench.corpus.sources import redact
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.locks import exclusive
from workbench.progress import bar
from workbench.settings import settings

if TYPE_CHECKING:
    from tqdm import tqdm

POLL_SECONDS = 0.05
MAX_REFS_BYTES = 100_000_000
"""Most that a server may say about its branches and tags: a million of them."""
MAX_RECORD = 8_000_000
"""Longest path in a tree, in bytes, that is read over; git itself ends at 4,096."""
MAX_SHOWN = 300
"""Characters of what git says that are shown."""
_PREFIX = "part-"
_REF = "refs/heads/pinned"
_KEPT = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "SSH_AUTH_SOCK"),
    *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
"""What git inherits from the environment: who and where we are, certificates and proxies."""
_CONFIG = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.bigFileThreshold", "16m"),  # larger ones go to disk as they come
    ("credential.helper", ""),
    ("fetch.unpackLimit", "1"),  # one pack, whatever its size, and not a file an object
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.version", "2"),  # which lets a client ask for any commit
    ("submodule.recurse", "false"),
    ("transfer.bundleURI", "false"),
)
# A shell function, as git wants it; the secrets are in its environment, not on a command line.
_HELPER = (
    """!f() { test "$1" = get && printf 'username=%s\\npassword=%s\\n' """
    '"$WORKBENCH_GIT_USER" "$WORKBENCH_GIT_PASSWORD"; }; f'
)
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ClearAllForwardings=yes -o ForwardAgent=no"
# What servers say that give a commit only as part of a branch, or no shallow clone.
_FULLER = re.compile(r"unadvertised object|shallow|dumb http", re.IGNORECASE)
_MISSING = re.compile(r"not our ref|couldn't find remote ref|no such remote ref")


class DamagedClone(Exception):
    """An object of a clone on disk cannot be read, or is not what its name says."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a commit's tree: ``kind`` is "file", "link" or "submodule".

    ``path`` holds what does not decode as surrogates; ``raw`` is the path in bytes.
    """

    raw: bytes
    kind: str
    oid: str
    size: int

    @property
    def path(self) -> str:
        """The path with forward slashes."""
        return self.raw.decode("utf-8", "surrogateescape")


class Remote:
    """A repository to ask and to fetch from, within ``caps``."""

    def __init__(self, address: Address, caps: Caps) -> None:
        self._address = address
        self._caps = caps

    def resolve(self) -> str:
        """Return the commit that the revision names: asks the server unless it is pinned.

        Raises:
            BadInput: there is no such branch or tag.
            WorkbenchError: offline, or the server cannot be asked.
        """
        address = self._address
        if address.pinned is not None:
            return address.pinned
        self._check_online("Name a full commit id that was crawled before, or unset")
        with tempfile.TemporaryDirectory(prefix="workbench-git-") as folder:
            output = self._run(
                ["ls-remote", "--quiet", "--", address.url, *address.refs],
                Path(folder),
                MAX_REFS_BYTES,
            )
        lines = (line.partition("\t") for line in output.splitlines())
        commits = {name: oid for oid, _, name in lines}
        for ref in address.refs:
            if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", oid := commits.get(ref, "")):
                return str(oid)
        raise BadInput(
            f"There is no branch or tag '{address.revision}' in {address.label}.",
            "Name one that is there, or a full commit id.",
        )

    def clone(self, commit: str) -> Path:
        """Return the folder of a clone that holds ``commit``; fetch it if there is none.

        Raises:
            WorkbenchError: it cannot be fetched, or is larger or slower than the caps allow.
            InUse: another process is fetching it, and does not come to an end.
        """
        folder = self._folder
        target = folder / commit
        if target.is_dir():
            return target
        self._check_online("Crawl it once with a network: unset")
        try:
            what = f"The clone of {self._address.label} is being fetched"
            with exclusive(folder, what, wait=self._caps.seconds):
                if not target.is_dir():
                    self._fetch(commit, target)
        except OSError as error:
            raise WorkbenchError(
                f"The clone of {self._address.label} cannot be written: {error.strerror or error}.",
                "Free some space, or set WORKBENCH_HOME to another folder.",
            ) from error
        return target

    def discard(self, commit: str) -> None:
        """Remove a clone that is damaged."""
        with exclusive(self._folder, f"The clone of {self._address.label} is being fetched"):
            shutil.rmtree(self._folder / commit, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return settings().home / "clones" / self._address.digest

    def _fetch(self, commit: str, target: Path) -> None:
        """Fetch into a new folder, and give it its name once it is whole."""
        for stale in target.parent.glob(f"{_PREFIX}*"):
            shutil.rmtree(stale, ignore_errors=True)  # of a process that was killed
        part = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=target.parent))
        try:
            hashes = "sha256" if len(commit) == 64 else "sha1"
            init = ["init", "--quiet", "--bare", "--template=", f"--object-format={hashes}", "."]
            self._run(init, part, self._caps.bytes)
            with bar(desc=f"Fetching {self._address.label}", unit="B") as progress:
                self._fetch_into(part, commit, progress)
            if kind_of(part, commit) != "commit":
                raise BadInput(
                    f"{commit} is no commit of {self._address.label}.",
                    "Name a commit, a branch or a tag of a commit.",
                )
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _fetch_into(self, part: Path, commit: str, progress: tqdm[object]) -> None:
        """Fetch the one commit, or where the server does not give it so, all branches and tags."""
        fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]
        url = self._address.url
        one = [*fetch, "--depth=1", "--", url, f"{commit}:{_REF}"]
        try:
            self._run(one, part, self._caps.bytes, progress)
        except _GitFailed as error:
            if not _FULLER.search(error.told):
                raise
            everything = ["refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"]
            self._run([*fetch, "--", url, *everything], part, self._caps.bytes, progress)

    def _check_online(self, remedy: str) -> None:
        if settings().offline and self._address.protocol != "file":
            raise WorkbenchError(
                f"{self._address.label} is not here, and the workbench is offline.",
                f"{remedy} WORKBENCH_OFFLINE.",
            )

    def _run(
        self,
        arguments: Sequence[str],
        folder: Path,
        most: int,
        progress: tqdm[object] | None = None,
    ) -> str:
        """Run git in ``folder`` and return what it prints.

        It and its children are killed when the folder grows over ``most`` bytes, when the time
        is up, and when nobody waits for it any more.
        """
        deadline = time.monotonic() + self._caps.seconds
        with (
            tempfile.TemporaryFile() as output,
            tempfile.TemporaryFile() as errors,
            _started(arguments, folder, self._environment(), stdout=output, stderr=errors) as git,
        ):
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    git.wait(POLL_SECONDS)
                size = _size(folder)
                if progress is not None:
                    progress.update(max(0, size - progress.n))
                self._check_bounds(size, most, output, errors, deadline)
                if git.returncode is not None:
                    break
            if git.returncode != 0:
                raise self._failure(_head(errors))
            return _head(output, MAX_REFS_BYTES)

    def _check_bounds(
        self, size: int, most: int, output: IO[bytes], errors: IO[bytes], deadline: float
    ) -> None:
        label = self._address.label
        if cancelled():
            raise Cancelled(f"The fetch of {label} was stopped.", "Call it again.")
        told = os.fstat(output.fileno()).st_size + os.fstat(errors.fileno()).st_size
        if size > most or told > MAX_REFS_BYTES:
            raise WorkbenchError(
                f"{label} is larger than {most:,} bytes.", "Raise the cap on bytes, or choose less."
            )
        if time.monotonic() > deadline:
            raise WorkbenchError(
                f"{label} did not arrive within {self._caps.seconds:,g} seconds.",
                "Raise the cap on seconds, or try again later.",
            )

    def _environment(self) -> dict[str, str]:
        address = self._address
        config = list(_CONFIG)
        secrets = {}
        if address.user or address.password:
            # Bound to the host, as git asks again wherever a redirect leads.
            host = address.url.split("/", 3)[2]
            config.append((f"credential.https://{host}.helper", _HELPER))
            secrets = {
                "WORKBENCH_GIT_USER": address.user,
                "WORKBENCH_GIT_PASSWORD": address.password,
            }
        return environment(address.protocol, config) | secrets

    def _failure(self, told: str) -> WorkbenchError:
        """Return the error of a git that failed, in one line and without secrets."""
        label = self._address.label
        if _MISSING.search(told):
            return BadInput(
                f"There is no such revision in {label}.", "Name another commit, tag or branch."
            )
        for secret in (self._address.password, self._address.user):
            if len(secret) > 1:
                told = told.replace(secret, "***")
        lines = [line.strip() for line in redact(told).splitlines() if line.strip()]
        # The cause stands first or behind "fatal:"; what stands between is advice.
        fatal = [line for line in lines if line.startswith("fatal:")]
        line = "; ".join(dict.fromkeys([*lines[:1], *fatal[:1]])) or "git says nothing"
        shown = "".join(c for c in line if c.isprintable())[:MAX_SHOWN].rstrip(".")
        return _GitFailed(label, shown.removeprefix("fatal: "), told)


class _GitFailed(WorkbenchError):
    """git ended with an error; ``told`` is all that it wrote."""

    def __init__(self, label: str, line: str, told: str) -> None:
        super().__init__(
            f"{label} cannot be read by git: {line}.",
            "Check the URL, the network and your right to read it.",
        )
        self.told = told


def environment(
    protocol: str = "none", config: Sequence[tuple[str, str]] = _CONFIG
) -> dict[str, str]:
    """Return the environment of a git that may use one protocol and no configuration but ours."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    pairs = {}
    for number, (key, value) in enumerate(config):
        pairs[f"GIT_CONFIG_KEY_{number}"] = key
        pairs[f"GIT_CONFIG_VALUE_{number}"] = value
    return {
        **kept,
        **pairs,
        "GIT_CONFIG_COUNT": str(len(config)),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": protocol,
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_SSH_COMMAND": _SSH,
        "GIT_SSH_VARIANT": "ssh",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        # No single allocation above it: a small object may claim to be, or be made of, a huge one.
        "GIT_ALLOC_LIMIT": "1g",
        "LC_ALL": "C",
    }


def find_git() -> str:
    """Return the git program.

    Raises:
        WorkbenchError: it is not installed.
    """
    git = shutil.which("git")
    if git is None:
        raise WorkbenchError(
            "A git source needs the program git, which is not installed.",
            "Install git, or crawl the code as folder:PATH or pypi:NAME.",
        )
    return git


def kind_of(clone: Path, oid: str) -> str | None:
    """Return what an object is ("commit", "tree", ...), or None where it is not there."""
    with Objects(clone) as objects:
        return objects.kind_of(oid)


def entries_of(clone: Path, commit: str) -> Iterator[TreeEntry]:
    """Yield the entries of a commit's tree, in git's order: that of the paths' bytes.

    Raises:
        DamagedClone: the tree cannot be read to its end.
    """
    arguments = ["ls-tree", "-r", "-z", "--long", "--full-tree", commit]
    with _started(arguments, clone, environment(), stdout=subprocess.PIPE) as git:
        assert git.stdout is not None
        for record in _records(git.stdout):
            head, _, path = record.partition(b"\t")
            try:
                mode, kind, oid, size = head.decode("ascii").split()
                yield TreeEntry(path, _kind(mode, kind), oid, 0 if size == "-" else int(size))
            except ValueError:  # the size of a blob that is missing is "BAD"
                raise DamagedClone from None
        if git.wait() != 0:
            raise DamagedClone


class Objects:
    """The objects of a clone, by one ``git cat-file --batch`` that is asked again and again."""

    def __init__(self, clone: Path) -> None:
        self._clone = clone
        self._stack = contextlib.ExitStack()
        self._git: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Objects:
        self._git = self._stack.enter_context(
            _started(
                ["cat-file", "--batch"],
                self._clone,
                environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def kind_of(self, oid: str) -> str | None:
        """Return the kind of an object, or None; only for small ones, as it comes whole."""
        kind, size = self._ask(oid)
        if kind is not None:
            self._take(size + 1)
        return kind

    def blob(self, entry: TreeEntry) -> bytes:
        """Return the content of a file, which is what its id says.

        Raises:
            DamagedClone: it is not there, or is another.
        """
        kind, size = self._ask(entry.oid)
        if (kind, size) != ("blob", entry.size):
            raise DamagedClone
        data = self._take(size + 1)[:-1]
        new = hashlib.sha256 if len(entry.oid) == 64 else hashlib.sha1
        digest = new(b"blob %d\0" % size, usedforsecurity=False)
        digest.update(data)
        if digest.hexdigest() != entry.oid:
            raise DamagedClone
        return data

    def _ask(self, oid: str) -> tuple[str | None, int]:
        git = self._git
        assert git is not None
        assert git.stdin is not None
        assert git.stdout is not None
        try:
            git.stdin.write(oid.encode("ascii") + b"\n")
            git.stdin.flush()
            answer = git.stdout.readline(200).decode("ascii").split()
            if len(answer) == 2 and answer[1] == "missing":
                return None, 0
            _, kind, size = answer
            return kind, int(size)
        except (OSError, ValueError):
            raise DamagedClone from None

    def _take(self, size: int) -> bytes:
        assert self._git is not None
        assert self._git.stdout is not None
        data = self._git.stdout.read(size)
        if len(data) != size:
            raise DamagedClone
        return data


def _kind(mode: str, kind: str) -> str:
    if mode == "120000":
        return "link"
    return "file" if kind == "blob" else "submodule"


def _records(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield what stands before each NUL; what is left without one is no record."""
    left = b""
    while block := os.read(stream.fileno(), 1 << 16):
        *records, left = (left + block).split(b"\0")
        yield from records
        if len(left) > MAX_RECORD:
            raise DamagedClone
    if left:
        raise DamagedClone


@contextlib.contextmanager
def _started(
    arguments: Sequence[str],
    folder: Path,
    env: dict[str, str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start git for the bare repository ``folder``; at the end, it and its children are gone."""
    git = subprocess.Popen(
        [find_git(), f"--git-dir={folder}", "--no-pager", *arguments],
        cwd=folder,
        env=env,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        # A group of its own, so that its helpers can be killed with it.
        start_new_session=True,
    )
    try:
        yield git
    finally:
        if git.returncode is None:
            _kill(git)
        for stream in (git.stdin, git.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        git.wait()


def _kill(git: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(git.pid, signal.SIGKILL)
        else:
            git.kill()


def _size(folder: Path) -> int:
    """Add up the files of a folder, which git may be moving about."""
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.lstat().st_size
    return size


def _head(file: IO[bytes], most: int = 20_000) -> str:
    file.seek(0)
    return file.read(most).decode("utf-8", "replace")
