"""The estimate of what a model takes holds for PyTorch, too, in each number type."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import REAL_MODELS
from test_memory import assert_estimate_holds

from workbench.backends.memory import estimate_memory


@pytest.mark.models
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("context", [512, 2048])
def test_the_estimate_holds_for_what_is_measured(models_home, precision, context):
    assert_estimate_holds(f"transformers/smollm2-135m+{precision}", context)


@pytest.mark.models
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("model", ["smollm2-135m", "qwen2.5-coder-0.5b"])
def test_it_holds_where_the_file_is_unpacked_first(home: Path, model: str, precision: str) -> None:
    folder = home / "models" / model
    folder.mkdir(parents=True)
    for file in (REAL_MODELS / model).glob("*.gguf"):
        (folder / file.name).symlink_to(file)
    name = f"transformers/{model}+{precision}"
    said = estimate_memory(name)
    assert any("unpacked once" in note for note in said.notes)
    assert_estimate_holds(name, 512)
    assert (folder / "transformers" / "config.json").is_file()
    again = estimate_memory(name)
    assert not again.notes and again.total <= said.total
