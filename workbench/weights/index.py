"""Find a wheel or a source distribution where pip would find it.

Indexes, find-links, certificates and trusted hosts are those that pip is configured with; where
nothing is configured, unearth's own default index is asked. No host is named here.
"""

from __future__ import annotations

import ast
import logging
import os
import ssl
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

import httpx2
from unearth import PackageFinder
from unearth.auth import MultiDomainBasicAuth
from unearth.fetchers import Fetcher, PyPIClient
from unearth.finder import Source
from unearth.link import Link

from workbench.weights.remote import Local, Remote, Unavailable

# An index that lacks a package is no news here: the others are asked.
logging.getLogger("unearth").setLevel(logging.ERROR)

TIMEOUT_SECONDS = 30.0
LOOKUPS = 3
CANDIDATES = 3

_PIP_OPTIONS = ("index-url", "extra-index-url", "find-links", "no-index", "cert", "trusted-host")
# Of two sections that set the same option pip lets the later one win.
_PIP_SECTIONS = ("global", "install", "download", ":env:")
_STRONG = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class PipSettings:
    """Where pip looks. ``index`` None is the default index, unless ``no_index`` forbids it."""

    index: str | None = None
    extra: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    cert: str | None = None
    trusted_hosts: tuple[str, ...] = ()


def pip_settings() -> PipSettings:
    """Ask pip how it is configured; without pip, read its environment variables."""
    options = _from_pip() or _from_environment(os.environ)
    return PipSettings(
        index=options.get("index-url") or None,
        extra=tuple(options.get("extra-index-url", "").split()),
        find_links=tuple(options.get("find-links", "").split()),
        no_index=options.get("no-index", "").lower() in ("1", "true", "yes", "on"),
        cert=options.get("cert") or None,
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
    )


def _from_pip() -> dict[str, str]:
    """Ask once for each state of pip's variables: it takes pip a second to answer."""
    return _asked(tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("PIP_"))))


@cache
def _asked(variables: tuple[tuple[str, str], ...]) -> dict[str, str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[tuple[str, str], str] = {}
    for line in run.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if section in _PIP_SECTIONS and option in _PIP_OPTIONS:
            found[section, option] = str(ast.literal_eval(value))
    ordered = sorted(found.items(), key=lambda item: _PIP_SECTIONS.index(item[0][0]))
    return {option: value for (_, option), value in ordered}


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = {option: "PIP_" + option.upper().replace("-", "_") for option in _PIP_OPTIONS}
    return {option: environment[name] for option, name in names.items() if name in environment}


def open_client(pip: PipSettings, *, sign_in: bool = False) -> PyPIClient:
    """Return an HTTP client with pip's certificates and trusted hosts.

    With ``sign_in`` it gives the passwords of the configured indexes (URL, netrc, keyring).
    """
    certificates = pip.cert or os.environ.get("REQUESTS_CA_BUNDLE")
    verify: ssl.SSLContext | bool = True
    if certificates and Path(certificates).is_file():
        verify = ssl.create_default_context(cafile=certificates)
    client = PyPIClient(trusted_hosts=pip.trusted_hosts, verify=verify, timeout=TIMEOUT_SECONDS)
    if sign_in:
        urls = [url for url in (pip.index, *pip.extra) if url]
        client.auth = MultiDomainBasicAuth(prompting=False, index_urls=urls)
    return client


@dataclass(frozen=True, slots=True)
class Offer:
    """A file of a project that an index offers: its name, its version, and where it lies."""

    file: str
    version: str
    place: Local | Remote


def find(client: PyPIClient, pip: PipSettings, requirement: str) -> list[Local | Remote]:
    """Return the places that offer a wheel of ``requirement`` (``name==version``), best first.

    A wheel for another platform or Python is as good as any: nothing in it is ever run.

    Raises:
        Unavailable: no index has it, or none can be reached.
    """
    found: dict[tuple[str, type], Local | Remote] = {}
    for offer in offers(client, pip, requirement):
        if offer.file.endswith(".whl"):
            found.setdefault((offer.file, type(offer.place)), offer.place)
    if not found:
        raise Unavailable(f"{requirement} is not on the package index")
    # What lies on this disk costs no download.
    return sorted(found.values(), key=lambda place: isinstance(place, Remote))[:CANDIDATES]


def offers(client: PyPIClient, pip: PipSettings, requirement: str) -> list[Offer]:
    """Return the files, of each index the best first, that match ``requirement``; [] for none.

    Of what was yanked and of pre-releases an index offers what pip would take: a version that is
    named, and pre-releases where there is nothing else.

    Raises:
        Unavailable: nothing was found, and an index could not be reached.
    """
    found: list[Offer] = []
    unreached: list[str] = []
    for source in _sources(pip):
        try:
            found += _ask(client, pip, source, requirement)
        except (httpx2.HTTPError, OSError) as error:
            unreached.append(str(error) or type(error).__name__)
        except (httpx2.InvalidURL, ValueError):
            # What these say may quote a part of the address, and that part may be the password.
            unreached.append("its address or its page is malformed")
    if not found and unreached:
        raise Unavailable(f"the package index cannot be reached ({unreached[-1]})")
    return found


def _sources(pip: PipSettings) -> list[Source]:
    links = [Source(url=url, type="find_links") for url in pip.find_links if _can_exist(url)]
    if pip.no_index:
        return links
    # A finder without any source falls back to unearth's default index.
    default = PackageFinder().sources[0]["url"]
    indexes = [Source(url=url, type="index") for url in (*pip.extra, pip.index or default)]
    return links + indexes


def _can_exist(place: str) -> bool:
    return "://" in place or Path(place).expanduser().exists()


def _ask(client: PyPIClient, pip: PipSettings, source: Source, requirement: str) -> list[Offer]:
    fetcher = cast(Fetcher, client)  # it is one; the protocol leaves out its optional arguments
    finder = PackageFinder(fetcher, trusted_hosts=pip.trusted_hosts, ignore_compatibility=True)
    finder.sources = [source]
    for lookup in range(LOOKUPS):
        try:
            packages = list(finder.find_matches(requirement))
            break
        except httpx2.TransportError:
            if lookup == LOOKUPS - 1:
                raise
    return [
        Offer(package.link.filename, package.version, _place(package.link))
        for package in packages
        if package.version is not None
    ]


def _place(link: Link) -> Local | Remote:
    promised = link.hash_option or {}
    hashes = tuple((name, promised[name][0]) for name in _STRONG if name in promised)
    if link.is_file:
        return Local(link.file_path, hashes)
    return Remote(link.url_without_fragment, link.filename, hashes)
