"""A server on a loopback port that embeds as OpenAI's and Cohere's do, well or badly.

The model's name chooses the behaviour; "good" answers with a vector made from the text.
"""

from __future__ import annotations

import base64
import json
import random
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIMENSIONS = 8


def vector_of(text: str) -> list[float]:
    dice = random.Random(text)
    return [3 * dice.gauss() for _ in range(DIMENSIONS)]


class FakeEmbeddings(ThreadingHTTPServer):
    """Remembers the requests it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def fake_embeddings() -> Iterator[FakeEmbeddings]:
    server = FakeEmbeddings()
    serve = {"poll_interval": 0.05}
    threading.Thread(target=server.serve_forever, kwargs=serve, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FakeEmbeddings

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        model, key = request["model"], self.headers.get("Authorization", "no key")
        if model == "refused":
            self._send(401, {"error": {"message": f"{key} is wrong"}, "message": f"{key}?"})
        elif model == "broken":
            self._send(400, {"error": {"message": f"no such model; {key}"}, "message": "no"})
        elif model == "busy-once" and len(self.server.requests) == 1:
            self._send(429, {"error": {"message": "busy"}})
        elif self.path.endswith("/embeddings"):
            self._send(200, self._openai(request))
        else:
            self._send(200, self._cohere(request))

    def _openai(self, request: dict[str, Any]) -> dict[str, Any]:
        texts = request["input"][1:] if request["model"] == "ragged" else request["input"]
        rows = [vector_of(text) for text in texts]
        if request.get("encoding_format") == "base64":
            rows = [base64.b64encode(struct.pack(f"<{len(r)}f", *r)).decode() for r in rows]
        data = [{"object": "embedding", "index": i, "embedding": r} for i, r in enumerate(rows)]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return {"object": "list", "model": request["model"], "data": data, "usage": usage}

    def _cohere(self, request: dict[str, Any]) -> dict[str, Any]:
        # Cohere's vectors of a query and of a document differ.
        rows = [vector_of(f"{request['input_type']} {text}") for text in request["texts"]]
        return {
            "response_type": "embeddings_by_type",
            "id": "1",
            "embeddings": {"float": rows},
            "texts": request["texts"],
            "meta": {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 1}},
        }

    def _send(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)
