"""LangChain's objects made of ours, and embedders made of LangChain's."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_embeddings import FakeEmbeddings, fake_embeddings, vector_of
from fake_providers import fake_provider
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda

from workbench.backends import unload_all
from workbench.errors import (
    BackendError,
    BadInput,
    BrokenOff,
    MissingExtra,
    MissingKey,
    UnknownName,
)
from workbench.langchain import (
    as_chat_model,
    as_embeddings,
    as_retriever,
    from_embeddings,
    identity,
    split_code,
)
from workbench.retrieval import adopt, embedders, load_embedder, register_embedder
from workbench.retrieval.unit import unit_rows
from workbench.types import (
    Capabilities,
    Chunk,
    Completion,
    FinishReason,
    Hit,
    Prompt,
    SamplingParams,
    TextKind,
    Token,
)

KEY = "sk-secret-0123456789"
CODE = "".join(f"def f{i}(a):\n    '''Add.'''\n\n    return a + {i}\n\n\n" for i in range(40))


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedders, "_loaded", {})
    monkeypatch.setattr(embedders, "_registered", {})


class Ours:
    """An embedder whose vectors say of what kind they are."""

    fingerprint = "ours/1"

    def encode(self, texts: Sequence[str], kind: TextKind) -> np.ndarray:
        rows = [[len(text), 1 if kind == "query" else 2] for text in texts]
        return unit_rows(np.array(rows, dtype=np.float32).reshape(len(rows), 2))


class Named(DeterministicFakeEmbedding):
    """An object of LangChain's that says which model it uses."""

    model: str
    api_key: str = KEY
    dimensions: int | None = None


# --- ours as LangChain's ----------------------------------------------------------------


def test_embeddings_keep_kind_and_vectors() -> None:
    theirs = as_embeddings(Ours())
    assert isinstance(theirs, Embeddings)
    np.testing.assert_allclose(theirs.embed_documents(["ab", ""]), [[0.5**0.5] * 2, [0, 1]])
    np.testing.assert_allclose(theirs.embed_query("a"), [0.5**0.5] * 2)
    assert theirs.embed_documents([]) == []


def test_an_embedder_survives_the_way_there_and_back() -> None:
    name = adopt(as_embeddings(Ours()))
    there_and_back = load_embedder(name)
    for kind in ("document", "query"):
        np.testing.assert_allclose(
            there_and_back.encode(["one", ""], kind)[:1], Ours().encode(["one"], kind)
        )
    assert "ours/1" in there_and_back.fingerprint


class Finds:
    def search(self, query: str, k: int) -> list[Hit]:
        chunk = Chunk("c1", "x = 1\ny = 2", "a/b.py", 3, 4, "python", "b.x", "stdlib", "PSF-2.0")
        return [Hit(chunk, 0.5, 1)][:k] if query != "nothing" else []


def test_a_retriever_gives_documents_that_say_where_they_are_from() -> None:
    retriever = as_retriever(Finds(), k=3)
    (document,) = retriever.invoke("x")
    assert document.page_content == "x = 1\ny = 2"
    assert document.id == "c1"
    assert document.metadata == {
        "path": "a/b.py",
        "lines": "3-4",
        "symbol": "b.x",
        "language": "python",
        "license": "PSF-2.0",
        "source": "stdlib",
        "score": 0.5,
    }
    assert retriever.invoke("nothing") == []
    chain = retriever | RunnableLambda(len)
    assert chain.invoke("x") == 1
    with pytest.raises(BadInput, match="k is 0"):
        as_retriever(Finds(), k=0)


class Echo:
    """A backend that repeats the last message, and remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Prompt, SamplingParams]] = []
        self.closed = False

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        self.asked.append((prompt, params))
        try:
            words = prompt.messages[-1].content.split()
            for word in words:
                yield Token(word)
            yield Completion("".join(words), 5, len(words), 0.1, 0.05, "stop", "echo")
        finally:
            self.closed = True


def test_a_chat_model_answers_and_streams() -> None:
    backend = Echo()
    model = as_chat_model(backend, SamplingParams(max_tokens=7))
    answer = model.invoke(
        [SystemMessage("s"), AIMessage("a"), HumanMessage("one two")], temperature=0.5, stop=["x"]
    )
    assert answer.content == "onetwo"
    assert answer.usage_metadata == {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    assert answer.response_metadata["finish_reason"] == "stop"
    prompt, params = backend.asked[0]
    assert [one.role for one in prompt.messages] == ["system", "assistant", "user"]
    assert (params.temperature, params.max_tokens, params.stop) == (0.5, 7, ("x",))
    assert [one.content for one in model.stream("one two") if one.content] == ["one", "two"]
    with pytest.raises(BadInput, match="tool"):
        model.invoke([ToolMessage("t", tool_call_id="1")])


class Thinker(Echo):
    """A backend that thinks first, and may not come to its end."""

    name = "thinker"
    capabilities = Capabilities(sampling=("max_tokens",), context_length=99, reasoning=True)

    def __init__(self, finish: FinishReason = "stop") -> None:
        super().__init__()
        self.finish = finish

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        yield Token("Hm", reasoning=True)
        yield Token("Yes")
        yield Completion(
            "Yes", None, None, 0.1, 0.1, self.finish, "t", ("temperature",), reasoning="Hm"
        )


def test_thoughts_stay_apart_and_what_was_ignored_is_told() -> None:
    model = as_chat_model(Thinker())
    answer = model.invoke("?")
    assert (answer.content, answer.additional_kwargs["reasoning_content"]) == ("Yes", "Hm")
    assert answer.response_metadata["ignored"] == ["temperature"]
    whole = sum(list(model.stream("?"))[1:], next(model.stream("?")))
    assert (whole.content, whole.additional_kwargs["reasoning_content"]) == ("Yes", "Hm")


def test_a_chat_model_tells_what_the_backend_can_do() -> None:
    profile = as_chat_model(Thinker()).profile
    assert profile["max_input_tokens"] == 99 and profile["reasoning_output"]
    assert profile["temperature"] is profile["tool_calling"] is False
    assert "max_input_tokens" not in as_chat_model(Echo()).profile


@pytest.mark.parametrize("finish", ["broken", "cancelled"])
def test_an_answer_that_was_cut_off_is_none(finish: FinishReason) -> None:
    model = as_chat_model(Thinker(finish))
    for ask in (lambda: model.invoke("?"), lambda: list(model.stream("?"))):
        with pytest.raises(BrokenOff, match="thinker did not come to the end") as caught:
            ask()
        assert caught.value.partial.text == "Yes"
    assert as_chat_model(Thinker("refused")).invoke("?").content == "Yes"


def test_a_backend_may_be_given_by_its_name() -> None:
    with fake_provider("openai-compatible") as server:
        model = as_chat_model(f"openai-compatible/echo@{server.url}/v1")
        assert model.invoke("one two", max_tokens=1).content == "one"
        unload_all()
    with pytest.raises(UnknownName, match="Did you mean ollama"):
        as_chat_model("olama/qwen3")


def test_leaving_a_stream_stops_the_backend() -> None:
    backend = Echo()
    stream = as_chat_model(backend).stream("one two three")
    next(stream)
    stream.close()
    assert backend.closed


# --- the splitter -----------------------------------------------------------------------


@pytest.mark.parametrize("language", ["python", "javascript", "java", "csharp", None, "cobol-85"])
@pytest.mark.parametrize("overlap", [0, 30])
def test_pieces_are_slices_of_the_text_and_lose_nothing(language: str | None, overlap: int) -> None:
    pieces = split_code(CODE, language, 120, overlap)
    assert len(pieces) > 10
    covered = np.zeros(len(CODE), dtype=bool)
    for start, end in pieces:
        assert 0 <= start < end <= len(CODE)
        assert end - start <= 120
        covered[start:end] = True
    assert not "".join(
        c for c, seen in zip(CODE, covered, strict=True) if not seen and not c.isspace()
    )
    assert pieces == sorted(pieces)


def test_pieces_are_those_of_langchains_own_splitter() -> None:
    from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter.from_language(
        Language.PYTHON, chunk_size=200, chunk_overlap=40
    )
    pieces = [CODE[start:end] for start, end in split_code(CODE, "python", 200, 40)]
    assert pieces == splitter.split_text(CODE)


def test_an_overlap_as_long_as_the_piece_is_refused() -> None:
    for overlap in (100, -1):
        with pytest.raises(BadInput, match="overlap"):
            split_code(CODE, "python", 100, overlap)
    assert split_code("", "python", 100, 0) == []


def test_without_langchain_the_extra_is_named(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys
        sys.modules["langchain_core"] = None
        from workbench.errors import MissingExtra
        from workbench.retrieval import adopt
        class Theirs:
            def embed_documents(self, texts): ...
            def embed_query(self, text): ...
        for use in (lambda: __import__("workbench.langchain"), lambda: adopt(Theirs())):
            try:
                use()
            except MissingExtra as error:
                print(error)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.count("pip install 'code-workbench[langchain]'") == 2, done.stderr


# --- LangChain's Embeddings as ours -----------------------------------------------------


def test_an_object_is_known_by_class_model_settings_and_dimension_but_never_by_its_key() -> None:
    prints = [
        load_embedder(adopt(one)).fingerprint
        for one in (
            Named(model="a", size=8),
            Named(model="b", size=8),
            Named(model="a", size=16),
            Named(model="a", size=8, dimensions=4),
        )
    ]
    assert len(set(prints)) == 4
    assert "Named, a, " in prints[0] and "8 dimensions" in prints[0]
    assert not any(KEY in one for one in prints)
    assert prints[0] == load_embedder(adopt(Named(model="a", size=8, api_key="other"))).fingerprint
    assert adopt(Named(model="a", size=8)) == adopt(Named(model="a", size=8))


def test_the_folder_of_an_objects_model_is_part_of_its_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = load_embedder(adopt(Named(model=str(tmp_path), size=4))).fingerprint
    (tmp_path / "config.json").write_text("[]")
    assert load_embedder(adopt(Named(model=str(tmp_path), size=4))).fingerprint != before


def test_passwords_in_urls_stay_out_of_a_fingerprint() -> None:
    known = identity(Named(model="http://me:hunter2@host/v1", size=4))
    assert known is not None and "hunter2" not in known and "host/v1" in known


def test_an_object_that_names_no_model_needs_a_name() -> None:
    with pytest.raises(BadInput, match="register_embedder"):
        adopt(DeterministicFakeEmbedding(size=4))
    one = register_embedder("mine", DeterministicFakeEmbedding(size=4))
    assert load_embedder("mine") is one
    assert adopt("mine") == "mine"
    # Another one under the same name is another embedder.
    assert register_embedder("mine", DeterministicFakeEmbedding(size=5)).fingerprint != (
        one.fingerprint
    )
    given = register_embedder("mine", DeterministicFakeEmbedding(size=4), fingerprint="v7")
    assert given.fingerprint == "v7"


def test_an_embedder_of_ours_can_be_registered_too() -> None:
    ours = Ours()
    assert register_embedder("ours", ours) is ours
    assert load_embedder(adopt(ours)) is ours
    with pytest.raises(BadInput, match="no embedder"):
        adopt(object())
    for taken in ("minilm", "static/wordllama", "a/b", ""):
        with pytest.raises(BadInput, match="cannot be registered"):
            register_embedder(taken, ours)


def test_the_contract_holds_for_langchains_objects() -> None:
    embedder = load_embedder(adopt(Named(model="a", size=6)))
    vectors = embedder.encode(["a", "", "\ud800", "x" * 100_000], "document")
    assert vectors.shape == (4, 6) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert embedder.encode([], "query").shape == (0, 6)
    again = embedder.encode(["a", "", "\ud800", "x" * 100_000], "document")
    np.testing.assert_array_equal(again, vectors)


class Broken(Embeddings):
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def embed_documents(self, texts: list[str]) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def embed_query(self, text: str) -> Any:
        return self.embed_documents([text])[0]


@pytest.mark.parametrize(
    "answer", [[], [[1.0]], [[1.0], [1.0, 2.0]], [[1.0], [float("nan")]], None, [["a"], ["b"]]]
)
def test_anything_but_one_vector_a_text_is_an_error(answer: Any) -> None:
    with pytest.raises(BackendError, match="one vector of one length for each of 2 texts"):
        from_embeddings(Broken(answer))(["x", "y"], "document")


def test_an_error_is_one_line_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", KEY)
    error = RuntimeError(f"line one\n{KEY} at http://me:hunter2@host/v1")
    with pytest.raises(BackendError) as caught:
        from_embeddings(Broken(error))(["x"], "document")
    said = str(caught.value)
    assert "\n" not in said and KEY not in said and "hunter2" not in said
    assert "RuntimeError" in said and "host/v1" in said


# --- hosted ones, against a server on this machine --------------------------------------

HOSTED = pytest.mark.parametrize(
    ("provider", "key", "server", "path"),
    [
        ("openai", "OPENAI_API_KEY", "OPENAI_BASE_URL", "/v1"),
        ("cohere", "COHERE_API_KEY", "CO_API_URL", ""),
    ],
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEmbeddings]:
    for name in ("OPENAI_API_KEY", "COHERE_API_KEY"):
        monkeypatch.setenv(name, KEY)
    with fake_embeddings() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("CO_API_URL", server.url)
        yield server


@HOSTED
def test_without_its_key_the_variable_is_named(
    provider: str, key: str, server: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(key, raising=False)
    with pytest.raises(MissingKey, match=f"Set {key}"):
        load_embedder(f"{provider}/some-model")
    with pytest.raises(BadInput, match=f"{provider}/MODEL"):
        load_embedder(provider)


def test_openai_vectors_come_in_batches_and_in_order(server: FakeEmbeddings) -> None:
    texts = [f"text {i}" for i in range(150)]
    embedder = load_embedder("openai/good")
    vectors = embedder.encode([*texts, "", "é" * 9_000], "document")
    expected = unit_rows(np.array([vector_of(text) for text in [*texts, " "]], dtype=np.float32))
    np.testing.assert_allclose(vectors[:151], expected, atol=1e-6)
    assert [len(one["input"]) for one in server.requests] == [64, 64, 24]
    assert len(server.requests[-1]["input"][-1].encode()) <= 8_191
    np.testing.assert_allclose(embedder.encode(["text 0"], "query")[0], expected[0], atol=1e-6)


def test_cohere_is_told_queries_from_documents(server: FakeEmbeddings) -> None:
    embedder = load_embedder("cohere/good")
    document, query = (embedder.encode(["x"], kind)[0] for kind in ("document", "query"))
    assert [one["input_type"] for one in server.requests] == ["search_document", "search_query"]
    expected = unit_rows(
        np.array([vector_of("search_document x"), vector_of("search_query x")], dtype=np.float32)
    )
    np.testing.assert_allclose(np.stack([document, query]), expected, atol=1e-6)
    assert server.requests[0]["truncate"] == "END"


@pytest.mark.parametrize("provider", ["openai", "cohere"])
def test_a_refused_key_is_named_and_never_shown(
    provider: str, server: FakeEmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(MissingKey, match=f"Set {provider.upper()}_API_KEY") as caught:
        load_embedder(f"{provider}/refused").encode(["x"], "document")
    assert KEY not in f"{caught.value} {caught.value.__cause__}"
    assert KEY not in caplog.text
    assert len(server.requests) == 1


@pytest.mark.parametrize("provider", ["openai", "cohere"])
def test_a_refusal_is_a_clear_line_without_the_key(provider: str, server: FakeEmbeddings) -> None:
    with pytest.raises(BackendError, match="HTTP 400") as caught:
        load_embedder(f"{provider}/broken").encode(["x"], "document")
    assert KEY not in str(caught.value) and "\n" not in str(caught.value)


def test_a_busy_server_is_asked_again(server: FakeEmbeddings) -> None:
    vectors = load_embedder("openai/busy-once").encode(["x"], "document")
    assert len(vectors) == 1 and len(server.requests) == 2


def test_a_short_answer_is_an_error(server: FakeEmbeddings) -> None:
    with pytest.raises(BackendError, match="one vector"):
        load_embedder("openai/ragged").encode(["x", "y"], "document")


def test_the_same_model_on_another_server_is_another_embedder(
    server: FakeEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = load_embedder("openai/good").fingerprint
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:hunter2@other.invalid/v1?key=hunter3")
    monkeypatch.setattr(embedders, "_loaded", {})
    there = load_embedder("openai/good").fingerprint
    assert here != there
    assert "hunter" not in there and "other.invalid/v1" in there


def test_a_missing_provider_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setitem(sys.modules, "langchain_openai", None)
    with pytest.raises(MissingExtra, match=r"code-workbench\[hosted\]"):
        load_embedder("openai/good")
