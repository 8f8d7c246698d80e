"""Rows of unit length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from workbench.types import Vectors


def unit_rows(vectors: Vectors) -> Vectors:
    """Scale each row of float32[n, dim] to unit length.

    A row of zeros, which a text without a known token gives, becomes the vector whose components
    are all equal: cosine is undefined for zeros, and Chroma would answer NaN.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    even = np.float32(vectors.shape[1] ** -0.5)
    return np.where(lengths > 0, vectors / np.where(lengths > 0, lengths, 1), even)
