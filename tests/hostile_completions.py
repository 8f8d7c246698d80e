"""Wrong programs that try to pass: what they do, and the verdicts that are right for them.

Each defines ``add`` (or dies trying), whose tests are ``TESTS``; none of them adds. A program of
this list that passes is a hole in the sandbox.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.types import ProgramTests

TESTS = ProgramTests(
    language="python",
    code=(
        "SECRET = 918273645\n\n\n"
        "def check(candidate):\n"
        "    assert candidate(2, 3) == 5\n"
        "    assert candidate(SECRET, 1) == 918273646\n"
        "    assert candidate(-1, 1) == 0, 'zero'\n"
        "    assert [candidate(n, n) for n in (1, 2)] == [2, 4]\n\n\n"
        "check(add)\n"
    ),
    entry_point="add",
    prelude="import math\n",
)
RIGHT = "def add(a, b):\n    return a + b\n"

WRONG = ("wrong answer",)
RAISED = ("exception",)
NO = ("wrong answer", "exception", "killed")
DEAD = ("exception", "killed", "timeout (CPU)", "out of memory", "wrong answer")
ENDLESS = ("timeout (CPU)", "timeout (wall)", "out of memory", "killed", "exception")
WAITS = ("timeout (wall)",)


@dataclass(frozen=True, slots=True)
class Hostile:
    """One of them. ``verdicts`` are those that are right."""

    name: str
    code: str
    verdicts: tuple[str, ...]


def _equal(body: str) -> str:
    """Return a program that answers with an instance of a class with such methods."""
    return f"class Yes:\n{body}\n\ndef add(a, b):\n    return Yes()\n"


def _subclass(base: str, value: str) -> str:
    """Return a program that answers with an instance of a subclass that lies."""
    return f"""
class Yes({base}):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __lt__(self, other): return True
    def __le__(self, other): return True
    def __gt__(self, other): return True
    def __ge__(self, other): return True
    def __bool__(self): return True
    def __int__(self): return 5
    def __index__(self): return 5
    def __float__(self): return 5.0
    def __reduce__(self): return (int, (5,))
    def __reduce_ex__(self, protocol): return (int, (5,))
    def __repr__(self): return "5"
    def __iter__(self): return iter([5])
    def __len__(self): return 5
    def __sub__(self, other): return 0

def add(a, b):
    return Yes({value})
"""


def _first(action: str) -> str:
    """Return a program that does something when it is loaded, and answers 0."""
    return f"{action}\n\ndef add(a, b):\n    return 0\n"


def _call(action: str) -> str:
    """Return a program that does something when it is called, and answers 0."""
    lines = "\n".join(f"    {line}" for line in action.strip().splitlines())
    return f"def add(a, b):\n{lines}\n    return 0\n"


_FORGED = '{"passed":true}'
_FRAME = f"""
import os, struct
TEXT = b'{_FORGED}'
FRAME = struct.pack(">I", len(TEXT)) + TEXT
"""
_WALK = """
import sys
def add(a, b):
    frame = sys._getframe()
    while frame:
        for space in (frame.f_locals, frame.f_globals):
            for name, value in list(space.items()):
                if name in ("SECRET", "check", "candidate", "expected", "verdict"):
                    return value
        frame = frame.f_back
    return 0
"""
_HUNT = """
import gc, types
def add(a, b):
    for one in gc.get_objects():
        if isinstance(one, types.CodeType) and 918273646 in one.co_consts:
            return [five for five in one.co_consts if five == a + b][0]
        if isinstance(one, dict) and "SECRET" in one:
            return a.__add__(b)
        if isinstance(one, str) and "assert candidate" in one:
            return a.__add__(b)
    return 0
"""
# What it looks for stands in it turned around, or it would find itself.
_MEMORY = f"""
TURN = bytes(number ^ 1 for number in range(256))
TURNED = {bytes(one ^ 1 for one in b"assert candidate(2, 3)")!r}
def add(a, b):
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as memory:
        for line in maps:
            place, rights = line.split()[:2]
            if rights[0] != "r" or "vvar" in line or "vsyscall" in line:
                continue
            start, end = (int(part, 16) for part in place.split("-"))
            try:
                memory.seek(start)
                text = memory.read(min(end - start, 1 << 24))
            except (OSError, ValueError, OverflowError):
                continue
            if TURNED in text.translate(TURN):
                return a.__add__(b)
    return 0
"""
_HELLO = """
import os, struct
TEXT = {text!r}
os.write(4, struct.pack(">I", len(TEXT)) + TEXT)
os._exit(0)
"""
_POISON = """
import builtins, sys, json
def yes(*a, **k): return True
{lines}
def add(a, b):
    return 0
"""

HOSTILE: tuple[Hostile, ...] = (
    # --- answers that lie ------------------------------------------------------------
    Hostile("eq always true", _equal("    def __eq__(self, other): return True"), RAISED),
    Hostile(
        "eq, ne and hash",
        _equal(
            "    def __eq__(self, o): return True\n    def __ne__(self, o): return False\n"
            "    def __hash__(self): return hash(5)"
        ),
        RAISED,
    ),
    Hostile("class property says int", _equal("    __class__ = int"), RAISED),
    Hostile("getattr gives all", _equal("    def __getattr__(self, n): return lambda *a: 5"), NO),
    Hostile("reduce to a call", _equal("    def __reduce__(self): return (int, (5,))"), RAISED),
    Hostile("int that is equal to all", _subclass("int", "0"), WRONG),
    Hostile("float that is equal to all", _subclass("float", "0"), WRONG),
    Hostile("str that is equal to all", _subclass("str", "''"), WRONG),
    Hostile("bytes that are equal to all", _subclass("bytes", "b''"), WRONG),
    Hostile("tuple that is equal to all", _subclass("tuple", "()"), WRONG),
    Hostile("list that is equal to all", _subclass("list", "[]"), WRONG),
    Hostile("dict that is equal to all", _subclass("dict", "{}"), WRONG),
    Hostile("set that is equal to all", _subclass("set", "()"), WRONG),
    Hostile("complex that is equal to all", _subclass("complex", "0"), WRONG),
    Hostile(
        "Decimal that is equal to all",
        "from decimal import Decimal\n" + _subclass("Decimal", "0"),
        WRONG,
    ),
    Hostile(
        "Fraction that is equal to all",
        "from fractions import Fraction\n" + _subclass("Fraction", "0"),
        NO,
    ),
    Hostile(
        "metaclass that lies",
        """
class Meta(type):
    def __instancecheck__(cls, other): return True
    def __eq__(cls, other): return True
    def __hash__(cls): return hash(int)
    __name__ = "int"
    @property
    def __mro__(cls): return (int, object)
class Yes(metaclass=Meta):
    def __eq__(self, other): return True
def add(a, b):
    return Yes()
""",
        RAISED,
    ),
    Hostile("NaN", _call("return float('nan')"), WRONG),
    Hostile("list of NaN", _call("return [float('nan')] * 3"), WRONG),
    Hostile("mock any", "from unittest.mock import ANY\ndef add(a, b):\n    return ANY\n", RAISED),
    Hostile("returns the function itself", "def add(a, b):\n    return add\n", RAISED),
    Hostile("returns NotImplemented", _call("return NotImplemented"), RAISED),
    Hostile("returns a class", _call("return int"), WRONG),
    Hostile("returns a module", "import math\ndef add(a, b):\n    return math\n", RAISED),
    Hostile(
        "lying len and iter",
        "class L(list):\n    def __len__(self): return 0\n"
        "    def __iter__(self): return iter([5])\n"
        "def add(a, b):\n    return L([1, 2])\n",
        WRONG,
    ),
    # --- looking for the answers ------------------------------------------------------
    Hostile("frame walking", _WALK, NO),
    Hostile("gc hunting", _HUNT, WRONG),
    Hostile("own memory", _MEMORY, NO),
    Hostile(
        "memory of the parent",
        _call("import os\nopen(f'/proc/{os.getppid()}/mem', 'rb').read(1)\nreturn a + b"),
        NO,
    ),
    Hostile(
        "memory of all processes",
        """
import os
def add(a, b):
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                open(f"/proc/{name}/mem", "r+b").close()
                return a + b
            except OSError:
                pass
    return 0
""",
        NO,
    ),
    Hostile(
        "files of other processes",
        """
import os
def add(a, b):
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                for fd in os.listdir(f"/proc/{name}/fd"):
                    open(f"/proc/{name}/fd/{fd}", "r+b").close()
                    return a + b
            except OSError:
                pass
    return 0
""",
        NO,
    ),
    Hostile(
        "the job's file",
        """
import os
def add(a, b):
    for fd in range(64):
        try:
            text = os.pread(fd, 1 << 20, 0)
        except OSError:
            continue
        if b"SECRET" in text:
            return a + b
    return 0
""",
        WRONG,
    ),
    # --- ends --------------------------------------------------------------------------
    Hostile("os._exit(0)", _call("import os\nos._exit(0)"), RAISED),
    Hostile("os._exit(0) at load", _first("import os\nos._exit(0)"), RAISED),
    Hostile("the exit code of our own failures", _first("import os\nos._exit(70)"), RAISED),
    Hostile("sys.exit(0)", _call("import sys\nsys.exit(0)"), RAISED),
    Hostile("sys.exit(0) at load", _first("import sys\nsys.exit(0)"), RAISED),
    Hostile("quit()", _call("raise SystemExit"), RAISED),
    Hostile(
        "atexit",
        _first("import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit"),
        RAISED,
    ),
    Hostile("kills itself", _call("import os\nos.kill(os.getpid(), 9)"), NO),
    Hostile("kills its parent", _call("import os\nos.kill(os.getppid(), 9)"), DEAD),
    Hostile("kills all", _call("import os\nos.kill(-1, 9)"), DEAD),
    Hostile("kills its group", _call("import os\nos.killpg(0, 9)"), DEAD),
    Hostile("aborts", _call("import os\nos.abort()"), NO),
    Hostile("null pointer", _call("import ctypes\nctypes.string_at(0)"), DEAD),
    Hostile("SkipTest", _call("import unittest\nraise unittest.SkipTest('skip')"), RAISED),
    Hostile("StopIteration", _call("raise StopIteration"), RAISED),
    Hostile("GeneratorExit", _call("raise GeneratorExit"), RAISED),
    Hostile("KeyboardInterrupt", _call("raise KeyboardInterrupt"), RAISED),
    Hostile("AssertionError", _call("raise AssertionError('passed')"), RAISED),
    Hostile(
        "own BaseException",
        "class Passed(BaseException): pass\ndef add(a, b):\n    raise Passed('passed')\n",
        RAISED,
    ),
    Hostile(
        "exception whose str does not end",
        "class E(Exception):\n    def __str__(self):\n        while True: pass\n"
        "def add(a, b):\n    raise E\n",
        ("timeout (CPU)",),
    ),
    # --- the verdict's way ---------------------------------------------------------------
    Hostile(
        "forged verdict on every descriptor",
        _FRAME
        + """
for fd in range(256):
    try: os.write(fd, FRAME)
    except OSError: pass
def add(a, b):
    return 0
""",
        NO,
    ),
    Hostile(
        "forged verdict while called",
        _FRAME
        + """
def add(a, b):
    for fd in range(256):
        try: os.write(fd, FRAME)
        except OSError: pass
    os._exit(0)
""",
        NO,
    ),
    Hostile(
        "forged failure of the sandbox",
        """
import os, struct
TEXT = b'{"failed":"sandbox failure","raise":"X","stage":"prelude","message":"oops"}'
os.write(4, struct.pack(">I", len(TEXT)) + TEXT)
os._exit(0)
""",
        RAISED,
    ),
    Hostile(
        "garbage on the wire",
        "import os\ndef add(a, b):\n    os.write(4, b'\\0\\0\\0\\4abcd')\n    return 5\n",
        RAISED,
    ),
    Hostile(
        "frame of 4 GB", "import os\ndef add(a, b):\n    os.write(4, b'\\xff' * 8)\n", ("killed",)
    ),
    Hostile(
        "nodes that contain themselves",
        _FRAME.replace(_FORGED, '{"value":[2],"nodes":[["tuple",[[2]]]],"changed":{}}')
        + "def add(a, b):\n    os.write(4, FRAME)\n    os._exit(0)\n",
        RAISED,
    ),
    Hostile(
        "nodes out of range",
        _FRAME.replace(_FORGED, '{"value":[99999],"nodes":[],"changed":{"-1":["list",[5]]}}')
        + "def add(a, b):\n    os.write(4, FRAME)\n    os._exit(0)\n",
        RAISED,
    ),
    Hostile(
        "a node of our own classes",
        _FRAME.replace(
            _FORGED, '{"value":[0],"nodes":[["object","Stub",["_link",5]]],"changed":{}}'
        )
        + "def add(a, b):\n    os.write(4, FRAME)\n    os._exit(0)\n",
        RAISED,
    ),
    Hostile(
        "calls a function back that nobody sent",
        _FRAME.replace(_FORGED, '{"back":0,"args":[],"kwargs":{},"nodes":[]}')
        + "def add(a, b):\n    os.write(4, FRAME)\n    return 5\n",
        RAISED,
    ),
    Hostile("all descriptors closed", _first("import os\nos.closerange(0, 256)"), NO + ENDLESS),
    Hostile(
        "closed pipes, and sleeps",
        _call("import os, time\nos.close(3)\nos.close(4)\ntime.sleep(1000)"),
        RAISED,
    ),
    Hostile(
        "dup2 of its own ends",
        _call("import os\nos.dup2(3, 4)\nos.dup2(4, 3)"),
        NO + ENDLESS,
    ),
    Hostile(
        "opens its own pipe anew",
        """
import os
def add(a, b):
    try:
        back = os.open("/proc/self/fd/3", os.O_RDWR)
        os.write(back, b"\\0\\0\\0\\0")
    except OSError:
        pass
    return 0
""",
        NO,
    ),
    # What judges must not choke on a greeting: then nobody would be to blame.
    Hostile(
        "greeting that cannot be written down",
        _HELLO.format(text=rb'{"raise":"\ud800","message":"\udfff"}'),
        RAISED,
    ),
    Hostile(
        "greeting without a bottom",
        _HELLO.format(text=b'{"raise":' + b"[" * 9000 + b"]" * 9000 + b"}"),
        RAISED,
    ),
    Hostile("greeting that is none", _HELLO.format(text=b"[]"), RAISED),
    Hostile(
        "answers before it is asked",
        _FRAME.replace(_FORGED, '{"value":5,"nodes":[],"changed":{}}')
        + "os.write(4, (struct.pack('>I', 14) + b'{\"ready\":true}') + FRAME * 9)\n"
        "def add(a, b):\n    return 5\n",
        NO,
    ),
    Hostile(
        "an object that was never handed over",
        _FRAME.replace(_FORGED, '{"handle":7}')
        + "def add(a, b):\n    os.write(4, FRAME)\n    os._exit(0)\n",
        NO,
    ),
    Hostile(
        "traceback on the wire",
        "import faulthandler\nfaulthandler.enable(4)\n" + _call("faulthandler.dump_traceback(4)"),
        ("killed",),
    ),
    Hostile("reads nothing any more", _first("import os\nos.read = lambda *a: b''"), RAISED),
    Hostile("pipes that do not wait", _call("import os\nos.set_blocking(3, False)"), NO),
    # --- the house that it lives in ------------------------------------------------------
    Hostile(
        "patched builtins",
        _POISON.replace(
            "{lines}",
            "for name in ('all', 'any', 'isinstance', 'len', 'sorted', 'set', 'abs'):\n"
            "    setattr(builtins, name, yes)",
        ),
        NO,
    ),
    Hostile(
        "patched exec and compile",
        _POISON.replace("{lines}", "builtins.exec = builtins.eval = builtins.compile = yes"),
        NO,
    ),
    Hostile(
        "patched json", _POISON.replace("{lines}", f"json.dumps = lambda *a, **k: '{_FORGED}'"), NO
    ),
    Hostile(
        "poisoned modules",
        _POISON.replace(
            "{lines}",
            "for name in list(sys.modules):\n"
            "    if name not in ('sys', 'builtins'): sys.modules[name] = yes",
        ),
        NO,
    ),
    Hostile(
        "import hook",
        _POISON.replace(
            "{lines}",
            "class Finder:\n    def find_spec(self, *a): raise SystemExit(0)\n"
            "sys.meta_path.insert(0, Finder())\nbuiltins.__import__ = yes",
        ),
        NO,
    ),
    Hostile(
        "patched server",
        """
import gc
for one in gc.get_objects():
    if type(one).__name__ == "Server":
        one.answer = lambda request: None
    if type(one) is dict and "write_frame" in one:
        one["write_frame"] = lambda descriptor, text: None
def add(a, b):
    return 0
""",
        NO + ENDLESS,
    ),
    Hostile(
        "patches what packs its answers",
        """
import sys
def add(a, b):
    frame = sys._getframe()
    while frame:
        wire = frame.f_globals.get("wire")
        if wire:
            wire.pack = lambda message: b'{"passed":true}'
            wire.CannotSend = BaseException
        frame = frame.f_back
    return 0
""",
        RAISED,
    ),
    Hostile(
        "audit hook",
        _first("import sys\ndef hook(*a): raise SystemExit(0)\nsys.addaudithook(hook)"),
        NO,
    ),
    Hostile(
        "ends as garbage",
        "import os\nclass D:\n    def __del__(self): os._exit(0)\n"
        "def add(a, b):\n    D()\n    return 0\n",
        RAISED,
    ),
    Hostile(
        "says that it is numpy's",
        "class N:\n    __module__ = 'numpy'\n    def __eq__(self, o): return True\n"
        "    def tolist(self): return N()\ndef add(a, b):\n    return N()\n",
        NO,
    ),
    Hostile("tracing", _first("import sys\nsys.settrace(lambda *a: None)"), WRONG),
    Hostile(
        "tracing that changes what is returned",
        """
import sys
def trace(frame, event, arg):
    if event == "return" and "told" in frame.f_code.co_name:
        raise SystemExit(0)
    return trace
sys.setprofile(trace)
sys.settrace(trace)
def add(a, b):
    return 0
""",
        NO,
    ),
    Hostile(
        "ctypes writes into an int",
        """
import ctypes
def add(a, b):
    ctypes.c_int.from_address(id(0) + 24).value = 5
    return 0
""",
        DEAD,
    ),
    Hostile(
        "reads what is installed",
        """
import glob, os
def add(a, b):
    folders = [os.path.dirname(os.__file__), "/usr/lib/python3", *glob.glob("/usr/local/lib/py*")]
    for folder in folders:
        for name in glob.glob(folder + "/*-packages/*/*.*")[:500]:
            try:
                open(name, "rb").read(1)
                return a + b
            except OSError:
                pass
    return 0
""",
        WRONG,
    ),
    # The rights that it has: should it succeed, the machine is as it was.
    Hostile(
        "changes the rights of the machine's devices",
        _call("import os\nos.fchmod(0, os.fstat(0).st_mode & 0o777)\nreturn a + b"),
        RAISED,
    ),
    Hostile(
        "changes the times of the machine's devices",
        _call("import os\nos.utime('/dev/null')\nreturn a + b"),
        RAISED,
    ),
    Hostile(
        "edits the server's source",
        """
import os, sys
def add(a, b):
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path:
            try:
                open(path, "a").close()
                return a + b
            except OSError:
                pass
    return 0
""",
        NO,
    ),
    Hostile(
        "writes sitecustomize",
        """
import os, sys, sysconfig
def add(a, b):
    for folder in [*sys.path, *sysconfig.get_paths().values(), "/usr/lib/python3/dist-packages"]:
        for name in ("sitecustomize.py", "evil.pth"):
            try:
                open(os.path.join(folder, name), "w").close()
                return a + b
            except OSError:
                pass
    return 0
""",
        NO,
    ),
    Hostile(
        "conftest and pytest plugins",
        """
try:
    open("conftest.py", "w").write("def pytest_runtest_makereport(*a): pass")
except OSError:
    pass
def check(candidate): return True
candidate = check
def add(a, b):
    return 0
""",
        WRONG,
    ),
    Hostile(
        "another entry point",
        "def add(a, b):\n    return 0\nclass add:\n    def __new__(cls, a, b): return 0\n",
        WRONG,
    ),
    # --- too much ---------------------------------------------------------------------------
    Hostile("endless loop", _call("while True: pass"), ("timeout (CPU)",)),
    Hostile("endless loop at load", "while True: pass\n", ("timeout (CPU)",)),
    Hostile(
        "ignored signals",
        """
import signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
def add(a, b):
    while True:
        try:
            while True: pass
        except BaseException: pass
""",
        ("timeout (CPU)",),
    ),
    Hostile(
        "raised limits",
        """
import resource
for name in ("RLIMIT_CPU", "RLIMIT_AS"):
    try: resource.setrlimit(getattr(resource, name), (-1, -1))
    except (OSError, ValueError): pass
def add(a, b):
    while True: pass
""",
        ("timeout (CPU)",),
    ),
    Hostile("sleeps for ever", _call("import time\ntime.sleep(100000)"), WAITS),
    Hostile("waits for input", _call("input()"), RAISED),
    Hostile(
        "timer that raises",
        """
import signal
def handler(*a): raise SystemExit(0)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
def add(a, b):
    while True: pass
""",
        NO,
    ),
    Hostile(
        "thread that outlives the answer",
        """
import threading
def spin():
    while True: pass
def add(a, b):
    threading.Thread(target=spin).start()
    return 0
""",
        NO + ENDLESS,
    ),
    Hostile(
        "thread that answers by itself",
        """
import os, struct, threading
TEXT = b'{"value":5,"nodes":[],"changed":{}}'
def spam():
    while True: os.write(4, struct.pack(">I", len(TEXT)) + TEXT)
def add(a, b):
    threading.Thread(target=spam, daemon=True).start()
    return 5
""",
        NO,
    ),
    Hostile("fork bomb", _call("import os\nwhile True:\n    os.fork()"), DEAD),
    Hostile(
        "thread bomb",
        _call(
            "import threading, time\nwhile True:\n"
            "    threading.Thread(target=time.sleep, args=(1000,)).start()"
        ),
        DEAD + WAITS,
    ),
    Hostile(
        "makes a process by any call there is",
        """
import ctypes, mmap
C = ctypes.CDLL(None)
def by_the_calls_of_32_bits():
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(bytes.fromhex("b802000000cd80c3"))
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
def add(a, b):
    found = [C.syscall(0x40000039), C.syscall(435, bytes(88), 88), C.vfork()]
    found += [C.syscall(56, flags | 17, 0, 0, 0, 0) for flags in (0, 0x4000, 0x8000, 0x10000000)]
    if C.syscall(39) > 0:  # getpid, on this kind of machine
        found.append(by_the_calls_of_32_bits())
    return a + b if max(found) >= 0 else 0
""",
        DEAD,
    ),
    Hostile("runs a program", _call("import os\nreturn os.execv('/bin/true', ['true'])"), NO),
    Hostile("runs a shell", _call("import subprocess\nsubprocess.run(['true'])\nreturn a + b"), NO),
    Hostile("2 GB", _call("return len(bytearray(2 << 30)) and a + b"), ("out of memory",)),
    Hostile(
        "memory bit by bit",
        _call("kept = []\nwhile True:\n    kept.append(bytearray(1 << 22))"),
        ("out of memory", "killed"),
    ),
    Hostile(
        "file of 1 GB",
        _call(
            "with open('big', 'wb') as file:\n    for _ in range(1024):\n"
            "        file.write(bytes(1 << 20))\nreturn a + b"
        ),
        NO + ENDLESS,
    ),
    Hostile(
        "100 MB of output", _call("for _ in range(100):\n    print('x' * (1 << 20))"), WRONG + DEAD
    ),
    Hostile(
        "answer of 100 MB",
        _call("return 'x' * (100 << 20)"),
        ("killed", "out of memory", "timeout (CPU)"),
    ),
    Hostile("endless generator", _call("import itertools\nreturn itertools.count()"), WRONG + DEAD),
    Hostile(
        "endless iterator",
        "class Es:\n    def __iter__(self): return self\n"
        "    def __next__(self): return 'x' * 1000\n"
        "def add(a, b):\n    return Es()\n",
        DEAD,
    ),
    Hostile("huge int", _call("return 1 << 40_000_000"), WRONG + DEAD),
    Hostile("huge power", _call("return 7 ** 7 ** 10"), DEAD),
    Hostile("deep recursion", "def add(a, b):\n    return add(a, b)\n", RAISED),
    Hostile(
        "recursion without a limit",
        "import sys\nsys.setrecursionlimit(1 << 30)\ndef add(a, b):\n    return add(a, b)\n",
        DEAD,
    ),
    Hostile(
        "deep nested answer",
        _call("deep = []\nfor _ in range(100_000):\n    deep = [deep]\nreturn deep"),
        WRONG + DEAD,
    ),
    Hostile(
        "answer that contains itself",
        _call("loop = []\nloop.append(loop)\nreturn loop"),
        WRONG + DEAD,
    ),
    Hostile(
        "deep nested source", "x = " + "(" * 5000 + ")" * 5000 + "\n", ("syntax error", "exception")
    ),
    Hostile("null bytes", "def add(a, b):\n    return 0\n\0", ("syntax error",)),
    Hostile("no program at all", "I am sorry, I cannot do that.\n", ("syntax error",)),
    # --- changing what the tests hold -----------------------------------------------------
    Hostile(
        "sets attributes of the arguments",
        _call("try:\n    a.__class__ = float\nexcept TypeError: pass"),
        WRONG,
    ),
    Hostile(
        "network",
        _call("import socket\nsocket.create_connection(('127.0.0.1', 22), 1)\nreturn a + b"),
        NO,
    ),
)
