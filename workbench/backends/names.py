"""What the part of a backend's name behind the provider may be, checked without loading anything.

Each function returns what decides which model is meant, so that two names of one file come out
alike, and raises a BadInput or MissingModel that says how to mend the name.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from workbench.backends import hf_names
from workbench.errors import BadInput, MissingModel, UnknownName
from workbench.settings import settings
from workbench.weights.catalogue import CATALOGUE

_ENDPOINT = re.compile(r"(?P<model>.+?)@(?P<url>https?://\S+)")
_LIST = "See: workbench models list"


def gguf(model: str) -> str:
    """Accept the short name of a text model, or the path of a .gguf file.

    Raises:
        UnknownName: no model is called so.
        MissingModel: there is no such file.
    """
    if model in generators():
        return model
    path = Path(model).expanduser()
    if path.is_file():
        return _short_name_of(path) or str(path.resolve())
    if path.suffix == ".gguf" or os.sep in model:
        raise MissingModel(f"There is no model file {path}.", f"Check the path. {_LIST}")
    raise UnknownName("model", model, generators(), _LIST)


def pytorch(model: str) -> str:
    """Accept the short name of a text model, a hub id (``owner/name``), or a folder.

    Modifiers may follow, as in ``smollm2-135m+bf16+lora=FOLDER``: see ``hf_names``.

    Raises:
        UnknownName: no model, or no modifier, is called so.
        MissingModel: there is no such folder.
        BadInput: two modifiers exclude each other.
        MissingExtra: what a modifier needs is not installed.
    """
    named = hf_names.parse(model)
    return str(replace(named, base=_pytorch_base(named.base)))


def _pytorch_base(model: str) -> str:
    if model in generators():
        return model
    path = Path(model).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if hf_names.HUB_ID.fullmatch(model):
        return model
    if os.sep in model:
        raise MissingModel(f"There is no model folder {path}.", f"Check the path. {_LIST}")
    raise UnknownName("model", model, generators(), _LIST)


def endpoint(model: str) -> str:
    """Accept ``<model>@<url>``.

    Raises:
        BadInput: it is something else, or the url carries a password.
    """
    found = _ENDPOINT.fullmatch(model)
    if found is None:
        raise BadInput(
            "An openai-compatible backend is named by its model and its server.",
            "Write: openai-compatible/<model>@http://localhost:8000/v1",
        )
    if "@" in found["url"].partition("://")[2].partition("/")[0]:
        raise BadInput(
            "The url of an openai-compatible backend carries a name or password.",
            "Put the key into OPENAI_COMPATIBLE_API_KEY instead.",
        )
    return f"{found['model']}@{found['url'].rstrip('/')}"


def hosted(model: str) -> str:
    """Accept any name: only the provider knows its models.

    Raises:
        BadInput: it holds white space.
    """
    if model.split() != [model]:
        raise BadInput(f"'{model}' is no model's name.", "Write it as the provider does.")
    return model


def recording(model: str) -> str:
    """Accept ``<file>`` or ``<file>#<model>``.

    Raises:
        MissingModel: there is no such file.
    """
    file, mark, recorded = model.rpartition("#")
    if not mark or Path(model).expanduser().is_file():
        file, recorded = model, ""
    path = Path(file).expanduser()
    if not path.is_file():
        raise MissingModel(
            f"There is no recording {path}.",
            "Record one: Recorder(load_backend('llama-cpp/qwen2.5-coder-0.5b'), 'FILE.jsonl')",
        )
    return f"{path.resolve()}#{recorded}" if recorded else str(path.resolve())


def nothing(model: str) -> str:
    """Accept no model.

    Raises:
        BadInput: one is named.
    """
    if model:
        raise BadInput(f"This backend takes no model, and '{model}' was named.", "Leave it out.")
    return model


def _short_name_of(path: Path) -> str | None:
    for name in generators():
        official = settings().models / name / CATALOGUE[name].files[0].path
        if official.exists() and official.samefile(path):
            return name
    return None


def generators() -> list[str]:
    """Return the short names of the text models."""
    return [name for name, model in CATALOGUE.items() if model.kind == "generator"]
