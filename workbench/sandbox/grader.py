"""The public door of the sandbox: a pool that grades programs, and decides on verdicts."""

from __future__ import annotations

import ast
import os
import queue
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from workbench.cancel import cancelled
from workbench.errors import BadInput, Cancelled
from workbench.sandbox.records import VERDICTS, Limits, Outcome, Verdict
from workbench.sandbox.runtimes import RUNTIMES, Runtime
from workbench.sandbox.tiers import choose
from workbench.sandbox.warm import TICK, Broken, End, Pair, Told
from workbench.types import CallTests, OutputTests, ProgramTests, Tests

LIMITS = Limits()
ATTEMPTS = 2
"""How often a program is tried whose warm processes died."""
CRASHES = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "aborted",
    signal.SIGFPE: "arithmetic error",
    signal.SIGILL: "illegal instruction",
    signal.SIGBUS: "bus error",
}
NEARLY = 0.9
"""Of a limit: what a process used that the kernel killed for it."""


class Grader:
    """Grades programs, at most ``workers`` at once, each in a sandbox of its own.

    It may be asked from several threads. Use it as a context manager, or close it at the end.
    """

    def __init__(
        self, workers: int | None = None, limits: Limits = LIMITS, tier: str | None = None
    ) -> None:
        """Choose the tier; processes are started when they are first needed.

        Raises:
            UnknownName: there is no such tier.
            NoSandbox: it, or every one, does not work here.
        """
        self.workers = workers or os.cpu_count() or 1
        self.limits = limits
        self._tier = choose(tier)
        self._folder = tempfile.TemporaryDirectory(prefix="workbench-grader-")
        self._closed = threading.Event()
        folder = Path(self._folder.name)
        self._pairs = [Pair(self._tier, folder) for _ in range(self.workers)]
        self._free: queue.LifoQueue[Pair] = queue.LifoQueue()
        for pair in self._pairs:
            self._free.put(pair)

    @property
    def tier(self) -> str:
        """The name of the sandbox that programs run in."""
        return self._tier.name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop what runs, and end all processes. To close twice does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        for _ in self._pairs:  # each is put back by its thread once that has noticed
            self._free.get().close()
        self._folder.cleanup()

    def grade(self, code: str, tests: Tests, language: str) -> Outcome:
        """Run a whole program against its tests; return the verdict.

        Raises:
            BadInput: the tests are no tests of that language.
            Cancelled: the calling thread was cancelled, or the grader was closed.
        """
        runtime: Runtime = RUNTIMES.load(language)()
        if isinstance(tests, ProgramTests) and tests.language != language:
            raise BadInput(f"Tests in {tests.language} cannot judge a program in {language}.")
        if not code.strip() and runtime.find() is not None:
            return Outcome("no code", tier=self.tier)
        with self._worker() as pair:
            if language == "python" and not isinstance(tests, OutputTests):
                return self._grade_warm(pair, code, tests)
            from workbench.sandbox.drivers import run_tests

            return run_tests(code, tests, runtime, self._tier, self.limits, self._stopped)

    def _stopped(self) -> bool:
        return self._closed.is_set() or cancelled()

    @contextmanager
    def _worker(self) -> Iterator[Pair]:
        """Wait for a free worker, and have it for a while."""
        while True:
            if self._stopped():
                raise Cancelled("Grading was stopped.")
            try:
                pair = self._free.get(timeout=TICK)
                break
            except queue.Empty:
                continue
        try:
            if self._closed.is_set():
                raise Cancelled("Grading was stopped.")
            yield pair
        finally:
            self._free.put(pair)

    def _grade_warm(self, pair: Pair, code: str, tests: ProgramTests | CallTests) -> Outcome:
        """Grade a Python program with a worker's warm processes."""
        candidate, checker = jobs(code, tests, self.limits)
        for attempt in range(ATTEMPTS):
            try:
                told = pair.run(candidate, checker, self.limits, self._stopped)
            except Broken as error:
                if attempt == ATTEMPTS - 1:
                    return Outcome("sandbox failure", error.cause, tier=self.tier)
                continue
            verdict, detail = decide(told, self.limits)
            return Outcome(verdict, detail, told.candidate.cpu, told.wall, self.tier)
        raise AssertionError("unreachable")


def jobs(
    code: str, tests: ProgramTests | CallTests, limits: Limits
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the candidate's process is told, and what the checker's is.

    Only the latter has to do with tests.
    """
    candidate: dict[str, Any]
    if isinstance(tests, CallTests):
        candidate = {"prelude": "", "code": code, "entry": tests.entry_point, "classes": []}
        judged: dict[str, Any] = {
            "calls": [(one.args, (one.expected, *one.others)) for one in tests.calls],
            "parameters": [kind for _, kind in tests.parameters],
            "returns": tests.returns,
            "tolerance": tests.tolerance,
            "code": "",
        }
    else:
        candidate = {
            "prelude": tests.prelude,
            "code": code,
            "entry": tests.entry_point,
            "classes": class_names(tests.prelude),
        }
        judged = {"code": tests.code}
    return candidate, {**candidate, **judged, "output": limits.output}


def class_names(prelude: str) -> list[str]:
    """Return the names of the classes that a prelude defines.

    Raises:
        BadInput: it is no Python.
    """
    try:
        body = ast.parse(prelude).body
    except (SyntaxError, ValueError) as error:
        raise BadInput(f"The prelude of the tests is no Python: {error}.") from error
    return [node.name for node in body if isinstance(node, ast.ClassDef)]


def decide(told: Told, limits: Limits) -> tuple[Verdict, str]:
    """Return the verdict, and one line on why it is not "passed"."""
    said = told.verdict
    ends = (told.candidate, told.checker)
    if failures := [end.failure for end in ends if end.failure]:
        return "sandbox failure", f"a process could not be confined: {failures[0]}"
    if told.late and not all(end.started for end in ends):
        return "sandbox failure", f"a process was not there within {limits.wall_seconds:g} s"
    if told.candidate.over:
        return "timeout (CPU)", f"over {limits.cpu_seconds:g} s of CPU time"
    if said is None:
        if told.late:
            return "timeout (wall)", f"no verdict within {limits.wall_seconds:g} s"
        return _of_dead_checker(told, limits)
    if said.get("passed") is True:
        return "passed", ""
    if said["failed"] == "gone":
        return _of_dead_candidate(told, limits)
    return (said["failed"] if said["failed"] in VERDICTS else "exception"), said["message"]


def _of_dead_candidate(told: Told, limits: Limits) -> tuple[Verdict, str]:
    """Say why a candidate's process was gone before it had answered."""
    end = told.candidate
    if not told.ended and end.code == -signal.SIGKILL and not end.over:
        return "exception", "the program closed its pipe instead of answering"
    if end.code >= 0:
        return "exception", f"the program ended (exit code {end.code}) instead of answering"
    return _of_signal(end, limits.memory)


def _of_dead_checker(told: Told, limits: Limits) -> tuple[Verdict, str]:
    """Say why the tests did not end: for what they were given, if they were given anything."""
    if not told.answered:
        return "sandbox failure", f"the tests ended with exit code {told.checker.code}"
    verdict, detail = _of_signal(told.checker, 2 * limits.memory)
    return verdict, f"the tests could not digest what the program returned: {detail}"


def _of_signal(end: End, memory: int) -> tuple[Verdict, str]:
    """Say what a signal that ended a process means."""
    if end.over:
        return "timeout (CPU)", f"{end.cpu:.1f} s of CPU time"
    if end.code == -signal.SIGKILL and end.memory >= NEARLY * memory:
        return "out of memory", f"{end.memory >> 20} MiB"
    if -end.code in CRASHES:
        return "exception", CRASHES[signal.Signals(-end.code)]
    return "killed", f"signal {-end.code}" if end.code < 0 else f"exit code {end.code}"
