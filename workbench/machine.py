"""What this machine is: processor, memory, GPU, toolchains, versions, keys by name."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

# A toolchain is present when its command is found; the languages are those of `languages.py`.
TOOLCHAINS = {
    "python": "python3",
    "java": "javac",
    "cpp": "g++",
    "javascript": "node",
    "go": "go",
    "csharp": "dotnet",
    "php": "php",
}
_PACKAGES = (
    "code-workbench",
    "xllamacpp",
    "torch",
    "transformers",
    "sentence-transformers",
    "onnxruntime",
    "model2vec",
    "bm25s",
    "chromadb",
    "langchain",
    "gradio",
    "jupyterlab",
    "datasets",
)


def versions() -> dict[str, str | None]:
    """Return the installed versions of the packages that decide results; None where missing."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def hardware() -> dict[str, Any]:
    """Return system, processor, cores, memory in GiB, and GPUs (asked of ``nvidia-smi``)."""
    memory = psutil.virtual_memory()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory.total / 2**30, 1),
        "free_memory_gib": round(memory.available / 2**30, 1),
        "gpus": _gpus(),
    }


def environment() -> dict[str, Any]:
    """Return what is stored with each run, so that its numbers can be placed later."""
    return {"hardware": hardware(), "versions": versions()}


def toolchains() -> dict[str, str | None]:
    """Return the path of each language's compiler or interpreter, None where there is none."""
    return {language: shutil.which(command) for language, command in TOOLCHAINS.items()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _gpus() -> list[str]:
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
