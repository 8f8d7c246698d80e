"""Paths and limits, from the environment."""

from __future__ import annotations

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
        120.0, description="Seconds that a server may be silent before its answer has failed."
    )
    chroma_url: SecretStr | None = Field(
        None,
        description="Chroma server that keeps the vectors, as http://127.0.0.1:8000; None: files.",
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
    def runs(self) -> Path:
        """The SQLite run store."""
        return self.home / "runs.sqlite"


def settings() -> Settings:
    """Read the settings from the environment as it is now."""
    return Settings()
