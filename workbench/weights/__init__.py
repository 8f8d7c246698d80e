"""Where model weights come from, whatever the way, pinned by sha256."""

from workbench.weights.catalogue import Part, PinnedFile, Weights
from workbench.weights.resolve import describe, is_here, known, locate, pull

__all__ = ["Part", "PinnedFile", "Weights", "describe", "is_here", "known", "locate", "pull"]
