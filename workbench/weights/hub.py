"""Find a file in the hub's cache, or on the hub."""

from __future__ import annotations

import re
from pathlib import Path

from workbench.weights.catalogue import PinnedFile, Weights
from workbench.weights.remote import Remote, Unavailable

TIMEOUT_SECONDS = 4.0


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
    try:
        metadata = get_hf_file_metadata(url, timeout=TIMEOUT_SECONDS)
    except Exception as error:  # its own errors, its transport's, the system's: all mean "not here"
        raise Unavailable(f"the hub cannot be reached ({_first_line(error)})") from error
    # The hub tags large files with their sha256, which saves the download of a wrong one.
    if re.fullmatch("[0-9a-f]{64}", metadata.etag or "") and metadata.etag != file.sha256:
        raise Unavailable(f"the hub's {file.path} is not the pinned one")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", file.path)
    return Remote(url, f"hub-{name}", (("sha256", file.sha256),), build_hf_headers())


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
