"""Laws of the walls: of all that ``escape_attempts`` tries in a sandbox nothing may succeed."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from escape_attempts import ATTEMPTS

from workbench.sandbox import tiers
from workbench.sandbox.records import Limits

HERE = Path(__file__).parent
STATES = {one.name: one for one in tiers.probe()}
# What a compiler may do, and a program that is graded may not.
OF_COMPILERS = {
    "fork",
    "start a process by clone",
    "start a program",
    "start a program by posix_spawn",
    "start a program by system",
    "leave a daemon",
}
# What even without a sandbox does not succeed: nothing is handed over by the spawner, and a
# machine may lack a kernel feature. The others show that an attempt is a real one.
LEAST_SHARE_WITHOUT = 0.85

VICTIM = """
import ctypes, os, signal, sys
for number in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, signal.SIG_IGN)
held = os.open(sys.argv[1], os.O_RDONLY)
secret = ctypes.create_string_buffer(os.environ["PLANTED_SECRET"].encode())
print(held, ctypes.addressof(secret), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """Plant files, a process, listeners, and shared memory; say where they are."""
    place = tmp_path_factory.mktemp("planted")
    token = f"token{os.getpid()}x{time.monotonic_ns()}"
    secret = f"secret-{token}"
    home = place / "home"
    opened = place / "open"
    for folder in (home, opened, place / "folder"):
        folder.mkdir()
    for path in (place / "planted", home / ".netrc", place / "changeable"):
        path.write_text(secret, encoding="utf-8")
    (place / "planted_module.py").write_text(f"SECRET = {secret!r}\n", encoding="utf-8")
    (place / "folder" / "link").symlink_to(place / "planted")
    shared = Path("/dev/shm", token)
    shared.write_text(secret, encoding="utf-8")
    (Path(tempfile.gettempdir()) / f"{token}-here").touch()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    key = 0x77000000 | os.getpid() & 0xFFFFFF
    segment = libc.shmget(key, 4096, 0o1666)
    address = ctypes.c_void_p(libc.shmat(segment, None, 0))
    ctypes.memmove(address, secret.encode(), len(secret))
    victim = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", VICTIM, str(place / "planted"), token],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PLANTED_SECRET": secret},
        cwd=place,
        text=True,
        start_new_session=True,
    )
    assert victim.stdout is not None
    held, where = map(int, victim.stdout.readline().split())
    # Descriptors that a careless program leaves open for its children.
    leaked = os.open(place / "planted", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    listeners = listen(place, token)
    os.environ["PLANTED_SECRET"] = secret
    yield {
        "secret": secret,
        "token": token,
        "program": "/usr/bin/env",
        "tmp": tempfile.gettempdir(),
        "file": str(place / "planted"),
        "home": str(home / ".netrc"),
        "changeable": str(place / "changeable"),
        "open_folder": str(opened),
        "removable": str(place / "removable"),
        "shared_file": str(shared),
        "shm_key": key,
        "victim": victim.pid,
        "victim_group": victim.pid,
        "victim_descriptor": held,
        "victim_address": where,
        "parent": os.getpid(),
        "daemon": f"{token}-daemon",
        "tcp": listeners["tcp"].getsockname()[1],
        "udp": listeners["udp"].getsockname()[1],
        "unix": str(place / "unix"),
        "datagram": str(place / "datagram"),
        "abstract": token,
        "abstract_datagram": f"{token}-datagram",
    }
    del os.environ["PLANTED_SECRET"]
    for one in listeners.values():
        one.close()
    os.close(leaked)
    victim.kill()
    victim.communicate()
    libc.shmdt(address)
    libc.shmctl(segment, 0, None)
    shared.unlink(missing_ok=True)
    (Path(tempfile.gettempdir()) / f"{token}-here").unlink(missing_ok=True)


def listen(place: Path, token: str) -> dict[str, socket.socket]:
    listeners = {
        "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        "unix": (socket.AF_UNIX, socket.SOCK_STREAM, str(place / "unix")),
        "datagram": (socket.AF_UNIX, socket.SOCK_DGRAM, str(place / "datagram")),
        "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{token}"),
        "abstract datagram": (socket.AF_UNIX, socket.SOCK_DGRAM, f"\0{token}-datagram"),
    }
    found = {}
    for name, (family, kind, address) in listeners.items():
        found[name] = socket.socket(family, kind)
        found[name].bind(address)
        if kind == socket.SOCK_STREAM:
            found[name].listen(64)
    return found


def attack(tier: tiers.Tier, planted: dict[str, object], *, compiles: bool) -> dict[str, str]:
    """Try everything in a tier; return what succeeded, and what was said to what did not."""
    place = Path(str(planted["file"])).parent
    removable = Path(str(planted["removable"]))
    removable.write_text("x", encoding="utf-8")
    Path(f"{removable}-folder").mkdir(exist_ok=True)
    done = tier.run(
        [*tiers.python(), str(HERE / "escape_attempts.py"), json.dumps(planted)],
        folder=place / "folder",
        limits=Limits(cpu_seconds=60, wall_seconds=60),
        readable=(*tiers.python_folders(), HERE / "escape_attempts.py"),
        processes=compiles,
        writable=compiles,
    )
    assert done.end.succeeded, (done.end, done.stdout[-300:], done.stderr[-2000:])
    lines = [json.loads(line) for line in done.stdout.decode().splitlines() if line[:1] == "{"]
    assert [line["name"] for line in lines] == list(ATTEMPTS)
    return {line["name"]: line["why"] for line in lines if line["got"]}


def left_processes(planted: dict[str, object]) -> list[list[str]]:
    """Return the calls of processes that bear the daemon's name."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        call = process.info["cmdline"] or []
        if planted["daemon"] in call:
            found.append(call)
    return found


def files_here(planted: dict[str, object]) -> set[str]:
    """Return what lies where a program could have left something behind."""
    place = Path(str(planted["file"])).parent
    found = {str(one) for one in place.rglob("*")}
    for folder in (str(planted["tmp"]), "/dev/shm", "/var/tmp"):
        if Path(folder).is_dir():
            names = [one for one in Path(folder).iterdir() if str(planted["token"]) in one.name]
            found |= set(map(str, names))
    return found | {str(one) for one in Path(tempfile.gettempdir()).iterdir()}


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in a folder of our own; on a busy machine, do not wait for everybody else."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tiers, "_NICE", os.getpriority(os.PRIO_PROCESS, 0))


@pytest.mark.parametrize("compiles", [False, True], ids=["run", "compile"])
@pytest.mark.parametrize("name", tiers.TIERS)
def test_no_attempt_to_get_out_succeeds(
    name: str, compiles: bool, planted: dict[str, object]
) -> None:
    if not STATES[name].works:
        pytest.skip(f"{name} does not work here: {STATES[name].reason}")
    removable = {str(planted["removable"]), f"{planted['removable']}-folder"}
    before = files_here(planted) | removable
    got = attack(tiers.TIERS[name], planted, compiles=compiles)
    assert len(ATTEMPTS) >= 100
    assert set(got) <= (OF_COMPILERS if compiles else set())
    assert left_processes(planted) == []
    assert files_here(planted) == before
    assert Path(str(planted["changeable"])).read_text(encoding="utf-8") == planted["secret"]


def test_most_attempts_succeed_without_a_sandbox(planted: dict[str, object]) -> None:
    got = attack(tiers.NONE, planted, compiles=True)
    failed = sorted(set(ATTEMPTS) - set(got))
    # Who is not root lacks many rights anyway: then fewer attempts prove anything.
    least = LEAST_SHARE_WITHOUT if os.getuid() == 0 else 0.4
    assert len(got) / len(ATTEMPTS) >= least, failed
    assert left_processes(planted) == []  # even then nothing outlives its supervisor
    os.kill(int(str(planted["victim"])), signal.SIGCONT)
