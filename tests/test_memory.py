"""What a model takes is known from headers and by formulas, and holds for what is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.backends import estimate, estimate_memory, fit, free_memory, loading, memory, shapes
from workbench.backends.memory import GIB, MemoryEstimate
from workbench.errors import BadInput, TooLarge, UnknownName
from workbench.weights.catalogue import CATALOGUE

BENCH = Path(__file__).parent / "benchmarks" / "bench_memory.py"
MIB = 1 << 20
CONFIG = {
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
LLAMA_8B = shapes.of_config(CONFIG, 8_030_261_248)


def safetensors(path: Path, **tensors: tuple[str, list[int], int]) -> None:
    """Write a file with the header of such tensors, and zeros."""
    header, at = {}, 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(at))


def gguf_file(path: Path, heads: int | list[int] = 2) -> Path:
    gguf = pytest.importorskip("gguf")
    np = pytest.importorskip("numpy")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(3)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(heads)
    writer.add_context_length(2048)
    writer.add_token_list(["a", "größer", "🙂"])
    writer.add_array("some.scores", [0.5, 1.5])
    writer.add_tensor("token_embd.weight", np.zeros((3, 64), np.float32))
    writer.add_tensor("blk.0.ffn_up.weight", np.zeros((96, 64), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


# --- formulas --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "dtype", "weights"),
    [
        # llama.cpp's README, Llama-3.1-8B, GiB: 8.03e9 parameters.
        (8_030_261_248, "q4_k_m", 4.58),
        (8_030_261_248, "q8_0", 7.95),
        (8_030_261_248, "q6_k", 6.14),
        (8_030_261_248, "bf16", 14.96),
    ],
)
def test_weights_are_those_that_were_published(parameters, dtype, weights):
    made = estimate(parameters, dtype, shape=LLAMA_8B)
    assert made.weights / GIB == pytest.approx(weights, abs=0.01)


def test_keys_and_values_are_two_by_layers_by_heads_by_size_by_context():
    # 2 x 32 layers x 8 heads x 128 x 8192 tokens x 2 bytes: the GiB that is known of Llama 3 8B.
    assert estimate(8e9, "q4_k_m", context_length=8192, shape=LLAMA_8B).kv_cache == GIB
    assert estimate(8e9, "bf16", context_length=8192, shape=LLAMA_8B).kv_cache == GIB
    assert estimate(8e9, "fp32", context_length=8192, shape=LLAMA_8B).kv_cache == 2 * GIB
    assert estimate(8e9, "q4_k_m", context_length=4096, slots=3, shape=LLAMA_8B).kv_cache == (
        1.5 * GIB
    )


def test_four_bits_leave_the_embeddings_in_sixteen():
    made = estimate(8_030_261_248, "nf4", shape=LLAMA_8B, device="cuda")
    embeddings = 2 * 128256 * 4096
    assert made.weights == int((8_030_261_248 - embeddings) * 4.127 / 8 + embeddings * 2)
    assert made.dtype == "4bit" and 5.2 < made.weights / GIB < 5.5


def test_more_of_anything_never_takes_less():
    sizes = [estimate(one, "q4_k_m").total for one in (1e8, 5e8, 1.5e9, 7e9, 14e9, 32e9, 70e9)]
    assert sizes == sorted(sizes)
    for dtypes in (("4bit", "8bit", "bf16", "fp32"), ("q2_k", "q4_0", "q4_k_m", "q8_0", "f16")):
        sizes = [estimate(7e9, dtype).weights for dtype in dtypes]
        assert sizes == sorted(sizes)


def test_a_shape_that_is_not_known_is_said():
    made = estimate(6.7e9, "q4_k_m")
    assert made.notes == ("Layers and heads are those of Qwen2.5-Coder-7B.",)
    assert "Qwen2.5-Coder-7B" in made._repr_html_()


def test_the_parts_add_up():
    for made in (estimate(7e9, "q4_k_m"), estimate(7e9, "fp32"), _loading_most()):
        assert sum(size for _, size in made.rows) == made.total


def _loading_most() -> MemoryEstimate:
    return MemoryEstimate("x", "cpu", "fp32", 1, 1024, 1, 100, 5, 5, 7, loading=50, adapter=3)


def test_what_loading_takes_for_a_moment_is_not_added_to_what_answering_takes():
    assert _loading_most().total == 100 + 50 + 7 + 3


@pytest.mark.parametrize(
    ("text", "number"),
    [("7B", 7e9), ("7e9", 7e9), ("0.5b", 5e8), ("135M", 1.35e8), ("7,000,000,000", 7e9)],
)
def test_a_number_of_parameters_is_read_as_people_write_it(text, number):
    assert memory.read_parameters(text) == number


@pytest.mark.parametrize("text", ["", "much", "-7B", "0", "nan", "inf", "7x", "1e40"])
def test_what_is_no_number_of_parameters_is_told(text):
    with pytest.raises(BadInput, match="Write it as 7B"):
        memory.read_parameters(text)


def test_wrong_names_and_numbers_are_told():
    with pytest.raises(UnknownName, match="q4_k_m"):
        estimate(7e9, "q4_k_n")
    for wrong in ({"context_length": 0}, {"slots": 0}):
        with pytest.raises(BadInput):
            estimate(7e9, **wrong)
    with pytest.raises(UnknownName):
        estimate_memory("llama-cpp/nobody")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Qwen/Qwen2.5-Coder-7B-Instruct", 7e9),
        ("smollm2-135m", 135e6),
        ("codellama-13b-q4_0.gguf", 13e9),
        ("bigcode/starcoder2-15b", 15e9),
        ("no-size", None),
        ("model-8bit", None),
    ],
)
def test_the_size_in_a_name_is_read(name, number):
    assert shapes.parameters_in(name) == number


# --- headers ---------------------------------------------------------------------------


def test_a_gguf_header_is_read_without_the_package(tmp_path):
    shape = shapes.of_gguf(gguf_file(tmp_path / "x.gguf"))
    assert shape.parameters == 3 * 64 + 96 * 64 and shape.embeddings == 3 * 64
    assert (shape.layers, shape.hidden, shape.feed_forward) == (3, 64, 96)
    assert shape.kv_values == 2 * 3 * 2 * 16 and shape.vocabulary == 3
    assert shape.context_length == 2048


def test_layers_with_heads_of_their_own_are_counted(tmp_path):
    assert shapes.of_gguf(gguf_file(tmp_path / "x.gguf", [1, 2, 4])).kv_values == 7 * 2 * 16


def test_a_damaged_header_is_a_value_error_wherever_it_is_cut(tmp_path):
    whole = gguf_file(tmp_path / "x.gguf").read_bytes()
    damaged = tmp_path / "damaged.gguf"
    end = whole.index(b"blk.0.ffn_up.weight")
    for cut in range(0, end, 7):
        damaged.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="GGUF"):
            shapes.of_gguf(damaged)


def test_a_file_whose_header_says_nothing_is_estimated_by_its_size(tmp_path):
    file = tmp_path / "some.gguf"
    file.write_bytes(b"GGUF" + bytes(300 * MIB // 100))
    made = estimate_memory(f"llama-cpp/{file}", context_length=1024, slots=1)
    assert made.weights == file.stat().st_size and "headers" in made.notes[0]


def test_a_folder_is_read_by_its_headers(tmp_path):
    config = {**CONFIG, "num_hidden_layers": 2, "hidden_size": 64, "vocab_size": 10}
    (tmp_path / "config.json").write_text(json.dumps(config))
    safetensors(tmp_path / "a.safetensors", x=("BF16", [10, 64], 1280))
    safetensors(tmp_path / "b.safetensors", y=("BF16", [3, 64], 384), z=("BF16", [1], 2))
    made = estimate_memory(f"transformers/{tmp_path}+bf16", context_length=512)
    assert made.parameters == 13 * 64 + 1 and made.weights == 2 * made.parameters
    assert made.loading == 0 and made.notes == ()
    held = estimate_memory(f"transformers/{tmp_path}+fp32", context_length=512)
    assert held.weights == 2 * made.weights and held.loading == made.weights


def test_a_hub_id_that_is_not_here_is_estimated_by_the_size_in_its_name(monkeypatch):
    monkeypatch.setenv("WORKBENCH_OFFLINE", "1")
    made = estimate_memory("transformers/some/Model-7B-Instruct+bf16")
    assert 13 < made.weights / GIB < 15 and "Qwen2.5-Coder-7B" in made.notes[0]
    unknown = estimate_memory("transformers/some/model")
    assert unknown.parameters == 0 and "cannot be known" in unknown.notes[0]


def test_hosted_backends_take_nothing_here():
    assert estimate_memory("retrieval").total == 0


@pytest.mark.parametrize("name", [one for one in CATALOGUE if CATALOGUE[one].kind == "generator"])
def test_weights_that_are_not_here_are_estimated_from_the_catalogue(name):
    made = estimate_memory(f"llama-cpp/{name}")
    assert made.weights == CATALOGUE[name].bytes and made.kv_cache > 0


# --- what is free ----------------------------------------------------------------------


def test_a_control_group_leaves_less_than_the_machine_has(tmp_path):
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    group = tmp_path / "fs" / "a"
    (group / "b").mkdir(parents=True)
    (group / "b" / "memory.max").write_text("max\n")
    (group / "b" / "memory.current").write_text("5\n")
    (group / "memory.max").write_text("1000\n")
    (group / "memory.current").write_text("700\n")
    (group / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert list(memory._free_in_groups(tmp_path / "fs", tmp_path / "cgroup")) == [450]


def test_the_first_version_of_control_groups_is_read_too(tmp_path):
    (tmp_path / "cgroup").write_text("4:memory:/job\n3:cpu:/job\n0::/\n")
    group = tmp_path / "fs" / "memory" / "job"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("1000\n")
    (group / "memory.usage_in_bytes").write_text("100\n")
    (group / "memory.stat").write_text("total_inactive_file 40\n")
    assert list(memory._free_in_groups(tmp_path / "fs", tmp_path / "cgroup")) == [940]


def test_free_memory_is_the_least_of_all_that_bounds_it(monkeypatch):
    assert 0 < free_memory() < 1 << 50
    monkeypatch.setattr(memory, "_free_in_groups", lambda: [123])
    assert free_memory() == 123


def test_what_a_gpu_has_is_asked_of_its_driver(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert free_memory("cuda") == 0
    asked = tmp_path / "nvidia-smi"
    asked.write_text("#!/bin/sh\necho 4096\n")
    asked.chmod(0o755)
    assert free_memory("cuda:1") == 4096 * MIB


# --- what would fit --------------------------------------------------------------------


def test_what_does_not_fit_says_what_would(monkeypatch):
    monkeypatch.setenv("WORKBENCH_MEMORY", "0.3")
    refused = fit(estimate_memory("llama-cpp/smollm2-135m"))
    assert not refused.fits and "WORKBENCH_CONTEXT_LENGTH=1024" in refused.ways
    monkeypatch.setenv("WORKBENCH_CONTEXT_LENGTH", "1024")
    assert fit(estimate_memory("llama-cpp/smollm2-135m")).verdict == "fits"


def test_every_way_that_is_offered_does_fit(monkeypatch):
    needed = estimate_memory("llama-cpp/qwen2.5-coder-1.5b", context_length=16384, slots=8)
    for limit in range(needed.total // 8, needed.total, needed.total // 8):
        for way in memory.what_fits(needed, limit):
            name, _, value = way.partition("=")
            slots = int(value) if name.endswith("SLOTS") else needed.slots
            context = int(value) if name.endswith("LENGTH") else needed.context_length
            if "/" in way:
                assert estimate_memory(way).total <= limit
            else:
                again = estimate_memory(needed.name, context_length=context, slots=slots)
                assert again.total <= limit, way


def test_the_limit_that_a_user_sets_holds(monkeypatch):
    monkeypatch.setenv("WORKBENCH_MEMORY", "1.5")
    assert loading.memory_limit("cpu") == loading.memory_limit("cuda") == 1.5 * GIB
    error = memory.too_large(replace(estimate(7e9, "q4_k_m"), name="llama-cpp/x"), 2 * GIB)
    assert isinstance(error, TooLarge) and "2.0 GiB are free" in str(error)
    assert "llama-cpp/smollm2-135m" in error.remedy


# --- measured --------------------------------------------------------------------------


@pytest.mark.models
def test_the_estimate_holds_for_what_is_measured(models_home):
    assert_estimate_holds("llama-cpp/smollm2-135m", 512)


def assert_estimate_holds(backend: str, context: int) -> None:
    """Load a model in a process of its own, answer with it, and hold its peak to the estimate."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process is read from /proc")
    limits = {"WORKBENCH_CONTEXT_LENGTH": str(context), "WORKBENCH_THREADS": "1"}
    # Before: a file that is unpacked the first time takes more, and that is said, too.
    told_before = estimate_memory(backend, context_length=context).total
    told = subprocess.run(
        [sys.executable, str(BENCH), "--child", backend, str(context)],
        env={**os.environ, **limits},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    peak = json.loads(told.stdout.splitlines()[-1])["answered"]
    off = told_before / peak - 1
    assert -0.05 <= off <= 0.15, f"{off:+.1%} of {peak / MIB:,.0f} MiB"
