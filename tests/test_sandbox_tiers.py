"""Laws of the sandbox's tiers: which one is used, how a program ends, and that none stays."""

import ast
import json
import os
import platform
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from workbench.errors import UnknownName
from workbench.sandbox import confine, jail, seccomp, spawner, tiers
from workbench.sandbox.jail import NoSandbox
from workbench.sandbox.records import Limits

STATES = {one.name: one for one in tiers.probe()}
ALL = [*tiers.TIERS, "none"]


@pytest.fixture(params=ALL)
def tier(request: pytest.FixtureRequest) -> tiers.Tier:
    """Yield every tier that works here, and none."""
    name: str = request.param
    if name != "none" and not STATES[name].works:
        pytest.skip(f"{name} does not work here: {STATES[name].reason}")
    return tiers.TIERS.get(name, tiers.NONE)


@pytest.fixture
def wall(tier: tiers.Tier) -> tiers.Tier:
    """Yield every tier that confines."""
    if tier is tiers.NONE:
        pytest.skip("no sandbox confines nothing")
    return tier


NICE = tiers._NICE


@pytest.fixture(autouse=True)
def _as_nice_as_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine programs would otherwise wait for everybody else."""
    monkeypatch.setattr(tiers, "_NICE", os.getpriority(os.PRIO_PROCESS, 0))


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Fail where a supervisor or a folder of a program is left behind."""
    yield
    deadline = time.monotonic() + 5
    while (left := programs()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def programs() -> list[psutil.Process]:
    """Return the processes under the spawner, supervisors and programs."""
    process = jail.SPAWNER._process
    if process is None or process.poll() is not None:
        return []
    found = psutil.Process(process.pid).children(recursive=True)
    return [one for one in found if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def run(tier: tiers.Tier, code: str, folder: Path, *arguments: str, **wish: object):
    limits = wish.pop("limits", Limits(wall_seconds=30))
    return tier.run(
        [*tiers.python(), "-c", code, *arguments],
        folder=folder,
        limits=limits,
        readable=(*tiers.python_folders(), *wish.pop("readable", ())),
        **wish,
    )


# --- which tier ------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [None, *tiers.TIERS, "none"])
def test_with_every_tier_disabled_nothing_is_executed(
    asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_SANDBOX_FAULT", "all")
    started: list[object] = []
    monkeypatch.setattr(jail.Spawner, "start", lambda *a, **k: started.append(a))
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(a))
    with pytest.raises(NoSandbox):
        tiers.choose(asked)
    assert {one.works for one in tiers.probe()} == {False}
    assert tiers.sandbox_facts()["in use"].startswith("nothing")
    assert started == []


def test_no_sandbox_is_never_chosen_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_SANDBOX_FAULT", ",".join(tiers.TIERS))
    with pytest.raises(NoSandbox, match=r"disabled by a test.*WORKBENCH_SANDBOX=none"):
        tiers.choose()
    assert tiers.choose("none") is tiers.NONE
    monkeypatch.setenv("WORKBENCH_SANDBOX", "none")
    assert tiers.choose() is tiers.NONE


def test_the_best_tier_that_works_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    working = [name for name, state in STATES.items() if state.works]
    while working:
        assert tiers.choose().name == working[0]
        monkeypatch.setenv("WORKBENCH_SANDBOX_FAULT", ",".join(set(STATES) - set(working[1:])))
        working.pop(0)
    with pytest.raises(NoSandbox):
        tiers.choose()


def test_a_tier_that_was_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tiers.TIERS:
        monkeypatch.setenv("WORKBENCH_SANDBOX_FAULT", name)
        with pytest.raises(NoSandbox, match=f"{name}: disabled"):
            tiers.choose(name)
    with pytest.raises(UnknownName, match="bubblewrap"):
        tiers.choose("bubblewarp")


def test_a_tier_that_does_not_confine_does_not_work(
    wall: tiers.Tier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Probing notices a hole of any kind: files, sockets, processes."""
    monkeypatch.setattr(type(wall), "_order", lambda self, wish: tiers.NONE._order(wish))
    state = tiers._try(wall, "")
    assert not state.works
    for hole in ("read a file", "write a file", "open a socket", "make a process"):
        assert hole in state.reason


# --- how programs end ------------------------------------------------------------------

ENDS = {
    "exit 0": ("pass", {}, "exited", 0),
    "exit 7": ("raise SystemExit(7)", {}, "exited", 7),
    "an error": ("1 / 0", {}, "exited", 1),
    "a signal": ("import os; os.kill(os.getpid(), 9)", {}, "signal", 9),
    "an abort": ("import os; os.abort()", {}, "signal", 6),
    "much CPU": ("while True: pass", {"cpu_seconds": 0.3}, "CPU limit", None),
    "no CPU": ("import time; time.sleep(60)", {"wall_seconds": 0.3}, "wall limit", None),
    "much output": ("while True: print('x' * 9999)", {"output": 1 << 20}, "output limit", None),
    "memory": (
        "a = []\nwhile True: a.append(bytearray(1 << 20))",
        {"memory": 100 << 20},
        "out of memory",
        None,
    ),
    "one huge allocation": (
        "try: bytearray(2 << 30)\nexcept MemoryError: raise SystemExit(3)",
        {},
        "exited",
        3,
    ),
    "threads": (
        "import threading, time\nfor _ in range(400):\n"
        " threading.Thread(target=time.sleep, args=(20,), daemon=True).start()\ntime.sleep(20)",
        {"processes": 2, "memory": 4 << 30},
        "process limit",
        None,
    ),
}


@pytest.mark.parametrize("what", ENDS)
def test_it_is_told_how_a_program_ended(what: str, tier: tiers.Tier, tmp_path: Path) -> None:
    code, limits, how, number = ENDS[what]
    done = run(tier, code, tmp_path, limits=Limits(**{"wall_seconds": 30, **limits}))
    assert (done.end.how, done.end.code) == (how, number), (done.end, done.stderr)
    assert done.end.wall_seconds < 20
    if how == "output limit":
        assert len(done.stdout) + len(done.stderr) <= 1 << 20


def test_a_hundred_megabytes_of_output_are_dropped(tier: tiers.Tier, tmp_path: Path) -> None:
    code = "import os\nfor _ in range(100): os.write(1, b'x' * (1 << 20))"
    done = run(tier, code, tmp_path, limits=Limits(output=1000))
    assert (done.end.how, len(done.stdout)) == ("output limit", 1000)


def test_computing_is_no_waiting(tier: tiers.Tier, tmp_path: Path) -> None:
    """However loaded the machine is: a program that wants to compute is not ended for waiting."""
    code = "import time\nwhile time.process_time() < 0.4: pass"
    done = run(tier, code, tmp_path, limits=Limits(cpu_seconds=10, wall_seconds=0.3))
    assert done.end.succeeded, done.end
    assert 0.4 <= done.end.cpu_seconds < 1.5


def test_processes_share_the_limit_on_cpu_time(tier: tiers.Tier, tmp_path: Path) -> None:
    code = (
        "import os\nfor _ in range(4):\n if os.fork() == 0:\n  while True: pass\n"
        "for _ in range(4): os.wait()"
    )
    done = run(tier, code, tmp_path, limits=Limits(cpu_seconds=0.4), processes=True)
    assert done.end.how == "CPU limit"
    assert done.end.cpu_seconds < 1.5


def test_a_fork_bomb_is_ended(tier: tiers.Tier, tmp_path: Path) -> None:
    code = "import os, time\nfor _ in range(9): os.fork()\ntime.sleep(60)"
    limits = Limits(processes=20, cpu_seconds=10)
    assert run(tier, code, tmp_path, limits=limits, processes=True).end.how == "process limit"


@pytest.mark.parametrize("processes", [False, True])
def test_files_are_limited_and_vanish(wall: tiers.Tier, processes: bool, tmp_path: Path) -> None:
    code = (
        "import os\nplace = os.environ['TMPDIR']\nprint(place, flush=True)\nfor i in range(500):\n"
        " with open(f'{place}/{i}', 'wb') as file:\n  file.write(bytes(1 << 20))\n"
        "  file.flush()\n  os.fsync(file.fileno())"
    )
    done = run(wall, code, tmp_path, limits=Limits(files=4 << 20), processes=processes)
    assert done.end.how == "file limit" or b"No space left" in done.stderr, done
    place = done.stdout.decode().strip()
    assert not Path(place).exists() or place == "/tmp"
    assert list(tmp_path.iterdir()) == []


def test_one_large_file_is_refused(tier: tiers.Tier, tmp_path: Path) -> None:
    code = "import os; open(os.environ['TMPDIR'] + '/a', 'wb').write(bytes(100 << 20))"
    done = run(tier, code, tmp_path)
    assert done.end.how == "file limit" or b"OSError" in done.stderr, done


def test_only_what_is_writable_is_written(wall: tiers.Tier, tmp_path: Path) -> None:
    code = "open('made', 'w').write('x')"
    assert not run(wall, code, tmp_path).end.succeeded
    assert not (tmp_path / "made").exists()
    assert run(wall, code, tmp_path, writable=True).end.succeeded
    assert (tmp_path / "made").read_text(encoding="utf-8") == "x"


def test_what_is_installed_or_ours_is_not_read(
    wall: tiers.Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data set or the workbench may lie below what a program reads; some of it may be asked for.

    So it is where the workbench is installed without a virtual environment, as on Colab.
    """
    prefix = tmp_path / "prefix"
    packages, data = prefix / "lib" / "python3.99" / "site-packages", prefix / "share" / "data"
    for path in (packages / "tests.jsonl", packages / "numpy" / "core.py", data / "problems.jsonl"):
        path.parent.mkdir(parents=True)
        path.write_text("answer", encoding="utf-8")
    beside = prefix / "lib" / "python3.99" / "abc.py"
    beside.write_text("answer", encoding="utf-8")
    (prefix / "lib" / "link.py").symlink_to(packages / "tests.jsonl")
    reads = (prefix, packages / "numpy", *tiers.python_folders())
    monkeypatch.setattr(sys, "base_prefix", str(prefix))
    monkeypatch.setenv("WORKBENCH_DATA", str(data))
    tiers._hidden.cache_clear()
    code = (
        "import os, sys\n"
        "for place, _, names in os.walk(sys.argv[1]):\n for name in names:\n"
        "  try: print(name, open(os.path.join(place, name)).read())\n  except OSError: pass\n"
        "try: open(sys.argv[2] + '/new', 'w')\nexcept OSError: pass\nelse: print('new answer')"
    )
    (folder := tmp_path / "folder").mkdir()
    done = run(wall, code, folder, str(prefix), str(packages), readable=reads)
    tiers._hidden.cache_clear()
    assert sorted(done.stdout.decode().splitlines()) == ["abc.py answer", "core.py answer"], done


def test_programs_yield_to_all_others(
    tier: tiers.Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "_NICE", NICE)
    done = run(tier, "import os; print(os.getpriority(os.PRIO_PROCESS, 0))", tmp_path)
    assert done.stdout == b"19\n"


def test_what_was_taken_is_measured(tier: tiers.Tier, tmp_path: Path) -> None:
    code = "import time\na = bytes(1) * (64 << 20)\nwhile time.process_time() < 0.3: pass"
    end = run(tier, code, tmp_path).end
    assert 0.3 <= end.cpu_seconds < 1
    assert 64 << 20 <= end.memory_peak < 200 << 20


# --- the sandbox's own failures --------------------------------------------------------


def test_a_program_that_is_not_there_is_our_failure(tier: tiers.Tier, tmp_path: Path) -> None:
    done = tier.run(["/nothing/here"], folder=tmp_path, limits=Limits())
    assert done.end.how == "sandbox failure"
    assert done.end.detail


def test_a_supervisor_that_is_killed_is_our_failure(
    tier: tiers.Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import time; print(1, flush=True); time.sleep(60)"
    with tier.popen(
        [*tiers.python(), "-c", code],
        folder=tmp_path,
        limits=Limits(),
        readable=tiers.python_folders(),
        stdout=tiers.PIPE,
    ) as jailed:
        assert jailed.stdout.read(1) == b"1"
        supervisor = psutil.Process(jailed.pid)
        while supervisor.ppid() != jail.SPAWNER._process.pid:
            supervisor = supervisor.parent()
        supervisor.kill()
        assert jailed.wait(10).how == "sandbox failure"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fake", ["exit 1", "exit 0", "kill -9 $$", "echo bwrap: oops >&2; exit 1"])
def test_a_broken_bubblewrap_is_our_failure(
    fake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "bwrap"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{fake}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    end = tiers.TIERS["bubblewrap"].run(["/bin/true"], folder=tmp_path, limits=Limits()).end
    assert end.how == "sandbox failure"


def test_a_policy_that_cannot_be_entered_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = tiers.NONE._order(
        tiers._Wish(("/bin/sh", "-c", "echo ran > ran"), tmp_path, Limits(), writable=True)
    )
    order["policy"] = {**order["policy"], "seccomp": "ff" * 64}
    with jail.SPAWNER.start(order, {0: -3, 1: -3, 2: -3}, 100) as jailed:
        assert jailed.wait().how == "sandbox failure"
    assert not (tmp_path / "ran").exists()


# --- holding a program -----------------------------------------------------------------


def test_descriptors_take_their_places_and_no_other_is_open(
    tier: tiers.Tier, tmp_path: Path
) -> None:
    """Also where ours have the numbers that the others are to have."""
    code = (
        "import os\nos.write(5, b'five'); os.write(4, os.read(3, 9))\n"
        "def is_open(n):\n try: return os.fstat(n) is not None\n except OSError: return False\n"
        "print([n for n in range(256) if is_open(n)])"
    )
    (a, b), (c, d), (e, f) = os.pipe(), os.pipe(), os.pipe()
    os.write(b, b"in")
    with tier.popen(
        [*tiers.python(), "-c", code],
        folder=tmp_path,
        limits=Limits(),
        readable=tiers.python_folders(),
        descriptors={3: a, 4: d, 5: f},
        stdout=tiers.PIPE,
    ) as jailed:
        done = jailed.communicate()
    for one in (a, b, d, f):
        os.close(one)
    assert done.stdout == b"[0, 1, 2, 3, 4, 5]\n"
    assert (os.read(c, 99), os.read(e, 99)) == (b"in", b"five")
    os.close(c)
    os.close(e)


def test_input_that_is_not_read_blocks_nothing(tier: tiers.Tier, tmp_path: Path) -> None:
    done = run(tier, "print('done')", tmp_path, stdin=bytes(10 << 20))
    assert (done.end.succeeded, done.stdout) == (True, b"done\n")
    code = "import sys; print(len(sys.stdin.buffer.read()))"
    assert run(tier, code, tmp_path, stdin=bytes(3 << 20)).stdout == b"3145728\n"


def test_closing_ends_what_runs(tier: tiers.Tier, tmp_path: Path) -> None:
    wish = {"folder": tmp_path, "limits": Limits()}
    with tier.popen(["/bin/sleep", "60"], **wish) as jailed:
        assert jailed.poll() is None
        with pytest.raises(TimeoutError):
            jailed.wait(0.05)
        assert psutil.pid_exists(jailed.pid)
    assert jailed.wait().how == "killed"


def test_nothing_outlives_a_workbench_that_is_killed(tier: tiers.Tier, tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom workbench.sandbox import tiers\n"
        "from workbench.sandbox.records import Limits\n"
        "tier = tiers.TIERS.get(sys.argv[1], tiers.NONE)\n"
        "code = 'import os, time; os.fork(); os.fork(); time.sleep(90)'\n"
        "jailed = tier.popen([*tiers.python(), '-c', code, sys.argv[3]], folder=Path(sys.argv[2]),"
        " limits=Limits(), readable=tiers.python_folders(), processes=True)\n"
        "print(jailed.pid, flush=True)\ntime.sleep(0.3)\nprint('on', flush=True)\ntime.sleep(90)"
    )
    token = f"outlive-{os.getpid()}-{time.monotonic_ns()}"
    with subprocess.Popen(
        [sys.executable, "-c", script, tier.name, str(tmp_path), token], stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.readline()
        assert len(named(token)) >= 2
        process.kill()
    deadline = time.monotonic() + 5
    while named(token) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert named(token) == []


def named(token: str) -> list[int]:
    return [
        one.pid for one in psutil.process_iter(["cmdline"]) if token in (one.info["cmdline"] or [])
    ]


# --- children of a warm parent ---------------------------------------------------------

NEST = """
import json, os, sys
sys.path.append(sys.argv[1])
import confine
policy = json.loads(sys.argv[2])
def child(number):
    said = {"pid": os.getpid(), "proc": [], "files": [], "could": []}
    def attempt(name, function, *arguments):
        try:
            function(*arguments)
        except OSError:
            return
        said["could"].append(name)
    if policy.get("folder"):
        said["files"] = os.listdir(policy["folder"])
        open(policy["folder"] + f"/{number}", "w").write("x")
        attempt("fill the disk", lambda: open(policy["folder"] + "/a", "wb").write(bytes(3 << 20)))
    attempt("read the parent's memory", open, f"/proc/{PARENT}/mem")
    attempt("read the parent's environment", open, f"/proc/{PARENT}/environ")
    attempt("signal the parent", os.kill, PARENT, 0)
    attempt("fork", os.fork)
    attempt("become another program", os.execv, "/bin/true", ["true"])
    attempt("open a socket", __import__("socket").socket)
    attempt("make a namespace", lambda: confine._check(confine._C.unshare(0x10000000), "x"))
    attempt("write outside", open, "/outside", "w")
    attempt("use the parent's descriptor", os.fstat, secret)
    attempt("open the kernel's settings", open, "/proc/sys/kernel/core_pattern", "w")
    print(json.dumps(said), flush=True)
PARENT = os.getpid()
secret = os.open("/dev/null", os.O_RDONLY)
for number in range(3):
    pid = confine.new_process(policy)
    if pid == 0:
        try:
            confine.enter(policy)
            child(number)
        except BaseException as error:
            print("failed", repr(error), flush=True)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("namespaces", [True, False])
def test_children_of_a_warm_parent_are_apart(
    wall: tiers.Tier, namespaces: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not namespaces:
        monkeypatch.setattr(tiers, "can_nest", lambda: False)
        if not STATES["landlock"].works:
            pytest.skip("neither namespaces nor landlock")
    elif wall.name == "landlock" or not tiers.can_nest():
        pytest.skip("no namespaces to be had")
    shutil.copy(confine.__file__, tmp_path)
    policy = json.dumps(wall.nested(Limits(files=1 << 20)))
    done = run(wall, NEST, tmp_path, ".", policy, nests=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == 3, done
    for one in said:
        assert one["could"] == []
        assert one["files"] == []  # of its siblings
        assert (one["pid"] == 1) == namespaces


def test_no_child_runs_where_nothing_confines_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "can_nest", lambda: False)
    monkeypatch.setattr(confine, "landlock_version", lambda: 0)
    with pytest.raises(NoSandbox):
        tiers.TIERS["bubblewrap"].nested(Limits())


def test_a_warm_parent_has_no_limits_of_its_own(tier: tiers.Tier, tmp_path: Path) -> None:
    done = run(
        tier,
        "import resource, os\nchild = os.fork()\nif child: os.wait()\n"
        "print(resource.getrlimit(resource.RLIMIT_CPU)[0], child >= 0)",
        tmp_path,
        limits=None,
        nests=True,
    )
    assert done.stdout == b"-1 True\n" * 2


# --- the filter ------------------------------------------------------------------------


def evaluate(code: bytes, machine: str, number: int, *arguments: int, audit: int | None = None):
    """Run a filter as the kernel does (seccomp(2)); return 0 or the errno."""
    audit = seccomp.MACHINES[machine].audit if audit is None else audit
    data = struct.pack("=iIQ6Q", number, audit, 0, *(*arguments, *[0] * 6)[:6])
    steps = list(struct.iter_unpack("=HBBI", code))
    at, held = 0, 0
    while True:
        kind, yes, no, value = steps[at]
        at += 1
        if kind == 0x20:
            held = struct.unpack_from("=I", data, value)[0]
        elif kind == 0x54:
            held &= value
        elif kind == 0x06:
            return 0 if value == 0x7FFF0000 else value & 0xFFFF
        else:
            true = {0x15: held == value, 0x25: held > value, 0x35: held >= value}[kind]
            at += yes if true else no


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_answers_as_it_should(machine: str) -> None:
    column = seccomp.MACHINES[machine].column

    def ask(code: bytes, name: str, *arguments: int) -> int:
        return evaluate(code, machine, seccomp.CALLS[name][column], *arguments)

    runs = seccomp.program(machine=machine)
    thread, process, user = 0x3D0F00, 17, 0x10000000
    assert ask(runs, "clone", thread) == 0
    assert ask(runs, "clone", process) == ask(runs, "clone", thread | user) == 1
    assert ask(runs, "clone3") == ask(runs, "io_uring_setup") == 38
    assert ask(runs, "socketpair", 1, 1 | 0o2000000) == 0
    assert ask(runs, "socketpair", 1, 2) == ask(runs, "socketpair", 2, 1) == 1
    assert ask(runs, "ioctl", 0, 0x5401) == 0
    assert ask(runs, "ioctl", 0, 0x5412) == ask(runs, "ioctl", 0, 1 << 32 | 0x5412) == 1
    assert ask(runs, "execve") == ask(runs, "kill", 5, 9) == 0
    assert ask(runs, "fchmod") == ask(runs, "utimensat") == 1
    for name in ("socket", "ptrace", "mount", "unshare", "memfd_create", "bpf"):
        assert ask(runs, name) == 1
    compiles = seccomp.program(machine=machine, processes=True)
    assert ask(compiles, "clone", process) == 0
    assert ask(compiles, "fchmod") == 1
    assert ask(compiles, "clone", process | user) == 1
    nests = seccomp.program(machine=machine, processes=True, nests=True)
    assert ask(nests, "clone", user | process) == ask(nests, "unshare") == ask(nests, "mount") == 0
    assert ask(seccomp.program(machine=machine, executes=False), "execve") == 1
    shared = seccomp.program(machine=machine, shared=True)
    assert ask(shared, "kill", seccomp.SELF, 9) == 0
    assert ask(shared, "kill", 0, 9) == ask(shared, "kill", 0xFFFFFFFF, 9) == 1
    assert ask(shared, "fcntl", 1, 3) == 0
    assert ask(shared, "fcntl", 1, 8) == 1
    assert ask(shared, "prlimit64", 0) == ask(shared, "setpriority", 0, 0) == 0
    assert ask(shared, "prlimit64", 5) == ask(shared, "setpriority", 0, 5) == 1
    assert ask(shared, "setpriority", 2, 0) == ask(shared, "fchmod") == 1
    for code in (runs, compiles, nests, shared):
        assert evaluate(code, machine, 0, audit=0x40000003) == 1  # 32-bit calls
        assert evaluate(code, machine, 0x40000000 + 41) == 38  # x32
        assert evaluate(code, machine, 470) == 38  # still to be invented
        assert len(code) // 8 <= 4096  # BPF_MAXINSNS


def test_no_filter_is_made_for_an_unknown_machine() -> None:
    with pytest.raises(KeyError):
        seccomp.program(machine="riscv64")


HEADERS = {
    0: Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    1: Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("column", HEADERS)
def test_the_numbers_are_those_of_the_kernel(column: int) -> None:
    if not HEADERS[column].is_file():
        pytest.skip(f"{HEADERS[column]} is not here")
    text = HEADERS[column].read_text(encoding="utf-8")
    found = {name: int(number) for name, number in re.findall(r"__NR(?:3264)?_(\w+)\s+(\d+)", text)}
    assert len(found) > 200
    for name, numbers in seccomp.CALLS.items():
        if name in found:
            assert numbers[column] == found[name], name
        elif (number := numbers[column]) is not None:
            assert number > max(found.values()), f"{name} is newer than these headers"


# --- the modules -----------------------------------------------------------------------


@pytest.mark.parametrize("module", [confine, spawner])
def test_what_runs_elsewhere_needs_the_standard_library_only(module: object) -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.module in sys.stdlib_module_names | {
                "__future__",
                "collections.abc",
                "workbench.sandbox",
            }
            if node.module == "workbench.sandbox":
                assert [one.name for one in node.names] == ["confine"]
                assert module is spawner
        elif isinstance(node, ast.Import):
            assert {one.name for one in node.names} <= sys.stdlib_module_names


def test_facts_name_every_tier_and_the_one_in_use() -> None:
    facts = tiers.sandbox_facts()
    assert list(facts) == [*tiers.TIERS, "in use"]
    assert all(facts[name] == "ready" for name, state in STATES.items() if state.works)


def test_both_names_of_the_self_marker_are_one() -> None:
    assert confine._SELF == seccomp.SELF
    assert platform.machine() not in ("x86_64",) or seccomp.CALLS["clone"][0] == confine._CLONE
    assert confine._SIGCHLD == signal.SIGCHLD
