"""The Hub source against a real server process that answers as the Hub does, up to the edge of the real one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import dialogue, zephyr

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SERVER = """
import hashlib, json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
folder, commit = Path(sys.argv[1]), sys.argv[2]
log = (folder.parent / "requests.log").open("a", buffering=1)
class Hub(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_HEAD(self): self.answer(False)
    def do_GET(self): self.answer(True)
    def answer(self, body):
        path = self.path.split("?")[0]
        log.write(f"{self.command} {self.path}\\n")
        if path.startswith("/api/datasets/lab/chats/revision/"):
            revision = path.rsplit("/", 1)[1]
            if revision not in ("main", commit):
                return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body)
            files = [{"rfilename": p.name, "size": p.stat().st_size} for p in sorted(folder.iterdir())]
            return self.send(200, json.dumps({"id": "lab/chats", "sha": commit, "siblings": files}).encode(), {"Content-Type": "application/json"}, body)
        name = path.rsplit("/", 1)[1]
        if f"/datasets/lab/chats/resolve/{commit}/" in path and (folder / name).is_file():
            data = (folder / name).read_bytes()
            etag = hashlib.sha256(data).hexdigest()
            return self.send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}, body)
        self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
    def send(self, status, data, headers, body):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items(): self.send_header(key, value)
        self.end_headers()
        if body: self.wfile.write(data)
server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[dict[str, str]]:
    folder = tmp_path / "repository"
    folder.mkdir()
    for number in range(2):
        rows = [
            dialogue(f"What is fruit number {number}{row}?", f"It is the plum that is called {row} in list {number}.")
            for row in range(20)
        ]
        (folder / f"train_{number}.jsonl").write_text("\n".join(rows))
    (folder / "README.md").write_text("card")
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(folder), COMMIT], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = server.stdout.readline().strip()
    yield {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }
    server.kill()
    server.wait()
    server.stdout.close()


def test_main_is_resolved_once_and_files_are_fetched_once(hub: dict[str, str], tmp_path: Path) -> None:
    first = zephyr("data", "clean-ultrachat", "lab/chats", "--out", tmp_path / "out", "--json", **hub)
    assert first.returncode == 0, first.stderr
    assert "2 files, 0.00 GB to fetch" in first.stderr and "fetching 2 of 2: train_1.jsonl" in first.stderr
    content = json.loads(first.stdout)
    assert content["counts"]["rows_read"] == 40
    assert content["options"]["values"]["revision"] == COMMIT
    assert {entry["source"] for entry in content["inputs"]} == {f"lab/chats@{COMMIT}"}
    story = zephyr("data", "why", tmp_path / "out", "train_0.jsonl:3", **hub)
    assert "raw row at train_0.jsonl:3" in story.stdout, story.stderr
    again = zephyr("data", "clean-ultrachat", "lab/chats", "--out", tmp_path / "other", **hub)
    assert again.returncode == 0, again.stderr
    assert "fetching" not in again.stderr
    requests = (tmp_path / "requests.log").read_text().splitlines()
    assert sum(line.startswith("GET /datasets/lab/chats/resolve/") for line in requests) == 2
    assert not any("README" in line for line in requests)


def test_unknown_revision_and_dataset_are_named(hub: dict[str, str], tmp_path: Path) -> None:
    for arguments, said in ((("lab/chats", "--revision", "nope"), "revision nope"), (("lab/none",), "lab/none")):
        done = zephyr("data", "clean-ultrachat", *arguments, "--out", tmp_path / "out", **hub)
        assert done.returncode == 4
        assert said in done.stderr and "--recipe tiny" in done.stderr


def test_no_server_fails_at_once(tmp_path: Path) -> None:
    done = zephyr("data", "clean-ultrachat", "lab/chats", HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")
    assert done.returncode == 4
    assert "cannot be listed" in done.stderr
