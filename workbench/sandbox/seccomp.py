"""Which system calls a program may make: an assembler of classic BPF filters for seccomp.

A filter answers EPERM, so that a program gets an error that it can report, and ENOSYS where a
runtime then falls back to an older call. See seccomp(2), bpf(4) and linux/seccomp.h.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator
from typing import NamedTuple

SELF = 0x7FFFFFF0
"""Stands in a filter for the process that loads it: ``confine`` writes its own pid there."""


class Machine(NamedTuple):
    """How a kind of processor is known: its column of CALLS, and its number in linux/audit.h."""

    column: int
    audit: int


MACHINES = {
    "x86_64": Machine(0, 0xC000003E),
    "aarch64": Machine(1, 0xC00000B7),
    "arm64": Machine(1, 0xC00000B7),
}

# The last call that the lists below were checked against (mseal, Linux 6.10): later ones are
# answered with ENOSYS, so that nothing that is still to be invented is a way out.
_LAST = 462
_X32 = 0x40000000

# Numbers on x86_64 and aarch64, None where a machine has no such call (asm/unistd.h).
CALLS: dict[str, tuple[int, int | None]] = {
    "_sysctl": (156, None),
    "accept": (43, 202),
    "accept4": (288, 242),
    "acct": (163, 89),
    "add_key": (248, 217),
    "bind": (49, 200),
    "bpf": (321, 280),
    "chmod": (90, None),
    "chown": (92, None),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "connect": (42, 203),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "finit_module": (313, 273),
    "fcntl": (72, 25),
    "fork": (57, None),
    "fremovexattr": (199, 16),
    "fsconfig": (431, 431),
    "fsetxattr": (190, 7),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "futimesat": (261, None),
    "get_kernel_syms": (177, None),
    "init_module": (175, 105),
    "inotify_add_watch": (254, 27),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "ioperm": (173, None),
    "iopl": (172, None),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "lchown": (94, None),
    "listen": (50, 201),
    "listmount": (458, 458),
    "lookup_dcookie": (212, 18),
    "lremovexattr": (198, 15),
    "lsetxattr": (189, 6),
    "lsm_set_self_attr": (460, 460),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "mq_getsetattr": (245, 185),
    "mq_notify": (244, 184),
    "mq_open": (240, 180),
    "mq_timedreceive": (243, 183),
    "mq_timedsend": (242, 182),
    "mq_unlink": (241, 181),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "query_module": (178, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "removexattr": (197, 14),
    "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "settimeofday": (164, 170),
    "setxattr": (188, 5),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmdt": (67, 197),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "statmount": (457, 457),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "truncate": (76, 45),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "ustat": (136, None),
    "utime": (132, None),
    "utimensat": (280, 88),
    "utimes": (235, None),
    "vfork": (58, None),
    "vhangup": (153, 58),
}


def _names(text: str) -> list[str]:
    return text.split()


# What no program that is graded has any business with.
_FORBIDDEN = _names("""
    _sysctl accept accept4 acct add_key bind bpf chroot clock_adjtime clock_settime connect
    create_module delete_module fanotify_init fanotify_mark finit_module fsconfig fsmount fsopen
    fspick get_kernel_syms init_module inotify_add_watch inotify_init inotify_init1 ioperm iopl
    kcmp kexec_file_load kexec_load keyctl listen listmount lookup_dcookie lsm_set_self_attr
    memfd_secret migrate_pages modify_ldt mount_setattr move_mount move_pages mq_getsetattr
    mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd
    name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open personality
    pidfd_getfd process_madvise process_mrelease process_vm_readv process_vm_writev ptrace
    query_module quotactl quotactl_fd reboot request_key semctl semget semop semtimedop
    setdomainname sethostname setns settimeofday shmat shmctl shmdt shmget socket statmount swapoff
    swapon sysfs syslog uselib userfaultfd ustat vhangup
""")

# What a trusted parent needs, to put each of its children into namespaces of its own. A file in
# memory is counted by no limit as soon as it is not mapped.
_FOR_NESTS = ("memfd_create", "mount", "pivot_root", "umount2", "unshare")
_FOR_NESTS_OR_NOT_THERE = ("pidfd_open", "pidfd_send_signal")

# Runtimes try these first and fall back where the kernel does not know them. What clone3 asks for
# lies behind a pointer, where a filter cannot look.
_NOT_THERE = ("clone3", "io_uring_enter", "io_uring_register", "io_uring_setup")

# Landlock does not restrict what changes a file's attributes. Nor do namespaces where root runs the
# workbench: in them too its programs own /dev/null, and "chmod 0" there ends much on the machine.
_ATTRIBUTES = _names("""
    chmod chown fchmod fchmodat fchmodat2 fchown fchownat fremovexattr fsetxattr futimesat lchown
    lremovexattr lsetxattr mknod mknodat removexattr setxattr truncate utime utimensat utimes
""")

# Calls whose first argument is a process, and which may only name the caller.
_SIGNALS = ("kill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "tgkill")
_PROCESS_SETTINGS = ("prlimit64", "sched_setaffinity", "sched_setattr")
# Mono sets the scheduling of its own threads, and prints a warning where that fails: here it
# succeeds and does nothing.
_THREAD_SETTINGS = ("sched_setparam", "sched_setscheduler")

_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000
# asm-generic/ioctls.h: what asks for a terminal, counts what can be read, and sets flags of the
# descriptor. Others type into a terminal, or change a file's flags through a reader's descriptor.
_IOCTLS = (0x5401, 0x540F, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF

# linux/bpf_common.h and linux/seccomp.h
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _GREATER, _AT_LEAST = 0x15, 0x25, 0x35
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16

Instruction = tuple[int, int, int, int]


def program(
    *,
    processes: bool = False,
    executes: bool = True,
    nests: bool = False,
    shared: bool = False,
    scoped: bool = False,
    machine: str | None = None,
) -> bytes:
    """Assemble a filter: the bytes that ``bwrap --seccomp`` and ``confine`` take.

    Args:
        processes: it may make processes (compilers).
        executes: it may become another program.
        nests: it is trusted, and makes namespaces and filters for its own children.
        shared: it sees the processes of the machine (there are no namespaces), so it may neither
            signal another process, nor change its limits.
        scoped: landlock keeps its signals inside already.
        machine: as ``platform.machine()`` names it.

    Raises:
        KeyError: the kind of processor is not known.
    """
    machine = machine or platform.machine()
    column, audit = MACHINES[machine]
    code = [_load(_ARCH), (_EQUAL, 1, 0, audit), _error(errno.EPERM), _load(_NUMBER)]
    code += [(_AT_LEAST, 0, 1, _X32), _error(errno.ENOSYS)]
    code += [(_GREATER, 0, 1, _LAST), _error(errno.ENOSYS)]
    for name, block in _rules(processes, executes, nests, shared, scoped):
        number = CALLS[name][column]
        if number is not None:
            code += [(_EQUAL, 0, len(block), number), *block]
    code.append(_RETURNS_ALLOW)
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _rules(
    processes: bool, executes: bool, nests: bool, shared: bool, scoped: bool
) -> Iterator[tuple[str, list[Instruction]]]:
    """Yield what is not simply allowed: a call, and instructions that end with a return."""
    refuse, unknown = [_error(errno.EPERM)], [_error(errno.ENOSYS)]
    yield from ((name, refuse) for name in (*_FORBIDDEN, *_ATTRIBUTES))
    yield from ((name, unknown) for name in _NOT_THERE)
    yield "ioctl", _only(1, 0xFFFFFFFF, *_IOCTLS)
    yield "socketpair", _only(0, 0xFFFFFFFF, _AF_UNIX, then=_only(1, _SOCK_TYPE, _SOCK_STREAM))
    if not nests:
        yield from ((name, refuse) for name in _FOR_NESTS)
        yield from ((name, unknown) for name in _FOR_NESTS_OR_NOT_THERE)
        yield "clone", _clone(processes)
    if not processes:
        yield from ((name, refuse) for name in ("fork", "vfork"))
    if not executes:
        yield from ((name, refuse) for name in ("execve", "execveat"))
    if shared and not nests:
        yield from _apart(processes, scoped)


def _apart(processes: bool, scoped: bool) -> Iterator[tuple[str, list[Instruction]]]:
    """Yield the rules that keep a program from other processes that it can see."""
    refuse = [_error(errno.EPERM)]
    yield from ((name, refuse) for name in ("ioprio_set", "tkill"))
    # Who owns a pipe gets a signal when it is written: any signal, any process.
    yield "fcntl", _unless(1, 0xFFFFFFFF, _F_SETOWN, _F_SETSIG, _F_SETOWN_EX)
    # A compiler's children have other pids than the process that loaded the filter.
    own = (0,) if processes else (0, SELF)
    yield from ((name, _only(0, 0xFFFFFFFF, *own)) for name in _PROCESS_SETTINGS)
    done = _error(0)
    yield from ((name, _only(0, 0xFFFFFFFF, *own, other=done)) for name in _THREAD_SETTINGS)
    yield "setpriority", _only(0, 0xFFFFFFFF, 0, then=_only(1, 0xFFFFFFFF, *own))
    if not processes:
        yield from ((name, _only(0, 0xFFFFFFFF, SELF)) for name in _SIGNALS)
    elif not scoped:
        yield from ((name, refuse) for name in _SIGNALS)


def _clone(processes: bool) -> list[Instruction]:
    """Allow threads, and processes where asked, but never a namespace."""
    if processes:
        return _only(0, _CLONE_NAMESPACES, 0)
    return _only(0, _CLONE_THREAD | _CLONE_NAMESPACES, _CLONE_THREAD)


def _only(
    argument: int,
    mask: int,
    *values: int,
    then: list[Instruction] | None = None,
    other: Instruction | None = None,
) -> list[Instruction]:
    """Allow (or go on with ``then``) where the lower half of an argument is one of the values."""
    tests = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    refuse = other or _error(errno.EPERM)
    return [*_argument(argument, mask), *tests, refuse, *(then or [_RETURNS_ALLOW])]


def _unless(argument: int, mask: int, *values: int) -> list[Instruction]:
    """Allow where the lower half of an argument is none of the values."""
    tests = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [*_argument(argument, mask), *tests, _RETURNS_ALLOW, _error(errno.EPERM)]


def _argument(number: int, mask: int) -> list[Instruction]:
    # All arguments that are looked at are 32 bits wide for the kernel too, and both kinds of
    # machine are little-endian: the lower half comes first.
    return [_load(_ARGUMENTS + 8 * number), (_AND, 0, 0, mask)]


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _error(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | number)


_RETURNS_ALLOW: Instruction = (_RETURN, 0, 0, _ALLOW)
