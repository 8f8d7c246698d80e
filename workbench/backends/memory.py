"""What a model takes of this machine's memory, said before it is loaded; and what is free.

weights + keys and values + compute buffers + runtime, each by a formula that stands at its
function. The constants are measured: ``tests/benchmarks/memory.md`` shows the estimates beside
the peaks of the models here.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from workbench import weights
from workbench.backends import hf_names, shapes
from workbench.backends.menu import check_backend
from workbench.backends.shapes import Shape
from workbench.errors import (
    BackendError,
    BadInput,
    MissingModel,
    TooLarge,
    UnknownName,
    WorkbenchError,
)
from workbench.settings import settings
from workbench.weights.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GIB = 1 << 30
MOST_WAYS = 4
_MIB = 1 << 20
LOCAL = ("llama-cpp", "transformers")
PARTS = ("weights", "keys and values", "compute buffers", "runtime")

FLOATS = {"fp32": 32.0, "bf16": 16.0, "fp16": 16.0}
"""Bits that PyTorch holds a weight in."""

# LLM.int8 keeps a byte a weight (Dettmers et al. 2022). NF4 keeps four bits, and with double
# quantisation 0.127 bits more for the scales (Dettmers et al. 2023, section 3).
QUANTIZED = {"8bit": 8.0, "4bit": 4.127}
"""Bits that bitsandbytes holds a weight in; the embeddings stay in 16."""

# Measured by llama.cpp on Llama-3.1-8B (tools/quantize/README.md), embeddings included. The four
# that it does not list are the bits of their blocks: 32 weights with a scale, and an offset (_1).
GGUF_KINDS = {
    "f16": 16.0005,
    "q8_0": 8.5008,
    "q6_k": 6.5633,
    "q5_k_m": 5.7036,
    "q5_k_s": 5.5704,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_k_m": 4.8944,
    "q4_k_s": 4.6672,
    "q4_1": 5.0,
    "q4_0": 4.5,
    "iq4_nl": 4.6818,
    "iq4_xs": 4.4597,
    "q3_k_l": 4.2979,
    "q3_k_s": 3.6429,
    "iq3_m": 3.7628,
    "q2_k": 3.1593,
    "iq2_m": 2.9294,
}
"""Bits a weight in GGUF files of each kind."""

DTYPES = (*FLOATS, *QUANTIZED, *GGUF_KINDS)
_SAME = {
    "float32": "fp32",
    "f32": "fp32",
    "bfloat16": "bf16",
    "float16": "fp16",
    "int8": "8bit",
    "nf4": "4bit",
}

# Tokens of a prompt that llama.cpp reads at once, without a GPU and with one; as in llama_cpp.py.
_UBATCH, _UBATCH_GPU = 128, 512
_KV_BYTES = 2  # llama.cpp keeps them as f16
# Measured: Python with the workbench and the libraries of llama.cpp or of PyTorch on a CPU.
_RUNTIME = {"llama-cpp": 56 * _MIB, "transformers": 432 * _MIB}
_CUDA_RUNTIME = 600 * _MIB  # PyTorch's context and the workspaces of its libraries
# Measured, too: the words of the vocabulary and the rules that join them, a word.
_WORD_BYTES = 270
# Measured: numbers that PyTorch holds at once for a token of a prompt, of each of the two widths.
_ACTIVATIONS = 6


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """What a model takes, in bytes.

    ``weights`` are those of the model, ``adapter`` those of a LoRA on top. ``kv_cache`` are the
    keys and values of ``slots`` requests of ``context_length`` tokens each, ``compute`` what is
    needed while they are computed, ``runtime`` Python and the libraries. ``loading`` is needed
    for a moment only, before there are keys and values. ``parameters`` is 0 where nobody knows,
    and ``notes`` tell what was assumed.
    """

    name: str
    device: str
    dtype: str
    parameters: int
    context_length: int
    slots: int
    weights: int
    kv_cache: int
    compute: int
    runtime: int
    loading: int = 0
    adapter: int = 0
    notes: tuple[str, ...] = ()

    @property
    def base(self) -> int:
        """The model itself: all but the runtime, which models share, and the adapter."""
        return self.weights + max(self.loading, self.kv_cache + self.compute)

    @property
    def total(self) -> int:
        """The most that it takes at any moment."""
        return self.base + self.adapter + self.runtime

    @property
    def rows(self) -> tuple[tuple[str, int], ...]:
        """Its parts, in words, that add up to the total."""
        working = self.base - self.weights - self.kv_cache
        sizes = (self.weights + self.adapter, self.kv_cache, working, self.runtime)
        return tuple((name, size) for name, size in zip(PARTS, sizes, strict=True) if size)

    def __str__(self) -> str:
        """Say it in one line."""
        parts = ", ".join(f"{name} {gib(size)}" for name, size in self.rows)
        return f"{self.name}: {gib(self.total)} ({parts})"

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{escape(name)}</td><td style='text-align:right'>{gib(size)}</td></tr>"
            for name, size in (*self.rows, ("together", self.total))
        )
        caption = (
            f"{self.name}, {self.dtype}, {self.slots} x {self.context_length:,} tokens,"
            f" {self.device}"
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<table><caption>{escape(caption)}</caption>{cells}</table>{notes}"


def gib(size: float) -> str:
    """Write bytes in GiB, or in MiB below a tenth of one."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / _MIB:.0f} MiB"


# --- the formulas ----------------------------------------------------------------------


def estimate(
    parameters: float,
    dtype: str = "bf16",
    *,
    context_length: int | None = None,
    slots: int = 1,
    device: str = "cpu",
    shape: Shape | None = None,
) -> MemoryEstimate:
    """Estimate a model that is not here, by its number of parameters and its number type.

    Kinds of GGUF are taken as llama.cpp runs them, all others as PyTorch does. Without ``shape``,
    layers and heads are those of the known model of the nearest size.

    Raises:
        BadInput: a number is not positive.
        UnknownName: there is no such number type; the message names the nearest.
    """
    context = settings().context_length if context_length is None else context_length
    if parameters < 1 or context < 1 or slots < 1:
        raise BadInput(
            f"{parameters:g} parameters, {context} tokens and {slots} slots cannot be estimated.",
            "All three are at least 1. Write parameters as 7e9.",
        )
    kind = known_dtype(dtype)
    shape = shape or shapes.typical(parameters)
    name = f"{short_number(parameters)} {kind}"
    notes = (f"Layers and heads are those of {shape.like}.",) if shape.like else ()
    if kind in GGUF_KINDS:
        size = int(parameters * GGUF_KINDS[kind] / 8)
        made = _in_llama_cpp(name, shape, size, context, slots, device)
    else:
        made = _in_pytorch(name, shape, kind, context, slots, device)
    return replace(made, dtype=kind, notes=notes)


def known_dtype(dtype: str) -> str:
    """Return the workbench's own name of a number type or kind of GGUF.

    Raises:
        UnknownName: there is none; the message names the nearest.
    """
    name = dtype.strip().lower()
    name = _SAME.get(name, name)
    if name not in DTYPES:
        raise UnknownName("number type", dtype, DTYPES)
    return name


def read_parameters(text: str) -> float:
    """Read a number of parameters as people write it: 7e9, 7B, 135M.

    Raises:
        BadInput: it is no such number.
    """
    written = text.strip().lower().replace(",", "").replace("_", "")
    unit = {"b": 1e9, "m": 1e6}.get(written[-1:], 1.0)
    try:
        number = float(written.rstrip("bm")) * unit
    except ValueError:
        number = 0.0
    if not 1 <= number < 1e15:
        raise BadInput(f"'{text}' is no number of parameters.", "Write it as 7B or 7e9.")
    return number


def short_number(number: float) -> str:
    """Write a number of parameters as people do: 7B, 0.5B, 135M."""
    return f"{number / 1e9:.3g}B" if number >= 4e8 else f"{number / 1e6:.3g}M"


def _in_llama_cpp(
    name: str, shape: Shape, file_bytes: int, context: int, slots: int, device: str
) -> MemoryEstimate:
    """Estimate by what llama.cpp allocates when it loads, all at once.

    Keys and values: 2 x layers x kv_heads x head_dim x context x slots x 2 bytes (f16), for all
    slots from the start. Buffers: 4 bytes for each token of a batch and word of the vocabulary
    (the logits), and for what goes through a layer.
    """
    batch = _UBATCH if device == "cpu" else _UBATCH_GPU
    return MemoryEstimate(
        name=name,
        device=device,
        dtype="gguf",
        parameters=shape.parameters,
        context_length=context,
        slots=slots,
        weights=file_bytes,
        kv_cache=shape.kv_values * context * slots * _KV_BYTES,
        compute=batch * 4 * (shape.vocabulary + 4 * (shape.hidden + shape.feed_forward)),
        runtime=_RUNTIME["llama-cpp"] + _WORD_BYTES * shape.vocabulary,
    )


def _in_pytorch(
    name: str,
    shape: Shape,
    dtype: str,
    context: int,
    slots: int,
    device: str,
    file_bytes: int | None = None,
    unpacking: int = 0,
) -> MemoryEstimate:
    """Estimate by what transformers holds at most, with requests that fill the context.

    Weights: parameters x bits / 8; bitsandbytes leaves the embeddings in 16 bits. Keys and
    values: 2 x layers x kv_heads x head_dim x context x bytes a request, and as much again while
    they are copied to grow. Of a prompt, which is read at once: a few numbers a token and width.
    Where the file, of ``file_bytes``, holds the weights otherwise, both are held for a moment.
    ``unpacking`` bytes are held before, once, where a GGUF file is not unpacked yet.
    """
    bits = FLOATS.get(dtype)
    if bits is None:
        held = (shape.parameters - shape.embeddings) * QUANTIZED[dtype] / 8 + shape.embeddings * 2
    else:
        held = shape.parameters * bits / 8
    size = (bits or 16) / 8
    kv_cache = int(shape.kv_values * context * slots * size)
    activations = context * _ACTIVATIONS * (shape.hidden + shape.feed_forward) * size
    differs = file_bytes is not None and abs(file_bytes - held) > 0.02 * held
    on_gpu = device.startswith("cuda")
    loading = 0
    if not on_gpu:  # what is read before it is put on a GPU takes other memory
        loading = max(file_bytes if file_bytes and differs else 0, unpacking - int(held))
    return MemoryEstimate(
        name=name,
        device=device,
        dtype=dtype,
        parameters=shape.parameters,
        context_length=context,
        slots=slots,
        weights=int(held),
        kv_cache=kv_cache,
        compute=kv_cache + int(activations) + slots * shape.vocabulary * 4,
        runtime=_CUDA_RUNTIME
        if on_gpu
        else _RUNTIME["transformers"] + _WORD_BYTES * shape.vocabulary,
        loading=loading,
    )


# --- by name ---------------------------------------------------------------------------


def estimate_memory(
    name: str, *, context_length: int | None = None, slots: int | None = None
) -> MemoryEstimate:
    """Estimate what the backend called ``name`` takes, from its files' headers alone.

    Where its weights are not here, the hub is asked for their headers; where it does not answer,
    the number of parameters is read off the name. A hosted backend takes nothing here.

    Raises:
        BadInput: or one of its kinds: no backend is called so.
        MissingExtra: its packages are not installed.
    """
    provider, model = check_backend(name)
    context = context_length or settings().context_length
    if context < 1 or (slots is not None and slots < 1):
        raise BadInput(
            f"{slots} slots of {context} tokens cannot be estimated.", "Both are at least 1."
        )
    if provider == "llama-cpp":
        return _of_gguf(name, model, context, settings().slots if slots is None else slots)
    if provider == "transformers":
        # It adds requests to a batch only as far as there is memory for them: one must fit.
        return _of_folder(name, model, context, slots or 1)
    return MemoryEstimate(name, "elsewhere", "", 0, 0, 0, 0, 0, 0, 0)


def _of_gguf(name: str, model: str, context: int, slots: int) -> MemoryEstimate:
    notes: tuple[str, ...] = ()
    if model in CATALOGUE and not weights.is_here(model):
        size = CATALOGUE[model].bytes
        shape, notes = _guessed(CATALOGUE[model].hub_repo)
    else:
        path = weights.locate(model, download=False)
        size = path.stat().st_size
        try:
            shape = shapes.of_gguf(path)
        except ValueError:
            shape, notes = _guessed(path.name, size)
    made = _in_llama_cpp(name, shape, size, context, slots, "cpu")
    if _llama_cpp_has_gpu() and made.total <= free_memory("cuda"):
        made = replace(made, device="cuda")  # else what does not fit stays in RAM
    return replace(made, notes=notes)


def _guessed(name: str, size: int | None = None) -> tuple[Shape, tuple[str, ...]]:
    """Return the typical shape for the size in the name, or for a file's size at q4_k_m."""
    parameters = shapes.parameters_in(name) or (size and size * 8 / GGUF_KINDS["q4_k_m"]) or 0
    if not parameters:
        unknown = Shape(0, 0, 0, 0, 0, 0)
        return unknown, ("How large it is cannot be known before it is loaded.",)
    shape = shapes.typical(parameters)
    return shape, (f"Its headers are not here: layers and heads are those of {shape.like}.",)


def _of_folder(name: str, model: str, context: int, slots: int) -> MemoryEstimate:
    named = hf_names.parse(model)
    shape, file_bytes, notes = _read_folder(named.base)
    unpacking = _unpacking(named.base, shape)
    if unpacking:
        notes += (f"Its file is unpacked once, which takes {gib(unpacking)} for a moment.",)
        file_bytes = shape.parameters * 2  # as it will be: bfloat16
    device, dtype = _held(named.precision)
    if shape.context_length:
        context = min(context, shape.context_length)
    made = _in_pytorch(name, shape, dtype, context, slots, device, file_bytes, unpacking)
    adapter = _adapter_bytes(named.adapter)
    return replace(made, adapter=adapter, notes=notes)


def _unpacking(base: str, shape: Shape) -> int:
    """Return the bytes that unpacking a GGUF file takes; 0 where there is none, or it was done.

    transformers makes float32 of all weights beside the file that is mapped, then bfloat16.
    """
    if base not in CATALOGUE or (hf_names.unpacked_folder(base) / "config.json").is_file():
        return 0
    return shape.parameters * 4 + CATALOGUE[base].bytes


def _read_folder(base: str) -> tuple[Shape, int | None, tuple[str, ...]]:
    """Return the shape, the bytes of the files, and what was assumed."""
    folder = hf_names.unpacked_folder(base) if base in CATALOGUE else Path(base)
    if not (folder / "config.json").is_file() and base not in CATALOGUE:
        folder = _cached_folder(base) or folder
    try:
        if (folder / "config.json").is_file():
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            counted = [shapes.safetensors_parameters(one) for one in folder.glob("*.safetensors")]
            parameters = sum(count for count, _ in counted)
            if parameters:
                return (
                    shapes.of_config(config, parameters),
                    sum(size for _, size in counted),
                    (),
                )
        if base in CATALOGUE and weights.is_here(base):
            return shapes.of_gguf(weights.locate(base, download=False)), None, ()
    except (ValueError, OSError, MissingModel):
        pass
    asked = None if base in CATALOGUE or folder.is_dir() else _asked_of_hub(base)
    if asked is not None:
        return *asked, ()
    shape, notes = _guessed(CATALOGUE[base].hub_repo if base in CATALOGUE else base)
    return shape, None, notes


def _cached_folder(repo: str) -> Path | None:
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repo, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


@functools.lru_cache(maxsize=32)
def _asked_of_hub(repo: str) -> tuple[Shape, int] | None:
    """Read a few kilobytes of the hub: config.json, and the headers of the weights."""
    if settings().offline or importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import get_safetensors_metadata, hf_hub_download

    try:
        held = get_safetensors_metadata(repo).parameter_count
        config = json.loads(Path(hf_hub_download(repo, "config.json")).read_text(encoding="utf-8"))
        bytes_of = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1, "F8_E4M3": 1, "F64": 8}
        size = sum(count * bytes_of.get(kind, 2) for kind, count in held.items())
        return shapes.of_config(config, sum(held.values())), size
    except Exception:  # no network, no such model, one behind a gate: loading it will say which
        return None


def _held(precision: str | None) -> tuple[str, str]:
    """Return where PyTorch puts a model and how it holds the weights.

    Once PyTorch is loaded, as it is before a model is, it says so itself. Loading it for a table
    of estimates would take seconds: until then, it is told by the driver and the processor.
    """
    if "torch" not in sys.modules:
        device = settings().device or ("cuda" if shutil.which("nvidia-smi") else "cpu")
        best = settings().dtype or ("bf16" if device == "cuda" or _has_bf16() else "fp32")
        return device, _float(precision or best)
    from workbench.backends import hf_loading

    device = hf_loading.best_device()
    try:
        return device, _float(hf_loading.held_as(precision, device))
    except BackendError:  # 4-bit weights on a CPU: loading refuses them; their size is known
        return device, _float(precision or "fp32")


def _float(kind: str) -> str:
    kind = _SAME.get(kind, kind)
    return kind if kind in FLOATS or kind in QUANTIZED else "fp32"


@functools.cache
def _has_bf16() -> bool:
    """Say whether oneDNN computes in bfloat16 here: with AVX-512, or AVX-NE-CONVERT."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("flags")[2].split())
    except OSError:
        return False
    return {"avx512bw", "avx512vl", "avx512dq"} <= flags or "avx_ne_convert" in flags


def _adapter_bytes(adapter: str | None) -> int:
    if adapter is None:
        return 0
    folder = Path(adapter) if Path(adapter).is_dir() else _cached_folder(adapter)
    return sum(one.stat().st_size for one in folder.glob("*.safetensors")) if folder else 0


@functools.cache
def _llama_cpp_has_gpu() -> bool:
    if importlib.util.find_spec("xllamacpp") is None or shutil.which("nvidia-smi") is None:
        return False
    try:
        import xllamacpp
    except ImportError:
        return False
    return any("GPU" in str(one["type"]) for one in xllamacpp.get_device_info())


# --- what is free ----------------------------------------------------------------------


def free_memory(device: str = "cpu") -> int:
    """Return the bytes that are free on a device: "cpu" (and "mps", which shares it) or "cuda".

    Of RAM: what can be had without swapping, or what the control group of this process still
    may take, whichever is less. 0 where there is no such device.
    """
    if device.startswith("cuda"):
        return _free_on_gpu(int(device.partition(":")[2] or 0))
    free = int(psutil.virtual_memory().available)
    return max(0, min([free, *_free_in_groups()]))


def _free_on_gpu(number: int) -> int:
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and number < torch.cuda.device_count():
        return int(torch.cuda.mem_get_info(number)[0])
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    query = [command, "--query-gpu=memory.free", "--format=csv,noheader,nounits", "-i", str(number)]
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10)
        return int(told.stdout.split()[0]) * _MIB
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0


def _free_in_groups(
    root: Path = Path("/sys/fs/cgroup"), mine: Path = Path("/proc/self/cgroup")
) -> Iterable[int]:
    """Yield what each control group around this process leaves it (Linux, versions 1 and 2).

    The page cache of a group is given back when memory is wanted, so it does not count as taken.
    """
    try:
        lines = mine.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file")
            top = root
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            top = root / "memory"
        else:
            continue
        # In a container, the path may be the host's while the files lie at the top.
        inside = top / path.strip("/")
        for folder in (inside, *inside.parents):
            if (left := _left_in_group(folder, *names)) is not None:
                yield left
            if folder == top:
                break


def _left_in_group(folder: Path, limit: str, used: str, cache: str) -> int | None:
    try:
        most = int((folder / limit).read_text())
        taken = int((folder / used).read_text())
        told = (folder / "memory.stat").read_text().split()
    except (OSError, ValueError):  # "max": there is no limit
        return None
    reclaimable = dict(zip(told[::2], told[1::2], strict=False)).get(cache, "0")
    return most - max(0, taken - int(reclaimable))


# --- what to do where there is not enough ----------------------------------------------


def too_large(needed: MemoryEstimate, limit: int) -> TooLarge:
    """Return the error for a model that does not fit, with what would."""
    wanted = f"{needed.name} needs {gib(needed.total)} of memory"
    where = "" if needed.device == "cpu" else f" on {needed.device}"
    ways = what_fits(needed, limit)
    return TooLarge(
        f"{wanted}{where}, and {gib(max(0, limit))} are free.",
        f"What would fit: {'; '.join(ways[:MOST_WAYS]) or 'nothing here'}."
        " WORKBENCH_MEMORY sets the GiB that models may take.",
    )


def what_fits(needed: MemoryEstimate, limit: int) -> list[str]:
    """Say what of the same kind would fit into ``limit`` bytes, nearest to what was wanted first.

    Fewer slots, a shorter context, another number type, and then the models of the catalogue.
    """
    own = needed.name.partition("/")[0]
    names = [
        f"{provider}/{one}"
        for provider in sorted(LOCAL, key=lambda provider: provider != own)
        for one in CATALOGUE
        if CATALOGUE[one].kind == "generator"
    ]
    smaller = [
        name
        for name in names
        if (one := _or_none(name)) is not None
        and 0 < one.total <= limit
        and one.total < needed.total
    ]
    return [*_smaller(needed, limit), *smaller]


def _smaller(needed: MemoryEstimate, limit: int) -> Iterable[str]:
    a_slot = needed.kv_cache // max(1, needed.slots)
    if needed.slots > 1 and needed.total - needed.kv_cache + a_slot <= limit:
        room = limit - needed.total + needed.kv_cache
        yield f"WORKBENCH_SLOTS={max(1, min(needed.slots - 1, room // max(1, a_slot)))}"
    context = needed.context_length
    while context > 1024:
        context //= 2
        share = context / needed.context_length
        # Compute buffers stay as they are in llama.cpp, and shrink in PyTorch: at most too careful.
        if needed.total - needed.kv_cache * (1 - share) <= limit:
            yield f"WORKBENCH_CONTEXT_LENGTH={context}"
            break
    for dtype, bits in {**FLOATS, **QUANTIZED}.items():
        now = {**FLOATS, **QUANTIZED}.get(needed.dtype)
        if now is None or bits >= now or (dtype in QUANTIZED and needed.device == "cpu"):
            continue
        share = bits / now
        if needed.total - needed.weights * (1 - share) <= limit:
            yield f"{dtype} weights (+{dtype} behind the model)"


def _or_none(name: str) -> MemoryEstimate | None:
    try:
        return estimate_memory(name)
    except (WorkbenchError, OSError):  # not installed, or not here
        return None


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a backend takes on one device, in parts that several backends may share.

    The libraries are there once for all models of a provider, and the base model once for all
    adapters on top of it.
    """

    device: str
    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """All parts together, in bytes."""
        return sum(self.parts.values())


def together(footprints: Iterable[Footprint], device: str) -> int:
    """Return the bytes that they take on a device together, what they share counted once."""
    parts: dict[str, int] = {}
    for one in footprints:
        if one.device == device:
            for part, size in one.parts.items():
                parts[part] = max(size, parts.get(part, 0))
    return sum(parts.values())


def footprint(needed: MemoryEstimate, provider: str, model: str) -> Footprint:
    """Part an estimate into what is shared and what is the backend's own."""
    if not needed.total:
        return Footprint(needed.device, {})
    base = model
    if provider == "transformers":
        base = str(replace(hf_names.parse(model), adapter=None))
    parts = {f"{provider}, its libraries": needed.runtime, f"{provider}/{base}": needed.base}
    if needed.adapter:
        parts[f"{provider}/{model}"] = needed.adapter
    return Footprint(needed.device, parts)
