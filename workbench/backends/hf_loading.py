"""Bring weights into PyTorch: safetensors only, no code from the hub, and an identity for each.

A short name is the same GGUF file that llama.cpp reads, unpacked once to bfloat16 safetensors.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import struct
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from filelock import FileLock

from workbench import weights
from workbench.backends.hf_names import PRECISIONS, QUANTIZED, unpacked_folder
from workbench.errors import BackendError, MissingModel
from workbench.keys import public
from workbench.progress import bar, quiet_transformers
from workbench.settings import settings
from workbench.weights.catalogue import CATALOGUE

# Parts of it are untyped, and parts typed more narrowly than they are.
hf: Any = transformers

_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory. ``identity`` changes with its weights and with how they are held."""

    model: Any
    tokenizer: Any
    device: str
    identity: str


def load(base: str, precision: str | None) -> Loaded:
    """Load a short name, an id of the hub, or a folder, onto the best device or the one set.

    Raises:
        MissingModel: the weights are not to be had, or are no safetensors.
        BackendError: they cannot be put on the device.
    """
    device = best_device()
    kind = held_as(precision, device)
    source = str(_unpacked(base)) if base in CATALOGUE else base
    options: dict[str, Any] = {
        "trust_remote_code": False,
        "local_files_only": settings().offline,
    }
    if settings().threads:
        torch.set_num_threads(settings().threads or 1)
    with quiet_transformers():
        try:
            tokenizer = hf.AutoTokenizer.from_pretrained(source, **options)
            model = hf.AutoModelForCausalLM.from_pretrained(
                source, use_safetensors=True, **_placement(kind, device), **options
            )
            if kind not in QUANTIZED:
                model = model.to(device)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise MissingModel(
                f"transformers cannot load {base}: {first_sentence(error)}",
                "Name a hub id that can be reached, a folder with config.json, tokenizer and"
                " *.safetensors, or see: workbench models list",
            ) from error
        except (RuntimeError, AssertionError) as error:
            raise BackendError(
                f"{base} cannot be put on '{device}': {first_sentence(error)}",
                "Set WORKBENCH_DEVICE=cpu, or choose a smaller model.",
            ) from error
    return Loaded(model.eval(), tokenizer, device, f"{_revision(base, model)} {kind}")


def held_as(precision: str | None, device: str) -> str:
    """Return how weights are held: the name of a number type of PyTorch, "8bit" or "4bit".

    Raises:
        BackendError: the device cannot hold them so.
    """
    if precision in QUANTIZED and not device.startswith("cuda"):
        raise BackendError(
            f"{precision} weights need a CUDA GPU, and PyTorch runs on '{device}' here.",
            f"Leave '+{precision}' out, or take the GGUF file: llama-cpp/MODEL",
        )
    if precision in QUANTIZED:
        return precision
    dtype = best_dtype(device) if precision is None else PRECISIONS[precision]
    return str(dtype).removeprefix("torch.")


def best_device() -> str:
    """Return where PyTorch runs: what is set, or else cuda, mps or cpu, in this order."""
    chosen = settings().device
    if chosen:
        return chosen
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_dtype(device: str) -> torch.dtype:
    """Return the number type: what is set, or else bfloat16 where the device computes in it.

    Raises:
        BackendError: what is set is no number type of PyTorch.
    """
    chosen = settings().dtype
    if chosen:
        found = getattr(torch, chosen, None)
        if isinstance(found, torch.dtype):
            return found
        raise BackendError(
            f"WORKBENCH_DTYPE is '{chosen}', which PyTorch does not know.",
            "Set it to float32, bfloat16 or float16.",
        )
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device == "mps":
        return torch.float16
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def give_back_memory() -> None:
    """Return to the system what freed models still hold of this process's heap.

    glibc keeps what was freed in pieces below its threshold (32 MiB by then) for itself: after a
    model of 135 million parameters is unpacked, 285 MiB. Elsewhere only circles are collected.
    """
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end an answer: the model's and the tokenizer's."""
    found = model.generation_config.eos_token_id
    ends = [] if found is None else [found] if isinstance(found, int) else list(found)
    if tokenizer.eos_token_id is not None:
        ends.append(tokenizer.eos_token_id)
    return frozenset(ends)


def load_adapter(model: Any, folder: Path, name: str) -> str:
    """Lay a LoRA adapter over the model under ``name``; return an identity of its weights.

    Raises:
        BackendError: it belongs to another model.
    """
    # To lay several over one model, and to take them off, is what this is for.
    warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
    warnings.filterwarnings("ignore", message="Adapter .* was active which is now deleted")
    try:
        with quiet_transformers():
            report = model.load_adapter(str(folder), adapter_name=name, use_safetensors=True)
        # The weights of the adapters that are there already are reported as missing, too.
        missing = [key for key in report.missing_keys if f".{name}." in key]
        amiss = bool(missing or report.unexpected_keys or report.mismatched_keys)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        amiss, cause = True, first_sentence(error)
    else:
        cause = "its layers have other names or shapes."
    if amiss:
        if name in getattr(model, "peft_config", {}):
            model.delete_adapter(name)
        raise BackendError(
            f"The adapter {folder} does not fit {model.config.model_type}: {cause}",
            "Name the model that it was trained on.",
        )
    return f"lora={folder.name}@{_digest(folder)}"


def find_adapter(source: str) -> Path:
    """Return the folder of an adapter with weights that hold no code; the hub's is fetched.

    Raises:
        MissingModel: it is not to be had, or its weights are no safetensors.
    """
    folder = Path(source)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        try:
            found = snapshot_download(
                source, allow_patterns=list(_ADAPTER_FILES), local_files_only=settings().offline
            )
        except (OSError, ValueError) as error:
            raise MissingModel(
                f"The adapter {source} is not to be had: {first_sentence(error)}",
                "Check the name and the network, or name a folder.",
            ) from error
        folder = Path(found)
    missing = [file for file in _ADAPTER_FILES if not (folder / file).is_file()]
    if missing:
        raise MissingModel(
            f"The adapter {source} has no {' and no '.join(missing)}.",
            "Only safetensors are loaded: save it again with a recent peft.",
        )
    return folder


def _placement(kind: str, device: str) -> dict[str, Any]:
    if kind not in QUANTIZED:
        return {"dtype": getattr(torch, kind)}
    computed = best_dtype(device)
    if kind == "8bit":
        # LLM.int8() computes in float16; of another type it warns at every single product.
        computed = torch.float16
        config = hf.BitsAndBytesConfig(load_in_8bit=True)
    else:  # as in the paper of QLoRA (Dettmers et al. 2023), which nothing better has replaced
        config = hf.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=computed,
        )
    return {"dtype": computed, "quantization_config": config, "device_map": {"": device}}


def _revision(base: str, model: Any) -> str:
    """Identify the weights: the file's hash, the hub's commit, or a digest of the folder."""
    if base in CATALOGUE:
        return f"{base}@sha256:{CATALOGUE[base].files[0].sha256[:16]}"
    folder = Path(base)
    if folder.is_dir():
        return f"{folder.name}@{_digest(folder)}"
    return f"{base}@{getattr(model.config, '_commit_hash', None) or 'unknown'}"


def _digest(folder: Path) -> str:
    """Return a digest of a folder's settings and of its weights' headers, sizes and times.

    Gigabytes need not be read for it: whoever writes weights anew changes the time of the file.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".jinja", ".model"):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        elif path.suffix == ".safetensors":
            stat = path.stat()
            digest.update(f"{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
                digest.update(file.read(min(length, stat.st_size)))
    return digest.hexdigest()[:16]


def _unpacked(name: str) -> Path:
    """Return the model as a folder of safetensors; made once from the GGUF file of that name."""
    gguf = weights.locate(name)
    folder = unpacked_folder(name)
    with FileLock(folder.with_name(".transformers.lock")):
        if not (folder / "config.json").is_file():
            _unpack(gguf, folder)
    return folder


def _unpack(gguf: Path, folder: Path) -> None:
    half_made = folder.with_name(".transformers")
    with (
        bar(total=2, desc=f"{gguf.stem}: unpacking for PyTorch", unit="step") as steps,
        quiet_transformers(),
    ):
        source: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
        tokenizer = hf.AutoTokenizer.from_pretrained(gguf.parent, **source)
        steps.update()
        model = hf.AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            dtype=torch.bfloat16,
            quantization_config=hf.GgufConfig(gguf_file=gguf.name, dequantize=True),
            **source,
        )
        model.save_pretrained(half_made)
        tokenizer.save_pretrained(half_made)
        steps.update()
    del model
    give_back_memory()  # or it would stay beside the model that is loaded next
    half_made.replace(folder)


def first_sentence(error: Exception) -> str:
    """Return how a library's error begins, without keys, on one line."""
    line = (public(str(error)).strip() or type(error).__name__).splitlines()[0]
    return line.partition(". ")[0].rstrip(".") + "."
