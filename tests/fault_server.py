"""A server on a loopback port that speaks OpenAI's chat stream and fails as it is told to.

It stands on raw sockets, so that it can do what no HTTP library would: reset a connection, cut a
stream within a byte of a character, fall silent within a header. Request after request meets the
next fault of the plan, and the last one stays.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

WORDS = ("eins", " zwei", " 数", " 🙂", " fünf")
TEXT = "".join(WORDS)
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
REASON = {200: "OK", 429: "Too Many Requests"}


def event(data: dict[str, Any] | str) -> bytes:
    """Write one server-sent event, in UTF-8 as servers do."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def delta(text: str = "", finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [choice], **more}


SPOKEN = [event(delta(word)) for word in WORDS]
USED = event({**delta(), "choices": [], "usage": USAGE})
DONE = event("[DONE]")
FINISHED = event(delta(finish="stop"))
ANSWER = b"".join([*SPOKEN, FINISHED, USED, DONE])
WITHOUT_REASON = b"".join([*SPOKEN, USED, DONE])


@dataclass(slots=True)
class Connection:
    """One request that was read; what the server does to it."""

    socket: socket.socket
    server: FaultServer

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self, status: int = 200, **headers: str) -> None:
        said = {
            "Connection": "close",
            **{name.replace("_", "-"): headers[name] for name in headers},
        }
        lines = [f"HTTP/1.1 {status} {REASON.get(status, 'Odd')}"]
        lines += [f"{name}: {value}" for name, value in said.items()]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def hang(self) -> None:
        """Say nothing until the client goes away, and note when it did."""
        self.socket.settimeout(0.05)
        while not self.server.stopped.is_set():
            with suppress(TimeoutError):
                if self.socket.recv(1) == b"":
                    self.server.left.append(time.monotonic())
                    return

    def reset(self) -> None:
        """Close with RST and not with FIN."""
        time.sleep(0.02)  # what was sent before shall arrive, which a reset may prevent
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Fault = Callable[[Connection], None]


def status(code: int, body: dict[str, Any] | str | None = None, **headers: str) -> Fault:
    """Refuse with an HTTP status; in header names ``_`` stands for ``-``."""

    def refuse(connection: Connection) -> None:
        said = {"error": {"message": f"fault {code}", "type": "fault"}} if body is None else body
        text = said if isinstance(said, str) else json.dumps(said)
        raw = text.encode()
        json_type = {"Content_Type": "application/json", "Content_Length": str(len(raw))}
        connection.head(code, **json_type, **headers)
        connection.send(raw)

    return refuse


def stream(
    data: bytes = ANSWER, then: str = "end", *, chunked: bool = True, drip: float | None = None
) -> Fault:
    """Stream ``data``, at once or byte by byte every ``drip`` seconds.

    ``then``: "end" as HTTP does, "cut" the connection, "reset" it, or "hang".
    """

    def answer(connection: Connection) -> None:
        framing = {"Transfer_Encoding": "chunked"} if chunked else {}
        connection.head(Content_Type="text/event-stream", **framing)
        pieces = [data] if drip is None else [data[at : at + 1] for at in range(len(data))]
        for piece in pieces:
            if piece:
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            time.sleep(drip or 0)
        if then == "end" and chunked:
            connection.send(b"0\r\n\r\n")
        elif then == "hang":
            connection.hang()
        elif then == "reset":
            connection.reset()

    return answer


def after(seconds: float, fault: Fault) -> Fault:
    """Do as ``fault`` does, later."""

    def wait(connection: Connection) -> None:
        time.sleep(seconds)
        fault(connection)

    return wait


def endlessly(data: bytes, pause: float) -> Fault:
    """Stream the same again and again, until the client goes away."""

    def answer(connection: Connection) -> None:
        connection.head(Content_Type="text/event-stream")
        while not connection.server.stopped.is_set():
            connection.send(data)
            time.sleep(pause)

    return answer


def hang(connection: Connection) -> None:
    """Say nothing at all."""
    connection.hang()


def reset(connection: Connection) -> None:
    """Reset the connection before a word of an answer."""
    connection.reset()


def close(connection: Connection) -> None:
    """Close the connection before a word of an answer."""


def garbage(connection: Connection) -> None:
    """Say something that is no HTTP."""
    connection.send(bytes(range(256)) * 4)


@dataclass(slots=True)
class FaultServer:
    """Counts the calls and their times (``time.monotonic``), and when clients left a silent one."""

    plan: Sequence[Fault]
    times: list[float] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    at_once: int = 0
    most_at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _listening: socket.socket = field(
        default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=128)
    )

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def calls(self) -> int:
        return len(self.times)

    def serve(self) -> None:
        while True:
            try:
                connected, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connected,), daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _answer(self, connected: socket.socket) -> None:
        with connected, suppress(OSError):
            body = _read_request(connected)
            if body is None:  # a client that connected and went away
                return
            with self._lock:
                self.times.append(time.monotonic())
                self.requests.append(body)
                fault = self.plan[min(len(self.times), len(self.plan)) - 1]
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                fault(Connection(connected, self))
            finally:
                with self._lock:
                    self.at_once -= 1


def _read_request(connected: socket.socket) -> dict[str, Any] | None:
    read = b""
    while b"\r\n\r\n" not in read:
        if not (more := connected.recv(65536)):
            return None
        read += more
    head, _, body = read.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
    while len(body) < length:
        body += connected.recv(65536)
    found: dict[str, Any] = json.loads(body)
    return found


@contextmanager
def fault_server(*plan: Fault) -> Iterator[FaultServer]:
    server = FaultServer(plan)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        server.stop()
