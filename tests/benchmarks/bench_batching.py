"""Measure what batching gives: many prompts at once through ``transformers/``, beside its peers.

In turns, on the same weights in the same number type, greedy, with as many new tokens: LangChain's
HuggingFacePipeline, as its documentation sets it up, one prompt after the other (it has no
concurrency to offer); and our backend, asked from as many threads as there are prompts. Then eight
samples of one prompt in the same two ways. The ratio is that of generated tokens a second within
a round. ``--write`` writes ``batching.md`` beside it.

``--gpu`` measures something else, on a GPU: plain ``generate`` at batch 1, 8 and 64 beside ours,
and loading in 4 bit; ``--write`` then writes ``batching_gpu.md``. ``--model`` may be a folder.
"""

from __future__ import annotations

import argparse
import heapq
import inspect
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import backends
from workbench.backends.huggingface import Transformers
from workbench.errors import WorkbenchError
from workbench.types import Completion, Message, Prompt, SamplingParams

import torch  # isort: skip  (after workbench.backends, which sets how its threads wait)
import transformers  # isort: skip

TABLE = Path(__file__).with_name("batching.md")
GPU_TABLE = Path(__file__).with_name("batching_gpu.md")
TARGET = 2.5
SAMPLES = 8
BATCHES = (1, 8, 64)
PEER, OURS = "HuggingFacePipeline, one by one", "transformers/, all at once"
PEER_SAMPLES = f"HuggingFacePipeline, {SAMPLES} samples of one prompt"
OUR_SAMPLES = f"transformers/, {SAMPLES} samples of one prompt"
REQUESTS = (
    "Explain line by line what this code does.",
    "Write unit tests for this code.",
    "Translate this code to Java.",
    "Rewrite this code without recursion and without classes, and say why.",
)


@dataclass(frozen=True, slots=True)
class Timing:
    """How many tokens were generated, and in how many seconds."""

    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        """Generated tokens a second."""
        return self.tokens / self.seconds


def main() -> None:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.gpu and not torch.cuda.is_available():
        sys.exit("There is no GPU here.")
    load = os.getloadavg()[0]
    backend = backends.load_backend(f"transformers/{options.model}")
    assert isinstance(backend, Transformers)
    if options.gpu:
        table, path = on_gpu(backend, options), GPU_TABLE
    else:
        table, path = render(measure(backend, options), options, load, backend), TABLE
    print(table)
    if options.write:
        path.write_text(table, encoding="utf-8")


def measure(backend: Transformers, options: argparse.Namespace) -> list[dict[str, Timing]]:
    """Return the timings of each round, after a short one that is not counted."""
    prompts = [prompt(number) for number in range(options.prompts)]
    peer = Peer(backend)
    asked = [backend.count_tokens(one.messages) for one in prompts]
    print(f"prompts of {min(asked)} to {max(asked)} tokens", file=sys.stderr)
    greedy = SamplingParams(max_tokens=options.tokens)
    warm = SamplingParams(max_tokens=options.tokens, temperature=0.8)
    ways: dict[str, Callable[[], Timing]] = {
        PEER: lambda: peer.answer(prompts, greedy),
        OURS: lambda: all_at_once(backend, [(one, greedy) for one in prompts]),
        PEER_SAMPLES: lambda: peer.answer([prompts[-1]] * SAMPLES, warm),
        OUR_SAMPLES: lambda: all_at_once(
            backend, [(prompts[-1], warm.nth(number)) for number in range(SAMPLES)]
        ),
    }
    peer.answer(prompts[:1], SamplingParams(max_tokens=4))
    all_at_once(backend, [(one, SamplingParams(max_tokens=4)) for one in prompts[:2]])
    measured = []
    for number in range(options.rounds):
        order = list(ways) if number % 2 else list(reversed(ways))
        timings = {way: ways[way]() for way in order}
        print(number, {way: f"{one.rate:.1f}/s" for way, one in timings.items()}, file=sys.stderr)
        measured.append({way: timings[way] for way in ways})
    return measured


def prompt(number: int) -> Prompt:
    """Return a prompt of its own length: a request, and the first lines of a known module."""
    lines = inspect.getsource(heapq.merge).splitlines()
    code = "\n".join(lines[: 4 + number % 29])
    text = f"{REQUESTS[number % len(REQUESTS)]}\n\n```python\n{code}\n```"
    return Prompt((Message("user", text),), "bench")


class Peer:
    """LangChain's HuggingFacePipeline with a copy of the weights of its own."""

    def __init__(self, backend: Transformers) -> None:
        from langchain_huggingface import HuggingFacePipeline

        self._backend = backend
        source, dtype, device = loaded_from(backend)
        self._pipeline = HuggingFacePipeline.from_model_id(
            model_id=source,
            task="text-generation",
            device=None if device == "cpu" else 0,
            model_kwargs={"dtype": dtype},
            pipeline_kwargs={"return_full_text": False},
        )

    def answer(self, prompts: Iterable[Prompt], params: SamplingParams) -> Timing:
        """Answer one prompt after the other; the text is the one that our backend sends, too."""
        chat = self._backend.engine.chat
        options: dict[str, Any] = {"max_new_tokens": params.max_tokens, "do_sample": False}
        if params.temperature:
            options |= {"do_sample": True, "temperature": params.temperature, "top_k": 0}
        pipeline = self._pipeline.bind(pipeline_kwargs={"return_full_text": False, **options})
        texts = [chat.render(one.messages).text for one in prompts]
        start = time.perf_counter()
        answers = [pipeline.invoke(text) for text in texts]
        seconds = time.perf_counter() - start
        tokens = chat.tokenizer(answers, add_special_tokens=False)["input_ids"]
        return Timing(sum(len(one) for one in tokens), seconds)


def loaded_from(backend: Transformers) -> tuple[str, torch.dtype, str]:
    """Return where the weights of a backend lie, in which number type, and on which device."""
    model = backend.engine.model
    return model.name_or_path, model.dtype, backend.engine.device


def all_at_once(backend: Transformers, calls: list[tuple[Prompt, SamplingParams]]) -> Timing:
    """Ask from as many threads as there are calls."""
    found: list[Completion] = []

    def ask(prompt: Prompt, params: SamplingParams) -> None:
        *_, last = backend.stream(prompt, params)
        assert isinstance(last, Completion)
        found.append(last)

    threads = [threading.Thread(target=ask, args=call) for call in calls]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    if len(found) < len(calls):
        raise RuntimeError("a call failed; see above")
    return Timing(sum(one.output_tokens or 0 for one in found), seconds)


def on_gpu(backend: Transformers, options: argparse.Namespace) -> str:
    """Return the table of plain ``generate`` beside ours, and of loading in 4 bit.

    The first round is not counted: a thread that is new to a GPU takes seconds to warm up.
    """
    rows = []
    for size in BATCHES:
        prompts = [prompt(number) for number in range(size)]
        params = SamplingParams(max_tokens=options.tokens)
        pairs = []
        for _ in range(options.rounds + 1):
            plain = generate(backend, prompts, options.tokens)
            pairs.append((plain, all_at_once(backend, [(one, params) for one in prompts])))
        theirs, ours = zip(*pairs[1:], strict=True)
        ratio = statistics.median(o.rate / t.rate for t, o in pairs[1:])
        medians = [statistics.median(one.rate for one in way) for way in (theirs, ours)]
        rows.append(f"| {size} | {medians[0]:.0f} | {medians[1]:.0f} | {ratio:.2f} |")
    head = (
        "| batch | `generate`, tokens/s | transformers/, tokens/s | ratio |\n|---:|---:|---:|---:|"
    )
    shape = backend.engine.model.config
    about = (
        f"One {torch.cuda.get_device_name()}, {os.cpu_count()} cores, torch {torch.__version__},"
        f" transformers {transformers.__version__}. A model of"
        f" {backend.engine.model.num_parameters() / 1e9:.2f}B parameters ({shape.model_type},"
        f" {shape.num_hidden_layers} layers, {held(backend)}), greedy, at most {options.tokens} new"
        f" tokens each; medians of {options.rounds} rounds, ratios within a round."
    )
    command = f"python tests/benchmarks/bench_batching.py --gpu --model {options.model}"
    command += f" --tokens {options.tokens} --rounds {options.rounds} --write"
    parts = ["# What batching gives on a GPU", "", f"`{command}`", "", about, "", head, *rows]
    return "\n".join([*parts, "", four_bit(options), ""])


def held(backend: Transformers) -> str:
    """Return the number type of a backend's weights."""
    return str(backend.engine.model.dtype).removeprefix("torch.")


def generate(backend: Transformers, prompts: list[Prompt], tokens: int) -> Timing:
    """Answer a batch by the model's own ``generate``: padded, greedy, until all are done."""
    engine = backend.engine
    rendered = [{"input_ids": list(engine.chat.render(one.messages).ids)} for one in prompts]
    engine.chat.tokenizer.padding_side = "left"
    inputs = engine.chat.tokenizer.pad(rendered, return_tensors="pt").to(engine.device)
    start = time.perf_counter()
    with torch.inference_mode():
        made = engine.model.generate(
            **inputs,
            max_new_tokens=tokens,
            do_sample=False,
            eos_token_id=list(engine.ends),
            pad_token_id=0,
        )
    new = made[:, inputs["input_ids"].shape[1] :].tolist()
    seconds = time.perf_counter() - start
    ends = engine.ends
    count = sum(next((n + 1 for n, one in enumerate(row) if one in ends), len(row)) for row in new)
    return Timing(count, seconds)


def four_bit(options: argparse.Namespace) -> str:
    """Say what loading in 4 bit costs and gives, or why it cannot be had."""
    before = torch.cuda.memory_allocated()
    start = time.perf_counter()
    try:
        backend = backends.load_backend(f"transformers/{options.model}+4bit")
    except WorkbenchError as error:
        return f"4-bit loading was skipped: {error}"
    seconds = time.perf_counter() - start
    mebibytes = (torch.cuda.memory_allocated() - before) / 2**20
    assert isinstance(backend, Transformers)
    params = SamplingParams(max_tokens=options.tokens)
    calls = [(prompt(number), params) for number in range(8)]
    all_at_once(backend, calls)
    rate = all_at_once(backend, calls).rate
    return (
        f"In 4 bit it loads in {seconds:.1f} s, takes {mebibytes:.0f} MiB, and writes"
        f" {rate:.0f} tokens/s for eight at once."
    )


def render(
    rounds: list[dict[str, Timing]],
    options: argparse.Namespace,
    load: float,
    backend: Transformers,
) -> str:
    """Return the Markdown table."""
    peers = {PEER: PEER, OURS: PEER, PEER_SAMPLES: PEER_SAMPLES, OUR_SAMPLES: PEER_SAMPLES}
    rows = []
    for way, peer in peers.items():
        tokens = statistics.median(one[way].tokens for one in rounds)
        seconds = statistics.median(one[way].seconds for one in rounds)
        rate = statistics.median(one[way].rate for one in rounds)
        ratio = statistics.median(one[way].rate / one[peer].rate for one in rounds)
        last = "" if way == peer else f"{ratio:.1f}"
        rows.append(f"| {way} | {tokens:.0f} | {seconds:.1f} | {rate:.1f} | {last} |")
    _, dtype, device = loaded_from(backend)
    command = f"python tests/benchmarks/bench_batching.py --model {options.model}"
    command += f" --prompts {options.prompts} --tokens {options.tokens} --rounds {options.rounds}"
    return "\n".join(
        [
            "# What batching gives",
            "",
            f"`{command} --write`",
            "",
            f"{os.cpu_count()} cores, {platform.machine()}, {torch.get_num_threads()} threads,"
            f" {str(dtype).removeprefix('torch.')} on {device}, Python"
            f" {platform.python_version()}, torch {torch.__version__}, transformers"
            f" {transformers.__version__}; load average {load:.1f} at the start."
            f" {options.prompts} prompts of different lengths, at most {options.tokens} new"
            f" tokens each; medians of {options.rounds} rounds, ratios within a round. Target: at"
            f" least {TARGET:g} for the prompts.",
            "",
            "| way | tokens | s | tokens/s | ratio |",
            "|---|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
