"""Measure what models take of memory at most, beside what was estimated before loading them.

Each model is loaded and answers in a process of its own, whose largest resident set the kernel
keeps (VmHWM, Linux): Python, libraries, mapped weights and all. The prompt fills the context, as
the estimate assumes. ``--write`` writes ``memory.md`` beside it; exits 1 where an estimate is more
than 15 % above the measured peak or more than 5 % below.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from workbench.backends import load_backend
from workbench.backends.memory import MemoryEstimate, estimate_memory
from workbench.settings import settings
from workbench.types import Completion, Message, Prompt, SamplingParams

TABLE = Path(__file__).with_name("memory.md")
ABOVE, BELOW = 0.15, 0.05
MIB = 1 << 20
BACKENDS = (
    "llama-cpp/smollm2-135m",
    "llama-cpp/qwen2.5-coder-0.5b",
    "transformers/smollm2-135m+bf16",
    "transformers/smollm2-135m+fp32",
    "transformers/qwen2.5-coder-0.5b+bf16",
)


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that a process held, in bytes, after loading and after an answer."""

    loaded: int
    answered: int
    input_tokens: int


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", action="append", help="as often as needed")
    parser.add_argument("--context", action="append", type=int, help="as often as needed")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, context = options.child
        print(json.dumps(asdict(answer(name, int(context)))))
        return
    rows = []
    for name in options.backend or BACKENDS:
        unpack(name)
        for context in options.context or (1024, 4096):
            estimate = estimate_memory(name, context_length=context)
            peak = measure(name, context)
            rows.append((context, estimate, peak))
            print(row(*rows[-1]), file=sys.stderr)
    table = render(rows)
    print(table)
    if options.write:
        TABLE.write_text(table, encoding="utf-8")
    sys.exit(any(not -BELOW <= off(estimate, peak) <= ABOVE for _, estimate, peak in rows))


def measure(name: str, context: int) -> Peak:
    """Return what a process of its own takes for loading a model and answering with it."""
    command = [sys.executable, __file__, "--child", name, str(context)]
    environment = {**os.environ, "WORKBENCH_CONTEXT_LENGTH": str(context)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if told.returncode:
        raise RuntimeError(told.stderr)
    return Peak(**json.loads(told.stdout.splitlines()[-1]))


def unpack(name: str) -> None:
    """Let a GGUF file be unpacked for PyTorch before anything is measured."""
    provider, _, model = name.partition("/")
    folder = settings().models / model.partition("+")[0] / "transformers"
    if provider == "transformers" and not folder.is_dir():
        measure(name, 1024)


def answer(name: str, context: int) -> Peak:
    """Load a model and answer one prompt that fills the context, in this very process."""
    backend: Any = load_backend(name)
    loaded = peak()
    new = 16
    words, prompt = context, messages(context)
    while backend.count_tokens(prompt.messages) > context - new:
        words = words * 9 // 10
        prompt = messages(words)
    *_, completion = backend.stream(prompt, SamplingParams(max_tokens=new))
    assert isinstance(completion, Completion)
    assert completion.is_complete
    return Peak(loaded, peak(), completion.input_tokens or 0)


def messages(words: int) -> Prompt:
    """Return a prompt of so many words."""
    return Prompt((Message("user", "word " * words),), "bench")


def peak() -> int:
    """Return the largest resident set that this process ever had, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def off(estimate: MemoryEstimate, peak: Peak) -> float:
    """Return by how much of the measured peak the estimate is above it."""
    return estimate.total / peak.answered - 1


def row(context: int, estimate: MemoryEstimate, peak: Peak) -> str:
    """Return a row of the table, in MiB."""
    working = estimate.base - estimate.weights - estimate.kv_cache
    parts = (estimate.weights, estimate.kv_cache, working, estimate.runtime, estimate.total)
    sizes = [f"{size / MIB:,.0f}" for size in (*parts, peak.loaded, peak.answered)]
    name = f"`{estimate.name}`"
    cells = [name, f"{estimate.slots} x {context:,}", *sizes, f"{off(estimate, peak):+.1%}"]
    return f"| {' | '.join(cells)} |"


def render(rows: list[tuple[int, MemoryEstimate, Peak]]) -> str:
    """Return the Markdown table."""
    versions = ", ".join(f"{one} {version(one)}" for one in ("xllamacpp", "torch", "transformers"))
    return "\n".join(
        [
            "# What models take of memory, estimated and measured",
            "",
            "`python tests/benchmarks/bench_memory.py --write`",
            "",
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()},"
            f" {versions}. In MiB. Each model answered one prompt that fills the context, in a"
            " process of its own; measured is its largest resident set (VmHWM), after loading and"
            f" in all. Targets: at most {ABOVE:.0%} above, {BELOW:.0%} below.",
            "",
            "| backend | slots x tokens | weights | keys, values | compute | runtime | estimated |"
            " loaded | measured | off |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
            *(row(*one) for one in rows),
            "",
        ]
    )


if __name__ == "__main__":
    main()
