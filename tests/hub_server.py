"""A stand-in for the hub on 127.0.0.1: one folder of files as one repository, free, gated, or gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_" + "x" * 34


class Hub(ThreadingHTTPServer):
    """Serves `folder` as the model `owner/little`; `gated` asks for TOKEN. `asked` holds the paths of all requests."""

    def __init__(self, folder: Path, *, gated: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.gated, self.asked = folder, gated, []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """The two roads of the hub's protocol that a download takes: what is there, and the files."""

    server: Hub

    def do_HEAD(self) -> None:  # noqa: N802 - the name is the protocol's
        self._answer(body=False)

    def do_GET(self) -> None:  # noqa: N802
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if "owner/little" not in path:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api/models/owner/little"):
            facts = self._tree() if "/tree/" in path else self._facts()
            self._send(200, json.dumps(facts).encode(), {"Content-Type": "application/json"})
        elif self.server.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, b"", {"X-Error-Code": "GatedRepo"})
        else:
            self._send_file(self.server.folder / path.rpartition("/")[2], body=body)

    def _facts(self) -> dict[str, object]:
        """What older clients ask for."""
        siblings = [{"rfilename": file.name} for file in sorted(self.server.folder.iterdir())]
        return {"id": "owner/little", "sha": COMMIT, "siblings": siblings, "gated": self.server.gated}

    def _tree(self) -> list[dict[str, object]]:
        """What newer clients ask for."""
        files = sorted(self.server.folder.iterdir())
        return [{"type": "file", "oid": COMMIT, "size": file.stat().st_size, "path": file.name} for file in files]

    def _send_file(self, file: Path, *, body: bool) -> None:
        content = file.read_bytes()
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self._send(200, content, headers, body=body)

    def _send(self, status: int, content: bytes, headers: dict[str, str], *, body: bool = True) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""


@contextmanager
def serving(folder: Path, *, gated: bool = False) -> Iterator[Hub]:
    """A hub that runs until the end of the block."""
    hub = Hub(folder, gated=gated)
    thread = Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
