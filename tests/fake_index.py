"""A package index, npm registry and hub on the loopback, that can misbehave on request."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeIndex:
    """Serves ``files`` by path; the other fields say how to misbehave and what was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    hub: dict[str, bytes] = field(default_factory=dict)
    tarballs: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> version, hash
    hashes: dict[str, str] = field(default_factory=dict)  # file -> sha256 that the index claims
    yanked: dict[str, str] = field(default_factory=dict)  # file -> why
    etags: dict[str, str] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)  # bytes sent before hanging up
    hold_after: dict[str, int] = field(default_factory=dict)  # bytes sent before waiting
    release: threading.Event = field(default_factory=threading.Event)
    ignore_range: bool = False
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def add_wheel(self, name: str, version: str, members: dict[str, bytes]) -> str:
        """Publish a wheel and return its path."""
        file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as wheel:
            for member, content in members.items():
                wheel.writestr(member, content)
        self.files[f"/files/{file}"] = buffer.getvalue()
        return f"/files/{file}"

    def add_sdist(self, file: str, data: bytes, *, yanked: str | None = None) -> str:
        """Publish a source distribution with its SHA-256, and return its path."""
        path = f"/files/{file}"
        self.files[path] = data
        self.hashes[path] = hashlib.sha256(data).hexdigest()
        if yanked is not None:
            self.yanked[path] = yanked
        return path

    def add_tarball(self, name: str, version: str, members: dict[str, bytes]) -> str:
        """Publish an npm package, with a link among its members, and return its path."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            link = tarfile.TarInfo("package/link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
            for member, content in members.items():
                entry = tarfile.TarInfo(member)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        data = buffer.getvalue()
        integrity = base64.b64encode(hashlib.sha512(data).digest()).decode()
        self.tarballs[name] = (version, f"sha512-{integrity}")
        self.files[f"/tarballs/{name}"] = data
        return f"/tarballs/{name}"

    def asked(self, path: str, method: str = "GET") -> list[dict[str, str]]:
        """Return the headers of each request for ``path``."""
        return [
            headers for verb, where, headers in self.requests if (verb, where) == (method, path)
        ]

    def downloads(self) -> list[str]:
        """Return the paths of files that were asked for, in order."""
        return [path for verb, path, _ in self.requests if verb == "GET" and path in self.files]

    def page(self, name: str) -> bytes:
        """Write the index page of one project (PEP 503)."""
        links = []
        for path in self.files:
            file = path.rpartition("/")[2]
            # A wheel's name has no hyphen of its own; that of a source distribution may have some.
            project = file.partition("-")[0] if file.endswith(".whl") else file.rpartition("-")[0]
            if re.sub(r"[-_.]+", "-", project).lower() == name:
                claim = f"#sha256={self.hashes[path]}" if path in self.hashes else ""
                why = f' data-yanked="{self.yanked[path]}"' if path in self.yanked else ""
                links.append(f'<a href="{path}{claim}"{why}>{file}</a>')
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()


def serve(index: FakeIndex) -> ThreadingHTTPServer:
    """Start serving in a thread; the caller shuts it down."""

    class Handler(_Handler):
        fake = index

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    fake: FakeIndex

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        fake, path = self.fake, unquote(self.path)
        fake.requests.append((self.command, path, dict(self.headers)))
        if path in fake.status:
            self._send(fake.status[path], b"", {})
        elif path in fake.files:
            etag = {"ETag": fake.etags[path]} if path in fake.etags else {}
            self._send_file(path, fake.files[path], etag)
        elif path in fake.hub:
            sha256 = hashlib.sha256(fake.hub[path]).hexdigest()
            self._send_file(
                path, fake.hub[path], {"ETag": f'"{sha256}"', "X-Repo-Commit": REVISION}
            )
        elif path.startswith("/simple/") and b"<a " in fake.page(path.split("/")[2]):
            self._send(200, fake.page(path.split("/")[2]), {"Content-Type": "text/html"})
        elif path.startswith("/npm/") and path.removeprefix("/npm/") in fake.tarballs:
            self._send_npm(path.removeprefix("/npm/"))
        else:
            self._send(404, b"", {})

    def _send_npm(self, name: str) -> None:
        version, integrity = self.fake.tarballs[name]
        dist = {"tarball": f"{self.fake.url}/tarballs/{name}", "integrity": integrity}
        body = json.dumps({"versions": {version: {"dist": dist}}}).encode()
        self._send(200, body, {"Content-Type": "application/json"})

    def _send_file(self, path: str, data: bytes, headers: dict[str, str]) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        unchanged = self.headers.get("If-Range") in (None, headers.get("ETag"))
        if not match or self.fake.ignore_range or not unchanged:
            self._send(200, data, headers)
            return
        start = int(match[1])
        if start >= len(data):
            self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        span = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206, data[start:], {**headers, "Content-Range": span})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        path = unquote(self.path)
        hold = self.fake.hold_after.get(path)
        if hold is not None and not self.fake.release.is_set():
            self.wfile.write(body[:hold])
            self.wfile.flush()
            self.fake.release.wait(30)
            body = body[hold:]
        if self.fake.cuts.get(path):
            self.wfile.write(body[: self.fake.cuts[path].pop(0)])
            self.close_connection = True
            return
        self.wfile.write(body)
