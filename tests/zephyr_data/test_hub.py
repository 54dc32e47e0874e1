"""A Hub dataset as the source of a step, against a server process that answers as the Hub does."""

import json
from pathlib import Path

import pytest

from tests.conftest import dialogue, zephyr
from tests.hub_server import COMMIT, NOBODY, HubServer

Environment = dict[str, str]
CLEAN = ("data", "clean-ultrachat", "lab/chats")


@pytest.fixture
def lab(hub_server: HubServer, tmp_path: Path) -> Environment:
    """Put two files of dialogues on the server; return the variables of a process that reads them."""
    for number in range(2):
        rows = [
            dialogue(f"What is fruit number {number}{row}?", f"It is the plum that is called {row} in list {number}.")
            for row in range(20)
        ]
        hub_server.put("dataset", "lab/chats", {f"train_{number}.jsonl": "\n".join(rows), "README.md": "card"})
    return hub_server.environment(tmp_path / "home")


def test_main_is_resolved_once_and_files_are_fetched_once(
    lab: Environment, hub_server: HubServer, tmp_path: Path
) -> None:
    first = zephyr(*CLEAN, "--out", tmp_path / "out", "--json", **lab)
    assert first.returncode == 0, first.stderr
    assert "2 files, 0.00 GB to fetch" in first.stderr and "fetching 2 of 2: train_1.jsonl" in first.stderr
    content = json.loads(first.stdout)
    assert content["counts"]["rows_read"] == 40
    assert content["options"]["values"]["revision"] == COMMIT
    assert {entry["source"] for entry in content["inputs"]} == {f"lab/chats@{COMMIT}"}
    assert [(entry["file"], entry["why"]) for entry in content["passed_over"]] == [("README.md", "another ending")]
    story = zephyr("data", "why", tmp_path / "out", "train_0.jsonl:3", **lab)
    assert "raw row at train_0.jsonl:3" in story.stdout, story.stderr
    again = zephyr(*CLEAN, "--out", tmp_path / "other", **lab)
    assert again.returncode == 0, again.stderr
    assert "fetch" not in again.stderr
    assert sorted(hub_server.downloads()) == ["train_0.jsonl", "train_1.jsonl"]


def test_with_the_hub_switched_off_the_cache_gives_the_same_dataset(lab: Environment, tmp_path: Path) -> None:
    offline = lab | {"HF_HUB_OFFLINE": "1"}
    refused = zephyr(*CLEAN, "--out", tmp_path / "out", **offline)
    assert refused.returncode == 4
    assert "does not hold revision main" in refused.stderr and "--recipe tiny" in refused.stderr
    contents = [
        json.loads(zephyr(*CLEAN, "--out", tmp_path / name, "--json", **environment).stdout)
        for name, environment in (("online", lab), ("offline", offline))
    ]
    assert contents[0]["splits"] == contents[1]["splits"] and contents[0]["inputs"] == contents[1]["inputs"]


def test_unknown_revision_and_dataset_are_named(lab: Environment, tmp_path: Path) -> None:
    for arguments, message in ((("lab/chats", "--revision", "nope"), "revision nope"), (("lab/none",), "lab/none")):
        done = zephyr("data", "clean-ultrachat", *arguments, "--out", tmp_path / "out", **lab)
        assert done.returncode == 4
        assert message in done.stderr and "--recipe tiny" in done.stderr


def test_a_dataset_without_a_readable_file_is_refused(lab: Environment, hub_server: HubServer, tmp_path: Path) -> None:
    hub_server.put("dataset", "lab/card", {"README.md": "card"})
    done = zephyr("data", "clean-ultrachat", "lab/card", "--out", tmp_path / "out", **lab)
    assert done.returncode == 4 and "lab/card has no file that can be read" in done.stderr


def test_no_server_fails_at_once() -> None:
    done = zephyr("data", "clean-ultrachat", "lab/chats", HF_ENDPOINT=NOBODY, HF_HUB_OFFLINE="0")
    assert done.returncode == 4
    assert "cannot be listed" in done.stderr
