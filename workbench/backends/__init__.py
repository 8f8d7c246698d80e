"""Anything that completes a prompt, by name: ``provider/model``, split at the first slash.

``menu`` knows the names, ``loading`` what is in memory, ``memory`` what a model takes of it.
"""

from workbench.backends.loading import (
    Fit,
    LoadedModel,
    fit,
    hold_backend,
    lease_backend,
    load_backend,
    loaded,
    memory_limit,
    unload,
    unload_all,
    waiting_for,
)
from workbench.backends.memory import MemoryEstimate, estimate, estimate_memory, free_memory
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
    "Fit",
    "LoadedModel",
    "MemoryEstimate",
    "available",
    "check_backend",
    "estimate",
    "estimate_memory",
    "fit",
    "free_memory",
    "hold_backend",
    "is_installed",
    "lease_backend",
    "load_backend",
    "loaded",
    "memory_limit",
    "split_name",
    "unload",
    "unload_all",
    "waiting_for",
]
