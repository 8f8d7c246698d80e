"""Paths and limits, from the environment."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import platformdirs
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What a user may set by environment variables that start with ``WORKBENCH_``.

    Nothing is created here: a folder comes into being when something is first written to it.
    """

    model_config = SettingsConfigDict(env_prefix="WORKBENCH_", extra="ignore")

    home: Path = Field(
        default_factory=lambda: platformdirs.user_cache_path("code-workbench"),
        description="Where models, corpora, indexes and runs are kept.",
    )
    data: Path | None = Field(None, description="Folder of public data sets for benchmarks.")
    offline: bool = Field(False, description="Never use the network; what is missing is an error.")
    threads: int | None = Field(None, description="CPU threads for local models; None: all cores.")
    context_length: int = Field(8192, description="Tokens of context that local models get.")
    device: str | None = Field(
        None, description="Where PyTorch runs: cuda, mps or cpu; None: best."
    )
    dtype: str | None = Field(None, description="PyTorch's number type, as bfloat16; None: best.")
    token_timeout: float = Field(
        120.0, gt=0, description="Seconds that a backend may be silent before its answer failed."
    )
    call_timeout: float = Field(
        1800.0, gt=0, description="Seconds that one answer may take, tries and waits included."
    )
    attempts: int = Field(4, ge=1, description="Calls for one answer where servers are busy.")
    concurrency: int = Field(8, ge=1, description="Calls to one provider at a time.")
    requests_per_minute: float | None = Field(
        None, gt=0, description="Calls a minute to one provider; None: as many as come."
    )
    tokens_per_minute: float | None = Field(
        None, gt=0, description="Tokens a minute, in and out, of one provider; None: no limit."
    )
    budget: float | None = Field(
        None, ge=0, description="USD that hosted backends may cost a process; None: no limit."
    )
    ask_above: float = Field(
        0.5, ge=0, description="USD above which a batch asks before it begins."
    )
    cache: bool = Field(True, description="Keep complete answers, and give them again.")
    prices: Path | None = Field(
        None, description="Your own prices, as TOML; None: prices.toml in the home folder."
    )
    gpu_layers: int | None = Field(
        None, description="Layers that llama.cpp puts on the GPU; None: all that fit."
    )
    slots: int = Field(4, ge=1, description="Requests that a llama.cpp model answers at once.")
    memory: float | None = Field(
        None, gt=0, description="GiB that local models may take together; None: what is free."
    )
    chroma_url: SecretStr | None = Field(
        None,
        description="Chroma server that keeps the vectors, as http://127.0.0.1:8000; None: files.",
    )
    sandbox: str | None = Field(
        None,
        description="What untrusted programs run in: bubblewrap, landlock or none; None: best.",
    )
    debug: bool = Field(False, description="Let native libraries write their logs to stderr.")
    max_upload_bytes: int = Field(1_000_000, description="Largest file that may be handed in.")
    max_upload_files: int = Field(20, description="Most files that may be handed in at once.")
    max_prompt_characters: int = Field(100_000, description="Longest text that may be typed in.")

    @property
    def models(self) -> Path:
        """Folder of model weights, one folder a model."""
        return self.home / "models"

    @property
    def corpora(self) -> Path:
        """Folder of crawled corpora, one folder a corpus."""
        return self.home / "corpora"

    @property
    def indexes(self) -> Path:
        """Folder of built indexes."""
        return self.home / "indexes"

    @property
    def embeddings(self) -> Path:
        """Folder of the embedding cache."""
        return self.home / "embeddings"

    @property
    def answers(self) -> Path:
        """The SQLite cache of complete answers."""
        return self.home / "answers.sqlite"

    @property
    def throughput(self) -> Path:
        """Folder of measured throughputs, one JSON file a backend and machine."""
        return self.home / "throughput"

    @property
    def runs(self) -> Path:
        """The SQLite run store."""
        return self.home / "runs.sqlite"


def settings() -> Settings:
    """Read the settings from the environment as it is now."""
    return _read(frozenset(os.environ.items()))


@functools.lru_cache(maxsize=8)
def _read(environment: frozenset[tuple[str, str]]) -> Settings:
    """Read the settings once for each state of the environment: it takes milliseconds."""
    return Settings()
