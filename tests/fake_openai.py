"""A server on a loopback port that speaks OpenAI's chat protocol, well or badly, as the model says.

The model's name chooses the behaviour: "echo" answers with the last message, word by word.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STATUS = {
    "refused": 401,
    "unknown-model": 404,
    "broken": 500,
    "bad-request": 400,
}


class FakeServer(ThreadingHTTPServer):
    """Remembers the requests it got, and whether a client went away."""

    daemon_threads = True

    def __init__(self, prefix: str = "/v1") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.prefix = prefix
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.left = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def fake_server(prefix: str = "/v1") -> Iterator[FakeServer]:
    server = FakeServer(prefix)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != f"{self.server.prefix}/chat/completions":
            self._refuse(404, "no such path")
            return
        self.server.requests.append(request)
        self.server.headers.append(dict(self.headers))
        model = request["model"]
        if model in STATUS:
            key = self.headers.get("Authorization", "no key")
            self._refuse(STATUS[model], f"the model {model} was asked for with {key}")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            getattr(self, f"_{model.replace('-', '_')}")(request)
        except OSError:
            self.server.left.set()

    def _refuse(self, status: int, message: str) -> None:
        body = json.dumps({"error": {"message": message}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def _delta(self, text: str, finish: str | None = None) -> None:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        self._send(json.dumps({"choices": [choice]}))

    def _echo(self, request: dict[str, Any]) -> None:
        words = request["messages"][-1]["content"].split(" ")
        cut = words[: request["max_tokens"]]
        self.wfile.write(b": a comment\n\n")
        for number, word in enumerate(cut):
            self._delta(word if number == 0 else f" {word}")
        self._delta("", "length" if len(cut) < len(words) else "stop")
        usage = {"prompt_tokens": len(words), "completion_tokens": len(cut)}
        self._send(json.dumps({"choices": [], "usage": usage}))
        self._send("[DONE]")

    def _without_reason(self, request: dict[str, Any]) -> None:
        self._delta("all of it")
        self._send("[DONE]")

    def _cut(self, request: dict[str, Any]) -> None:
        self._delta("half of")

    def _cut_within_a_line(self, request: dict[str, Any]) -> None:
        self._delta("half of")
        self.wfile.write(b'data: {"choices": [{"del')

    def _error_within(self, request: dict[str, Any]) -> None:
        self._delta("half of")
        self._send(json.dumps({"error": {"message": "the model fell over"}}))

    def _garbage(self, request: dict[str, Any]) -> None:
        self._send("<html>")

    def _wrong_shape(self, request: dict[str, Any]) -> None:
        self._send(json.dumps({"choices": [7]}))

    def _thinker(self, request: dict[str, Any]) -> None:
        """Think in each of the fields that servers use, then between tags, then answer."""
        for delta in (
            {"reasoning_content": "a"},
            {"reasoning": "b"},
            {"content": "<th"},
            {"content": "ink>c</think>\n\nYes, <think>"},
        ):
            self._send(json.dumps({"model": "thinker-2", "choices": [{"delta": delta}]}))
        self._delta("", "stop")

    def _caller(self, request: dict[str, Any]) -> None:
        self._delta("Let me look.")
        call = {"index": 0, "id": "1", "function": {"name": "search", "arguments": "{}"}}
        choice = {"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
        self._send(json.dumps({"choices": [choice]}))
        self._send("[DONE]")

    def _filtered(self, request: dict[str, Any]) -> None:
        self._delta("I would", "content_filter")
        self._send("[DONE]")

    def _refuser(self, request: dict[str, Any]) -> None:
        self._send(json.dumps({"choices": [{"delta": {"refusal": "I will not."}}]}))
        self._delta("", "stop")

    def _odd(self, request: dict[str, Any]) -> None:
        """Send characters that some take for ends of lines as they are, a byte at a time."""
        delta = {"content": "a\u2028b\u2029c\x85d"}
        choice = {"delta": delta, "finish_reason": "stop"}
        data = json.dumps({"choices": [choice]}, ensure_ascii=False)
        for byte in f"data: {data}\r\n\r\n".encode():
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def _page(self, request: dict[str, Any]) -> None:
        self.wfile.write(b"<html><body>Welcome!</body></html>\n")

    def _silent(self, request: dict[str, Any]) -> None:
        self._delta("one")
        while True:  # nothing more, until the client has gone
            self.wfile.write(b"")
            self.connection.settimeout(5)
            if self.connection.recv(1) == b"":
                raise ConnectionError

    def _endless(self, request: dict[str, Any]) -> None:
        while True:
            self._delta("on and ")
