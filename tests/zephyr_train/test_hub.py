"""A published set on the Hub, against a real server process that answers as the Hub does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.zephyr_train.row_shapes import PAIRS, published_pair, write_parquet
from zephyr_core.errors import NoSpace
from zephyr_train.rows import hub

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
SERVER = """
import hashlib, json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
folder, commit = Path(sys.argv[1]), sys.argv[2]
log = (folder.parent / "requests.log").open("a", buffering=1)
class Hub(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_HEAD(self): self.reply(*self.find())
    def do_GET(self): self.reply(*self.find())
    def find(self):
        path = self.path.split("?")[0]
        log.write(f"{self.command} {path}\\n")
        listing, files = "/api/datasets/lab/pairs/revision/", f"/datasets/lab/pairs/resolve/{commit}/"
        if path.startswith(listing):
            if path[len(listing):] not in ("main", "v1", commit):
                return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
            found = sorted(path for path in folder.rglob("*") if path.is_file())
            named = [{"rfilename": path.relative_to(folder).as_posix(), "size": path.stat().st_size} for path in found]
            return 200, json.dumps({"id": "lab/pairs", "sha": commit, "siblings": named}).encode(), {}
        if path.startswith(files) and (folder / path[len(files):]).is_file():
            content = (folder / path[len(files):]).read_bytes()
            etag = '"' + hashlib.sha256(content).hexdigest() + '"'
            return 200, content, {"ETag": etag, "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        return 404, b"{}", {"X-Error-Code": "RepoNotFound"}
    def reply(self, status, content, headers):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items(): self.send_header(key, value)
        self.end_headers()
        if self.command == "GET": self.wfile.write(content)
server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
READ = """
import json, sys
from zephyr_core.errors import ZephyrError
from zephyr_train.reader import open_data
try:
    source = open_data(sys.argv[1], "pairs", *sys.argv[2:])
    rows = {split: source.table(split).num_rows for split in source.files}
    print(json.dumps({"commit": source.commit, "layout": source.layout, "digest": source.digest, "rows": rows}))
except ZephyrError as fault:
    print(json.dumps({"error": type(fault).__name__, "message": str(fault), "hint": fault.hint}))
"""
Read = Callable[..., dict[str, Any]]


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    """Open a source in a fresh process whose Hub is the server's; further arguments are its environment."""
    folder = tmp_path / "hub" / "repository"
    write_parquet(
        folder / "data" / "train_prefs-00000-of-00001-ab.parquet", [published_pair(*pair) for pair in PAIRS[:2]]
    )
    write_parquet(folder / "data" / "test_prefs-00000-of-00001-cd.parquet", [published_pair("x", "y", "z")])
    write_parquet(folder / "data" / "train_sft-00000-of-00001-ef.parquet", [{"messages": []}])
    (folder / "README.md").write_text("card")
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(folder), COMMIT], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    lab = {"HF_ENDPOINT": f"http://127.0.0.1:{server.stdout.readline().strip()}", "HF_HOME": str(tmp_path / "home")}
    lab |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}

    def run(*arguments: str, **environment: str) -> dict[str, Any]:
        command = [sys.executable, "-c", READ, *arguments]
        done = subprocess.run(command, env=os.environ | lab | environment, capture_output=True, text=True, check=True)
        content: dict[str, Any] = json.loads(done.stdout)
        return content

    yield run
    server.kill()
    server.wait()
    server.stdout.close()


def test_only_the_needed_splits_are_fetched_once_at_the_resolved_commit(read: Read, tmp_path: Path) -> None:
    first, again = read("lab/pairs"), read("lab/pairs")
    assert first == again
    assert (first["commit"], first["layout"], first["rows"]) == (COMMIT, "published", {"train": 2, "test": 1})
    requests = (tmp_path / "hub" / "requests.log").read_text().splitlines()
    fetched = [line.rsplit("/", 1)[1] for line in requests if line.startswith("GET /datasets")]
    assert sorted(fetched) == ["test_prefs-00000-of-00001-cd.parquet", "train_prefs-00000-of-00001-ab.parquet"]


def test_a_local_copy_has_the_digest_of_the_hubs(read: Read, tmp_path: Path) -> None:
    local = read(str(tmp_path / "hub" / "repository"))
    assert (local["digest"], local["commit"]) == (read("lab/pairs")["digest"], None)


def test_without_a_network_the_cache_serves_what_it_holds(read: Read) -> None:
    missing = read("lab/pairs", HF_HUB_OFFLINE="1")
    assert (missing["error"], "does not hold revision main" in missing["message"]) == ("ModelUnreachable", True)
    fetched = read("lab/pairs", "v1")
    assert read("lab/pairs", COMMIT, HF_HUB_OFFLINE="1") == fetched


def test_a_full_disk_is_told_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi, constants

    listing = SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename="train.parquet", size=10**18)])
    monkeypatch.setattr(HfApi, "dataset_info", lambda *_, **__: listing)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub" / "cache"))
    monkeypatch.setattr(constants, "is_offline_mode", lambda: False)
    with pytest.raises(NoSpace, match=r"lab/pairs needs 1000000000\.0 GB"):
        hub.fetch("lab/pairs", "main", lambda names: names)
    assert hub.fetch("lab/pairs", "main", lambda _: []).commit == COMMIT
    for name in ("_cached", "_file"):
        monkeypatch.setattr(hub, name, lambda *_: tmp_path)
    assert hub.fetch("lab/pairs", "main", lambda names: names).files == {"train.parquet": tmp_path}


def test_unknown_names_and_silent_servers_are_told(read: Read) -> None:
    assert "revision nope" in read("lab/pairs", "nope")["message"]
    assert "lab/none" in read("lab/none")["message"]
    refused = read("lab/pairs", HF_ENDPOINT="http://127.0.0.1:9")
    assert refused["error"] == "ModelUnreachable" and "HF_HUB_OFFLINE=1" in refused["hint"]
