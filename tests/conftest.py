"""What every test stands on: a home of its own, no network, and the real weights on request."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from pathlib import Path

import hypothesis
import pytest

from workbench.settings import settings

# How long an example takes, or is in the making, says how busy the machine is.
hypothesis.settings.register_profile(
    "workbench", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("workbench")

# Before huggingface_hub is imported, which reads it once: else it tries for half a minute.
os.environ["HF_HUB_OFFLINE"] = "1"

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every program
# that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The files that take longest, each in one process: begun last, they would leave the others waiting.
LONG = ("test_docs.py", "test_browser_evaluation.py", "test_conformance.py", "test_browser.py")

REAL_MODELS = settings().models
REAL_SUITES = settings().home / "suites"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    rank = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.name, len(LONG)))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test an empty WORKBENCH_HOME of its own."""
    for name in [name for name in os.environ if name.startswith("WORKBENCH_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("WORKBENCH_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])  # type: ignore[index]
            if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
                raise OSError(f"the network is closed in tests: {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@pytest.fixture
def models_home(home: Path) -> Path:
    """Return a home of its own that holds the real weights that ``make install`` fetched."""
    if not REAL_MODELS.is_dir():
        pytest.fail(f"no weights in {REAL_MODELS}; run: make install")
    home.mkdir(parents=True, exist_ok=True)
    (home / "models").symlink_to(REAL_MODELS, target_is_directory=True)
    return home
