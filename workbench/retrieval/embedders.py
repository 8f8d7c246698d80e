"""The menu of embedders, and what decides the vectors of each.

Making an embedder is cheap: its fingerprint is known from the pinned weights alone, so that an
unchanged index is recognised without importing torch. The model is loaded by the first encode.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from workbench.errors import BadInput, MissingModel, UnknownName
from workbench.registry import Registry
from workbench.retrieval.hub_models import TUNING_RECORD, bring, digest, resolve, state
from workbench.retrieval.text import encodable
from workbench.retrieval.unit import unit_rows
from workbench.settings import settings
from workbench.weights import is_here, locate
from workbench.weights.catalogue import CATALOGUE

if TYPE_CHECKING:
    from workbench.types import Embedder, TextKind, Vectors

    Encode = Callable[[Sequence[str], TextKind], Vectors]

_LIST = "List them: workbench models list"

# ``needs`` is the short name of the weights, as ``workbench models pull`` takes it, or a key.
EMBEDDERS = Registry("embedder", _LIST)


def _add(name: str, summary: str, needs: str = "", takes: str = "", extra: str = "") -> None:
    target = f"{__name__}:{name.replace('-', '_')}"
    EMBEDDERS.add(name, target, summary, extra=extra or "retrieval", needs=needs, takes=takes)


_add(
    "static",
    "WordLlama: mean of token vectors, no network layers; the fastest. Or any model2vec model",
    "wordllama",
    takes="ID_OR_FOLDER",
)
_add("minilm", "all-MiniLM-L6-v2 through PyTorch, 256 tokens", "minilm")
_add("gte-small", "gte-small through ONNX runtime, 512 tokens", "gte-small")
_add("mpnet", "all-mpnet-base-v2 through PyTorch, 384 tokens; slow", "mpnet")
_add("granite-30m", "granite-embedding-30m-english through PyTorch, 512 tokens", "granite-30m")
_add(
    "embeddinggemma-300m",
    "EmbeddingGemma through PyTorch, 2048 tokens; the slowest. Gemma's terms of use hold",
    "embeddinggemma-300m",
)
_add(
    "sentence-transformers",
    "any sentence-transformers model of the hub or a folder",
    takes="ID_OR_FOLDER",
)
_add("onnx", "any ONNX export with its tokenizer.json", takes="ID_OR_FOLDER")
_add("tuned", "what workbench tune-embedder made here", takes="NAME")
_add("openai", "OpenAI, or a server like it", "OPENAI_API_KEY", "MODEL", "hosted")
_add("cohere", "Cohere", "COHERE_API_KEY", "MODEL", "hosted")

RUNTIMES = Registry("embedding runtime")
RUNTIMES.add("torch", "workbench.retrieval.runtime_torch:open_model", "PyTorch", extra="retrieval")
RUNTIMES.add("onnx", "workbench.retrieval.runtime_onnx:open_model", "ONNX", extra="retrieval")
RUNTIMES.add(
    "static", "workbench.retrieval.runtime_static:open_model", "model2vec", extra="retrieval"
)

_ALIASES = {"static/wordllama": "static"}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_PACKAGES = {"retrieval": "sentence_transformers", "hosted": "langchain_openai"}
_DTYPES = ("float32", "bfloat16", "float16")
# What a fingerprint of an unnamed object is taken from; its vector stands for the model.
_PROBE = "def reverse(items):\n    return items[::-1]"

_loaded: dict[str, Embedder] = {}
_registered: dict[str, Embedder] = {}
_loading = threading.Lock()


def load_embedder(name: str) -> Embedder:
    """Return the embedder called ``name``: the same object each time, as long as it is the same.

    Where its folder was changed, an embedder with another fingerprint is returned.

    Raises:
        UnknownName: no embedder is called so; offers the nearest right names.
        BadInput: the name lacks its model.
        MissingExtra: its packages are not installed.
        MissingKey: it runs on a server whose key is not set.
        MissingModel: its weights are not to be had. The packaged ones say so on first encode.
    """
    name = canonical_name(name)
    with _loading:
        if name in _registered:
            return _registered[name]
        found = _loaded.get(name)
        if found is None or (isinstance(found, LazyEmbedder) and not found.is_current()):
            provider, _, model = name.partition("/")
            factory = EMBEDDERS.load(provider)
            found = _loaded[name] = factory(model) if model else factory()
        return found


def canonical_name(name: str) -> str:
    """Return the one name of an embedder that has several; a folder is named by its whole path.

    Raises:
        UnknownName: no embedder is called so.
    """
    name = _ALIASES.get(name, name)
    if name in EMBEDDERS or name in _registered:
        return name
    provider, _, model = name.partition("/")
    takes = EMBEDDERS.entry(provider).takes if provider in EMBEDDERS else ""
    folder = Path(model).expanduser()
    if takes == "ID_OR_FOLDER" and model and folder.is_dir():
        return f"{provider}/{folder.resolve()}"
    # An id of the hub is owner/name: asking the hub for a misspelt name takes seconds.
    if not model or not takes or (takes == "ID_OR_FOLDER" and "/" not in model):
        known = [*(entry.name for entry in EMBEDDERS), *_ALIASES, *_registered]
        raise UnknownName("embedder", name if provider in EMBEDDERS else provider, known, _LIST)
    return name


def register_embedder(name: str, embedder: object, fingerprint: str | None = None) -> Embedder:
    """Make an embedder known by ``name`` in this process, and return it as an Embedder.

    ``embedder`` is one of the workbench's or LangChain's ``Embeddings``. ``fingerprint`` names
    what decides its vectors; without it, LangChain's class, model and settings, and the length of
    its vectors. Of an object that names no model the vector of a fixed text is taken instead.

    Raises:
        BadInput: the name is taken or cannot be one, or the object is no embedder.
    """
    if name in EMBEDDERS or name in _ALIASES or not _NAME.fullmatch(name):
        raise BadInput(
            f"An embedder cannot be registered as '{name}'.",
            "Choose a name of letters, digits, dots and dashes that no other embedder has.",
        )
    made = _as_embedder(embedder, name, fingerprint)
    with _loading:
        _registered[name] = made
    return made


def adopt(embedder: object) -> str:
    """Return the name that ``load_embedder`` takes, of a name or of an object.

    An object is registered under its class and the start of its fingerprint's hash.

    Raises:
        UnknownName: no embedder is called so.
        BadInput: the object is no embedder, or nothing says which model it uses.
    """
    if isinstance(embedder, str):
        return canonical_name(embedder)
    made = _as_embedder(embedder, None, None)
    short = hashlib.sha256(made.fingerprint.encode()).hexdigest()[:8]
    name = f"{type(embedder).__name__.strip('_')}-{short}"
    with _loading:
        _registered[name] = made
    return name


class LazyEmbedder:
    """An embedder whose model is loaded by its first encode, and used by one thread at a time.

    One at a time, because tokenizers keep their truncation and padding as state. ``folder`` is
    watched: where its files are no longer those that the fingerprint was taken from, the model
    is not loaded from them.
    """

    def __init__(
        self, fingerprint: str, open_model: Callable[[], Encode], folder: Path | None = None
    ) -> None:
        self.fingerprint = fingerprint
        self._open_model = open_model
        self._encode: Encode | None = None
        self._lock = threading.Lock()
        self._folder = folder
        self._state = None if folder is None else state(folder)

    def is_current(self) -> bool:
        """Say whether the folder, where there is one, holds the files of the fingerprint."""
        return self._folder is None or state(self._folder) == self._state

    def encode(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        """Return float32[len(texts), dim] with rows of unit length.

        Raises:
            MissingModel: the weights are not here and cannot be fetched, or were changed.
            MissingExtra: the packages that run the model are not installed.
            MissingKey: a server refuses its key.
            BackendError: a server failed.
        """
        with self._lock:
            if self._encode is None:
                opened = self._open_model()
                if not self.is_current():
                    raise MissingModel(
                        f"The files of {self._folder} changed while they were used.",
                        "Call again: the changed model is another embedder.",
                    )
                self._encode = opened
            if not texts:
                return self._encode(["nothing"], kind)[:0]
            return self._encode([encodable(text) for text in texts], kind)

    def __repr__(self) -> str:
        return f"<Embedder {self.fingerprint}>"


# --- the packaged ones ------------------------------------------------------------------


def static(model: str = "") -> Embedder:
    """Make the embedder that takes the mean of token vectors: WordLlama's, or a model2vec's.

    Raises:
        MissingModel: the folder or the id cannot be read.
    """
    if not model:
        return _packaged("wordllama", "static", "mean of tokens")
    found = resolve(model)
    patterns = ("*.json", "*.safetensors")
    return LazyEmbedder(
        f"static/{found.identity}, float32",
        lambda: _runtime("static")(bring(found, patterns), packaged=False),
        found.folder,
    )


def minilm() -> Embedder:
    """Make all-MiniLM-L6-v2, in 16 bits where that is faster.

    With AVX512-BF16, bfloat16 is 2.7 times as fast as float32 (207 to 76 texts/s) at equal
    quality (``tests/benchmarks/retrieval.md``); without, it is slower.
    """
    return _sixteen_bits("minilm", "mean, 256 tokens")


def mpnet() -> Embedder:
    """Make all-mpnet-base-v2: mean pooling over 384 tokens, no prefixes, as its card says."""
    return _sixteen_bits("mpnet", "mean, 384 tokens")


def granite_30m() -> Embedder:
    """Make granite-embedding-30m-english: the first token's vector of 512, no prefixes."""
    return _sixteen_bits("granite-30m", "first token, 512 tokens")


def embeddinggemma_300m() -> Embedder:
    """Make EmbeddingGemma, with its own prefixes for queries and documents.

    In 16 bits only as bfloat16: its numbers leave the range of float16, as its card says.
    """
    return _sixteen_bits("embeddinggemma-300m", "mean, dense, 2048 tokens", on_gpu="bfloat16")


def gte_small() -> Embedder:
    """Make gte-small: mean pooling over 512 tokens, no prefixes, as its model card says."""
    return _packaged("gte-small", "onnx", "mean, 512 tokens, float32", longest=512)


def _sixteen_bits(weights: str, pooling: str, on_gpu: str = "float16") -> Embedder:
    dtype = _dtype(on_gpu)
    return _packaged(weights, "torch", f"{pooling}, {dtype}", dtype=dtype)


def _packaged(weights: str, runtime: str, pooling: str, **options: Any) -> Embedder:
    pinned = CATALOGUE[weights]
    files = "".join(f"{file.path}:{file.sha256};" for file in pinned.files)
    key = hashlib.sha256(files.encode()).hexdigest()[:16]
    return LazyEmbedder(
        f"{weights}@{key}, {runtime}, {pooling}",
        lambda: _runtime(runtime)(locate(weights, download=not pinned.terms), **options),
    )


# --- any other --------------------------------------------------------------------------


def sentence_transformers(
    model: str = "", *, prompts: Mapping[TextKind, str] | None = None
) -> Embedder:
    """Make an embedder of any sentence-transformers model: a folder, or an id of the hub.

    Its own prompts for queries and documents are used unless ``prompts`` gives others. It runs
    in float32 unless WORKBENCH_DTYPE says otherwise: what 16 bits do to it was not measured.
    Code in a model's folder is never run.

    Raises:
        BadInput: no model was named.
        MissingModel: the folder or the id cannot be read.
    """
    found = resolve(_named("sentence-transformers", model))
    dtype = _chosen_dtype() or "float32"
    return LazyEmbedder(
        f"sentence-transformers/{found.identity}, {dtype}{_shown(prompts)}",
        lambda: _runtime("torch")(
            found.source, revision=found.revision, dtype=dtype, prompts=prompts
        ),
        found.folder,
    )


def onnx(model: str = "", *, prompts: Mapping[TextKind, str] | None = None) -> Embedder:
    """Make an embedder of an ONNX export with a tokenizer.json: a folder, or an id of the hub.

    Pooling, length and prompts are those of its sentence-transformers files; without them, the
    mean over 512 tokens.

    Raises:
        BadInput: no model was named.
        MissingModel: the folder or the id cannot be read.
    """
    found = resolve(_named("onnx", model))
    patterns = ("*.json", "onnx/model.onnx*", "model.onnx*")
    return LazyEmbedder(
        f"onnx/{found.identity}, float32{_shown(prompts)}",
        lambda: _runtime("onnx")(bring(found, patterns), prompts=prompts),
        found.folder,
    )


def tuned(name: str = "") -> Embedder:
    """Make an embedder that was tuned here, known by the contents of its folder.

    Raises:
        BadInput: none was named.
        UnknownName: none is called so.
    """
    folder = _tuned_folder() / _named("tuned", name, "NAME")
    if not _NAME.fullmatch(name) or not folder.is_dir():
        raise UnknownName("tuned embedder", name, _tuned(), _LIST)
    dtype = _dtype()
    return LazyEmbedder(
        f"tuned/{name}@{digest(folder)}, {dtype}",
        lambda: _runtime("torch")(folder, dtype=dtype),
        folder,
    )


def openai(model: str = "") -> Embedder:
    """Make an embedder of OpenAI's, or of the server that OPENAI_BASE_URL names.

    Raises:
        BadInput: no model was named.
        MissingExtra: its package is not installed.
        MissingKey: OPENAI_API_KEY is not set.
    """
    return _hosted("openai", model)


def cohere(model: str = "") -> Embedder:
    """Make an embedder of Cohere's, or of the server that CO_API_URL names.

    Raises:
        BadInput: no model was named.
        MissingExtra: its package is not installed.
        MissingKey: COHERE_API_KEY is not set.
    """
    return _hosted("cohere", model)


def _hosted(provider: str, model: str) -> Embedder:
    from workbench.langchain import from_embeddings, hosted_embeddings, server_label

    embeddings = hosted_embeddings(provider, _named(provider, model, "MODEL"))
    return LazyEmbedder(
        f"{provider}/{model} at {server_label(provider)}",
        lambda: _unit(from_embeddings(embeddings)),
    )


def _as_embedder(embedder: object, name: str | None, fingerprint: str | None) -> Embedder:
    if hasattr(embedder, "embed_documents") and hasattr(embedder, "embed_query"):
        return _from_langchain(embedder, name, fingerprint)
    if not hasattr(embedder, "encode") or not (fingerprint or hasattr(embedder, "fingerprint")):
        raise BadInput(
            f"A {type(embedder).__name__} is no embedder.",
            "It needs encode(texts, kind) and a fingerprint, or be one of LangChain's Embeddings.",
        )
    ours = cast("Embedder", embedder)
    return LazyEmbedder(fingerprint, lambda: ours.encode) if fingerprint else ours


def _from_langchain(embeddings: Any, name: str | None, fingerprint: str | None) -> Embedder:
    from workbench.langchain import from_embeddings, identity, model_of

    encode = _unit(from_embeddings(embeddings))
    if fingerprint:
        return LazyEmbedder(fingerprint, lambda: encode)
    known, kind = identity(embeddings), type(embeddings).__name__
    if known is None and name is None:
        raise BadInput(
            f"Nothing says which model this {kind} uses.",
            "Give it a name: register_embedder(NAME, it).",
        )
    probe = encode([_PROBE], "document")[0]
    if known is None:
        known = f"{name}, {kind}, {hashlib.sha256(probe.round(2).tobytes()).hexdigest()[:16]}"
    folder = Path(model_of(embeddings) or "?").expanduser()
    files = f"@{digest(folder)}" if folder.is_dir() else ""
    return LazyEmbedder(f"langchain {known}{files}, {len(probe)} dimensions", lambda: encode)


def _unit(encode: Encode) -> Encode:
    return lambda texts, kind: unit_rows(encode(texts, kind))


def _named(provider: str, model: str, form: str = "ID_OR_FOLDER") -> str:
    if not model:
        raise BadInput(f"Which {provider} model?", f"Name it: {provider}/{form}")
    return model


def _shown(prompts: Mapping[TextKind, str] | None) -> str:
    return "".join(f", {kind} {text!r}" for kind, text in sorted((prompts or {}).items()))


def _runtime(name: str) -> Callable[..., Encode]:
    return cast("Callable[..., Encode]", RUNTIMES.load(name))


def base_of(name: str) -> str:
    """Return the embedder that a tuned one was made from, and the name of any other."""
    try:
        folder = _tuned_folder() / name.removeprefix("tuned/")
        record = json.loads((folder / TUNING_RECORD).read_bytes())
        return str(record["base"]) if name.startswith("tuned/") else name
    except (OSError, ValueError, KeyError, TypeError):
        return name


def _tuned_folder() -> Path:
    return settings().home / "embedders"


def _tuned() -> list[str]:
    return sorted(path.name for path in _tuned_folder().glob("[!.]*") if path.is_dir())


# --- which number type ------------------------------------------------------------------


def _dtype(on_gpu: str = "float16") -> str:
    """Choose the number type for a model of which 16 bits were measured to be exact enough."""
    chosen = _chosen_dtype()
    if chosen:
        return chosen
    if has_gpu():
        return on_gpu
    return "bfloat16" if multiplies_bfloat16() else "float32"


def _chosen_dtype() -> str | None:
    chosen = settings().dtype
    if chosen and chosen not in _DTYPES:
        raise BadInput(
            f"WORKBENCH_DTYPE is {chosen}, which embedders do not know.",
            f"Set it to one of {', '.join(_DTYPES)}, or unset it.",
        )
    return chosen


def has_gpu() -> bool:
    """Say whether PyTorch will run on an NVIDIA GPU, without importing it to ask."""
    device = settings().device
    if device:
        return device.startswith("cuda")
    try:
        return Path("/dev/nvidiactl").exists() and "+cpu" not in version("torch")
    except PackageNotFoundError:
        return False


@cache
def multiplies_bfloat16() -> bool:
    """Say whether this processor has bfloat16 products, without importing torch to ask."""
    flags = Path("/proc/cpuinfo")
    try:
        text = flags.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False  # not Linux: float32 is right everywhere, only slower on some
    return "avx512_bf16" in text or "amx_bf16" in text


# --- what is here -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Available:
    """One row of ``workbench models list``: ``here`` says whether it works now.

    Where ``form`` is True, the capitals of ``name`` stand for what a user fills in.
    """

    name: str
    form: bool
    here: bool
    needs: str
    summary: str


def available() -> list[Available]:
    """Return the embedders of this machine, and what each lacks. Looks at names and sizes only."""
    rows: list[Available] = []
    for entry in EMBEDDERS:
        lacks = _lacks(entry.extra, entry.needs)
        if not entry.takes or entry.needs in CATALOGUE:
            rows.append(Available(entry.name, False, not lacks, lacks, entry.summary))
        if entry.takes:
            lacks = _lacks(entry.extra, "" if entry.needs in CATALOGUE else entry.needs)
            form = f"{entry.name}/{entry.takes}"
            rows.append(Available(form, True, not lacks, lacks, entry.summary))
    rows += [Available(f"tuned/{name}", False, True, "", "tuned here") for name in _tuned()]
    rows += [
        Available(name, False, True, "", f"registered: {one.fingerprint}")
        for name, one in _registered.items()
    ]
    return rows


def _lacks(extra: str | None, needs: str) -> str:
    missing = []
    if needs in CATALOGUE:
        if not is_here(needs):
            missing.append(f"workbench models pull {needs}")
    elif needs and not os.environ.get(needs):
        missing.append(f"set {needs}")
    if extra and importlib.util.find_spec(_PACKAGES[extra]) is None:
        missing.append(f"pip install 'code-workbench[{extra}]'")
    return "; ".join(missing)
