"""The menu of backends: which providers there are, what each needs, and what a name means."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass

from workbench import weights
from workbench.backends import names
from workbench.errors import BadInput, MissingExtra, UnknownName
from workbench.keys import KEYS
from workbench.registry import Registry
from workbench.weights.catalogue import CATALOGUE

# Threads of one model that wait for each other burn a core by default. Two models at once, or a
# busy machine, then run ten to thirty times slower. OpenMP reads this when its library is loaded,
# by PyTorch or llama.cpp, so it has to be said before either is.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

BACKENDS = Registry("backend", "See: workbench models list")
BACKENDS.add(
    "llama-cpp",
    "workbench.backends.llama_cpp:LlamaCpp",
    "a local model through llama.cpp: a short name, or a .gguf file",
    extra="llama-cpp",
    needs="its weights",
)
BACKENDS.add(
    "transformers",
    "workbench.backends.huggingface:Transformers",
    "a local model through PyTorch: a short name, a hub id, or a folder",
    extra="transformers",
    needs="its weights",
)
for _provider, _who in (
    ("openai", "OpenAI"),
    ("anthropic", "Anthropic"),
    ("cohere", "Cohere"),
    ("google", "Google"),
    ("mistral", "Mistral"),
):
    BACKENDS.add(
        _provider,
        "workbench.backends.langchain:hosted",
        f"a model hosted by {_who}, through LangChain",
        extra="hosted",
        needs=KEYS[_provider],
    )
BACKENDS.add(
    "ollama",
    "workbench.backends.langchain:hosted",
    "a model of an Ollama server, here or at OLLAMA_HOST, through LangChain",
    extra="hosted",
    needs="a running Ollama with that model",
)
BACKENDS.add(
    "openai-compatible",
    "workbench.backends.openai_compatible:OpenAICompatible",
    "any server that speaks OpenAI's protocol: <model>@<url>",
    needs="a server; OPENAI_COMPATIBLE_API_KEY where it asks for a key",
)
BACKENDS.add(
    "retrieval",
    "workbench.backends.retrieval:BestHit",
    "answers with the best hit: the baseline that every model must beat",
    needs="a corpus",
)
BACKENDS.add(
    "replay",
    "workbench.backends.replay:Replay",
    "answers that were recorded in a file: <file> or <file>#<model>",
    needs="a recording",
)

HOSTED = ("openai", "anthropic", "cohere", "google", "mistral", "ollama")
"""The providers that are reached through LangChain's chat models."""

_FORMS = {
    **{provider: f"{provider}/MODEL" for provider in HOSTED},
    "llama-cpp": "llama-cpp/PATH.gguf",
    "transformers": "transformers/OWNER/NAME",
    "openai-compatible": "openai-compatible/MODEL@URL",
    "replay": "replay/FILE",
}
_SHORT = ("llama-cpp", "transformers")
_PACKAGES = {
    "llama-cpp": ("xllamacpp",),
    "transformers": ("torch", "transformers", "gguf"),
    "openai": ("langchain", "langchain_openai"),
    "anthropic": ("langchain", "langchain_anthropic"),
    "cohere": ("langchain", "langchain_cohere"),
    "google": ("langchain", "langchain_google_genai"),
    "mistral": ("langchain", "langchain_mistralai"),
    "ollama": ("langchain", "langchain_ollama"),
}

_CHECKS: dict[str, Callable[[str], str]] = {
    "llama-cpp": names.gguf,
    "transformers": names.pytorch,
    **dict.fromkeys(HOSTED, names.hosted),
    "openai-compatible": names.endpoint,
    "retrieval": names.nothing,
    "replay": names.recording,
}


def check_backend(name: str) -> tuple[str, str]:
    """Find what is wrong with a name without loading anything; return provider and model.

    Two names of one model come out alike.

    Raises:
        BadInput: or one of its kinds, with the nearest right name where one is wrong.
        MissingModel: it names a file that does not exist.
        MissingExtra: its packages are not installed.
    """
    provider, model = split_name(name)
    entry = BACKENDS.entry(provider)
    if entry.extra is not None and not is_installed(provider):
        raise MissingExtra(f"Backend {provider}", entry.extra)
    return provider, _CHECKS[provider](model)


def is_installed(provider: str) -> bool:
    """Say whether the packages that a provider needs are installed."""
    return all(importlib.util.find_spec(package) for package in _PACKAGES.get(provider, ()))


def split_name(name: str) -> tuple[str, str]:
    """Split ``provider/model`` at the first slash; the model is empty where there is none.

    Raises:
        UnknownName: there is no such provider.
        BadInput: the provider needs a model and none is named.
    """
    provider, _, model = name.strip().partition("/")
    if provider not in BACKENDS:
        known = [entry.name for entry in BACKENDS]
        models = [f"{one}/{model}" for one in _SHORT for model in names.generators()]
        raise UnknownName("backend", name, [*known, *models], "See: workbench models list")
    if not model and provider != "retrieval":
        raise BadInput(
            f"The backend '{name}' names no model.",
            f"Write: {provider}/MODEL ({BACKENDS.entry(provider).summary})",
        )
    return provider, model


@dataclass(frozen=True, slots=True)
class Available:
    """One row of ``workbench models list``.

    ``weights_here`` is None where there are no weights to have; ``bytes`` is their size. Where
    ``form`` is True, the capitals of ``name`` stand for what a user fills in.
    """

    name: str
    form: bool
    summary: str
    needs: str
    installed: bool
    weights_here: bool | None
    bytes: int | None


def available() -> list[Available]:
    """Return what can answer on this machine, and what each needs."""
    rows: list[Available] = []
    for entry in BACKENDS:
        installed = is_installed(entry.name)
        missing = "" if installed else f"; pip install 'code-workbench[{entry.extra}]'"
        for model in names.generators() if entry.name in _SHORT else ():
            pinned, here = CATALOGUE[model], weights.is_here(model)
            needs = "" if here else f"workbench models pull {model}"
            rows.append(
                Available(
                    f"{entry.name}/{model}",
                    False,
                    f"{pinned.title}. {pinned.note}",
                    f"{needs}{missing}".strip("; "),
                    installed,
                    here,
                    pinned.bytes,
                )
            )
        name = _FORMS.get(entry.name, entry.name)
        needs = f"{entry.needs}{missing}"
        rows.append(
            Available(name, entry.name in _FORMS, entry.summary, needs, installed, None, None)
        )
    return rows
