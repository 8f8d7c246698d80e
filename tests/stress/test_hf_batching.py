"""Requests of all kinds at random times: each gets what it gets alone, whoever else is there."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_language_models import write, write_adapter

from workbench.backends.huggingface import Transformers
from workbench.types import Completion, Message, Prompt, SamplingParams

PROMPTS = [Prompt((Message("user", "words " * n),), "test") for n in (1, 2, 9, 30, 120, 400)]
KINDS = [
    SamplingParams(max_tokens=40),
    SamplingParams(max_tokens=9),
    SamplingParams(max_tokens=60, temperature=1.2, top_p=0.8, seed=5),
    SamplingParams(max_tokens=60, temperature=0.7, seed=6, stop=("a", "e")),
]


@pytest.mark.parametrize("seed", range(3))
def test_strangers_at_random_times_change_no_answer(seed, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DTYPE", "float32")
    monkeypatch.setenv("WORKBENCH_DEVICE", "cpu")
    monkeypatch.setenv("WORKBENCH_THREADS", "1")
    base = write(tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", base, 1)
    backends = [Transformers(f"{base}{one}", "tiny") for one in ("", f"+lora={adapter}")]
    dice = random.Random(seed)
    cases = [
        (dice.choice(backends), dice.choice(PROMPTS), dice.choice(KINDS), dice.random())
        for _ in range(60)
    ]
    alone = {
        (backend, prompt, params): text(backend, prompt, params)
        for backend, prompt, params, _ in cases
    }
    wrong: list[str] = []

    def work(number: int) -> None:
        backend, prompt, params, chance = cases[number]
        time.sleep(chance * 1.5)
        if chance < 0.3:  # goes early
            stream = backend.stream(prompt, replace(params, max_tokens=500, stop=()))
            for _ in range(int(chance * 20)):
                next(stream, None)
            stream.close()
        elif text(backend, prompt, params) != alone[backend, prompt, params]:
            wrong.append(f"{number}: {params}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)

    assert not any(thread.is_alive() for thread in threads)
    assert not wrong
    batcher = backends[0].engine.batcher
    assert batcher.most_at_once > 3
    for backend in backends:
        backend.close()
    deadline = time.monotonic() + 2
    while batcher._thread is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert batcher._thread is None and not batcher._waiting


def text(backend: Transformers, prompt: Prompt, params: SamplingParams) -> str:
    *_, last = backend.stream(prompt, params)
    assert isinstance(last, Completion)
    return last.text
