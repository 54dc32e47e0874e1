"""A published set on the Hub, against a server process that answers as the Hub does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hub_server import COMMIT, NOBODY, HubServer
from tests.zephyr_train.row_shapes import PAIRS, published_pair, write_parquet

READ = """
import json, sys
from zephyr_core.errors import ZephyrError
from zephyr_train.reader import open_data
from zephyr_core.console import say
try:
    source = open_data(sys.argv[1], "pairs", *(sys.argv[2:] or ["main"]))
    rows = {split: source.table(split).num_rows for split in source.files}
    print(json.dumps({"commit": source.commit, "layout": source.layout, "digest": source.digest, "rows": rows}))
except ZephyrError as fault:
    print(json.dumps({"error": type(fault).__name__, "message": str(fault), "hint": fault.hint}))
"""
Read = Callable[..., dict[str, Any]]


@pytest.fixture
def read(hub_server: HubServer, tmp_path: Path) -> Read:
    """Open a source in a fresh process whose Hub is the server's; further arguments are its environment."""
    folder = hub_server.put("dataset", "lab/pairs", {"README.md": "card"})
    write_parquet(
        folder / "data" / "train_prefs-00000-of-00001-ab.parquet", [published_pair(*pair) for pair in PAIRS[:2]]
    )
    write_parquet(folder / "data" / "test_prefs-00000-of-00001-cd.parquet", [published_pair("x", "y", "z")])
    write_parquet(folder / "data" / "train_sft-00000-of-00001-ef.parquet", [{"messages": []}])
    lab = hub_server.environment(tmp_path / "home")

    def run(*arguments: str, **environment: str) -> dict[str, Any]:
        command = [sys.executable, "-c", READ, *arguments]
        done = subprocess.run(command, env=os.environ | lab | environment, capture_output=True, text=True, check=True)
        content: dict[str, Any] = json.loads(done.stdout)
        return content | {"news": done.stderr}

    return run


def test_only_the_needed_splits_are_fetched_once_at_the_resolved_commit(read: Read, hub_server: HubServer) -> None:
    first, again = read("lab/pairs"), read("lab/pairs")
    assert "fetching 2 of 2" in first.pop("news") and not again.pop("news")
    assert first == again
    assert (first["commit"], first["layout"], first["rows"]) == (COMMIT, "published", {"train": 2, "test": 1})
    fetched = sorted(Path(name).name for name in hub_server.downloads())
    assert fetched == ["test_prefs-00000-of-00001-cd.parquet", "train_prefs-00000-of-00001-ab.parquet"]


def test_a_local_copy_has_the_digest_of_the_hubs(read: Read, hub_server: HubServer) -> None:
    local = read(str(hub_server.root / "datasets" / "lab" / "pairs"))
    assert (local["digest"], local["commit"]) == (read("lab/pairs")["digest"], None)


def test_without_a_network_the_cache_serves_what_it_holds(read: Read) -> None:
    missing = read("lab/pairs", HF_HUB_OFFLINE="1")
    assert (missing["error"], "does not hold revision main" in missing["message"]) == ("Unreachable", True)
    assert "--data" in missing["hint"]
    fetched = read("lab/pairs", "v1")
    for revision in (COMMIT, "v1"):
        assert read("lab/pairs", revision, HF_HUB_OFFLINE="1")["digest"] == fetched["digest"]


def test_unknown_names_and_silent_servers_are_told(read: Read) -> None:
    assert "revision nope" in read("lab/pairs", "nope")["message"]
    assert "lab/none" in read("lab/none")["message"]
    refused = read("lab/pairs", HF_ENDPOINT=NOBODY)
    assert refused["error"] == "Unreachable" and "HF_HUB_OFFLINE=1" in refused["hint"]
