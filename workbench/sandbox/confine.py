"""Confine the process that calls this, with nothing but the standard library.

It runs where the workbench cannot be imported: in the spawner, and inside a jail in which a warm
parent forks one child a program. Such a parent runs in ``Tier.popen(..., nests=True)`` and does::

    pid = confine.new_process(policy)  # like os.fork(), but into fresh namespaces
    if pid == 0:
        try:
            confine.enter(policy)  # from here on there is no way back
        except OSError as error:
            ...  # report a sandbox failure, and os._exit(): nothing may run
        ...  # run the program, then os._exit()

with a policy from ``Tier.nested(...)``, which can be written as JSON. A child in a process
namespace of its own is its process 1: signals that it sends itself and does not handle are
ignored, and its end ends every process that it made. Measured (best
of 40): 0.4 ms to fork it, 0.9 ms to enter.

A policy is a dict; what it does not name is not done:

``namespaces``    True: user, process, mount and IPC namespaces (done by ``new_process``)
``hide``          folders to cover with an empty one
``folder``        where to mount an empty folder of ``folder_bytes`` bytes, the working folder
``show``          what lay below ``folder`` and is still seen there, as it was
``limits``        {"cpu": seconds, "memory": bytes of addresses, "file": bytes of one file,
                  "descriptors": how many}
``cwd``           the working folder, where ``folder`` does not name one
``keep``          descriptors that stay open (default: 0, 1, 2)
``nice``          0 to 19
``privileges``    False: give up all capabilities, and never gain any
``landlock``      {"read": [paths], "write": [paths], "list": [folders]}: nothing else is opened,
                  made or removed; "list" tells the names below a folder, and no more
``seccomp``       a filter of ``workbench.sandbox.seccomp``, as hex digits
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Policy = Mapping[str, Any]

_C = ctypes.CDLL(None, use_errno=True)
# The same functions called without letting go of the interpreter's lock, as a fork has to be.
_C_LOCKED = ctypes.PyDLL(None, use_errno=True)

_SIGCHLD = 17
_NEW_NAMESPACES = 0x10000000 | 0x20000000 | 0x00020000 | 0x08000000  # user, pid, mount, IPC
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER = 1, 24, 36
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522

# linux/landlock.h
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE = 1 << 14
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15
# Bits 0 to 12 came with version 1; moving between folders, truncating and ioctl on devices later.
_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
_LAST_KNOWN = 5
_PATH_BENEATH = 1

# The same on all 64-bit machines, but for clone and seccomp.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_ARM = platform.machine() in ("aarch64", "arm64")
_CLONE = 220 if _ARM else 56
_SECCOMP = 277 if _ARM else 317

# What stands in a filter for the process that loads it; see workbench.sandbox.seccomp.SELF.
_SELF = 0x7FFFFFF0
_STEP = struct.Struct("=HBBI")

_ids = (0, 0)


def new_process(policy: Policy) -> int:
    """Fork, into fresh namespaces where the policy asks for them; return as ``os.fork`` does.

    Raises:
        OSError: no process could be made; there is no child.
    """
    global _ids
    _ids = (os.getuid(), os.getgid())
    if not policy.get("namespaces"):
        return os.fork()
    api = ctypes.pythonapi
    api.PyOS_BeforeFork()
    pid = int(_C_LOCKED.syscall(_CLONE, ctypes.c_long(_NEW_NAMESPACES | _SIGCHLD), 0, 0, 0, 0))
    if pid == 0:
        api.PyOS_AfterFork_Child()
        return 0
    number = ctypes.get_errno()
    api.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, f"no namespaces: {os.strerror(number)}")
    return pid


def enter(policy: Policy) -> None:
    """Give up what the policy takes. There is no way back.

    Raises:
        OSError: something could not be taken: then nothing may run in this process.
    """
    if policy.get("namespaces"):
        _map_ids()
        _check(_C.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount /")
        if "folder" in policy:
            _mount_folder(policy["folder"], int(policy["folder_bytes"]), policy.get("show", ()))
        for path in policy.get("hide", ()):
            _mount_empty(path, _MS_RDONLY | _MS_NOEXEC, "size=4k,nr_inodes=2")
    if cwd := policy.get("folder") or policy.get("cwd"):
        os.chdir(cwd)
    if "nice" in policy:
        os.setpriority(os.PRIO_PROCESS, 0, policy["nice"])
    _close_all_but(policy.get("keep", (0, 1, 2)))
    set_limits(policy.get("limits", {}))
    if policy.get("privileges") is False:
        _drop_capabilities()
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if policy.get("landlock"):
        allowed = policy["landlock"]
        _landlock(allowed["read"], allowed["write"], allowed.get("list", ()))
    if policy.get("seccomp"):
        _seccomp(bytes.fromhex(policy["seccomp"]))


def set_limits(limits: Mapping[str, float]) -> None:
    """Set resource limits. They can only be lowered from here on."""
    named = {
        "cpu": resource.RLIMIT_CPU,
        "memory": resource.RLIMIT_AS,
        "file": resource.RLIMIT_FSIZE,
        "descriptors": resource.RLIMIT_NOFILE,
    }
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_MEMLOCK, 1 << 20)
    for name, value in limits.items():
        _lower(named[name], max(1, int(value)))


def die_with_parent() -> None:
    """Be killed when the thread that made this process ends."""
    _prctl(_PR_SET_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parents end."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def landlock_version() -> int:
    """Return the version of landlock's interface, 0 where the kernel has none."""
    return max(0, int(_C.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1))))


def _lower(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (least, least))


def _map_ids() -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_ids[0]} {_ids[0]} 1"),
        ("gid_map", f"{_ids[1]} {_ids[1]} 1"),
    ):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def _mount_folder(path: str, size: int, show: Sequence[str]) -> None:
    """Mount an empty folder in which some of what it covers is seen, read-only if it was so."""
    before = {}
    for shown in show:
        with contextlib.suppress(FileNotFoundError):
            before[shown] = os.open(shown, os.O_PATH | os.O_CLOEXEC)
    _mount_empty(path, 0, f"size={size},nr_inodes=10000,mode=700")
    for shown, descriptor in before.items():
        source = b"/proc/self/fd/%d" % descriptor
        if os.path.isdir(source):  # noqa: PTH112  (no pathlib in here)
            os.makedirs(shown, exist_ok=True)  # noqa: PTH103
        else:
            os.makedirs(os.path.dirname(shown), exist_ok=True)  # noqa: PTH103, PTH120
            os.close(os.open(shown, os.O_CREAT | os.O_WRONLY, 0o400))
        flags = ctypes.c_ulong(_MS_BIND | _MS_REC)
        _check(_C.mount(source, os.fsencode(shown), None, flags, None), f"mount {shown}")
        os.close(descriptor)


def _mount_empty(path: str, flags: int, options: str) -> None:
    flags |= _MS_NOSUID | _MS_NODEV
    target = os.fsencode(path)
    done = _C.mount(b"tmpfs", target, b"tmpfs", ctypes.c_ulong(flags), options.encode())
    _check(done, f"mount {path}")


def _close_all_but(keep: Iterable[int]) -> None:
    last = -1
    for descriptor in sorted(set(keep)):
        if last + 1 < descriptor:  # closerange(0, 0) closes all (CPython 3.11)
            os.closerange(last + 1, descriptor)
        last = descriptor
    os.closerange(last + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _drop_capabilities() -> None:
    for number in range(64):
        if _C.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break  # beyond the last one, or not ours to drop: then there are none to gain
    _C.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _check(_C.capset(header, bytes(24)), "capset")


def _landlock(read: Sequence[str], write: Sequence[str], listed: Sequence[str]) -> None:
    version = landlock_version()
    if version < 1:
        raise OSError("the kernel has no landlock")
    rights = _RIGHTS[min(version, _LAST_KNOWN)]
    # Handled: files, then (since version 4) TCP bind and connect, then (6) abstract sockets and
    # signals to processes outside. What is handled and not allowed by a rule is refused.
    words = [rights, 0x3 if version >= 4 else 0, 0x3 if version >= 6 else 0]
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("=QQQ", *words)
    rules = int(_C.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), ctypes.c_uint(0)))
    _check(rules, "landlock_create_ruleset")
    try:
        for path in read:
            _allow(rules, path, _EXECUTE | _READ_FILE | _READ_DIR)
        for path in listed:
            _allow(rules, path, _READ_DIR)
        for path in write:
            _allow(rules, path, rights)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        done = _C.syscall(_LANDLOCK_RESTRICT, ctypes.c_int(rules), ctypes.c_uint(0))
        _check(done, "landlock_restrict_self")
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112  (no pathlib in here)
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, descriptor)
        done = _C.syscall(
            _LANDLOCK_ADD, ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0)
        )
        _check(done, f"landlock_add_rule {path}")
    finally:
        os.close(descriptor)


def _seccomp(code: bytes) -> None:
    own = (
        (*step[:3], os.getpid() if step[3] == _SELF else step[3])
        for step in _STEP.iter_unpack(code)
    )
    code = b"".join(_STEP.pack(*step) for step in own)
    buffer = ctypes.create_string_buffer(code, len(code))
    fields = struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(buffer))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # The flag takes the threads of the process along: there must be none that is free.
    done = _C.syscall(_SECCOMP, ctypes.c_uint(1), ctypes.c_uint(1), fields)
    _check(done, "seccomp")


def _prctl(option: int, value: int) -> None:
    unused = ctypes.c_ulong(0)
    _check(_C.prctl(option, ctypes.c_ulong(value), unused, unused, unused), f"prctl {option}")


def _check(result: int, what: str) -> None:
    """Raise what the last call of the C library failed with; TSYNC names a thread instead."""
    if result > 0 and what == "seccomp":
        raise OSError(f"seccomp: thread {result} could not be taken along")
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
