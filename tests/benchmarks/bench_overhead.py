"""Measure what the workbench adds to the bare llama.cpp runner, side by side in one process.

In turns, three ways answer the same prompt with the same parameters on the same GGUF file: the
runner of xllamacpp as it comes, with its own copy of the model; the llama-cpp backend; and the
whole path of ``ask`` (template, counting, threads, run store). Overheads are medians over rounds
of the ratio to the bare runner in the same round. ``--write`` writes ``overhead.md`` beside it.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import backends, weights
from workbench.api import stream_solvers
from workbench.backends.llama_cpp import thread_count
from workbench.settings import settings
from workbench.spec import solver
from workbench.tasks import load_task
from workbench.types import Backend, Completion, Prompt, Question, SamplingParams

import xllamacpp  # isort: skip  (after workbench.backends, which sets how its threads wait)

TABLE = Path(__file__).with_name("overhead.md")
TARGET_PERCENT, TARGET_MILLISECONDS = 3.0, 50.0
QUESTION = Question(
    "bench", "generate", "Merge overlapping intervals in a list.", target_language="python"
)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds to the first text, tokens a second from there on, and processor seconds in all.

    Other work on the machine disturbs the first two; the third shows what the way itself costs.
    """

    first: float
    rate: float
    processor: float


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        models = settings().models.resolve()
        os.environ["WORKBENCH_HOME"] = folder
        (Path(folder) / "models").symlink_to(models)
        rounds = measure(options.model, options.rounds, options.tokens)
    table = render(rounds, options, load)
    print(table)
    if options.write:
        TABLE.write_text(table, encoding="utf-8")


def measure(model: str, rounds: int, tokens: int) -> list[dict[str, Timing]]:
    """Return the timings of each round, after one that is not counted."""
    params = SamplingParams(max_tokens=tokens)
    prompt = load_task("generate").render(QUESTION, ())
    bare = bare_runner(model)
    name = f"llama-cpp/{model}"
    backend = backends.load_backend(name)
    ways: dict[str, Callable[[], Timing]] = {
        "bare xllamacpp": lambda: ask_bare(bare, prompt, params),
        "load_backend(...).stream": lambda: ask_backend(backend, prompt, params),
        "whole ask path": lambda: ask_whole(name, params),
    }
    measured = []
    for number in range(rounds + 1):
        order = list(ways) if number % 2 else list(reversed(ways))
        timings = {way: ways[way]() for way in order}
        print(number, {way: f"{one.rate:.1f}/s" for way, one in timings.items()}, file=sys.stderr)
        measured.append({way: timings[way] for way in ways})
    return measured[1:]


def bare_runner(model: str) -> Any:
    """Load the model as the README of xllamacpp does, with our context length and threads."""
    params = xllamacpp.CommonParams()
    params.model.path = str(weights.locate(model))
    params.n_ctx = settings().context_length
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = thread_count()
    params.verbosity = -1
    return xllamacpp.Server(params)


class Stopwatch:
    """Notes when text came."""

    def __init__(self) -> None:
        self._start, self._processor = time.perf_counter(), time.process_time()
        self._times: list[float] = []

    def text(self) -> None:
        """Note that some came."""
        self._times.append(time.perf_counter())

    def timing(self, tokens: int | None) -> Timing:
        """Return the timing of an answer of so many tokens."""
        first, last = self._times[0], self._times[-1]
        used = time.process_time() - self._processor
        return Timing(first - self._start, ((tokens or 0) - 1) / (last - first), used)


def ask_bare(server: Any, prompt: Prompt, params: SamplingParams) -> Timing:
    """Ask the runner itself."""
    watch = Stopwatch()
    counts: list[int] = []

    def listen(chunk: dict[str, Any]) -> None:
        if any(choice["delta"].get("content") for choice in chunk["choices"]):
            watch.text()
        if "usage" in chunk:
            counts.append(chunk["usage"]["completion_tokens"])

    request = {
        "messages": [{"role": one.role, "content": one.content} for one in prompt.messages],
        "max_tokens": params.max_tokens,
        "temperature": params.temperature,
        "seed": params.seed,
        "cache_prompt": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    server.handle_chat_completions(request, listen)
    return watch.timing(counts[-1])


def ask_backend(backend: Backend, prompt: Prompt, params: SamplingParams) -> Timing:
    """Ask through the backend."""
    watch = Stopwatch()
    for event in backend.stream(prompt, params):
        if isinstance(event, Completion):
            return watch.timing(event.output_tokens)
        watch.text()
    raise AssertionError("a stream ends with a completion")


def ask_whole(name: str, params: SamplingParams) -> Timing:
    """Ask as ``workbench.ask`` does."""
    watch = Stopwatch()
    seen = ""
    asked = solver(name, max_tokens=params.max_tokens)
    for comparison in stream_solvers(QUESTION, [asked], {}):
        column = comparison[asked.name]
        if column.error:
            raise RuntimeError(column.error)
        if column.text != seen:
            seen = column.text
            watch.text()
    assert column.completion is not None
    return watch.timing(column.completion.output_tokens)


def render(rounds: list[dict[str, Timing]], options: argparse.Namespace, load: float) -> str:
    """Return the Markdown table."""
    bare, *_ = rounds[0]
    rows = []
    for way in rounds[0]:
        rate = statistics.median(one[way].rate for one in rounds)
        first = statistics.median(one[way].first for one in rounds)
        slower = statistics.median(1 - one[way].rate / one[bare].rate for one in rounds)
        later = statistics.median(one[way].first - one[bare].first for one in rounds)
        used = statistics.median(one[way].processor for one in rounds)
        more = statistics.median(one[way].processor / one[bare].processor - 1 for one in rounds)
        row = f"| {way} | {rate:.1f} | {first * 1000:.0f} | {used:.2f} |"
        over = f" {slower:+.1%} | {later * 1000:+.0f} | {more:+.1%} |"
        rows.append(row + (" | | |" if way == bare else over))
    command = f"python tests/benchmarks/bench_overhead.py --model {options.model}"
    command += f" --rounds {options.rounds} --tokens {options.tokens} --write"
    return "\n".join(
        [
            "# What the workbench adds to the bare llama.cpp runner",
            "",
            f"`{command}`",
            "",
            f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()},"
            f" xllamacpp {xllamacpp.__version__}; load average {load:.1f} at the start. Medians of"
            f" {options.rounds} rounds, {options.tokens} new tokens each; the overheads are"
            " medians of the differences within a round. Where the load shows that other work"
            " shared the cores, only the processor time tells the ways apart. Targets: at most"
            f" {TARGET_PERCENT:g} % of tokens/s and {TARGET_MILLISECONDS:g} ms.",
            "",
            "| way | tokens/s | first token, ms | processor s | tokens/s lost |"
            " first token later, ms | more processor time |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
