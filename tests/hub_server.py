"""A server process that answers as the Hub does, up to the edge of the real one, and on demand as it does on a bad day.

Its root holds datasets/OWNER/NAME/… and models/OWNER/NAME/…; `requests.log` lists what it was asked for.
"""

import contextlib
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVISIONS = ("main", "v1", COMMIT)
NOBODY = "http://127.0.0.1:9"  # where no server listens
LISTING_FAULTS = {"limited": 429, "forbidden": 403, "down": 503}
Reply = tuple[int, bytes, dict[str, str]]


@dataclass(frozen=True)
class HubServer:
    """The server as tests see it."""

    root: Path
    url: str

    def put(self, kind: str, repository: str, files: dict[str, bytes | str]) -> Path:
        """Write the files of a dataset or model; return its folder."""
        folder = self.root / f"{kind}s" / repository
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    def fail(self, fault: str) -> None:
        """Answer from now on with a fault: limited, forbidden, down, hidden, silent, gated or cut; "" ends it."""
        (self.root / "fault").write_text(fault)

    def downloads(self) -> list[str]:
        """Return the names of the files that were asked for, in order."""
        lines = (self.root / "requests.log").read_text().splitlines()
        return [
            line.split(f"/resolve/{COMMIT}/")[1] for line in lines if line.startswith("GET") and "/resolve/" in line
        ]

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables with which another process takes this server for the Hub."""
        return {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}

    def use(self, monkeypatch: "pytest.MonkeyPatch", home: Path, url: str | None = None) -> None:
        """Make this process take the server for the Hub."""
        from huggingface_hub import constants

        url = url or self.url
        for name, value in {
            "ENDPOINT": url,
            "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(constants, name, value)


@contextlib.contextmanager
def running(root: Path) -> Iterator[HubServer]:
    """Yield a server in a process of its own."""
    root.mkdir(parents=True)
    (root / "fault").write_text("")
    with started(__file__, root) as url:
        yield HubServer(root, url)


@contextlib.contextmanager
def started(script: str, root: Path) -> Iterator[str]:
    """Yield the address of a server in a process of its own, which prints its port."""
    server = subprocess.Popen([sys.executable, script, str(root)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


class _Handler(BaseHTTPRequestHandler):
    root: Path

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.reply()

    def do_GET(self) -> None:
        self.reply()

    def reply(self) -> None:
        path = self.path.split("?")[0]
        with (self.root / "requests.log").open("a") as log:
            log.write(f"{self.command} {path}\n")
        self.fault = (self.root / "fault").read_text()
        status, content, headers = self.listing(path) if path.startswith("/api/") else self.file(path)
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            cut = self.fault == "cut" and "/resolve/" in path
            self.wfile.write(content[: len(content) // 2] if cut else content)

    def listing(self, path: str) -> Reply:
        if self.fault == "silent":
            time.sleep(60)
        if self.fault == "hidden":
            return _error(401, "RepoNotFound")
        if self.fault in LISTING_FAULTS:
            return LISTING_FAULTS[self.fault], b"{}", {}
        repository, _, revision = path.removeprefix("/api/").partition("/revision/")
        folder = self.root / repository
        if not folder.is_dir():
            return _error(404, "RepoNotFound")
        if revision not in REVISIONS:
            return _error(404, "RevisionNotFound")
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        files = [{"rfilename": name, "size": (folder / name).stat().st_size} for name in names]
        content: dict[str, Any] = {"id": repository.partition("/")[2], "sha": COMMIT, "siblings": files}
        return 200, json.dumps(content).encode(), {"Content-Type": "application/json"}

    def file(self, path: str) -> Reply:
        if self.fault == "gated":
            return _error(403, "GatedRepo")
        repository, _, name = path.strip("/").partition(f"/resolve/{COMMIT}/")
        file = self.root / (repository if repository.startswith("datasets/") else f"models/{repository}") / name
        if not name or not file.is_file():
            return _error(404, "EntryNotFound")
        content = file.read_bytes()
        return 200, content, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}


def _error(status: int, code: str) -> Reply:
    return status, b"{}", {"X-Error-Code": code}


if __name__ == "__main__":
    _Handler.root = Path(sys.argv[1])
    local = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(local.server_address[1], flush=True)
    local.serve_forever()
