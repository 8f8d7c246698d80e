"""The modifiers behind a model's name, ``MODEL+4bit+lora=FOLDER``, and where a short one's lies."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import BadInput, MissingExtra, MissingModel, UnknownName
from workbench.settings import settings

PRECISIONS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "8bit": "", "4bit": ""}
"""The modifiers that say how weights are held, with PyTorch's name where it has one."""

QUANTIZED = ("8bit", "4bit")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_LORA = "lora="


@dataclass(frozen=True, slots=True)
class ModelName:
    """A base model, how its weights are held (None: as is best here), and the adapter on top."""

    base: str
    precision: str | None = None
    adapter: str | None = None

    def __str__(self) -> str:
        """Write the name in its one canonical order."""
        precision = f"+{self.precision}" if self.precision else ""
        return f"{self.base}{precision}" + (f"+{_LORA}{self.adapter}" if self.adapter else "")


def unpacked_folder(name: str) -> Path:
    """Return where the GGUF file of a short name is, or will be, unpacked for PyTorch."""
    return settings().models / name / "transformers"


def parse(model: str) -> ModelName:
    """Take a name apart; the base is returned as it was written.

    No id of the hub holds a ``+``. A folder may: the longest one that exists is meant.

    Raises:
        UnknownName: there is no such modifier; the message names the nearest.
        BadInput: two modifiers of one kind.
        MissingModel: the adapter is neither a folder nor an id of the hub.
        MissingExtra: what the modifier needs is not installed.
    """
    base, rest = _longest_folder(model.split("+"))
    precision: str | None = None
    adapter: str | None = None
    while rest:
        if rest[0].startswith(_LORA):
            _insist_on_one(adapter, "adapter", model)
            value, rest = _longest_folder([rest[0].removeprefix(_LORA), *rest[1:]])
            adapter = _adapter(value)
        elif rest[0] in PRECISIONS:
            _insist_on_one(precision, "number type", model)
            precision, rest = rest[0], rest[1:]
        else:
            known = [*PRECISIONS, f"{_LORA}FOLDER"]
            raise UnknownName("modifier", rest[0], known, "See: workbench models list")
    _insist_on_packages(precision, adapter)
    return ModelName(base, precision, adapter)


def _longest_folder(parts: Sequence[str]) -> tuple[str, list[str]]:
    """Join as many parts as name a folder that exists, or else take the first."""
    for count in range(len(parts), 1, -1):
        joined = "+".join(parts[:count])
        if Path(joined).expanduser().is_dir():
            return joined, list(parts[count:])
    return parts[0], list(parts[1:])


def _adapter(value: str) -> str:
    path = Path(value).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if HUB_ID.fullmatch(value):
        return value
    raise MissingModel(
        f"There is no adapter folder '{path}'.",
        f"Write: {_LORA}FOLDER with adapter_config.json and adapter_model.safetensors, or"
        f" {_LORA}OWNER/NAME of the hub.",
    )


def _insist_on_one(before: str | None, what: str, model: str) -> None:
    if before is not None:
        raise BadInput(f"'{model}' names more than one {what}.", "Name one.")


def _insist_on_packages(precision: str | None, adapter: str | None) -> None:
    if precision in QUANTIZED and importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtra(f"{precision.removesuffix('bit')}-bit weights", "quantize")
    if adapter is not None and importlib.util.find_spec("peft") is None:
        raise MissingExtra("LoRA adapters", "transformers")
