"""What the tests of the grader's languages stand on: a sandbox, a home that they share, laws."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from workbench.sandbox.drivers import run_tests
from workbench.sandbox.jail import NoSandbox
from workbench.sandbox.records import Limits, Outcome
from workbench.sandbox.runtimes import RUNTIMES, Runtime
from workbench.sandbox.tiers import Tier, choose
from workbench.types import Call, CallTests, OutputTests, Run, Tests

QUICK = Limits(cpu_seconds=1.0, wall_seconds=20.0, memory=256 << 20, output=1 << 20)

TWO_SUM = CallTests(
    "two_sum",
    (("nums", "list[int]"), ("target", "int")),
    "list[int]",
    (Call(([2, 7, 11, 15], 9), [0, 1]), Call(([3, 3], 6), [0, 1], ([1, 0],))),
)
ADD = OutputTests((Run("3 4\n", "7\n"), Run("10 -3\n", "7")))


def sandbox() -> Tier:
    """Return the best sandbox of this machine; skip the test where there is none."""
    try:
        return choose()
    except NoSandbox as error:
        pytest.skip(str(error))


def toolchain(language: str) -> Runtime:
    """Return a language's runtime; skip the test where its tools are missing."""
    runtime: Runtime = RUNTIMES.load(language)()
    if runtime.find() is None:
        pytest.skip(f"no toolchain for {language} is installed")
    return runtime


@pytest.fixture(autouse=True)
def shared_home(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Let all tests of a session share what is built once, and see that nothing else is left."""
    scratch = home.parent / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path_factory.getbasetemp() / "graders-home"))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield
    assert list(scratch.iterdir()) == []
    assert jailed_processes() == []


def grade(language: str, code: str, tests: Tests, limits: Limits = QUICK) -> Outcome:
    """Grade one program in the best sandbox that is here."""
    return run_tests(code, tests, toolchain(language), sandbox(), limits)


def jailed_processes() -> list[str]:
    """Return the commands of all that runs in a sandbox of this process."""
    return [
        " ".join(one.cmdline())
        for spawner in psutil.Process().children()
        if "spawner.serve" in " ".join(spawner.cmdline())
        for supervisor in spawner.children()
        for one in supervisor.children(recursive=True)
        if one.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    ]
