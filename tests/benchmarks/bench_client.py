"""Measure what the workbench adds to a call of a hosted model, beside the bare official client.

A server of this machine, in a process of its own, speaks OpenAI's protocol and answers at once with
as many words as it was asked in. In turns, the same question goes to it through the bare ``openai``
client, through the backends, and through the limits that stand around them. Overheads are medians
of the difference to the bare client in the same round. ``--write`` writes ``client.md`` beside it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

from workbench.backends import load_backend, unload_all
from workbench.backends.guarded import guarded
from workbench.types import Backend, Completion, Message, Prompt, SamplingParams

TABLE = Path(__file__).with_name("client.md")
TARGET_MILLISECONDS = 10.0
KEY = "sk-no-key-at-all"
MODEL = "gpt-4o-mini"
BARE = "bare openai client"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of a call until its first text, until its end, and of the processor for all of it.

    Other work on the machine disturbs the first two; the third shows what the way itself costs.
    """

    first: float
    whole: float
    processor: float


class Stopwatch:
    """Begins when it is made."""

    def __init__(self) -> None:
        self._start, self._processor = time.perf_counter(), time.process_time()
        self._first: float | None = None

    def text(self) -> None:
        """Note that some text came."""
        self._first = self._first or time.perf_counter()

    def timing(self) -> Timing:
        """Return the timing of a call that ends now."""
        end, used = time.perf_counter(), time.process_time() - self._processor
        return Timing((self._first or end) - self._start, end - self._start, used)


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, serving() as url:
        os.environ["WORKBENCH_HOME"] = folder
        os.environ.update(OPENAI_API_KEY=KEY, OPENAI_COMPATIBLE_API_KEY=KEY, OPENAI_BASE_URL=url)
        rounds = measure(ways(url), options.rounds, options.tokens)
        unload_all()
    table = render(rounds, options, load)
    print(table)
    if options.write:
        TABLE.write_text(table, encoding="utf-8")


@contextmanager
def serving() -> Iterator[str]:
    """Yield the url of a server that runs in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    try:
        yield f"{ours.recv()}/v1"
    finally:
        ours.send("stop")
        process.join(5)


def serve(pipe: Connection) -> None:
    """Serve until told to stop."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from fake_providers import fake_provider

    with fake_provider("openai") as server:
        pipe.send(server.url)
        pipe.recv()


def ways(url: str) -> dict[str, Callable[[Prompt, SamplingParams], Timing]]:
    """Return the ways to ask, by their names; clients are made once and used for all calls."""
    import openai

    client = openai.OpenAI(base_url=url, api_key=KEY, max_retries=0)
    hosted = load_backend(f"openai/{MODEL}")
    compatible = load_backend(f"openai-compatible/{MODEL}@{url}")

    def bare(prompt: Prompt, params: SamplingParams) -> Timing:
        watch = Stopwatch()
        chunks = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": one.content} for one in prompt.messages],
            temperature=params.temperature,
            max_completion_tokens=params.max_tokens,
            seed=params.seed,
            stream=True,
            stream_options={"include_usage": True},
        )
        for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                watch.text()
        return watch.timing()

    return {
        BARE: bare,
        "openai/": asking(hosted),
        "openai/, guarded": asking(guarded(hosted)),
        "openai-compatible/": asking(compatible),
        "openai-compatible/, guarded": asking(guarded(compatible)),
    }


def asking(backend: Backend) -> Callable[[Prompt, SamplingParams], Timing]:
    """Return what asks a backend."""

    def ask(prompt: Prompt, params: SamplingParams) -> Timing:
        watch = Stopwatch()
        for part in backend.stream(prompt, params):
            watch.text()
            if isinstance(part, Completion):
                assert part.output_tokens == params.max_tokens
        return watch.timing()

    return ask


def measure(
    found: dict[str, Callable[[Prompt, SamplingParams], Timing]], rounds: int, tokens: int
) -> list[dict[str, Timing]]:
    """Return the timings of each round, after some that are not counted."""
    prompt = Prompt((Message("user", "word " * tokens),), "bench")
    params = SamplingParams(max_tokens=tokens)
    measured = []
    for number in range(rounds + 5):
        order = list(found) if number % 2 else list(reversed(found))
        timings = {way: found[way](prompt, params) for way in order}
        measured.append({way: timings[way] for way in found})
    return measured[5:]


def render(rounds: list[dict[str, Timing]], options: argparse.Namespace, load: float) -> str:
    """Return the Markdown table."""
    bare, *others = rounds[0]
    rows = [f"| {bare} | {' | '.join(medians(rounds, bare))} | | | |"]
    for way in others:
        more = [f"{one:+.1f}" for one in differences(rounds, way)]
        rows.append(f"| {way} | {' | '.join(medians(rounds, way))} | {' | '.join(more)} |")
    command = f"python tests/benchmarks/bench_client.py --rounds {options.rounds}"
    command += f" --tokens {options.tokens} --write"
    packages = ("openai", "langchain-core", "langchain-openai")
    return "\n".join(
        [
            "# What the workbench adds to a call over the bare official client",
            "",
            f"`{command}`",
            "",
            f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()},"
            f" {', '.join(f'{one} {version(one)}' for one in packages)}; load average {load:.1f} at"
            f" the start. {options.rounds} rounds of one call a way, {options.tokens} tokens each,"
            " which the server sends at once, an event a token; the overheads are of the"
            " differences within a round. Where the load shows that other work shared the cores,"
            " only the processor time tells the ways apart. Target: under"
            f" {TARGET_MILLISECONDS:g} ms a call.",
            "",
            "| way | first token, ms | whole call, ms | processor, ms | first token later, ms"
            " | whole call more, ms | more processor, ms |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )


def medians(rounds: list[dict[str, Timing]], way: str) -> list[str]:
    """Return the medians of a way's three times, in milliseconds."""
    times = zip(*(astuple(one[way]) for one in rounds), strict=True)
    return [f"{statistics.median(one) * 1000:.1f}" for one in times]


def differences(rounds: list[dict[str, Timing]], way: str) -> list[float]:
    """Return the medians of what a way takes longer than the bare client, in milliseconds."""
    pairs = [zip(astuple(one[way]), astuple(one[BARE]), strict=True) for one in rounds]
    times = zip(*([ours - theirs for ours, theirs in pair] for pair in pairs), strict=True)
    return [statistics.median(one) * 1000 for one in times]


if __name__ == "__main__":
    main()
