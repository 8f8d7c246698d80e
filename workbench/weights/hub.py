"""Find a file in the hub's cache, or on the hub."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from workbench.weights.catalogue import PinnedFile, Weights
from workbench.weights.remote import Remote, Unavailable

if TYPE_CHECKING:
    import httpx2

TIMEOUT_SECONDS = 4.0
PATIENCE_SECONDS = 5.0

T = TypeVar("T")


def cached(weights: Weights, file: PinnedFile) -> Path | None:
    """Return where the hub's cache keeps the file, or None. Asks no network, checks no hash."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(weights.hub_repo, file.path, revision=weights.revision)
    return Path(found).resolve() if isinstance(found, str) else None


def find(weights: Weights, file: PinnedFile) -> Remote:
    """Ask the hub for the file's address.

    The bytes are then downloaded by ``workbench.weights.download``: since huggingface_hub 2.4
    ``hf_hub_download`` starts from the beginning after an interruption.

    Raises:
        Unavailable: the hub is switched off, out of reach, or has other bytes.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils._headers import build_hf_headers

    url = hf_hub_url(weights.hub_repo, file.path, revision=weights.revision)
    metadata = within_patience(lambda: get_hf_file_metadata(url, timeout=TIMEOUT_SECONDS))
    # The hub tags large files with their sha256, which saves the download of a wrong one.
    if re.fullmatch("[0-9a-f]{64}", metadata.etag or "") and metadata.etag != file.sha256:
        raise Unavailable(f"the hub's {file.path} is not the pinned one")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", file.path)
    return Remote(url, f"hub-{name}", (("sha256", file.sha256),), build_hf_headers())


def client() -> httpx2.Client:
    """Return huggingface_hub's HTTP client, with its certificates, proxies and offline switch."""
    from huggingface_hub import get_session

    return get_session()


def within_patience(ask: Callable[[], T]) -> T:
    """Return the answer of ``ask``, or raise Unavailable after ``PATIENCE_SECONDS``.

    The client's own timeout counts neither the name lookup nor every address tried.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            answers.append(ask())
        except Exception as error:  # its own errors, its transport's, the system's
            errors.append(error)

    asking = threading.Thread(target=work, daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS)
    if answers:
        return answers[0]
    cause = _first_line(errors[0]) if errors else f"no answer in {PATIENCE_SECONDS:g} s"
    raise Unavailable(f"the hub does not give it ({cause})")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
