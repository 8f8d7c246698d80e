"""The menu of embedders, and what decides the vectors of each.

Making an embedder is cheap: its fingerprint is known from the pinned weights alone, so that an
unchanged index is recognised without importing torch. The model is loaded by the first encode.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from workbench.errors import BadInput, UnknownName
from workbench.registry import Registry
from workbench.retrieval.text import encodable
from workbench.weights import locate
from workbench.weights.catalogue import CATALOGUE

if TYPE_CHECKING:
    from workbench.types import Embedder, TextKind, Vectors

    Encode = Callable[[Sequence[str], TextKind], Vectors]

# ``needs`` is the short name of the weights, as ``workbench models pull`` takes it.
EMBEDDERS = Registry("embedder", "List them: workbench models list")
EMBEDDERS.add(
    "static",
    f"{__name__}:static",
    "WordLlama: mean of token vectors, no network layers; the fastest",
    extra="retrieval",
    needs="wordllama",
)
EMBEDDERS.add(
    "minilm",
    f"{__name__}:minilm",
    "all-MiniLM-L6-v2 through PyTorch, 256 tokens",
    extra="retrieval",
    needs="minilm",
)
EMBEDDERS.add(
    "gte-small",
    f"{__name__}:gte_small",
    "gte-small through ONNX runtime, 512 tokens",
    extra="retrieval",
    needs="gte-small",
)
EMBEDDERS.add(
    "sentence-transformers",
    f"{__name__}:sentence_transformer",
    "any model of the hub or a folder: sentence-transformers/<id or folder>",
    extra="retrieval",
    needs="the hub, or a folder",
)

RUNTIMES = Registry("embedding runtime")
RUNTIMES.add("torch", "workbench.retrieval.runtime_torch:open_model", "PyTorch", extra="retrieval")
RUNTIMES.add("onnx", "workbench.retrieval.runtime_onnx:open_model", "ONNX", extra="retrieval")
RUNTIMES.add(
    "static", "workbench.retrieval.runtime_static:open_model", "model2vec", extra="retrieval"
)

_ALIASES = {"static/wordllama": "static"}
_TAKES_MODEL = "sentence-transformers"

_loaded: dict[str, Embedder] = {}
_loading = threading.Lock()


def load_embedder(name: str) -> Embedder:
    """Return the embedder called ``name``, the same object each time in this process.

    Raises:
        UnknownName: no embedder is called so; offers the nearest right names.
        MissingExtra: its packages are not installed.
        MissingModel: its weights are not to be had. The packaged ones say so on first encode.
    """
    name = canonical_name(name)
    with _loading:
        if name not in _loaded:
            provider, _, model = name.partition("/")
            factory = EMBEDDERS.load(provider)
            _loaded[name] = factory(model) if model else factory()
        return _loaded[name]


def canonical_name(name: str) -> str:
    """Return the one name of an embedder that has several.

    Raises:
        UnknownName: no embedder is called so.
    """
    name = _ALIASES.get(name, name)
    provider, _, model = name.partition("/")
    if name not in EMBEDDERS and not (provider == _TAKES_MODEL and model):
        known = [*(entry.name for entry in EMBEDDERS), *_ALIASES]
        raise UnknownName("embedder", name, known, "List them: workbench models list")
    return name


class LazyEmbedder:
    """An embedder whose model is loaded by its first encode, and used by one thread at a time.

    One at a time, because tokenizers keep their truncation and padding as state.
    """

    def __init__(self, fingerprint: str, open_model: Callable[[], Encode]) -> None:
        self.fingerprint = fingerprint
        self._open_model = open_model
        self._encode: Encode | None = None
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        """Return float32[len(texts), dim] with rows of unit length.

        Raises:
            MissingModel: the weights are not here and cannot be fetched.
            MissingExtra: the packages that run the model are not installed.
        """
        with self._lock:
            if self._encode is None:
                self._encode = self._open_model()
            if not texts:
                return self._encode(["nothing"], kind)[:0]
            return self._encode([encodable(text) for text in texts], kind)

    def __repr__(self) -> str:
        return f"<Embedder {self.fingerprint}>"


def static() -> Embedder:
    """Make the embedder that takes the mean of WordLlama's token vectors."""
    return _packaged("wordllama", "static", "mean of tokens")


def minilm() -> Embedder:
    """Make all-MiniLM-L6-v2, in bfloat16 where the processor multiplies it.

    With AVX512-BF16, bfloat16 is 2.7 times as fast as float32 (207 to 76 texts/s) at equal
    quality (``tests/benchmarks/retrieval.md``); without, it is slower.
    """
    dtype = "bfloat16" if multiplies_bfloat16() else "float32"
    return _packaged("minilm", "torch", f"mean, 256 tokens, {dtype}", dtype=dtype)


def gte_small() -> Embedder:
    """Make gte-small: mean pooling over 512 tokens, no prefixes, as its model card says."""
    return _packaged("gte-small", "onnx", "mean, 512 tokens, float32")


def sentence_transformer(model: str = "") -> Embedder:
    """Make an embedder of any sentence-transformers model: a folder, or an id of the hub.

    Its own prompts for queries and documents are used. Code in a model's folder is never run.

    Raises:
        BadInput: no model was named.
        MissingModel: the folder or the id cannot be read.
    """
    if not model:
        raise BadInput(
            "Which sentence-transformers model?",
            "Name it: sentence-transformers/<hub id or folder>",
        )
    from workbench.retrieval.hub_models import resolve  # huggingface_hub takes 0.3 s to import

    found = resolve(model)
    return LazyEmbedder(
        f"{_TAKES_MODEL}/{found.identity}, float32",
        lambda: _runtime("torch")(found.source, revision=found.revision),
    )


def _packaged(weights: str, runtime: str, settings: str, **options: str) -> Embedder:
    files = "".join(f"{file.path}:{file.sha256};" for file in CATALOGUE[weights].files)
    digest = hashlib.sha256(files.encode()).hexdigest()[:16]
    return LazyEmbedder(
        f"{weights}@{digest}, {runtime}, {settings}",
        lambda: _runtime(runtime)(locate(weights), **options),
    )


def _runtime(name: str) -> Callable[..., Encode]:
    return cast("Callable[..., Encode]", RUNTIMES.load(name))


@cache
def multiplies_bfloat16() -> bool:
    """Say whether this processor has bfloat16 products, without importing torch to ask."""
    flags = Path("/proc/cpuinfo")
    try:
        text = flags.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False  # not Linux: float32 is right everywhere, only slower on some
    return "avx512_bf16" in text or "amx_bf16" in text
