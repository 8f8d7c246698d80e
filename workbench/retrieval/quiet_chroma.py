"""Chroma, deaf to the environment.

Chroma reads settings from variables without a prefix of its own (``IS_PERSISTENT``,
``CHROMA_API_IMPL``, ...) and from a ``.env`` file where the program was started, some already
while it is imported. Neither is meant for us, and a value that it cannot read ends the import.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

_HOOK = "settings_customise_sources"


@contextmanager
def _deaf() -> Iterator[None]:
    """Within the block, let Chroma's settings classes, and no others, have their defaults only."""
    original = BaseSettings.__dict__[_HOOK]

    def sources(
        cls: type[BaseSettings],
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        **others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        if settings_cls.__module__.split(".")[0] == "chromadb":
            return (init_settings,)
        found: tuple[PydanticBaseSettingsSource, ...] = original.__get__(None, cls)(
            settings_cls, init_settings, **others
        )
        return found

    setattr(BaseSettings, _HOOK, classmethod(sources))  # type: ignore[arg-type]
    try:
        yield
    finally:
        setattr(BaseSettings, _HOOK, original)


with _deaf():
    import chromadb
    from chromadb.config import Settings
    from chromadb.errors import ChromaError

__all__ = ["ChromaError", "chromadb", "plain_settings"]


class _Plain(Settings):
    """Chroma's settings as they are without any environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def plain_settings() -> Settings:
    """Return settings of which none comes from the environment; nothing calls home."""
    return _Plain(anonymized_telemetry=False)
