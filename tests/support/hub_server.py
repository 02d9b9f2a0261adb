"""A server that speaks as much of the Hub's protocol as an upload needs, on this machine."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Hub:
    """What the server was asked for: repositories with what they were made with, and their files' content."""

    address: str = ""
    token: str = "secret"
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def hub_server() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self._body()
            if self.headers.get("Authorization") != f"Bearer {hub.token}":
                self._answer(401, {"error": "Invalid username or password."})
            elif self.path == "/api/repos/create":
                asked = json.loads(body)
                kind = asked.get("type") or "model"
                name = f"{asked['organization']}/{asked['name']}"
                hub.repositories[f"{kind}s/{name}"] = asked
                self._answer(200, {"url": f"{hub.address}/{'' if kind == 'model' else kind + 's/'}{name}"})
            elif self.path == "/api/validate-yaml":
                self._answer(200, {"errors": [], "warnings": []})
            elif "/preupload/" in self.path:
                asked = json.loads(body)["files"]
                self._answer(200, {"files": [self._mode(file["path"]) for file in asked]})
            elif self.path.endswith("/info/lfs/objects/batch"):
                self._answer(
                    200, {"transfer": "basic", "objects": [_upload(one) for one in json.loads(body)["objects"]]}
                )
            elif "/commit/" in self.path:
                repository = self.path.split("/api/")[1].split("/commit/")[0]
                self._commit(repository, body)
                address = f"{hub.address}/{repository.removeprefix('models/')}/commit/{'0' * 40}"
                self._answer(200, {"commitUrl": address, "commitOid": "0" * 40, "success": True})
            else:
                self._answer(404, {"error": self.path})

        def do_PUT(self) -> None:
            hub.large[self.path.rpartition("/")[2]] = self._body()
            self._answer(200, {})

        def do_GET(self) -> None:
            self._answer(404, {"error": self.path})

        def _mode(self, path: str) -> dict[str, Any]:
            large = path.endswith((".safetensors", ".parquet"))
            return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": None}

        def _commit(self, repository: str, body: bytes) -> None:
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    hub.files[repository, value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    hub.files[repository, value["path"]] = hub.large[value["oid"]]

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, status: int, values: dict[str, Any]) -> None:
            body = json.dumps(values).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    def _upload(one: dict[str, Any]) -> dict[str, Any]:
        return one | {"actions": {"upload": {"href": f"{hub.address}/upload/{one['oid']}", "header": {}}}}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
