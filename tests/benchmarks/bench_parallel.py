"""Measure eight requests at once on the llama-cpp backend, beside llama.cpp's own parallel server.

In turns, three ways answer the same prompts with the same parameters, slots, context length and
threads on the same GGUF file: the llama-cpp backend from as many threads; llama.cpp's HTTP server
as it comes, in a process of its own, asked by a bare HTTP client from as many threads; and the
backend one request after the other. Rates are tokens a second over all requests of a round;
ratios are medians over rounds of the ratio within one. Every prompt is new, and the server is told
to read each to its end, as the backend does; with ``--peer-keeps`` it may keep the beginning that
prompts share, which lets answers depend on what was asked before. ``--write`` writes
``parallel.md`` beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2

from workbench import backends, weights
from workbench.backends.llama_cpp import thread_count
from workbench.settings import settings
from workbench.tasks import load_task
from workbench.types import Backend, Completion, Prompt, Question, SamplingParams

import xllamacpp  # isort: skip  (after workbench.backends, which sets how its threads wait)

TABLE = Path(__file__).with_name("parallel.md")
TARGET = 0.97
OURS, PEER, ALONE = "llama-cpp backend", "llama.cpp's HTTP server", "one by one"
WISHES = (
    "merges overlapping intervals",
    "reverses the words of a sentence",
    "checks whether a string is a palindrome",
    "returns the n-th Fibonacci number",
    "counts the vowels of a text",
    "flattens a nested list",
    "finds the duplicates in a list",
    "rotates a matrix by 90 degrees",
)


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--requests", type=int, default=8)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--peer-keeps", action="store_true")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["WORKBENCH_SLOTS"] = str(options.requests)
    os.environ["WORKBENCH_CONTEXT_LENGTH"] = str(options.context)
    if options.peer:
        serve_peer(options.model)
        return
    load = os.getloadavg()[0]
    table = render(measure(options), options, load)
    print(table)
    if options.write:
        TABLE.write_text(table, encoding="utf-8")


def serve_peer(model: str) -> None:
    """Serve as llama.cpp does by itself until stdin ends; print the url."""
    params = xllamacpp.CommonParams()
    params.model.path = str(weights.locate(model))
    params.n_parallel = settings().slots
    params.n_ctx = settings().slots * settings().context_length
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = thread_count()
    params.verbosity = -1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    del server


@contextmanager
def peer(model: str, options: Sequence[str]) -> Iterator[str]:
    """Run ``serve_peer`` in a process of its own; give its url."""
    command = [sys.executable, __file__, "--peer", "--model", model, *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
        child.communicate()


def measure(options: argparse.Namespace) -> list[dict[str, float]]:
    """Return tokens a second of each way in each round, after one round that is not counted."""
    params = SamplingParams(max_tokens=options.tokens)
    backend = backends.load_backend(f"llama-cpp/{options.model}")
    same = ["--requests", str(options.requests), "--context", str(options.context)]
    measured = []
    with (
        peer(options.model, same) as url,
        httpx2.Client(base_url=url, timeout=600, trust_env=False) as client,
        ThreadPoolExecutor(options.requests) as many,
        ThreadPoolExecutor(1) as one,
    ):
        ways: dict[str, tuple[ThreadPoolExecutor, Callable[[Prompt], int]]] = {
            OURS: (many, lambda prompt: ask_backend(backend, prompt, params)),
            PEER: (many, lambda prompt: ask_peer(client, prompt, params, options.peer_keeps)),
            ALONE: (one, lambda prompt: ask_backend(backend, prompt, params)),
        }
        for number in range(options.rounds + 1):
            order = list(ways) if number % 2 else list(reversed(ways))
            rates = {}
            for way in order:
                asked = prompts(options.requests, f"{number}{way[0]}")
                rates[way] = rate(*ways[way], asked)
            print(number, {way: f"{one:.1f}/s" for way, one in rates.items()}, file=sys.stderr)
            measured.append(rates)
    return measured[1:]


def prompts(count: int, mark: str) -> list[Prompt]:
    """Return prompts that nobody asked before: the function's name begins with the mark."""
    task = load_task("generate")
    made = []
    for number in range(count):
        wish = f"{mark}_{number}: write a function that {WISHES[number % len(WISHES)]}."
        made.append(task.render(Question("bench", "generate", wish, target_language="python"), ()))
    return made


def rate(pool: ThreadPoolExecutor, ask: Callable[[Prompt], int], asked: list[Prompt]) -> float:
    """Return tokens a second over all prompts, from the first question to the last token."""
    start = time.perf_counter()
    tokens = sum(pool.map(ask, asked))
    return tokens / (time.perf_counter() - start)


def ask_backend(backend: Backend, prompt: Prompt, params: SamplingParams) -> int:
    """Ask through the backend; return the count of new tokens."""
    *_, last = backend.stream(prompt, params)
    assert isinstance(last, Completion) and last.output_tokens is not None
    return last.output_tokens


def ask_peer(client: httpx2.Client, prompt: Prompt, params: SamplingParams, keeps: bool) -> int:
    """Ask the server with nothing between; return the count of new tokens."""
    request = {
        "messages": [{"role": one.role, "content": one.content} for one in prompt.messages],
        "max_tokens": params.max_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": 0,
        "min_p": 0.0,
        "seed": params.seed,
        "cache_prompt": keeps,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    count = 0
    with client.stream("POST", "/v1/chat/completions", json=request) as response:
        for line in response.raise_for_status().iter_lines():
            if line.startswith("data: {"):
                usage = json.loads(line.removeprefix("data: ")).get("usage") or {}
                count = usage.get("completion_tokens", count)
    return int(count)


def render(rounds: list[dict[str, float]], options: argparse.Namespace, load: float) -> str:
    """Return the Markdown table."""
    rows = []
    for way in (OURS, PEER, ALONE):
        rates = [one[way] for one in rounds]
        ratios = [one[OURS] / one[way] for one in rounds]
        row = f"| {way} | {statistics.median(rates):.1f} | {min(rates):.1f} to {max(rates):.1f} |"
        spread = f" {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |"
        rows.append(row + (" | |" if way == OURS else spread))
    command = f"python tests/benchmarks/bench_parallel.py --model {options.model}"
    command += f" --rounds {options.rounds} --tokens {options.tokens}"
    command += f" --requests {options.requests} --context {options.context}"
    command += " --peer-keeps --write" if options.peer_keeps else " --write"
    reads = "may keep what prompts share" if options.peer_keeps else "reads every prompt to its end"
    return "\n".join(
        [
            "# Requests at once, beside llama.cpp's own parallel server",
            "",
            f"`{command}`",
            "",
            f"{options.requests} requests of {options.tokens} new tokens at most, greedy, in as"
            f" many slots of {options.context} tokens; {thread_count()} threads on"
            f" {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()},"
            f" xllamacpp {xllamacpp.__version__}; load average {load:.1f} at the start. The"
            f" server has its own batch sizes and {reads}. Medians of {options.rounds} rounds;"
            " ratios are medians of those within a round. Targets: at"
            f" least {TARGET:g} of the server, and never slower than one by one.",
            "",
            "| way | tokens/s | lowest to highest | backend is faster by | lowest to highest |",
            "|---|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
