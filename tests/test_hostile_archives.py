"""Whatever an archive holds: it takes little memory, nothing is written, and nothing raises."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hostile_archives import BEHIND, DAMAGED, END, FIRST, GOOD, HOSTILE, LAST, file, zipped

from workbench.corpus.archives import TOO_LARGE, LeftOut, Member, members
from workbench.corpus.caps import Caps

MOST_MEGABYTES = 200

# Reads each archive, and tells all that it did to the machine; imports come first, as they write.
CHILD = """
import hashlib, json, sys, time
from pathlib import Path
from workbench.corpus import archives

deeds = []
HARMLESS = ("open", "os.listdir", "os.scandir", "os.putenv")

def watch(event, arguments):
    if event == "open":
        if set(str(arguments[1] or "")) & set("wxa+") or (arguments[2] or 0) & 0o3:
            deeds.append(f"{event} {arguments[0]}")
    elif event.partition(".")[0] in ("os", "shutil", "subprocess", "socket", "ctypes", "tempfile"):
        deeds.append(event)
    elif event in ("exec", "compile", "import", "marshal.loads", "pickle.find_class"):
        deeds.append(f"{event} {arguments[0]!r:.80}")

def peak():  # in megabytes; that of getrusage would count the parent's, from before the exec
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

for text in Path(sys.argv[1]).iterdir():  # warm: late imports of the standard library
    if text.name.startswith("warm"):
        list(archives.members(text))
start = peak()
sys.addaudithook(watch)
for path in sorted(Path(sys.argv[1]).glob("hostile*")):
    deeds.clear()
    begin, read, left = time.monotonic(), {}, []
    for entry in archives.members(path):
        if isinstance(entry, archives.Member):
            read[entry.path] = hashlib.sha256(entry.data).hexdigest()
        else:
            left.append(entry.reason)
    seconds = time.monotonic() - begin
    print(json.dumps([path.name, read, left, list(deeds), peak() - start, seconds]))
"""


def number_of(name: str) -> str:
    return f"hostile{list(HOSTILE).index(name):03}"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Read all archives in one child process, and return what it tells of each."""
    folder = tmp_path_factory.mktemp("archives")
    for name, hostile in HOSTILE.items():
        (folder / number_of(name)).write_bytes(hostile.make())
    (folder / "warm.tar.gz").write_bytes(gzip.compress(FIRST + END))
    (folder / "warm.zip").write_bytes(zipped())
    nowhere = tmp_path_factory.mktemp("nowhere")
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)],
        cwd=nowhere, env={**os.environ, "HOME": str(nowhere), "TMPDIR": str(nowhere)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert not list(nowhere.iterdir())
    return {name: rest for name, *rest in map(json.loads, run.stdout.splitlines())}


def test_there_are_at_least_forty_hostile_archives() -> None:
    assert len(HOSTILE) >= 40


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_left_out_for_its_reason(name: str, told: dict[str, Any]) -> None:
    hostile = HOSTILE[name]
    read, left, deeds, megabytes, seconds = told[number_of(name)]
    expected = [*(["good.py"] if hostile.good else []), *hostile.others]
    expected += [] if hostile.ends else ["last.py"]
    assert (Counter(left), list(read)) == (Counter(hostile.left), expected)
    assert deeds == [], "something was opened to write, made, run or connected"
    assert megabytes < MOST_MEGABYTES
    assert seconds < 20


# --- in this process -------------------------------------------------------------------


def read(data: bytes, path: Path, caps: Caps | None = None) -> tuple[dict[str, bytes], list[str]]:
    path.write_bytes(data)
    found = list(members(path, caps or Caps()))
    return (
        {entry.path: entry.data for entry in found if isinstance(entry, Member)},
        [entry.reason for entry in found if isinstance(entry, LeftOut)],
    )


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_every_format_is_known_by_its_bytes_and_gives_the_same(mode: str, tmp_path: Path) -> None:
    texts = {f"src/pkg{n}/module.py": b"x = %d\n" % n * 1000 for n in range(50)}
    buffer = io.BytesIO()
    if mode == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("p-1/", "")
            for path, data in texts.items():
                archive.writestr(f"p-1/{path}", data)
    else:
        with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
            folder = tarfile.TarInfo("p-1")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            for path, data in texts.items():
                info = tarfile.TarInfo(f"p-1/{path}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    assert read(buffer.getvalue(), tmp_path / "no-suffix") == (texts, [])


def test_the_first_of_two_files_with_one_path_counts(tmp_path: Path) -> None:
    data = FIRST + file("p-1/good.py", b"evil = 1\n") + file("good.py", b"evil = 2\n") + END
    assert read(data, tmp_path / "a") == ({"good.py": GOOD}, ["duplicate", "duplicate"])


def test_an_archive_without_a_top_folder_keeps_its_paths(tmp_path: Path) -> None:
    data = file("setup.py") + file("p-1/a.py") + file("other/b.py") + END
    assert list(read(data, tmp_path / "a")[0]) == ["setup.py", "a.py", "other/b.py"]


def test_a_long_path_comes_whole(tmp_path: Path) -> None:
    path = "/".join(["folder"] * 60) + "/module.py"
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        info = tarfile.TarInfo(f"p-1/{path}")
        data = info.tobuf(format, "utf-8", "surrogateescape") + END
        assert read(data, tmp_path / "a") == ({path: b""}, [])


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_a_notebook_may_be_as_large_as_anywhere(form: str, tmp_path: Path) -> None:
    notebook = random.Random(7).randbytes(6_000_000)
    tar = FIRST + file("p-1/a.ipynb", notebook) + END
    packed = {"tar": tar, "zip": zipped(("p-1/a.ipynb", notebook))}
    found, left = read(packed[form], tmp_path / "a")
    assert found["a.ipynb"] == notebook and left == []


def test_bytes_beyond_the_cap_end_the_archive(tmp_path: Path) -> None:
    texts = [file(f"p-1/f{n}.py", b"x" * 5000) for n in range(20)]
    found, left = read(b"".join([*texts, END]), tmp_path / "a", Caps(bytes=50_000))
    assert 5 <= len(found) <= 10 and left == [TOO_LARGE]
    packed = zipped(*((f"p-1/f{n}.py", b"x" * 5000) for n in range(20)))
    found, left = read(packed, tmp_path / "a", Caps(bytes=50_000))
    assert 5 <= len(found) <= 10 and left == [TOO_LARGE]


def test_zeros_in_many_files_are_a_bomb_too(tmp_path: Path) -> None:
    packed = zipped(*((f"p-1/f{n}.txt", bytes(1_000_000)) for n in range(80)))
    found, left = read(packed, tmp_path / "a")
    assert 60 <= len(found) <= 66 and left == [TOO_LARGE]


def test_seconds_beyond_the_cap_end_the_archive(tmp_path: Path) -> None:
    caps = Caps(seconds=-1.0)
    assert read(FIRST + BEHIND + END, tmp_path / "a", caps) == ({}, [caps.beyond_seconds])
    assert read(zipped(), tmp_path / "a", caps) == ({}, [caps.beyond_seconds])


def test_wanted_files_are_read_and_the_others_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(FIRST + BEHIND + END)
    found = list(members(tmp_path / "a", wanted=lambda path: path == "last.py"))
    assert found == [Member("last.py", LAST)]


@pytest.mark.parametrize("form", ["tar", "gzip", "zip"])
def test_no_spoiled_byte_raises(form: str, tmp_path: Path) -> None:
    whole = {
        "tar": FIRST + file("p-1/" + "long/" * 30 + "a.py") + BEHIND + END,
        "gzip": gzip.compress(FIRST + file("p-1/" + "long/" * 30 + "a.py") + BEHIND + END),
        "zip": zipped(("p-1/evil.py", b"evil = 1\n" * 30)),
    }[form]
    chance = random.Random(11)
    reasons: Counter[str] = Counter()
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        reasons.update(read(bytes(data), tmp_path / "a")[1])
    assert reasons[DAMAGED] > 20
