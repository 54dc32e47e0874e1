"""The Hub's client against a server process that answers as the Hub does, also on a bad day."""

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import News
from tests.hub_server import COMMIT, NOBODY, HubServer
from zephyr_core import hub
from zephyr_core.errors import EnvironmentLack, NoSpace, Unreachable
from zephyr_core.hub import fetching, listing
from zephyr_data.sources.files import is_local
from zephyr_train.errors import ModelUnreachable
from zephyr_train.reader import open_data

FILES = {"a.txt": "plum" * 300, "deep/b.txt": "pear" * 300, "README.md": "card"}
Fetch = Callable[..., hub.Snapshot]


def texts(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith(".txt")]


@pytest.fixture(params=["dataset", "model"])
def kind(request: pytest.FixtureRequest, hub_server: HubServer) -> hub.Kind:
    kind: hub.Kind = request.param
    hub_server.put(kind, "lab/set", FILES)
    return kind


@pytest.fixture
def fetch(hub_server: HubServer, kind: hub.Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    """Fetch the texts of lab/set."""
    hub_server.use(monkeypatch, tmp_path / "home")
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the client's, between two tries

    def run(revision: str = "main", name: str = "lab/set") -> hub.Snapshot:
        return hub.fetch(name, kind, revision, texts, instead="give a local copy")

    return run


def switch_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


# What the server, the network or the disk does → words of the message, words of the hint.
FAULTS = {
    "missing": ("lab/none does not exist, or is private", "`hf auth login`"),
    "hidden": ("lab/set does not exist, or is private", "`hf auth login`"),
    "revision": ("lab/set has no revision nope", "branch, tag or commit"),
    "gated": ("lab/set is gated", "lab/set and run `hf auth login`"),
    "forbidden": ("lab/set is gated: the Hub refuses access (403)", "accept its terms at http://"),
    "no network": ("lab/set cannot be listed: [Errno 111]", "HF_HUB_OFFLINE=1"),
    "silent": ("lab/set cannot be listed: timed out", "HF_HUB_OFFLINE=1"),
    "down": ("lab/set cannot be listed: Server error '503", "HF_HUB_OFFLINE=1"),
    "limited": ("lab/set cannot be listed: the Hub limits the rate of requests (429)", "in a few minutes"),
    "cut": ("a.txt of the Hub KIND lab/set was not fetched: ", "run the command again"),
    "offline": ("lab/set is on the Hub, which is switched off (HF_HUB_OFFLINE)", "HF_HUB_OFFLINE=0"),
    "full disk": ("for lab/set, 0.0 GB are free", "HF_HOME"),
    "no permission": ("hub cannot be written: Permission denied", "HF_HOME"),
}
NOT_THE_CALLERS = ("full disk", "no permission")  # whose hint is not to do without the Hub


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_an_error_of_one_line_with_a_hint(
    fault: str, fetch: Fetch, kind: hub.Kind, hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault in ("hidden", "gated", "forbidden", "silent", "down", "limited", "cut"):
        hub_server.fail(fault)
    monkeypatch.setattr(listing, "TIMEOUT", 0.3 if fault == "silent" else 10.0)
    if fault == "no network":
        hub_server.use(monkeypatch, tmp_path / "home", NOBODY)
    elif fault == "offline":
        switch_off(monkeypatch)
    elif fault == "full disk":
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2399))
    elif fault == "no permission":
        refusal = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: (_ for _ in ()).throw(refusal))
    arguments = {"missing": ("main", "lab/none"), "revision": ("nope",)}.get(fault, ())
    with pytest.raises(EnvironmentLack) as caught:
        fetch(*arguments)
    message, hint = FAULTS[fault]
    assert message.replace("KIND", kind) in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.hint is not None and hint in caught.value.hint
    assert ("give a local copy" in caught.value.hint) == (fault not in NOT_THE_CALLERS)
    assert caught.value.exit_code == 4 and "lab/" in str(caught.value)
    assert isinstance(caught.value, NoSpace) == (fault in ("full disk", "no permission"))


def test_a_revision_is_resolved_once_and_only_what_is_chosen_is_fetched_once(
    fetch: Fetch, hub_server: HubServer, news: News
) -> None:
    snapshot = fetch()
    assert {name: path.read_text() for name, path in snapshot.files.items()} == {
        name: FILES[name] for name in ("a.txt", "deep/b.txt")
    }
    assert (snapshot.repository, snapshot.commit) == ("lab/set", COMMIT)
    assert news() == [
        f"lab/set at {COMMIT}: 2 files, 0.00 GB to fetch",
        "fetching 1 of 2: a.txt, 0.00 GB",
        "fetching 2 of 2: deep/b.txt, 0.00 GB",
    ]
    assert fetch() == fetch("v1") == fetch(COMMIT) == snapshot
    assert news() == [] and hub_server.downloads() == ["a.txt", "deep/b.txt"]


def test_the_cache_serves_every_revision_that_was_fetched_when_the_hub_is_switched_off(
    fetch: Fetch, kind: hub.Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = fetch()
    switch_off(monkeypatch)
    assert fetch() == fetch(COMMIT) == hub.cached("lab/set", kind, "main", texts) == snapshot
    assert hub.cached_file("lab/set", kind, "main", "a.txt") == snapshot.files["a.txt"]
    assert hub.cached_file("lab/set", kind, COMMIT, "README.md") is None
    with pytest.raises(Unreachable, match="does not hold revision v1"):
        fetch("v1")


def test_what_other_tools_fetched_is_taken_as_far_as_they_listed_it(
    kind: hub.Kind, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = fetch()
    folder = snapshot.files["a.txt"].parent
    shutil.rmtree(folder.parents[1] / hub.LISTINGS)
    (folder / "a.txt").unlink()
    switch_off(monkeypatch)
    assert fetch().files == {"deep/b.txt": folder / "deep/b.txt"}
    tree = folder.parents[1] / "trees" / f"{COMMIT}.json"
    tree.parent.mkdir()
    tree.write_text('{"format_version": 1, "files": {"a.txt": {"size": 1, "blob_id": "x"}}}')
    assert hub.cached("lab/set", kind, "main", texts) is None


def test_part_of_a_revision_is_never_taken_for_all_of_it(
    fetch: Fetch, hub_server: HubServer, kind: hub.Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = hub.fetch("lab/set", kind, "main", lambda _: ["a.txt"], instead="")
    assert list(part.files) == ["a.txt"]
    switch_off(monkeypatch)
    with pytest.raises(Unreachable, match="does not hold revision main"):
        fetch()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    hub_server.fail("cut")
    with pytest.raises(Unreachable, match=r"deep/b\.txt of .* was not fetched"):
        fetch()
    hub_server.fail("")
    assert fetch().files["deep/b.txt"].read_text() == FILES["deep/b.txt"]
    assert hub_server.downloads().count("a.txt") == 1, "what was fetched whole stays"


def test_a_full_disk_is_reported_before_anything_is_fetched_and_does_not_matter_after(
    fetch: Fetch, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2399))
    with pytest.raises(NoSpace, match=r"about 0\.0 GB are needed at .* for lab/set, 0\.0 GB are free"):
        fetch()
    assert hub_server.downloads() == []
    monkeypatch.undo()
    hub_server.use(monkeypatch, hub_server.root.parent / "home")
    snapshot = fetch()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert fetch() == snapshot


def test_a_cache_that_cannot_be_written_serves_what_it_holds(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    snapshot = fetch()
    monkeypatch.setattr(fetching, "write_text_whole", refuse)
    assert fetch() == snapshot


def test_a_file_that_must_be_there_and_is_not_is_named(fetch: Fetch, kind: hub.Kind) -> None:
    with pytest.raises(Unreachable, match=r"lab/set has no config\.json") as fault:
        hub.fetch("lab/set", kind, "main", lambda _: ["config.json"], instead="name a folder")
    assert fault.value.hint == "name a folder"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mistralai/Mistral-7B-v0.1", True),
        ("a_b/c", True),
        ("rows/mine", True),
        ("gpt2", False),
        ("./a/b", False),
        ("../b", False),
        ("a/..", False),
        ("a/b/c", False),
        ("a/b/", False),
        ("/a", False),
        ("~/a", False),
        ("a/*", False),
        ("samples:a/b", False),
        ("rows/mine.json", False),
        ("rows/MINE.JSON", False),
        ("rows/mine.jsonl", False),
        ("rows/mine.jsonl.gz", False),
        ("rows/mine.jsonl.zst", False),
        ("rows/mine.parquet", False),
        ("rows/model.safetensors", False),
        ("here/folder", False),
        ("here/stopped", False),
    ],
)
def test_data_and_training_agree_on_what_is_on_the_hub(
    text: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    switch_off(monkeypatch)
    for name in ("folder", "stopped.partial"):
        (tmp_path / "here" / name).mkdir(parents=True)
    assert hub.is_hub_id(text) == expected
    assert is_local(text) == (not expected)
    if text != "here/folder":
        with pytest.raises(Unreachable) as fault:
            open_data(text, "pairs")
        assert isinstance(fault.value, ModelUnreachable) == (not expected)
