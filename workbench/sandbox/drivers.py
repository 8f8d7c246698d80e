"""Run a candidate against its tests, in any language that has a runtime.

A program may end in many ways; which one counts is decided here alone, and never by the candidate:
"passed" is what a checker said on a descriptor that no candidate has, or what a comparison in this
process said. Whatever else happens, the candidate has not passed.
"""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from workbench.errors import BadInput, InUse
from workbench.sandbox.building import Builder, Failed
from workbench.sandbox.channels import Channels, Kept, frame
from workbench.sandbox.jail import End, Jailed
from workbench.sandbox.outputs import mismatch
from workbench.sandbox.records import Limits, Outcome, Verdict
from workbench.sandbox.runtimes import Built, Runtime, Toolchain
from workbench.sandbox.tiers import Tier
from workbench.sandbox.values import equal, to_wire
from workbench.types import Call, CallTests, OutputTests, ProgramTests, Tests

INTERPRETED = frozenset({"python", "javascript", "php"})
"""Languages whose "compiler" only looks at the syntax."""
OUT_OF_MEMORY = ("MemoryError", "std::bad_alloc", "java.lang.OutOfMemoryError", "OutOfMemory")
_SAID = 1 << 14
"""Bytes that are kept of what a program prints to stderr."""
_GRACE = 10.0
"""Seconds in which it must be told how a program ended that has closed its pipe. Many, as on a busy
machine it may take a while, and how it ended decides on the verdict."""
_CRASHES = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "aborted",
    signal.SIGFPE: "arithmetic error",
    signal.SIGILL: "illegal instruction",
    signal.SIGBUS: "bus error",
    signal.SIGTRAP: "trap",
}


_ERROR = re.compile(
    r"^(panic|fatal error|unhandled exception|stack overflow)|error:", re.IGNORECASE
)


@runtime_checkable
class Prepares(Protocol):
    """A runtime that builds something once, for all programs."""

    def prepare(self) -> None:
        """Build it, unless it is there."""


def run_tests(
    code: str,
    tests: Tests,
    runtime: Runtime,
    tier: Tier,
    limits: Limits,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Build a whole program and run its tests; return the verdict.

    ``stop`` is asked a few times a second whether to give up. Tests that the language cannot run
    here (a header is missing) are "skipped", with the reason.

    Raises:
        Cancelled: ``stop()`` said so. Nothing is left running then.
    """
    toolchain = runtime.find()
    if toolchain is None:
        return Outcome("skipped", f"no toolchain for {runtime.language} is here", tier=tier.name)
    code = code.encode("utf-8", "replace").decode()  # half a character is none in any language
    work = _Work(code, runtime, toolchain, tier, limits, stop)
    try:
        if isinstance(runtime, Prepares):
            runtime.prepare()
        if isinstance(tests, ProgramTests):
            return work.program_tests(tests)
        if isinstance(tests, CallTests):
            return work.call_tests(tests)
        return work.output_tests(tests)
    except BadInput as error:
        return Outcome("skipped", str(error), tier=tier.name)
    except (InUse, OSError, subprocess.SubprocessError) as error:
        # What all programs share could not be built, or there is no room: no program's fault.
        return work.outcome("sandbox failure", str(error))


@dataclass(slots=True)
class _Work:
    """One candidate on its way. The times add up over all that it ran."""

    code: str
    runtime: Runtime
    toolchain: Toolchain
    tier: Tier
    limits: Limits
    stop: Callable[[], bool]
    cpu: float = 0.0
    wall: float = 0.0
    builder: Builder = field(init=False)

    def __post_init__(self) -> None:
        self.builder = Builder(self.tier, self.toolchain, self.limits, self.stop)

    def outcome(self, verdict: Verdict, detail: str = "") -> Outcome:
        return Outcome(verdict, _line(detail), self.cpu, self.wall, self.tier.name)

    # --- the three kinds of tests --------------------------------------------------------

    def program_tests(self, tests: ProgramTests) -> Outcome:
        """Run the candidate's server against the checker's process."""
        checker = self.runtime.checker(tests)
        server = self.runtime.server(self.code, tests)
        with ExitStack() as stack:
            try:
                judge = stack.enter_context(self.builder.kept(checker))
            except Failed as failed:
                return self.outcome("sandbox failure", f"the tests do not build: {failed.said}")
            try:
                place = stack.enter_context(self.builder.built(server))
            except Failed as failed:
                return self._of_compiler(failed)
            return self._pair(server, place, checker, judge)

    def call_tests(self, tests: CallTests) -> Outcome:
        """Send the calls to the candidate's server and compare what comes back."""
        server = self.runtime.server(self.code, tests)
        with ExitStack() as stack:
            try:
                place = stack.enter_context(self.builder.built(server))
            except Failed as failed:
                return self._of_compiler(failed)
            channels = stack.enter_context(Channels(self.stop))
            ours, calls = channels.outgoing()
            answers, answer = channels.incoming(self.limits.output)
            noise, out = channels.incoming(self.limits.output)
            errors, err = channels.incoming(_SAID)
            wires = {3: calls, 4: answer}
            jailed = stack.enter_context(self._start(server, place, wires, stdout=out, stderr=err))
            channels.close(calls, answer, out, err)
            talk = _Talk(channels, ours, answers, noise, jailed, self.limits)
            verdict, detail = talk.hold(tests)
            if verdict is None:
                channels.close(ours)
                end = self._ended(jailed)
                channels.until(lambda: errors.ended)
                return self.outcome(*_of_end(end, errors.text, self.limits))
            jailed.kill()
            self._ended(jailed)
            return self.outcome(verdict, detail)

    def output_tests(self, tests: OutputTests) -> Outcome:
        """Run the program as often as it is asked to, and compare what it prints."""
        program = self.runtime.program(self.code)
        with ExitStack() as stack:
            try:
                place = stack.enter_context(self.builder.built(program))
            except Failed as failed:
                return self._of_compiler(failed)
            for number, run in enumerate(tests.runs, 1):
                verdict, detail, printed = self._once(program, place, run.stdin)
                if verdict == "passed":
                    detail = mismatch(printed, run, tests.tolerance) or ""
                    verdict = "wrong answer" if detail else "passed"
                if verdict != "passed":
                    where = f"run {number}: " if len(tests.runs) > 1 else ""
                    return self.outcome(verdict, where + detail)
        return self.outcome("passed")

    # --- parts of them -------------------------------------------------------------------

    def _start(
        self, built: Built, folder: Path, descriptors: dict[int, int], **given: Any
    ) -> Jailed:
        """Start what was built, which may neither write its folder nor start processes."""
        limits = given.pop("limits", self.limits)
        return self.tier.popen(
            built.run,
            folder=folder,
            limits=limits,
            readable=self.toolchain.readable,
            environment=built.environment,
            descriptors=descriptors,
            memory_by_rss=built.memory_by_rss,
            **given,
        )

    def _ended(self, jailed: Jailed) -> End:
        """Return how the candidate ended, or end it where it does not; count its time."""
        try:
            end = jailed.wait(_GRACE)
        except TimeoutError:
            jailed.kill()
            end = jailed.wait()
        self.cpu += end.cpu_seconds
        self.wall += end.wall_seconds
        return end

    def _pair(self, server: Built, place: Path, checker: Built, judge: Path) -> Outcome:
        """Join both by two pipes, and wait for what the checker says on a third."""
        # What a candidate returns may be large, and to compare it is not its own work. While it
        # computes, which on a busy machine takes any time, the checker waits: it ends with it.
        generous = replace(
            self.limits,
            cpu_seconds=2 * self.limits.cpu_seconds,
            wall_seconds=math.inf,
            memory=2 * self.limits.memory,
        )
        with ExitStack() as stack:
            channels = stack.enter_context(Channels(self.stop))
            calls, call = channels.pipe()
            answers, answer = channels.pipe()
            verdict, say = channels.incoming(_SAID)
            noise, out = channels.incoming(self.limits.output)
            errors, err = channels.incoming(_SAID)
            wires = {3: answers, 4: call, 5: say}
            tests = stack.enter_context(self._start(checker, judge, wires, limits=generous))
            wires = {3: calls, 4: answer}
            jailed = stack.enter_context(self._start(server, place, wires, stdout=out, stderr=err))
            channels.close(calls, call, answers, answer, say, out, err)
            said: list[bytes] = []

            def is_done() -> bool:
                whole = None if said else verdict.take_frame()
                if whole is not None:
                    said.append(whole)
                if noise.is_over:
                    jailed.kill("output limit")
                return bool(said) or verdict.ended or verdict.is_bad

            channels.until(is_done)
            told = _told(said[0]) if said else {}
            if told.get("passed") is True:
                jailed.kill()
                self._ended(jailed)
                return self.outcome("passed")
            judged = tests.wait() if verdict.ended else None
            tests.kill()
            end = self._ended(jailed)
            channels.until(lambda: errors.ended)
            return self.outcome(*self._of_pair(told, end, errors.text, judged))

    def _of_pair(
        self, told: dict[str, Any], end: End, errors: str, judged: End | None
    ) -> tuple[Verdict, str]:
        """Say why the tests have not passed: the candidate's own end explains most."""
        if end.how not in ("exited", "killed"):
            return _of_end(end, errors, self.limits)
        message = str(told.get("message", ""))
        if told.get("failed") == "wrong answer":
            return "wrong answer", message
        if told:
            if message.startswith(OUT_OF_MEMORY):
                return "out of memory", message
            return (
                ("exception", message)
                if end.how == "killed" or end.code == 0
                else _of_end(end, errors, self.limits, message)
            )
        if judged is not None and judged.how == "sandbox failure":
            return "sandbox failure", judged.detail
        how = "without a verdict" if judged is None else _how(judged)
        return "exception", f"the tests could not digest what the program returned: {how}"

    def _once(self, built: Built, place: Path, stdin: str) -> tuple[Verdict, str, str]:
        """Run a whole program once; return the verdict so far, why, and what it printed."""
        with ExitStack() as stack:
            given = stack.enter_context(tempfile.TemporaryFile())
            given.write(stdin.encode("utf-8", "surrogateescape"))
            given.seek(0)
            channels = stack.enter_context(Channels(self.stop))
            printed, out = channels.incoming(self.limits.output)
            errors, err = channels.incoming(_SAID)
            jailed = stack.enter_context(
                self._start(built, place, {}, stdin=given.fileno(), stdout=out, stderr=err)
            )
            channels.close(out, err)

            def is_done() -> bool:
                if printed.is_over:
                    jailed.kill("output limit")
                return printed.ended and errors.ended

            channels.until(is_done)
            # It may have closed its output and compute on: the tier's limits end that.
            channels.until(lambda: jailed.poll() is not None)
            end = self._ended(jailed)
        if end.succeeded:
            return "passed", "", printed.text
        verdict, detail = _of_end(end, errors.text, self.limits)
        return verdict, detail, printed.text

    def _of_compiler(self, failed: Failed) -> Outcome:
        """Say why the candidate does not build."""
        if failed.end.how == "sandbox failure":
            return self.outcome("sandbox failure", failed.end.detail)
        if failed.end.how not in ("exited", "signal"):
            return self.outcome("compiler error", f"the compiler: {_how(failed.end)}")
        interpreted = self.runtime.language in INTERPRETED
        verdict: Verdict = "syntax error" if interpreted else "compiler error"
        return self.outcome(verdict, _complaint(failed.said))


@dataclass(slots=True)
class _Talk:
    """The calls of CallTests, one after the other."""

    channels: Channels
    ours: int
    answers: Kept
    noise: Kept
    jailed: Jailed
    limits: Limits

    def hold(self, tests: CallTests) -> tuple[Verdict | None, str]:
        """Return the verdict and why; None where the program was gone before it answered."""
        kinds = [kind for _, kind in tests.parameters]
        for number, call in enumerate(tests.calls, 1):
            args = [to_wire(*pair) for pair in zip(call.args, kinds, strict=True)]
            request = {"call": tests.entry_point, "args": args}
            self.channels.send(self.ours, frame(json.dumps(request).encode()))
            whole = self._answer()
            if whole is None:
                return None, ""
            verdict, detail = _of_answer(_told(whole), call, tests)
            if verdict != "passed":
                return verdict, f"call {number}: {detail}"
        return "passed", ""

    def _answer(self) -> bytes | None:
        """Wait for one frame, None where none will come."""
        got: list[bytes] = []

        def is_done() -> bool:
            whole = self.answers.take_frame()
            if whole is not None:
                got.append(whole)
            if self.noise.is_over or self.answers.is_bad:
                self.jailed.kill("output limit")
            return bool(got) or self.answers.ended

        self.channels.until(is_done)
        return got[0] if got else None


def _told(text: bytes) -> dict[str, Any]:
    """Read a frame, {} where it is no JSON object. It may come from a candidate."""
    try:
        said = json.loads(text.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _of_answer(said: dict[str, Any], call: Call, tests: CallTests) -> tuple[Verdict, str]:
    if "raise" in said:
        message = f"{said['raise']}: {said.get('message', '')}"
        return ("out of memory" if message.startswith(OUT_OF_MEMORY) else "exception"), message
    if "value" not in said:
        return "wrong answer", "the answer is none"
    value = said["value"]
    try:
        right = any(
            equal(value, wanted, tests.returns, tests.tolerance)
            for wanted in (call.expected, *call.others)
        )
    except RecursionError:
        right = False
    if right:
        return "passed", ""
    return "wrong answer", f"{_short(value)}, not {_short(call.expected)}"


def _of_end(end: End, errors: str, limits: Limits, message: str = "") -> tuple[Verdict, str]:
    """Say what it means that a candidate ended so, before it had done all that it should."""
    last = _last_words(errors) or message
    if end.how == "CPU limit":
        return "timeout (CPU)", f"over {limits.cpu_seconds:g} s of CPU time"
    if end.how == "wall limit":
        return "timeout (wall)", f"waited for over {limits.wall_seconds:g} s"
    if end.how == "sandbox failure":
        return "sandbox failure", end.detail
    if end.how == "out of memory" or "out of memory" in errors.lower():
        return "out of memory", f"over {limits.memory >> 20} MiB"
    if end.how == "exited":
        told = f": {last}" if last else ""
        return "exception", f"it ended with exit code {end.code} before it was done{told}"
    if end.how == "signal" and end.code in _CRASHES:
        return "exception", _CRASHES[signal.Signals(end.code)]
    if end.how == "killed":
        return "exception", "it closed its pipe instead of answering"
    return "killed", _how(end)


def _how(end: End) -> str:
    number = "" if end.code is None else f" {end.code}"
    return f"{end.how}{number}{': ' + end.detail if end.detail else ''}"


def _complaint(said: str) -> str:
    """Return the line of a compiler's output that says what is wrong."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "")


def _last_words(text: str) -> str:
    """Return the line of stderr that says best why a program ended: an error, or else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if _ERROR.search(line)), lines[-1] if lines else "")


def _short(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "a value nested too deeply"
    return text if len(text) <= 80 else text[:77] + "..."


def _line(text: str, most: int = 300) -> str:
    """Return text as one line that can be shown and stored."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= most else line[: most - 3] + "..."
