"""Anything that completes a prompt, by name: ``provider/model``, split at the first slash.

``menu`` knows the names, ``loading`` what is in memory, ``memory`` what a model takes of it.
"""

from workbench.backends.loading import (
    LoadedModel,
    lease_backend,
    load_backend,
    loaded,
    unload,
    unload_all,
    waiting_for,
)
from workbench.backends.menu import (
    _PACKAGES,
    BACKENDS,
    HOSTED,
    Available,
    available,
    check_backend,
    is_installed,
    split_name,
)

__all__ = [
    "BACKENDS",
    "HOSTED",
    "_PACKAGES",
    "Available",
    "LoadedModel",
    "available",
    "check_backend",
    "is_installed",
    "lease_backend",
    "load_backend",
    "loaded",
    "split_name",
    "unload",
    "unload_all",
    "waiting_for",
]
