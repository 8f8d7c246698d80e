"""Serve a local model over OpenAI's protocol: llama.cpp's own HTTP server, with a model loaded.

Whoever reaches it may use it, so that an address that others can reach wants a key.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import weights
from workbench.backends.menu import check_backend
from workbench.errors import BackendError, BadInput, WorkbenchError
from workbench.keys import KEYS, find_key

_KEY = "openai-compatible"
_ANYWHERE = ("0.0.0.0", "::")
_LAST_WORD_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Served:
    """A model that is being served: its url, and the name of the backend that asks it."""

    model: str
    url: str
    everywhere: bool = False

    @property
    def backend(self) -> str:
        """The backend's name, as ``workbench ask --backend`` takes it."""
        return f"openai-compatible/{self.model}@{self.url}"

    def __str__(self) -> str:
        where = "at every address of this machine, here " if self.everywhere else "at "
        return f"{self.model} answers {where}{self.url} (--backend {self.backend})"


def serve(
    name: str,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    slots: int | None = None,
    keep_prompts: bool = False,
    announce: Callable[[Served], object] = print,
    stop: threading.Event | None = None,
) -> None:
    """Serve a GGUF model until Ctrl-C, or until ``stop`` is set.

    ``name`` is a short name, a .gguf file, or either behind ``llama-cpp/``; port 0 is any free
    one. ``slots`` are the requests that it answers at once, by default ``settings().slots``. With
    ``keep_prompts`` llama.cpp reads on from where a prompt differs from an earlier one, which is
    quicker, but lets answers depend on what was asked before (see ``llama_slots``). The key is
    that of ``OPENAI_COMPATIBLE_API_KEY``, where it is set. ``announce`` is told once it answers.

    Raises:
        BadInput: the port is in use, the address is not this machine's, or others can reach it
            and there is no key.
        BackendError: llama.cpp cannot load the model.
        MissingModel: its weights are not here and not to be had.
    """
    model = check_backend(name if name.startswith("llama-cpp/") else f"llama-cpp/{name}")[1]
    key = find_key(_KEY)
    require_safe(host, key)
    require_free(host, port)
    from workbench.backends import llama_cpp

    params = llama_cpp.parameters(weights.locate(model), slots)
    params.hostnames, params.port = [host], port
    params.api_keys = [key] if key else []
    params.cache_prompt = keep_prompts
    params.endpoint_slots = False  # what others ask is no business of a third
    called = Path(model).stem if model.endswith(".gguf") else model
    params.model_alias = {called}
    server = llama_cpp.start(params)
    announce(_served(called, host, server.listening_address))
    with suppress(KeyboardInterrupt):
        (stop or threading.Event()).wait()
    del server


@contextmanager
def serving(name: str, port: int = 0, *, slots: int | None = None, **options: Any) -> Iterator[str]:
    """Serve a model on the loopback address, in a process of its own; give its url.

    It shares no threads with what runs here, and ends with the block, or with this process.

    Raises:
        WorkbenchError: what ``serve`` raises.
    """
    asked = {"name": name, "port": port, "slots": slots, **options}
    code = "from workbench.backends.serving import _child; _child()"
    with subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(asked)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield _url_of(child)
        finally:
            assert child.stdin is not None
            child.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_LAST_WORD_SECONDS)
            child.kill()


def require_safe(host: str, key: str | None) -> None:
    """Refuse to serve without a key where others can reach it.

    Raises:
        BadInput: they can, and there is none; or nobody knows the host.
    """
    if key or all(ipaddress.ip_address(one).is_loopback for one in _addresses(host)):
        return
    raise BadInput(
        f"Whoever reaches {host} could use the model, and no key is set.",
        f"Set {KEYS[_KEY]}, or serve at 127.0.0.1.",
    )


def require_free(host: str, port: int) -> None:
    """Refuse a port that is in use.

    Raises:
        BadInput: it is, or the host is no address of this machine, or the port is not allowed.
    """
    address = _addresses(host)[0]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":  # else a port that was just let go counts as in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError) as error:
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                another = f"Choose another one: --port {port + 1}"
                raise BadInput(f"Port {port} of {host} is in use.", another) from None
            why = getattr(error, "strerror", None) or str(error)
            raise BadInput(
                f"Port {port} of {host} cannot be served: {why}.",
                "Take --host 127.0.0.1 and a --port from 1024 to 65535.",
            ) from None


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise BadInput(f"Nobody knows the host '{host}'.", "Take --host 127.0.0.1") from None
    return [str(one[4][0]).partition("%")[0] for one in found]


def _served(model: str, host: str, listening: str) -> Served:
    everywhere = host in _ANYWHERE
    named = "127.0.0.1" if everywhere else f"[{host}]" if ":" in host else host
    return Served(model, f"http://{named}:{listening.rpartition(':')[2]}/v1", everywhere)


def _url_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    line = child.stdout.readline()
    said = json.loads(line) if line else {"cause": "The server ended before it began."}
    if "url" in said:
        return str(said["url"])
    kind = BadInput if said.get("wrong") else BackendError
    raise kind(said["cause"], said.get("remedy", "WORKBENCH_DEBUG=1 shows llama.cpp's own words."))


def _child() -> None:
    """Serve what the first argument asks for, until nobody holds the other end of stdin."""
    stop = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    try:
        serve(**json.loads(sys.argv[1]), announce=_tell, stop=stop)
    except WorkbenchError as error:
        wrong = isinstance(error, BadInput)
        print(json.dumps({"cause": error.cause, "remedy": error.remedy, "wrong": wrong}))


def _tell(served: Served) -> None:
    print(json.dumps({"url": served.url}), flush=True)
