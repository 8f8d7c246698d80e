"""Attempts to get out of a sandbox: run inside one as ``python -I -S escape_attempts.py TARGETS``.

TARGETS is JSON: what was planted outside (see ``plant`` in test_sandbox_escapes.py). Each attempt
is a function that returns True where it got what it wanted, and False or an error where not. One
line of JSON an attempt is printed: its name, whether it succeeded, and what it was told.
"""

# It is the system calls themselves that are tried.
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH109, PTH116, PTH118, PTH119, PTH120, PTH123
# ruff: noqa: PTH207, PTH208, PTH211

import contextlib
import ctypes
import errno
import fcntl
import glob
import json
import linecache
import mmap
import os
import platform
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path

C = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() in ("aarch64", "arm64")
ATTEMPTS = {}
INHERITED = []


def attempt(name):
    def add(function):
        assert name not in ATTEMPTS, name
        ATTEMPTS[name] = function
        return function

    return add


def call(x86, arm, *arguments):
    """Make a system call by its number."""
    number = arm if ARM else x86
    if number is None:
        raise OSError(errno.ENOSYS, "no such call on this machine")
    values = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = C.syscall(ctypes.c_long(number), *values)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def has(data, t):
    text = data if isinstance(data, bytes) else str(data).encode()
    return t["secret"].encode() in text


def scratch(name):
    return os.path.join(os.environ["TMPDIR"], f"{name}-{os.getpid()}")


# --- reading files ---------------------------------------------------------------------


def slurp(descriptor):
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)


def read_by_path_descriptor(path):
    held = os.open(path, os.O_PATH)
    return slurp(os.open(f"/proc/self/fd/{held}", os.O_RDONLY))


def read_relative(path):
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    return slurp(os.open(os.path.basename(path), os.O_RDONLY, dir_fd=folder))


def read_after_chdir(path):
    here = os.getcwd()
    try:
        os.chdir(os.path.dirname(path))
        return Path(os.path.basename(path)).read_bytes()
    finally:
        os.chdir(here)


def read_by_dots(path):
    return Path("../" * 40 + path.lstrip("/")).read_bytes()


def read_by_mapping(path):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        return bytes(data)


def read_by_sendfile(path):
    end, start = os.pipe()
    with open(path, "rb") as file:
        os.sendfile(start, file.fileno(), 0, 4096)
    os.close(start)
    return slurp(end)


def read_by_own_symlink(path):
    link = scratch("symlink")
    os.symlink(path, link)
    try:
        return Path(link).read_bytes()
    finally:
        os.unlink(link)


def read_by_own_hard_link(path):
    link = os.path.join(os.path.dirname(path), f"hard-{os.getpid()}")
    os.link(path, link)
    try:
        return Path(link).read_bytes()
    finally:
        os.unlink(link)


def read_by_openat2(path):
    how = struct.pack("=QQQ", os.O_RDONLY, 0, 0)
    return slurp(call(437, 437, -100, path.encode(), how, 24))


def read_by_other_program(path):
    return subprocess.run(["/bin/cat", path], capture_output=True, check=True).stdout


def read_by_shell(path):
    with os.popen(f"cat {path} 2>/dev/null") as pipe:
        return pipe.read()


def read_by_handle(path):
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
    mount_id = ctypes.c_int()
    checked(C.name_to_handle_at(-100, path.encode(), handle, ctypes.byref(mount_id), 0))
    at = os.open(os.path.dirname(path), os.O_RDONLY)
    return slurp(checked(C.open_by_handle_at(at, handle, os.O_RDONLY)))


def read_by_copy(path):
    shutil.copyfile(path, scratch("copy"))
    return Path(scratch("copy")).read_bytes()


def read_by_thread(path):
    got = []
    thread = threading.Thread(target=lambda: got.append(Path(path).read_bytes()))
    hook, threading.excepthook = threading.excepthook, lambda *_: None
    thread.start()
    thread.join()
    threading.excepthook = hook
    return b"".join(got)


READERS = {
    "open": lambda path: Path(path).read_bytes(),
    "os.open": lambda path: slurp(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)),
    "O_PATH and /proc/self/fd": read_by_path_descriptor,
    "openat": read_relative,
    "openat2": read_by_openat2,
    "chdir": read_after_chdir,
    "..": read_by_dots,
    "mmap": read_by_mapping,
    "sendfile": read_by_sendfile,
    "symlink": read_by_own_symlink,
    "hard link": read_by_own_hard_link,
    "/proc/self/root": lambda path: Path("/proc/self/root" + path).read_bytes(),
    "/proc/1/root": lambda path: Path("/proc/1/root" + path).read_bytes(),
    "cat": read_by_other_program,
    "the shell": read_by_shell,
    "open_by_handle_at": read_by_handle,
    "shutil": read_by_copy,
    "linecache": lambda path: "".join(linecache.getlines(path)),
    "a thread": read_by_thread,
}

for _how, _read in READERS.items():
    for _what in ("file", "home"):

        def _try(t, read=_read, what=_what):
            return has(read(t[what]), t)

        attempt(f"read the planted {_what} by {_how}")(_try)


@attempt("follow a symlink that lies in the folder")
def _(t):
    return has(Path("link").read_bytes(), t)


@attempt("read past .. of the folder")
def _(t):
    return has(Path("../planted").read_bytes(), t)


@attempt("read a file by /proc/PARENT/root")
def _(t):
    return has(Path(f"/proc/{t['victim']}/root{t['file']}").read_bytes(), t)


@attempt("read a file by /proc/PARENT/cwd")
def _(t):
    return has(Path(f"/proc/{t['victim']}/cwd/planted").read_bytes(), t)


@attempt("list the planted folder")
def _(t):
    return "planted" in os.listdir(os.path.dirname(t["file"]))


@attempt("list the home folder")
def _(t):
    return bool(os.listdir(os.path.dirname(t["home"])))


@attempt("list the temporary files of the machine")
def _(t):
    return any(t["token"] in name for name in os.listdir(t["tmp"]))


@attempt("find the planted file with glob")
def _(t):
    return bool(glob.glob(os.path.dirname(t["file"]) + "/*"))


@attempt("import a planted module")
def _(t):
    sys.path.insert(0, os.path.dirname(t["file"]))
    try:
        import planted_module

        return t["secret"] == planted_module.SECRET
    finally:
        sys.path.pop(0)


@attempt("read the passwords of the machine")
def _(t):
    return len(Path("/etc/shadow").read_bytes()) > 0


@attempt("read the users of the machine")
def _(t):
    return len(Path("/etc/passwd").read_bytes()) > 0


@attempt("read the machine's id or host name file")
def _(t):
    return len(Path("/etc/hostname").read_bytes()) > 0


@attempt("list /sys")
def _(t):
    return len(os.listdir("/sys")) > 0


@attempt("read the kernel's log device")
def _(t):
    return os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK) >= 0


@attempt("open the memory of the machine")
def _(t):
    return os.open("/dev/mem", os.O_RDONLY) >= 0


@attempt("open a disk")
def _(t):
    for path in os.listdir("/dev"):
        with contextlib.suppress(OSError):
            if stat.S_ISBLK(os.stat(f"/dev/{path}").st_mode):
                return os.open(f"/dev/{path}", os.O_RDONLY) >= 0
    return False


@attempt("read /proc/kallsyms")
def _(t):
    with open("/proc/kallsyms") as file:
        return any(not line.startswith("0000000000000000") for line in [file.readline()])


@attempt("read through an inherited descriptor")
def _(t):
    for descriptor in INHERITED:
        with contextlib.suppress(OSError):
            if has(os.pread(descriptor, 1 << 16, 0), t):
                return True
    return False


@attempt("find an inherited descriptor")
def _(t):
    return bool(INHERITED)


# --- changing files --------------------------------------------------------------------


def rights_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# Who runs as root outside may own a device inside. Nothing is really changed, should it succeed:
# without its rights /dev/null would be lost to the whole machine.
OWNED = {
    "the rights of /dev/null": lambda: os.chmod("/dev/null", rights_of("/dev/null")),
    "the rights of what its input is": lambda: os.fchmod(0, rights_of(0)),
    "the times of /dev/zero": lambda: os.utime("/dev/zero"),
    "the times of what its input is": lambda: os.utime(0),
    "the owner of /dev/full": lambda: os.chown("/dev/full", -1, os.getgid()),
    "the rights of an inherited link": lambda: os.chmod("/proc/self/fd/0", rights_of(0)),
}

for _what, _change in OWNED.items():
    attempt(f"change {_what}")(lambda t, change=_change: change() is None)


def write_text(path):
    with open(path, "w") as file:
        return file.write("changed") > 0


def append_text(path):
    with open(path, "a") as file:
        return file.write("changed") > 0


def empty_by_reading(path):
    os.close(os.open(path, os.O_RDONLY | os.O_TRUNC))
    return os.stat(path).st_size == 0


def write_by_mapping(path):
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        data[0:1] = b"X"
        return True


def restore(path, text):
    with contextlib.suppress(OSError):
        Path(path).write_text(text)


WRITERS = {
    "open": write_text,
    "append": append_text,
    "truncate": lambda path: os.truncate(path, 3) is None,
    "O_RDONLY with O_TRUNC": empty_by_reading,
    "mmap": write_by_mapping,
    "chmod": lambda path: os.chmod(path, 0o666) is None,
    "chown": lambda path: os.chown(path, os.getuid(), os.getgid()) is None,
    "utime": lambda path: os.utime(path, (1, 1)) is None,
    "setxattr": lambda path: os.setxattr(path, "user.planted", b"1") is None,
    "rename": lambda path: (os.rename(path, path + "2"), os.rename(path + "2", path)) is not None,
    "fchmod": lambda path: os.fchmod(os.open(path, os.O_RDONLY), 0o640) is None,
    "the shell": lambda path: os.system(f"echo changed >> {path} 2>/dev/null") == 0,
}

for _how, _change in WRITERS.items():

    def _try(t, change=_change):
        try:
            return change(t["changeable"])
        finally:
            restore(t["changeable"], t["secret"])

    attempt(f"change the planted file by {_how}")(_try)

MAKERS = {
    "file": lambda path: os.open(path, os.O_CREAT | os.O_WRONLY) >= 0,
    "folder": lambda path: os.mkdir(path) is None,
    "symlink": lambda path: os.symlink("/", path) is None,
    "pipe": lambda path: os.mkfifo(path) is None,
    "device": lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3)) is None,
    "unnamed file": lambda path: os.open(os.path.dirname(path), os.O_TMPFILE | os.O_WRONLY) >= 0,
}

for _kind, _make in MAKERS.items():

    def _try(t, make=_make, kind=_kind):
        return make(os.path.join(t["open_folder"], kind.replace(" ", "-")))

    attempt(f"make a {_kind} in the planted folder")(_try)


@attempt("remove a planted file")
def _(t):
    return os.unlink(t["removable"]) is None


@attempt("remove a planted folder")
def _(t):
    return os.rmdir(t["removable"] + "-folder") is None


@attempt("leave a file in the shared memory folder")
def _(t):
    path = f"/dev/shm/{t['token']}-left"
    Path(path).write_text("x")
    os.unlink(path)
    return True


@attempt("leave a file in /var/tmp")
def _(t):
    path = f"/var/tmp/{t['token']}-left"
    Path(path).write_text("x")
    os.unlink(path)
    return True


@attempt("open the users of the machine for writing")
def _(t):
    return os.open("/etc/passwd", os.O_WRONLY | os.O_APPEND) >= 0


@attempt("open a program of the machine for writing")
def _(t):
    return os.open(t["program"], os.O_WRONLY) >= 0


@attempt("make a file beside the programs of the machine")
def _(t):
    path = f"/usr/lib/{t['token']}"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    os.unlink(path)
    return True


@attempt("open the core pattern for writing")
def _(t):
    return os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY) >= 0


@attempt("open the kernel's trigger for writing")
def _(t):
    return os.open("/proc/sysrq-trigger", os.O_WRONLY) >= 0


@attempt("make a file at the root")
def _(t):
    path = f"/{t['token']}"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    os.unlink(path)
    return True


# --- environment -----------------------------------------------------------------------


@attempt("find the secret in os.environ")
def _(t):
    return has(dict(os.environ), t)


@attempt("find the secret with getenv")
def _(t):
    C.getenv.restype = ctypes.c_char_p
    return has(C.getenv(b"PLANTED_SECRET") or b"", t)


@attempt("find the secret in /proc/self/environ")
def _(t):
    return has(Path("/proc/self/environ").read_bytes(), t)


@attempt("find the secret in any environment")
def _(t):
    for path in glob.glob("/proc/[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if has(Path(path).read_bytes(), t):
                return True
    return False


# --- network ---------------------------------------------------------------------------

FAMILIES = {
    "unix": (1, socket.SOCK_STREAM, 0),
    "unix datagram": (1, socket.SOCK_DGRAM, 0),
    "TCP": (2, socket.SOCK_STREAM, 0),
    "UDP": (2, socket.SOCK_DGRAM, 0),
    "raw": (2, socket.SOCK_RAW, 1),
    "TCP 6": (10, socket.SOCK_STREAM, 0),
    "UDP 6": (10, socket.SOCK_DGRAM, 0),
    "netlink": (16, socket.SOCK_RAW, 0),
    "packet": (17, socket.SOCK_RAW, 0),
    "key": (15, socket.SOCK_RAW, 2),
    "CAN": (29, socket.SOCK_RAW, 1),
    "kernel crypto": (38, socket.SOCK_SEQPACKET, 0),
    "vsock": (40, socket.SOCK_STREAM, 0),
    "XDP": (44, socket.SOCK_RAW, 0),
}

for _family, _numbers in FAMILIES.items():

    def _try(t, numbers=_numbers):
        descriptor = call(41, 198, *numbers)
        os.close(descriptor)
        return True

    attempt(f"make a {_family} socket")(_try)


@attempt("connect by TCP")
def _(t):
    with socket.create_connection(("127.0.0.1", t["tcp"]), timeout=1):
        return True


@attempt("serve by TCP")
def _(t):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        return True


@attempt("send by UDP")
def _(t):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        return one.sendto(b"x", ("127.0.0.1", t["udp"])) == 1


@attempt("ask a name server")
def _(t):
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0\4leak\7example\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("127.0.0.1", t["udp"]))
        return one.send(question) == len(question)


@attempt("connect to a unix socket")
def _(t):
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(1)
        one.connect(t["unix"])
        return True


@attempt("connect to an abstract unix socket")
def _(t):
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(1)
        one.connect("\0" + t["abstract"])
        return True


@attempt("send from a socket pair to a named socket")
def _(t):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        return ours.sendto(b"x", t["datagram"]) == 1


@attempt("send from a socket pair to an abstract socket")
def _(t):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        return ours.sendto(b"x", "\0" + t["abstract_datagram"]) == 1


@attempt("turn a stream of a socket pair to a named socket")
def _(t):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        theirs.close()
        ours.connect(t["unix"])
        return True


@attempt("make a socket by the x32 interface")
def _(t):
    return call(0x40000000 + 41, None, 2, 1, 0) >= 0


@attempt("make a socket by io_uring")
def _(t):
    return call(425, 425, 4, ctypes.create_string_buffer(120)) >= 0


@attempt("see network interfaces of the machine")
def _(t):
    return len(socket.if_nameindex()) > 0


@attempt("see the connections of the machine")
def _(t):
    return f":{t['tcp']:04X} " in Path("/proc/net/tcp").read_text()


# --- other processes -------------------------------------------------------------------


@attempt("signal another process")
def _(t):
    return os.kill(t["victim"], signal.SIGUSR1) is None


@attempt("signal the process that started this one")
def _(t):
    return os.kill(t["parent"], 0) is None


@attempt("signal a process group")
def _(t):
    return os.killpg(t["victim_group"], 0) is None


@attempt("signal a thread of another process")
def _(t):
    return call(234, 131, t["victim"], t["victim"], signal.SIGUSR1) == 0


@attempt("signal a thread alone")
def _(t):
    return call(200, 130, t["victim"], signal.SIGUSR1) == 0


@attempt("queue a signal to another process")
def _(t):
    info = struct.pack("=iii4xii", signal.SIGUSR1, 0, -1, os.getpid(), os.getuid())
    return call(129, 138, t["victim"], signal.SIGUSR1, info + bytes(128)) == 0


@attempt("have another process signalled for a pipe")
def _(t):
    fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, t["victim"])
    return True


@attempt("change the flags of a file by reading it")
def _(t):
    held = os.open(t["program"], os.O_RDONLY)
    flags = fcntl.ioctl(held, 0x80086601, bytes(8))
    fcntl.ioctl(held, 0x40086602, flags)
    return True


@attempt("open a process descriptor")
def _(t):
    return call(434, 434, t["victim"], 0) >= 0


@attempt("signal by a process descriptor")
def _(t):
    held = os.open(f"/proc/{t['victim']}", os.O_RDONLY | os.O_DIRECTORY)
    return call(424, 424, held, signal.SIGUSR1, 0, 0) == 0


@attempt("take a descriptor of another process")
def _(t):
    held = call(434, 434, t["victim"], 0)
    return has(slurp(call(438, 438, held, t["victim_descriptor"], 0)), t)


@attempt("trace another process")
def _(t):
    call(101, 117, 0x4206, t["victim"], 0, 0)  # PTRACE_SEIZE, which stops nothing
    call(101, 117, 0x4207, t["victim"], 0, 0)  # PTRACE_INTERRUPT
    os.waitpid(t["victim"], 0x40000000)  # __WALL
    call(101, 117, 17, t["victim"], 0, 0)
    return True


@attempt("let the parent trace this process")
def _(t):
    # In a child: whoever is traced stops at its next signal.
    pid = os.fork()
    if pid == 0:
        os._exit(C.ptrace(0, 0, 0, 0) != 0)
    return os.waitpid(pid, 0)[1] == 0


def vector(address, size):
    return struct.pack("=QQ", address, size)


@attempt("read the memory of another process")
def _(t):
    size = len(t["secret"])
    data = ctypes.create_string_buffer(size)
    mine, theirs = vector(ctypes.addressof(data), size), vector(t["victim_address"], size)
    call(310, 270, t["victim"], mine, 1, theirs, 1, 0)
    return has(data.raw, t)


@attempt("write the memory of another process")
def _(t):
    data = ctypes.create_string_buffer(t["secret"].encode())
    size = len(t["secret"])
    mine, theirs = vector(ctypes.addressof(data), size), vector(t["victim_address"], size)
    return call(311, 271, t["victim"], mine, 1, theirs, 1, 0) == size


@attempt("read /proc/PID/mem")
def _(t):
    held = os.open(f"/proc/{t['victim']}/mem", os.O_RDONLY)
    return has(os.pread(held, len(t["secret"]), t["victim_address"]), t)


@attempt("open /proc/PID/mem for writing")
def _(t):
    return os.open(f"/proc/{t['victim']}/mem", os.O_RDWR) >= 0


@attempt("read a file by /proc/PID/fd")
def _(t):
    return has(Path(f"/proc/{t['victim']}/fd/{t['victim_descriptor']}").read_bytes(), t)


@attempt("read the environment of another process")
def _(t):
    return has(Path(f"/proc/{t['victim']}/environ").read_bytes(), t)


@attempt("read the command line of another process")
def _(t):
    return t["token"] in Path(f"/proc/{t['victim']}/cmdline").read_text()


@attempt("read the memory map of another process")
def _(t):
    return "-" in Path(f"/proc/{t['victim']}/maps").read_text()


@attempt("see a process of the machine")
def _(t):
    if str(t["victim"]) not in os.listdir("/proc"):
        return False
    return t["token"] in Path(f"/proc/{t['victim']}/cmdline").read_text()


@attempt("spare another process from the memory killer")
def _(t):
    return os.open(f"/proc/{t['victim']}/oom_score_adj", os.O_WRONLY) >= 0


@attempt("see the limits of another process")
def _(t):
    return resource.prlimit(t["victim"], resource.RLIMIT_NOFILE)[1] > 0


@attempt("change the limits of another process")
def _(t):
    limits = struct.pack("=QQ", 0, resource.RLIM_INFINITY & (1 << 64) - 1)
    return call(302, 261, t["victim"], resource.RLIMIT_CORE, limits, 0) == 0


@attempt("change the priority of another process")
def _(t):
    return os.setpriority(os.PRIO_PROCESS, t["victim"], 19) is None


@attempt("change the priority of a process group")
def _(t):
    return os.setpriority(os.PRIO_PGRP, t["victim_group"], 19) is None


@attempt("change the processors of another process")
def _(t):
    return os.sched_setaffinity(t["victim"], os.sched_getaffinity(0)) is None


@attempt("change the scheduling of another process")
def _(t):
    os.sched_setscheduler(t["victim"], os.SCHED_BATCH, os.sched_param(0))
    return os.sched_getscheduler(t["victim"]) == os.SCHED_BATCH


@attempt("change the disk priority of another process")
def _(t):
    return call(251, 30, 1, t["victim"], 2 << 13 | 7) == 0


@attempt("compare with another process")
def _(t):
    return call(312, 272, os.getpid(), t["victim"], 1, 0, 0) >= 0


@attempt("move the pages of another process")
def _(t):
    return call(279, 239, t["victim"], 0, 0, 0, 0, 0) >= 0


@attempt("become real-time")
def _(t):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


@attempt("raise its own priority")
def _(t):
    return os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1) is None


@attempt("raise its own limits")
def _(t):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))
    return True


@attempt("have a capability")
def _(t):
    data = ctypes.create_string_buffer(24)
    checked(C.capget(struct.pack("=Ii", 0x20080522, 0), data))
    return any(data.raw)


# --- memory and messages that processes share ------------------------------------------


@attempt("read System V shared memory")
def _(t):
    C.shmat.restype = ctypes.c_void_p
    held = checked(C.shmget(ctypes.c_int(t["shm_key"]), 0, 0))
    address = C.shmat(held, None, 0o10000)
    return has(ctypes.string_at(address, len(t["secret"])), t)


@attempt("make System V shared memory")
def _(t):
    held = checked(C.shmget(0, 4096, 0o600))
    return C.shmctl(held, 0, None) == 0


@attempt("make a System V semaphore")
def _(t):
    held = checked(C.semget(0, 1, 0o600))
    return C.semctl(held, 0, 0) == 0


@attempt("make a System V message queue")
def _(t):
    held = checked(C.msgget(0, 0o600))
    return C.msgctl(held, 0, None) == 0


@attempt("make a POSIX message queue")
def _(t):
    name = t["token"].encode()
    held = call(240, 180, name, os.O_CREAT | os.O_RDWR, 0o600, 0)
    os.close(held)
    return call(241, 181, name) == 0


@attempt("read a file of shared memory")
def _(t):
    return has(Path(t["shared_file"]).read_bytes(), t)


@attempt("make a file in memory")
def _(t):
    return os.memfd_create("own") >= 0


@attempt("make a secret file in memory")
def _(t):
    return call(447, 447, 0) >= 0


@attempt("put a key on a keyring")
def _(t):
    return call(248, 217, b"user", t["token"].encode(), b"x", 1, -2) > 0  # the process's own


@attempt("read a keyring")
def _(t):
    return call(250, 219, 0, -3, 1) > 0


# --- the kernel ------------------------------------------------------------------------

NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "host name": 0x04000000,
    "IPC": 0x08000000,
    "user": 0x10000000,
    "process": 0x20000000,
    "network": 0x40000000,
}

for _kind, _flag in NAMESPACES.items():

    def _try(t, flag=_flag):
        # In a thread or a child, which ends: whoever may do it would be elsewhere afterwards.
        got = []
        if flag in (NAMESPACES["user"], NAMESPACES["process"]):
            pid = os.fork()
            if pid == 0:
                os._exit(C.unshare(flag) != 0)
            return os.waitpid(pid, 0)[1] == 0
        thread = threading.Thread(target=lambda: got.append(C.unshare(flag) == 0))
        thread.start()
        thread.join()
        return got == [True]

    attempt(f"make a {_kind} namespace")(_try)


@attempt("make a namespace by clone")
def _(t):
    pid = call(56, 220, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


@attempt("make a namespace by clone3")
def _(t):
    pid = call(435, 435, struct.pack("=8Q", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


@attempt("join the namespace of another process")
def _(t):
    held = os.open(f"/proc/{t['victim']}/ns/net", os.O_RDONLY)
    return C.setns(held, 0x40000000) == 0


@attempt("mount something")
def _(t):
    place = scratch("mount")
    os.mkdir(place)
    checked(C.mount(b"tmpfs", place.encode(), b"tmpfs", 0, b"size=4k"))
    C.umount2(place.encode(), 2)
    return True


@attempt("mount by the new interface")
def _(t):
    return call(430, 430, b"tmpfs", 0) >= 0


@attempt("clone a mount")
def _(t):
    return call(428, 428, -100, b"/", 1) >= 0


@attempt("unmount something")
def _(t):
    # Told what it could have done: busy, or not a mount point, but not refused.
    C.umount2(scratch("nothing").encode(), 0)
    return ctypes.get_errno() in (errno.ENOENT, errno.EINVAL)


@attempt("change the root")
def _(t):
    pid = os.fork()
    if pid == 0:
        os._exit(C.chroot(os.environ["TMPDIR"].encode()) != 0)
    return os.waitpid(pid, 0)[1] == 0


@attempt("rename the machine")
def _(t):
    name = platform.node().encode()
    return C.sethostname(name, len(name)) == 0


@attempt("load a BPF map")
def _(t):
    return call(321, 280, 0, struct.pack("=5I", 2, 4, 4, 1, 0) + bytes(100), 120) >= 0


@attempt("watch the processor's counters")
def _(t):
    attributes = struct.pack("=IIQ", 1, 128, 0) + bytes(112)
    return call(298, 241, attributes, 0, -1, -1, 0) >= 0


@attempt("handle page faults")
def _(t):
    return call(323, 282, 1) >= 0


@attempt("watch files")
def _(t):
    return call(294, 26, 0) >= 0


@attempt("watch all files")
def _(t):
    return call(300, 262, 0, 0) >= 0


@attempt("read the kernel's log")
def _(t):
    return call(103, 116, 10, 0, 0) >= 0


@attempt("reach the processor's ports")
def _(t):
    return call(173, None, 0x80, 1, 0) == 0


@attempt("change how addresses are laid out")
def _(t):
    before = call(135, 92, 0xFFFFFFFF)
    return call(135, 92, before) >= 0


@attempt("set the clock")
def _(t):
    # An impossible time, so that nothing is set: the kernel says so where it is reached.
    try:
        return call(227, 112, 0, struct.pack("=qq", 0, -1)) == 0
    except OSError as error:
        return error.errno == errno.EINVAL


# --- processes that stay ---------------------------------------------------------------


@attempt("fork")
def _(t):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


@attempt("start a process by clone")
def _(t):
    pid = call(56, 220, signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


@attempt("start a program")
def _(t):
    return subprocess.run(["/bin/true"], check=True).returncode == 0


@attempt("start a program by posix_spawn")
def _(t):
    pid = os.posix_spawn("/bin/true", ["true"], {})
    return os.waitpid(pid, 0)[1] == 0


@attempt("start a program by system")
def _(t):
    return os.system("true") == 0


@attempt("leave a daemon")
def _(t):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(1, 32):
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_IGN)
            os.closerange(0, 64)
            code = "import time; time.sleep(60)"
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", code, t["daemon"]])
        os._exit(0)
    os.waitpid(pid, 0)
    return True


def is_open(descriptor):
    try:
        return os.fstat(descriptor) is not None
    except OSError:
        return False


def main():
    INHERITED.extend(filter(is_open, range(3, 256)))
    targets = json.loads(sys.argv[1])
    for name, function in ATTEMPTS.items():
        try:
            got, why = bool(function(targets)), ""
        except BaseException as error:
            got, why = False, f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps({"name": name, "got": got, "why": why[:100]}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
