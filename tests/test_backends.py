"""What every backend promises, held for each row of the registry, and how names become backends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_openai import fake_server
from test_conformance import hosting

from workbench import backends
from workbench.backends import (
    BACKENDS,
    HOSTED,
    available,
    check_backend,
    load_backend,
    unload,
    unload_all,
)
from workbench.backends.replay import Recorder
from workbench.backends.retrieval import BestHit
from workbench.errors import BadInput, MissingExtra, UnknownName, WorkbenchError
from workbench.types import (
    SAMPLING,
    Backend,
    Capabilities,
    Chunk,
    Completion,
    CountsTokens,
    Declares,
    Hit,
    Message,
    Prompt,
    SamplingParams,
    Token,
)

TEXT = "Größe 数 🙂 say these words back to me, all of them, one after the other"
CODE = 'def size():\n    """Return the Größe 数 🙂."""\n    return 1\n'
HIT = Hit(Chunk("1", CODE, "size.py", 1, 3, "python", "size", "test", None), 1.0, 1)
PROMPT = Prompt((Message("user", TEXT),), "test", hits=(HIT,))
PARAMS = SamplingParams(max_tokens=6)
LOCAL = ("llama-cpp", "transformers")


@pytest.fixture(scope="module", autouse=True)
def nothing_stays_loaded() -> Iterator[None]:
    yield
    unload_all()


def local(request: pytest.FixtureRequest) -> tuple[str, Prompt]:
    request.getfixturevalue("models_home")
    request.getfixturevalue("monkeypatch").setenv("WORKBENCH_THREADS", "1")
    too_long = replace(PROMPT, messages=(Message("user", "word " * 9000),))
    return f"{request.param}/smollm2-135m", too_long


def openai_compatible(request: pytest.FixtureRequest) -> tuple[str, Prompt]:
    server = fake_server()
    url = server.__enter__().url
    request.addfinalizer(lambda: server.__exit__(None, None, None))
    return f"openai-compatible/echo@{url}/v1", replace(PROMPT, messages=())


def hosted(request: pytest.FixtureRequest) -> tuple[str, Prompt]:
    made = hosting(request.param, request.getfixturevalue("monkeypatch"))
    _, _, backend = made.__enter__()
    request.addfinalizer(lambda: made.__exit__(None, None, None))
    return backend.name, replace(PROMPT, messages=())


def retrieval(request: pytest.FixtureRequest) -> tuple[str, Prompt]:
    return "retrieval", replace(PROMPT, hits=())


def replay(request: pytest.FixtureRequest) -> tuple[str, Prompt]:
    file = request.getfixturevalue("tmp_path") / "answers.jsonl"
    for params in (PARAMS, SamplingParams(max_tokens=2)):
        list(Recorder(BestHit("", "retrieval"), file).stream(PROMPT, params))
    return f"replay/{file}", replace(PROMPT, messages=(Message("user", "never asked"),))


# One case a provider: its name, and a prompt that it cannot answer.
CASES: dict[str, Callable[[pytest.FixtureRequest], tuple[str, Prompt]]] = {
    "llama-cpp": local,
    "transformers": local,
    **dict.fromkeys(HOSTED, hosted),
    "openai-compatible": openai_compatible,
    "retrieval": retrieval,
    "replay": replay,
}


@pytest.fixture(
    params=[
        pytest.param(entry.name, marks=pytest.mark.models if entry.name in LOCAL else ())
        for entry in BACKENDS
    ]
)
def case(request: pytest.FixtureRequest) -> tuple[Backend, Prompt]:
    if request.param not in CASES:
        pytest.fail(f"{request.param} is registered and has no case in this test")
    name, unanswerable = CASES[request.param](request)
    return load_backend(name), unanswerable


def answer(
    backend: Backend, prompt: Prompt = PROMPT, params: SamplingParams = PARAMS
) -> Completion:
    *tokens, completion = backend.stream(prompt, params)
    assert isinstance(completion, Completion)
    assert tokens and all(isinstance(token, Token) and token.text for token in tokens)
    assert "".join(token.text for token in tokens) == completion.text
    return completion


def is_replay(backend: Backend) -> bool:
    """It knows the answers to the recorded parameters only."""
    return type(backend).__name__ == "Replay"


def test_tokens_come_first_and_then_one_completion_of_their_text(case):
    completion = answer(case[0])

    assert completion.model
    assert 0 <= completion.first_token_seconds <= completion.seconds
    assert completion.finish_reason in ("stop", "length")


def test_max_tokens_cuts_the_answer_and_is_told_or_is_reported_as_ignored(case):
    completion = answer(case[0], params=SamplingParams(max_tokens=2))

    if "max_tokens" not in completion.ignored:
        assert completion.finish_reason == "length"
        assert completion.output_tokens == 2


def test_what_a_backend_declares_is_what_its_answers_tell(case):
    backend, _ = case
    asked = replace(PARAMS, temperature=0.5, top_p=0.9, seed=3, stop=("\x03",))
    completion = answer(backend, params=PARAMS if is_replay(backend) else asked)

    assert isinstance(backend, Declares) and isinstance(backend.capabilities, Capabilities)
    assert completion.sent is not None
    if not is_replay(backend):  # which tells what was recorded
        honoured = backend.capabilities.sampling
        assert completion.ignored == tuple(name for name in SAMPLING if name not in honoured)
        assert set(completion.sent.parameters) <= set(honoured)


def test_closing_a_stream_frees_the_backend_within_two_seconds(case):
    backend, _ = case
    start = time.perf_counter()
    answer(backend)
    undisturbed = time.perf_counter() - start
    stream = backend.stream(PROMPT, replace(PARAMS, max_tokens=6 if is_replay(backend) else 2000))
    assert isinstance(next(stream), Token)

    start = time.perf_counter()
    stream.close()
    assert time.perf_counter() - start < 2
    answer(backend)

    assert time.perf_counter() - start < 2 + 3 * undisturbed
    assert list(stream) == []


def test_two_threads_get_their_own_answers_at_once(case):
    backend, _ = case
    alone = answer(backend).text
    answers: list[str] = []

    threads = [
        threading.Thread(target=lambda: answers.append(answer(backend).text)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 2
    assert all(text[:2] == alone[:2] for text in answers)


def test_what_cannot_be_answered_is_an_error_of_one_line(case):
    backend, unanswerable = case

    with pytest.raises(WorkbenchError) as caught:
        list(backend.stream(unanswerable, PARAMS))

    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_counting_tokens_agrees_with_what_the_answer_reports(case):
    backend, _ = case
    if isinstance(backend, CountsTokens):
        completion = answer(backend)
        assert backend.count_tokens(PROMPT.messages) == completion.input_tokens
        assert backend.context_length > completion.input_tokens
    else:
        assert not hasattr(backend, "count_tokens")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lama-cpp/qwen2.5-coder-0.5b", "llama-cpp/qwen2.5-coder-0.5b"),
        ("llama-cpp/qwen2.5-coder", "qwen2.5-coder-0.5b"),
        ("qwen2.5-coder-0.5b", "llama-cpp/qwen2.5-coder-0.5b"),
        ("transformers/smolm2-135m", "smollm2-135m"),
        ("retreival", "retrieval"),
        ("nonsense", "Known: "),
    ],
)
def test_a_wrong_name_gets_the_nearest_right_ones(name, hint):
    with pytest.raises(UnknownName, match=hint):
        check_backend(name)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("llama-cpp/", "names no model"),
        ("llama-cpp", "names no model"),
        ("retrieval/best", "takes no model"),
        ("llama-cpp/no/such.gguf", "no model file"),
        ("transformers/./no/such/folder", "no model folder"),
        ("replay/no/such.jsonl", "no recording"),
        ("openai-compatible/gpt", "named by its model and its server"),
        ("openai-compatible/gpt@http://me:secret@localhost/v1", "OPENAI_COMPATIBLE_API_KEY"),
        ("", "No backend"),
    ],
)
def test_a_name_that_names_nothing_says_how_to_mend_it(name, word):
    with pytest.raises(WorkbenchError, match=word) as caught:
        check_backend(name)

    assert "secret" not in str(caught.value)
    assert caught.value.remedy


def test_a_hub_id_is_a_model_of_transformers_and_no_path():
    assert check_backend("transformers/Qwen/Qwen2.5-Coder-7B-Instruct") == (
        "transformers",
        "Qwen/Qwen2.5-Coder-7B-Instruct",
    )


def test_a_file_and_its_short_name_are_one_model(home: Path):
    file = home / "models" / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"GGUF")

    assert check_backend(f"llama-cpp/{file}") == check_backend("llama-cpp/smollm2-135m")


def test_first_loads_at_once_load_once(monkeypatch):
    made = []

    class Slow(BestHit):
        def __init__(self, resolved, name):
            time.sleep(0.2)
            made.append(name)
            super().__init__(resolved, name)

    unload("retrieval")
    monkeypatch.setattr("workbench.backends.retrieval.BestHit", Slow)
    found: list[Backend] = []
    threads = [
        threading.Thread(target=lambda: found.append(load_backend("retrieval"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    unload("retrieval")

    assert made == ["retrieval"]
    assert len({id(backend) for backend in found}) == 1 and len(found) == 4


def test_unloading_lets_go_and_the_next_load_is_new():
    first = load_backend("retrieval")
    assert load_backend("retrieval") is first

    unload("retrieval")
    second = load_backend("retrieval")
    unload_all()

    assert second is not first
    assert load_backend("retrieval") is not second
    unload("never loaded")


def test_a_missing_package_is_told_before_anything_is_loaded(monkeypatch):
    monkeypatch.setitem(backends._PACKAGES, "llama-cpp", ("no_such_package",))

    with pytest.raises(MissingExtra, match=r"code-workbench\[llama-cpp\]"):
        check_backend("llama-cpp/smollm2-135m")
    row = next(row for row in available() if row.name == "llama-cpp/smollm2-135m")
    assert not row.installed and "pip install" in row.needs


def test_every_provider_has_a_row_and_absent_weights_say_how_to_get_them():
    rows = {row.name: row for row in available()}

    for entry in BACKENDS:
        assert any(name.split("/")[0] == entry.name for name in rows)
    smol = rows["llama-cpp/smollm2-135m"]
    assert smol.weights_here is False
    assert smol.needs == "workbench models pull smollm2-135m"
    assert smol.bytes == 98_362_432
    with pytest.raises(BadInput):
        check_backend("llama-cpp/none-of-them")
