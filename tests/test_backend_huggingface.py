"""The same weights through PyTorch: what is sampled, where it stops, and what cannot be loaded."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_language_models import CHATML, DROPS_SYSTEM, NO_SYSTEM, write, write_adapter

from workbench.backends import (
    check_backend,
    hf_loading,
    hf_names,
    load_backend,
    unload,
    unload_all,
)
from workbench.backends.hf_names import ModelName, parse
from workbench.backends.huggingface import Transformers
from workbench.backends.reasoning import ThinkSplitter
from workbench.cancel import cancelled_by
from workbench.errors import BackendError, BadInput, MissingExtra, MissingModel, UnknownName
from workbench.types import Capabilities, Completion, Message, Prompt, SamplingParams

PROMPT = Prompt((Message("user", "Count from one to ten in words."),), "test")


@pytest.fixture(scope="module", autouse=True)
def nothing_stays_loaded() -> Iterator[None]:
    yield
    unload_all()


@pytest.fixture
def model(models_home: Path, monkeypatch: pytest.MonkeyPatch):
    # Two PyTorch threads on two busy cores wait for each other more than they work.
    monkeypatch.setenv("WORKBENCH_THREADS", "1")
    return load_backend("transformers/smollm2-135m")


def answer(backend, **params: object) -> Completion:
    return list(backend.stream(PROMPT, SamplingParams(**{"max_tokens": 6, **params})))[-1]


@pytest.mark.models
def test_a_seed_repeats_a_sampled_answer_and_another_seed_does_not(model):
    texts = [answer(model, temperature=2.0, seed=seed).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.models
def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(model):
    whole = answer(model).text
    stop = whole[3:6]

    cut = answer(model, stop=(stop,))

    assert (cut.text, cut.finish_reason) == (whole[: whole.index(stop)], "stop")


@pytest.mark.models
def test_the_messages_become_the_same_tokens_as_in_llama_cpp(model):
    messages = (Message("system", "Be brief: größe 🙂."), Message("user", "def f():\n    pass"))
    assert model.count_tokens(messages) == load_backend("llama-cpp/smollm2-135m").count_tokens(
        messages
    )


@pytest.mark.models
def test_cancelling_is_heard_while_the_prompt_is_read(model):
    long = Prompt((Message("user", "hello world " * 1500),), "test")
    event = threading.Event()
    threading.Timer(0.5, event.set).start()

    with cancelled_by(event):
        events = list(model.stream(long, SamplingParams()))
    assert [type(one) for one in events] == [Completion]
    assert events[0].finish_reason == "cancelled"

    start = time.perf_counter()
    with model.engine.batcher.paused():  # waits for as long as the model works
        assert time.perf_counter() - start < 2


@pytest.mark.models
def test_nothing_is_printed(model, capfd):
    answer(model)
    answer(model, temperature=1.0)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_a_hub_that_cannot_be_reached_is_one_line():
    with pytest.raises(MissingModel, match="nobody/nothing") as caught:
        load_backend("transformers/nobody/nothing")
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")

    with pytest.raises(MissingModel, match="safetensors"):
        load_backend(f"transformers/{tmp_path}")


CODE = """
open({ran!r}, "w").close()
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class Config(LlamaConfig):
    model_type = "mine"
class Model(LlamaForCausalLM):
    config_class = Config
class Tokens(PreTrainedTokenizerFast):
    pass
"""


@pytest.mark.parametrize("kind", ["llama", "mine"])
def test_code_that_comes_with_a_model_is_never_run(exactly, tmp_path, kind):
    """Where transformers knows the kind itself, its own class is taken; else it is refused."""
    folder = write(tmp_path / "model")
    (folder / "mine.py").write_text(CODE.format(ran=str(tmp_path / "ran")), encoding="utf-8")
    models = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}
    for file, rest in (
        ("config.json", {"model_type": kind, "auto_map": models}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["mine.Tokens", "mine.Tokens"]}}),
    ):
        said = json.loads((folder / file).read_text(encoding="utf-8"))
        (folder / file).write_text(json.dumps({**said, **rest}), encoding="utf-8")

    if kind == "llama":
        backend = Transformers(str(folder), "tiny")
        assert answer(backend).output_tokens
        assert type(backend.engine.model).__module__.startswith("transformers.")
        backend.close()
    else:
        with pytest.raises(MissingModel, match=r"model") as caught:
            Transformers(str(folder), "tiny")
        assert "\n" not in str(caught.value) and caught.value.remedy
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("named", "held"), [("fp32", "float32"), ("bf16", "bfloat16"), ("fp16", "float16")]
)
def test_weights_are_held_as_the_name_says(family, monkeypatch, named, held):
    monkeypatch.setenv("WORKBENCH_DEVICE", "cpu")
    backend = Transformers(f"{family['base']}+{named}", "tiny")
    completion = answer(backend)
    backend.close()

    assert completion.output_tokens and completion.sent.model.endswith(f" {held}")


def test_an_unknown_number_type_is_named(monkeypatch):
    from workbench.backends.hf_loading import best_dtype

    monkeypatch.setenv("WORKBENCH_DTYPE", "float17")
    with pytest.raises(BackendError, match="float17"):
        best_dtype("cpu")


# --- what a name may say -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "resolved"),
    [
        ("smollm2-135m+bf16", "smollm2-135m+bf16"),
        ("smollm2-135m+lora=some/adapter+fp32", "smollm2-135m+fp32+lora=some/adapter"),
        ("Qwen/Qwen2.5-Coder-7B-Instruct+fp16", "Qwen/Qwen2.5-Coder-7B-Instruct+fp16"),
    ],
)
def test_modifiers_come_in_any_order_and_out_in_one(written, resolved):
    assert check_backend(f"transformers/{written}") == ("transformers", resolved)
    assert check_backend(f"transformers/{resolved}") == ("transformers", resolved)


def test_a_folder_whose_name_holds_a_plus_is_that_folder(tmp_path):
    for name in ("c++", "c+4bit", "a+b"):
        (tmp_path / name).mkdir()

    assert check_backend(f"transformers/{tmp_path}/c+4bit")[1] == f"{tmp_path}/c+4bit"
    named = f"{tmp_path}/c+++lora={tmp_path}/a+b+fp32"
    assert parse(named) == ModelName(f"{tmp_path}/c++", "fp32", f"{tmp_path}/a+b")


@pytest.mark.parametrize(
    ("written", "kind", "hint"),
    [
        ("smollm2-135m+bf17", UnknownName, "bf16"),
        ("smollm2-135m+lora", UnknownName, "lora=FOLDER"),
        ("smolm2-135m+bf16", UnknownName, "smollm2-135m"),
        ("smollm2-135m+bf16+fp32", BadInput, "more than one number type"),
        ("smollm2-135m+lora=a/b+lora=c/d", BadInput, "more than one adapter"),
        ("smollm2-135m+lora=/no/such/adapter", MissingModel, "no adapter folder"),
    ],
)
def test_a_wrong_modifier_is_named_with_the_right_one(written, kind, hint):
    with pytest.raises(kind, match=hint) as caught:
        check_backend(f"transformers/{written}")
    assert caught.value.remedy


def test_quantized_weights_say_which_package_or_which_device_they_need(monkeypatch):
    monkeypatch.setenv("WORKBENCH_DEVICE", "cpu")
    monkeypatch.setattr(
        hf_names.importlib.util, "find_spec", lambda name: name != "bitsandbytes" or None
    )
    with pytest.raises(MissingExtra, match=r"4-bit weights.*code-workbench\[quantize\]"):
        check_backend("transformers/smollm2-135m+4bit")

    monkeypatch.setattr(hf_names.importlib.util, "find_spec", lambda name: True)
    with pytest.raises(BackendError, match="8bit weights need a CUDA GPU") as caught:
        Transformers("smollm2-135m+8bit", "test")
    assert caught.value.remedy


# --- adapters ----------------------------------------------------------------------------


@pytest.fixture
def exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_DEVICE", "cpu")
    monkeypatch.setenv("WORKBENCH_DTYPE", "float32")
    monkeypatch.setenv("WORKBENCH_THREADS", "1")


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = write(tmp_path_factory.mktemp("base"))
    adapters = {
        name: write_adapter(tmp_path_factory.mktemp(name), base, seed)
        for seed, name in enumerate(("a", "b"), 1)
    }
    return {"base": base, **adapters}


def logits_of(backend: Transformers) -> torch.Tensor:
    with torch.inference_mode():
        return backend.engine.model(torch.arange(20)[None]).logits


def test_adapters_share_one_base_and_leave_it_as_it_was(exactly, family, monkeypatch):
    load, loads = hf_loading.load, []
    monkeypatch.setattr(hf_loading, "load", lambda *args: loads.append(args) or load(*args))
    name = f"transformers/{family['base']}"
    base = load_backend(name)
    before, plain = logits_of(base), answer(base, max_tokens=20).text

    a = load_backend(f"{name}+lora={family['a']}")
    first = answer(a, max_tokens=20).text
    b = load_backend(f"{name}+lora={family['b']}")
    texts = [answer(one, max_tokens=20).text for one in (a, b, base, a, b, base)]

    assert texts[:3] == texts[3:]
    assert texts[0] == first
    assert len(set(texts)) == 3
    assert texts[2] == plain
    assert torch.equal(logits_of(base), before)
    assert len(loads) == 1
    assert len({base.identity, a.identity, b.identity}) == 3
    unload(f"{name}+lora={family['a']}")
    assert answer(b, max_tokens=20).text == texts[1]
    unload(f"{name}+lora={family['b']}")
    assert torch.equal(logits_of(base), before)
    engine = weakref.ref(base.engine.model)
    unload(name)
    del base, a, b
    gc.collect()
    assert engine() is None


def test_those_who_want_another_adapter_wait_for_a_batch_of_their_own(exactly, family):
    name = f"transformers/{family['base']}"
    backends = [load_backend(f"{name}{one}") for one in ("", f"+lora={family['a']}")]
    alone = [answer(one, max_tokens=30).text for one in backends]
    found: dict[int, str] = {}

    def work(place: int) -> None:
        found[place] = answer(backends[place % 2], max_tokens=30).text

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [found[place] for place in range(8)] == alone * 4


def test_an_adapter_of_another_model_is_refused_and_does_no_harm(exactly, family, tmp_path):
    name = f"transformers/{family['base']}"
    base = load_backend(name)
    plain = answer(base, max_tokens=20).text
    other = write_adapter(tmp_path / "other", write(tmp_path / "wide", hidden_size=64), 3)

    with pytest.raises(BackendError, match="does not fit") as caught:
        load_backend(f"{name}+lora={other}")
    assert "\n" not in str(caught.value)

    (other / "adapter_model.safetensors").rename(other / "adapter_model.bin")
    with pytest.raises(MissingModel, match=r"no adapter_model\.safetensors"):
        load_backend(f"{name}+lora={other}")
    assert answer(base, max_tokens=20).text == plain


# --- the fair prompt ---------------------------------------------------------------------

TALK = (Message("system", "Be brief."), Message("user", "What is a heap?"))


def sent_by(folder: Path, messages: tuple[Message, ...] = TALK, **params: object) -> Completion:
    backend = Transformers(str(folder), "tiny")
    try:
        asked = SamplingParams(**{"max_tokens": 4, **params})
        return list(backend.stream(Prompt(messages, "test"), asked))[-1]
    finally:
        backend.close()


def test_what_was_sent_is_the_text_that_the_model_read(exactly, family):
    sent = sent_by(family["base"], temperature=0.5, seed=3, stop=("x",), max_tokens=9999).sent

    assert sent.text == "<|system|>Be brief.<|end|><|user|>What is a heap?<|end|><|assistant|>"
    assert sent.messages == TALK and sent.notes == ()
    assert sent.model.endswith("float32") and family["base"].name in sent.model
    assert sent.parameters == {
        "temperature": 0.5, "top_p": 1.0, "max_tokens": 4096 - 29, "seed": 3, "stop": ("x",),
    }  # fmt: skip


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM])
def test_a_system_text_that_the_template_would_not_carry_goes_to_the_user_turn(
    exactly, tmp_path, template
):
    folder = write(tmp_path, template=template)
    backend = Transformers(str(folder), "tiny")
    sent = list(backend.stream(Prompt(TALK, "test"), SamplingParams(max_tokens=2)))[-1].sent
    backend.close()

    assert not backend_capabilities(folder).system_role
    assert sent.messages == (Message("user", "Be brief.\n\nWhat is a heap?"),)
    assert sent.text == "<|user|>Be brief.\n\nWhat is a heap?<|end|><|assistant|>"
    assert any("system" in note for note in sent.notes)


def backend_capabilities(folder: Path) -> Capabilities:
    backend = Transformers(str(folder), "tiny")
    try:
        return backend.capabilities
    finally:
        backend.close()


def test_a_model_without_a_template_gets_the_messages_and_the_completion_says_so(exactly, tmp_path):
    completion = sent_by(write(tmp_path, template=None))

    assert completion.sent.text == "Be brief.\n\nWhat is a heap?"
    assert any("template" in note for note in completion.sent.notes)
    assert completion.input_tokens == len(completion.sent.text)


def test_thoughts_that_the_template_opens_are_no_part_of_the_answer(exactly, tmp_path):
    folder = write(tmp_path, template=CHATML.replace("<|assistant|>", "<|assistant|><think>\n"))
    plain = sent_by(folder, max_tokens=30)

    assert plain.sent.text.endswith("<|assistant|><think>\n")
    assert plain.text == "" and len(plain.reasoning) > 5
    assert backend_capabilities(folder).reasoning


@pytest.mark.parametrize("cut", range(1, 8))
@pytest.mark.parametrize(
    ("text", "thinking", "thoughts", "says"),
    [
        ("<think>\nhm </thin k>\n</think>\n\ndone", False, "hm </thin k>\n", "done"),
        ("hm</think>done</think>", True, "hm", "done</think>"),
        ("\n <think>a</think>", False, "a", ""),
        ("  <thin air", False, "", "  <thin air"),
        ("write '<think>' first", False, "", "write '<think>' first"),
        ("never closed </thi", True, "never closed </thi", ""),
        ("<thi", False, "", "<thi"),
        ("", False, "", ""),
    ],
)
def test_thoughts_are_told_from_the_answer_wherever_the_text_is_cut(
    text, thinking, thoughts, says, cut
):
    splitter = ThinkSplitter(thinking=thinking)
    pieces = [text[at : at + cut] for at in range(0, len(text), cut)]

    shown = [one for piece in pieces for one in splitter.feed(piece)] + splitter.rest()

    assert "".join(part for part, thought in shown if thought) == thoughts
    assert "".join(part for part, thought in shown if not thought) == says
    assert all(part for part, _ in shown)


def test_an_identity_changes_with_the_weights(exactly, tmp_path):
    def identity(**options: object) -> str:
        backend = Transformers(str(write(tmp_path / "model", **options)), "tiny")
        try:
            return backend.identity
        finally:
            backend.close()

    assert len({identity(), identity(seed=1), identity(template=NO_SYSTEM)}) == 3
    # Dice are another device's own, and rounding is the library's.
    assert " cpu torch:" in identity() and " transformers:" in identity()


@pytest.mark.models
def test_real_answers_begin_alike_in_a_batch_and_alone(model):
    prompts = [Prompt((Message("user", f"Name {n} colours."),), "test") for n in (3, 40, 500)]
    params = SamplingParams(max_tokens=4)
    alone = [list(model.stream(one, params))[-1].text for one in prompts]
    found: dict[int, str] = {}

    def work(place: int) -> None:
        found[place] = list(model.stream(prompts[place], params))[-1].text

    threads = [threading.Thread(target=work, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [found[place] for place in range(3)] == alone


@pytest.mark.models
def test_a_short_name_is_identified_by_its_file(model):
    assert model.identity.startswith("smollm2-135m@sha256:")
    assert model.capabilities.local and model.capabilities.system_role
    assert answer(model).sent.text.endswith("<|im_start|>assistant\n")
