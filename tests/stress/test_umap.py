"""The map by UMAP, which compiles itself for half a minute when it is first used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_lab_figures import require_heaps_apart


def test_a_map_by_umap_keeps_heaps_apart_and_is_the_same_each_time() -> None:
    pytest.importorskip("umap")
    require_heaps_apart("umap")
