"""The kinds of sandbox there are, which of them work here, and how a program is put into one.

In order of preference: bubblewrap (namespaces of its own, with a seccomp filter), landlock (no
namespaces: the kernel refuses files, the filter refuses processes and all else), and, where a user
says so, none (limits only, and every outcome says so). Where none works, nothing is run.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import UnknownName
from workbench.sandbox import confine, seccomp
from workbench.sandbox.jail import SPAWNER, Finished, Jailed, NoSandbox
from workbench.sandbox.records import Limits
from workbench.settings import settings

PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL

FOLDER, SCRATCH = "@folder@", "@scratch@"
"""Stand in arguments and in the environment for the two folders as a program sees them."""

# The tests disable tiers with it, by their names or "all", to see that nothing runs then.
_FAULT = "WORKBENCH_SANDBOX_FAULT"

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime", "/etc/ssl/openssl.cnf")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# Below what a program reads, but none of its business: what is installed for the interpreter may be
# a data set with its solutions, or the workbench itself. What is ``readable`` in them stays so.
_PACKAGES = ("lib/python3*/*-packages", "lib64/python3*/*-packages")
_SOURCES = ("/usr/src", "/usr/local/src")
# What runtimes ask of the kernel about themselves and the machine. All of /proc/self would show
# the machine's network too.
_ABOUT = tuple(f"/proc/{one}" for one in ("self/maps", "self/stat", "self/status", "meminfo"))
_BOX, _TMP = "/box", "/tmp"
_NICE = 19
_DESCRIPTORS = 256
# Addresses beyond the limit on memory: a program's own text and libraries are mapped too. What it
# really uses is watched.
_MAPPED = 128 << 20


@dataclass(frozen=True, slots=True)
class TierState:
    """Whether a tier works here, and why not."""

    name: str
    works: bool
    reason: str


@dataclass(frozen=True, slots=True)
class _Wish:
    """A program to be started, and what it may do. ``limits`` None: it limits its children."""

    argv: tuple[str, ...]
    folder: Path
    limits: Limits | None
    readable: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: bool = False
    writable: bool = False
    nests: bool = False
    memory_by_rss: bool = False


class Tier(ABC):
    """A kind of sandbox."""

    name: str

    def popen(
        self,
        argv: Sequence[str],
        *,
        folder: Path,
        limits: Limits | None,
        readable: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        descriptors: Mapping[int, int] | None = None,
        processes: bool = False,
        writable: bool = False,
        nests: bool = False,
        memory_by_rss: bool = False,
        stdin: int = DEVNULL,
        stdout: int = DEVNULL,
        stderr: int = DEVNULL,
    ) -> Jailed:
        """Start a program in ``folder``, its working folder.

        It sees the system's programs, its folder, what is ``readable``, and nothing else. It may
        always write an empty folder of its own (TMPDIR) that vanishes with it; see SCRATCH.

        Args:
            argv: the program and its arguments; FOLDER and SCRATCH are replaced in them.
            folder: an existing folder.
            limits: what it may take; None: it sets limits for its own children (``nests``).
            readable: files and folders that it may read.
            environment: all its variables, beside PATH, HOME, TMPDIR and LANG.
            descriptors: its number of a descriptor (3 to 9) -> ours. We close none of ours.
            processes: it may make processes.
            writable: it may write ``folder``.
            nests: it is trusted, and confines its own children by ``confine`` with the policy
                of ``nested``.
            memory_by_rss: its memory is limited by what it uses, not by its addresses.
            stdin: PIPE, DEVNULL or a descriptor.
            stdout: as ``stdin``.
            stderr: as ``stdin``.

        Raises:
            NoSandbox: it could not even be tried. All later failures are in ``Jailed.wait``.
        """
        wish = _Wish(
            tuple(argv),
            folder.resolve(),
            limits,
            tuple(readable),
            environment or {},
            processes or nests,
            writable,
            nests,
            memory_by_rss,
        )
        given = {0: stdin, 1: stdout, 2: stderr, **(descriptors or {})}
        output = (limits or Limits()).output
        order = self._order(wish)
        try:
            return SPAWNER.start(order, given, output)
        except BaseException:
            for scratch in order.get("remove", ()):
                shutil.rmtree(scratch, ignore_errors=True)
            raise

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", **wish: Any) -> Finished:
        """Run a program to its end, with the arguments of ``popen``."""
        pipe = PIPE if stdin else DEVNULL
        with self.popen(argv, stdin=pipe, stdout=PIPE, stderr=PIPE, **wish) as jailed:
            return jailed.communicate(stdin)

    def nested(
        self,
        limits: Limits,
        *,
        keep: Sequence[int] = (0, 1, 2),
        readable: Sequence[Path] = (),
    ) -> dict[str, Any]:
        """Return the policy with which a warm parent confines a child; see ``confine``.

        ``limits.cpu_seconds`` are rounded up to whole seconds: the parent watches the rest.
        ``readable`` is what the child opens after it was confined.

        Raises:
            NoSandbox: a child could not be confined here.
        """
        return {
            "limits": _resources(limits, memory_by_rss=False, files=limits.files),
            "keep": list(keep),
            "privileges": False,
            **self._nested(limits, readable),
        }

    @abstractmethod
    def _nested(self, limits: Limits, readable: Sequence[Path]) -> dict[str, Any]:
        """Return what confines a child in this tier."""

    @abstractmethod
    def _order(self, wish: _Wish) -> dict[str, Any]:
        """Write the order for the spawner."""


class Bubblewrap(Tier):
    """Namespaces of its own, made by bubblewrap, with a seccomp filter."""

    name = "bubblewrap"

    def _order(self, wish: _Wish) -> dict[str, Any]:
        files = (wish.limits or Limits()).files
        replaced = _replacer(_BOX, _TMP)
        code = seccomp.program(processes=wish.processes, nests=wish.nests)
        own = [str(wish.folder)] if wish.writable else []
        return {
            "argv": [*self._walls(wish, files), "--", *map(replaced, wish.argv)],
            "environment": _environment(wish, replaced, _TMP),
            "filter": code.hex(),
            "policy": {"nice": _NICE, "cwd": "/", "limits": _limits(wish)},
            # Bubblewrap itself is two processes.
            "watch": _watch(wish, own, more=2),
            "make_executable": own,
        }

    def _walls(self, wish: _Wish, files: int) -> list[str]:
        program = shutil.which("bwrap")
        if program is None:
            raise NoSandbox("bubblewrap is not installed.", _REMEDY)
        # Root must not be root inside: it could still write the kernel's settings in /proc/sys,
        # and could not make namespaces for its own children.
        walls = [program, "--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534"]
        walls += ["--hostname", "sandbox", "--die-with-parent", "--cap-drop", "ALL"]
        for path in map(Path, _SYSTEM):
            if path.is_symlink():
                walls += ["--symlink", str(path.readlink()), str(path)]
            elif path.is_dir():
                walls += ["--ro-bind", str(path), str(path)]
        for setting in _SETTINGS:
            walls += ["--ro-bind-try", setting, setting]
        # The session is the workbench's own, so that nice levels count between the two where the
        # kernel schedules by session: its terminal must not be reached.
        walls += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/dev/null", "/dev/tty"]
        walls += ["--perms", "1777", "--size", str(files), "--tmpfs", _TMP]
        hidden = hidden_below(wish.readable)
        for path in sorted({*wish.readable, *hidden}, key=lambda path: len(path.parts)):
            empty = ["--size", "4096", "--tmpfs", str(path)]
            walls += empty if path in hidden else ["--ro-bind-try", str(path), str(path)]
        walls += ["--bind" if wish.writable else "--ro-bind", str(wish.folder), _BOX]
        # What bubblewrap made itself is writable memory without a limit until it is closed.
        for top in (*map(str, hidden), "/dev", "/"):
            walls += ["--remount-ro", top]
        if wish.nests:
            walls += ["--ro-bind", "/proc/sys", "/proc/sys"]
        else:
            walls += ["--remount-ro", "/proc"]
        return [*walls, "--chdir", _BOX, "--json-status-fd", "60", "--seccomp", "61"]

    def _nested(self, limits: Limits, readable: Sequence[Path]) -> dict[str, Any]:
        if can_nest():
            return {
                "namespaces": True,
                "hide": ["/proc"],
                "folder": _TMP,
                "folder_bytes": limits.files,
                "show": [
                    str(one)
                    for one in readable
                    if one.is_relative_to(_TMP) and not set(one.parents) & set(readable)
                ],
                "seccomp": seccomp.program(executes=False).hex(),
            }
        if _impossible(TIERS["landlock"]):
            raise NoSandbox("Neither namespaces nor landlock confine a child in a sandbox.")
        return _without_namespaces(readable)


class Landlock(Tier):
    """No namespaces: landlock closes the files, and a seccomp filter all else.

    A program can still learn that a file exists, its size and owner, and where a link points to.
    """

    name = "landlock"

    def _order(self, wish: _Wish) -> dict[str, Any]:
        scratch = Path(tempfile.mkdtemp(prefix="workbench-jail-"))
        replaced = _replacer(str(wish.folder), str(scratch))
        tops = (*map(Path, _SYSTEM), *wish.readable)
        read, listed = _around(tops, hidden_below(wish.readable))
        readable = [*read, *_SETTINGS, *_DEVICES, *_ABOUT, str(wish.folder)]
        own = [str(scratch), *([str(wish.folder)] if wish.writable else [])]
        code = seccomp.program(
            processes=wish.processes,
            nests=wish.nests,
            shared=True,
            scoped=confine.landlock_version() >= 6,
        )
        return {
            "argv": [*map(replaced, wish.argv)],
            "environment": _environment(wish, replaced, str(scratch)),
            "policy": {
                "nice": _NICE,
                "cwd": str(wish.folder),
                "limits": _limits(wish),
                "privileges": False,
                "landlock": {"read": readable, "list": listed, "write": [*own, "/dev/null"]},
                "seccomp": code.hex(),
            },
            "watch": _watch(wish, own, more=0),
            "remove": [str(scratch)],
            "make_executable": own[1:],
        }

    def _nested(self, limits: Limits, readable: Sequence[Path]) -> dict[str, Any]:
        return _without_namespaces(readable)


class Unconfined(Tier):
    """No sandbox at all: limits only."""

    name = "none"

    def _order(self, wish: _Wish) -> dict[str, Any]:
        scratch = Path(tempfile.mkdtemp(prefix="workbench-jail-"))
        replaced = _replacer(str(wish.folder), str(scratch))
        return {
            "argv": [*map(replaced, wish.argv)],
            "environment": _environment(wish, replaced, str(scratch)),
            "policy": {"nice": _NICE, "cwd": str(wish.folder), "limits": _limits(wish)},
            "watch": _watch(wish, [str(scratch)], more=0),
            "remove": [str(scratch)],
        }

    def _nested(self, limits: Limits, readable: Sequence[Path]) -> dict[str, Any]:
        return {"privileges": True}


TIERS: dict[str, Tier] = {one.name: one for one in (Bubblewrap(), Landlock())}
NONE = Unconfined()

_REMEDY = (
    "Install bubblewrap (apt install bubblewrap), or set WORKBENCH_SANDBOX=none to run programs"
    " unconfined, with limits only: never do that with code that you do not trust."
)


def choose(tier: str | None = None) -> Tier:
    """Return a tier that works here: the one named, that of the settings, or the best.

    Raises:
        UnknownName: there is no such tier.
        NoSandbox: it, or every one, does not work here; says why.
    """
    name = tier or settings().sandbox
    faults = os.environ.get(_FAULT, "")
    if name == NONE.name:
        if _disabled(NONE.name, faults):
            raise NoSandbox("Even to run without a sandbox is disabled.", _REMEDY)
        return NONE
    if name is not None and name not in TIERS:
        raise UnknownName("sandbox", name, [*TIERS, NONE.name])
    states = {one.name: one for one in probe()}
    for one in (name,) if name else TIERS:
        if states[one].works:
            return TIERS[one]
    why = "; ".join(f"{s.name}: {s.reason}" for s in states.values() if name in (None, s.name))
    raise NoSandbox(f"No sandbox works here ({why}), so nothing was run.", _REMEDY)


def probe() -> tuple[TierState, ...]:
    """Run a program in each tier and see that it is confined; once per process (about 0.2 s)."""
    return _probe(os.environ.get(_FAULT, ""), os.getpid())


@functools.lru_cache(maxsize=8)
def _probe(faults: str, _process: int) -> tuple[TierState, ...]:
    return tuple(_try(tier, faults) for tier in TIERS.values())


def can_nest() -> bool:
    """Return whether a program in bubblewrap can make namespaces for its own children."""
    return _nests(os.getpid())


@functools.lru_cache(maxsize=1)
def _nests(_process: int) -> bool:
    script = Path(confine.__file__)
    with tempfile.TemporaryDirectory(prefix="workbench-probe-") as folder:
        done = TIERS["bubblewrap"].run(
            [*python(), "-c", _NEST, str(script.parent)],
            folder=Path(folder),
            limits=Limits(cpu_seconds=10, wall_seconds=20),
            readable=(*python_folders(), script),
            nests=True,
        )
    return done.end.succeeded


def _disabled(name: str, faults: str) -> bool:
    return faults == "all" or name in faults.split(",")


# What is tried in each tier. It prints which of the things it could do that it must not.
_ATTEMPTS = """
import os, socket, sys
could = []
def attempt(name, function, *arguments):
    try:
        function(*arguments)
    except OSError:
        return
    could.append(name)
attempt("read a file", open, sys.argv[1])
attempt("write a file", open, sys.argv[1], "a")
attempt("open a socket", socket.socket)
def process():
    if os.fork() == 0:
        os._exit(0)
attempt("make a process", process)
open(os.path.join(os.environ["TMPDIR"], "own"), "w").close()
print("could", *could, sep="|")
"""

_NEST = """
import os, sys
sys.path.append(sys.argv[1])
import confine
policy = {"namespaces": True, "hide": ["/proc"], "folder": "/tmp", "folder_bytes": 65536}
pid = confine.new_process(policy)
if pid == 0:
    try:
        confine.enter(policy)
        os._exit(os.getpid() != 1)
    finally:
        os._exit(9)
sys.exit(os.waitpid(pid, 0)[1])
"""


def _try(tier: Tier, faults: str) -> TierState:
    if _disabled(tier.name, faults):
        return TierState(tier.name, False, "disabled by a test")
    if reason := _impossible(tier):
        return TierState(tier.name, False, reason)
    with tempfile.TemporaryDirectory(prefix="workbench-probe-") as place:
        planted, folder = Path(place, "planted"), Path(place, "folder")
        planted.write_text("secret", encoding="utf-8")
        folder.mkdir()
        try:
            done = tier.run(
                [*python(), "-c", _ATTEMPTS, str(planted)],
                folder=folder,
                limits=Limits(cpu_seconds=10, wall_seconds=20),
                readable=python_folders(),
            )
        except (NoSandbox, OSError) as error:
            return TierState(tier.name, False, str(error))
    lines = done.stdout.decode(errors="replace").splitlines()
    if not done.end.succeeded or not lines or not lines[-1].startswith("could"):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        # Bubblewrap itself says best why it did not start.
        why = said[-1] if said else done.end.detail or f"{done.end.how} {done.end.code}"
        return TierState(tier.name, False, " ".join(why.split())[:200])
    could = lines[-1].split("|")[1:]
    if could:
        return TierState(tier.name, False, f"a program in it could {' and '.join(could)}")
    return TierState(tier.name, True, "")


def _impossible(tier: Tier) -> str:
    """Say why a tier need not be tried, "" where it may work."""
    if sys.platform != "linux" or platform.machine() not in seccomp.MACHINES:
        return f"there are no seccomp filters for {sys.platform} on {platform.machine()}"
    if tier.name == "bubblewrap" and shutil.which("bwrap") is None:
        return "bubblewrap is not installed (apt install bubblewrap)"
    if tier.name == "landlock" and (version := confine.landlock_version()) < 3:
        return f"the kernel's landlock is of version {version}, and 3 is needed (Linux 6.2)"
    return ""


def python() -> list[str]:
    """Return the call of the bare interpreter that runs the workbench."""
    return [os.path.realpath(sys.executable), "-I", "-S"]


def python_folders() -> tuple[Path, ...]:
    """Return what that interpreter reads: its installation, without the packages of a venv."""
    return (Path(sys.base_prefix).resolve(), Path(os.path.realpath(sys.executable)).parent)


def hidden_below(readable: Sequence[Path]) -> tuple[Path, ...]:
    """Return the folders that no program sees, though it sees what they lie in.

    ``readable`` are paths that it may read: none of them is hidden.
    """
    kept = settings()
    return _hidden(tuple(readable), kept.home, kept.data)


@functools.lru_cache(maxsize=64)
def _hidden(readable: tuple[Path, ...], *own: Path | None) -> tuple[Path, ...]:
    found = {Path(__file__).parents[1], *map(Path, _SOURCES), *filter(None, own)}
    for prefix in {Path("/usr"), Path("/usr/local"), Path(sys.base_prefix)}:
        found.update(one for pattern in _PACKAGES for one in prefix.glob(pattern))
    real = {one.resolve() for one in found if one.is_dir()} - {one.resolve() for one in readable}
    outermost = [one for one in real if real.isdisjoint(one.parents)]
    seen = set()
    for top in (*(one for one in map(Path, _SYSTEM) if not one.is_symlink()), *readable):
        where = top.resolve()
        # By the name that it has inside.
        seen |= {top / one.relative_to(where) for one in outermost if where in one.parents}
    return tuple(sorted(seen))


def sandbox_facts() -> dict[str, str]:
    """Return the tiers and their states, for ``workbench doctor``."""
    facts = {one.name: "ready" if one.works else f"no: {one.reason}" for one in probe()}
    try:
        facts["in use"] = choose().name
    except (NoSandbox, UnknownName) as error:
        facts["in use"] = f"nothing: {error.cause}"
    return facts


# --- parts of orders -------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _around(tops: tuple[Path, ...], hidden: tuple[Path, ...]) -> tuple[list[str], list[str]]:
    """Return what of ``tops`` may be read without the hidden, and what may only be listed.

    Landlock only ever allows: where something is hidden, all that lies beside it is allowed.
    """
    real = {one.resolve() for one in hidden}
    above = {up for one in real for up in one.parents}
    read, listed, waiting = [], set(), list(tops)
    while waiting:
        path = waiting.pop()
        where = path.resolve()
        if where in listed or where in real:
            continue
        if where not in above:
            read.append(str(path))
            continue
        listed.add(where)
        with contextlib.suppress(OSError):  # it is not ours to read
            # A link is what it links to: allowed or not by that one's own place.
            waiting += [one for one in where.iterdir() if not one.is_symlink()]
    return read, sorted(map(str, listed))


def _without_namespaces(readable: Sequence[Path]) -> dict[str, Any]:
    read = [*_SYSTEM, *map(str, (*python_folders(), *readable))]
    return {
        "landlock": {"read": read, "write": []},
        "seccomp": seccomp.program(executes=False, shared=True).hex(),
    }


def _replacer(folder: str, scratch: str) -> Any:
    return lambda text: text.replace(FOLDER, folder).replace(SCRATCH, scratch)


def _environment(wish: _Wish, replaced: Any, scratch: str) -> dict[str, str]:
    own = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": scratch,
        "TMPDIR": scratch,
        "LANG": "C.UTF-8",
    }
    return own | {name: replaced(value) for name, value in wish.environment.items()}


def _limits(wish: _Wish) -> dict[str, int]:
    if wish.limits is None:
        return {}
    return _resources(wish.limits, memory_by_rss=wish.memory_by_rss, files=wish.limits.files)


def _resources(limits: Limits, *, memory_by_rss: bool, files: int) -> dict[str, int]:
    resources = {"file": files, "descriptors": _DESCRIPTORS}
    if math.isfinite(limits.cpu_seconds):
        resources["cpu"] = math.ceil(limits.cpu_seconds) + 1
    if not memory_by_rss:
        resources["memory"] = limits.memory + _MAPPED
    return resources


def _watch(wish: _Wish, folders: list[str], more: int) -> dict[str, Any] | None:
    limits = wish.limits
    if limits is None:
        return None
    return {
        "cpu": min(limits.cpu_seconds, 1e9),
        "wall": min(limits.wall_seconds, 1e9),
        "memory": limits.memory,
        "processes": limits.processes + more,
        "threads": 8 * limits.processes,
        "files": limits.files,
        "folders": folders,
    }
