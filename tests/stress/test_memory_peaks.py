"""The estimate of what a model takes holds for PyTorch, too, in each number type."""

from __future__ import annotations

import pytest
from test_memory import assert_estimate_holds


@pytest.mark.models
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("context", [512, 2048])
def test_the_estimate_holds_for_what_is_measured(models_home, precision, context):
    assert_estimate_holds(f"transformers/smollm2-135m+{precision}", context)
