"""Find a tarball where npm would find it."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import httpx2
from unearth.fetchers import PyPIClient

from workbench.weights.remote import Remote, Unavailable

_ALGORITHMS = ("sha512", "sha384", "sha256")


def find(client: PyPIClient, requirement: str) -> Remote:
    """Return the tarball of ``requirement`` (``name==version``).

    Raises:
        Unavailable: no registry is known, it cannot be reached, or it lacks the package.
    """
    name, _, version = requirement.partition("==")
    url = f"{registry(name).rstrip('/')}/{quote(name, safe='@')}"
    try:
        response = client.get(url, follow_redirects=True)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        cause = str(error) or type(error).__name__
        raise Unavailable(f"the npm registry cannot be reached ({cause})") from error
    if response.status_code != 200:
        raise Unavailable(f"the npm registry answered {response.status_code} for {name}")
    try:
        dist = response.json()["versions"][version]["dist"]
        hashes = tuple(_hashes(dist.get("integrity", "")))
        return Remote(dist["tarball"], f"{re.sub(r'[^a-z0-9.]+', '-', requirement)}.tgz", hashes)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unavailable(f"{requirement} is not on the npm registry") from error


def registry(name: str) -> str:
    """Return the registry that npm would ask for the package ``name``.

    The environment comes first, then the user's npmrc, then npm itself.

    Raises:
        Unavailable: none of the three says.
    """
    scope = name.partition("/")[0] if name.startswith("@") else None
    for variable in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if os.environ.get(variable):
            return os.environ[variable]
    found = _from_npmrc(scope) or _from_npm()
    if not found:
        raise Unavailable(
            "no npm registry is known (install npm, or set NPM_CONFIG_REGISTRY to its address)"
        )
    return found


def _from_npmrc(scope: str | None) -> str | None:
    path = Path(os.environ.get("NPM_CONFIG_USERCONFIG") or Path.home() / ".npmrc")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    settings = dict(re.findall(r"^\s*([^\s=;#]+)\s*=\s*(\S+)\s*$", text, re.MULTILINE))
    return settings.get(f"{scope}:registry") or settings.get("registry")


def _from_npm() -> str | None:
    npm = shutil.which("npm")
    if npm is None:
        return None
    command = [npm, "config", "get", "registry"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    # The last line: some versions print warnings first.
    answer = run.stdout.strip().splitlines()[-1:]
    return answer[0] if answer and "://" in answer[0] else None


def _hashes(integrity: str) -> list[tuple[str, str]]:
    """Read a subresource integrity string (W3C SRI): ``sha512-<base64> ...``."""
    pairs = (word.partition("-") for word in integrity.split())
    return [
        (algorithm, base64.b64decode(digest).hex())
        for algorithm, _, digest in pairs
        if algorithm in _ALGORITHMS
    ]
