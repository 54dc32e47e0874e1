"""The publishing side of the Hub's client against a local server: one commit, continued when stopped, compared after."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from tests.conftest import News
from tests.hub_server import NOBODY
from tests.writing_hub import READER, WritingHub
from zephyr_core import hub, keys, manifest
from zephyr_core.errors import DataError, Unreachable, UsageError, ZephyrError
from zephyr_core.folder import damage

FILES = {"README.md": b"# card\n", "data/a.parquet": b"plum" * 900, "data/b.parquet": b"pear" * 900, "plan.json": b"{}"}
LAB = "lab/set"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's, of its own library


Publish = Callable[..., hub.Published]


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    if not manifest.is_whole(folder):
        manifest.write(folder, {"kind": "reference"})
    return folder


@pytest.fixture
def publish(tmp_path: Path, server: WritingHub) -> Publish:
    """Publish files from a new folder, with its manifest."""

    def run(files: dict[str, bytes] = FILES, repository: str = LAB, **more: Any) -> hub.Published:
        folder = written(tmp_path / f"folder-{keys.json_key(list(map(str, files.items())))}", files)
        entries = manifest.list_files(folder) | {manifest.NAME: manifest.file_entry(folder / manifest.NAME)}
        return hub.publish(hub.Publication(hub.Target(repository, "dataset", **more), folder, entries, "the set"))

    return run


def there(tmp_path: Path, revision: str = "main", repository: str = LAB) -> dict[str, bytes]:
    """Return what the reading side fetches, but for the manifest."""
    got = hub.fetch(repository, "dataset", revision, lambda names: names, instead="")
    return {name: path.read_bytes() for name, path in got.files.items() if name != manifest.NAME}


def test_what_is_published_is_one_private_commit_and_equal_to_what_is_here(
    publish: Publish, server: WritingHub, tmp_path: Path
) -> None:
    published = publish()
    assert published.is_new and published.page.endswith(f"lab/set/tree/{published.commit}")
    assert {name: content for name, content in there(tmp_path, published.commit).items() if name[0] != "."} == {**FILES}
    assert len(server.asked("commit")) == 1 and len(server.asked("put")) == 2
    assert json.loads(next(body for body in server.received() if b'"organization"' in body))["visibility"] == "private"


def test_published_again_nothing_is_sent(publish: Publish, server: WritingHub) -> None:
    first, second = publish(), publish()
    assert (second.commit, second.is_new) == (first.commit, False)
    assert len(server.asked("commit")) == 1 and len(server.asked("put")) == 2


def test_a_change_sends_what_changed_and_removes_what_is_gone_but_not_what_others_added(
    publish: Publish, server: WritingHub, tmp_path: Path
) -> None:
    publish()
    server.fault("commit", "move")  # somebody adds notes.md
    changed = {"README.md": b"# other\n", "data/a.parquet": FILES["data/a.parquet"], "plan.json": b"{}"}
    with pytest.raises(Unreachable, match=r"nothing was published: the branch main of .* moved meanwhile"):
        publish(changed)
    assert publish(changed).is_new
    assert set(there(tmp_path)) == {*changed, "notes.md", ".gitattributes"}
    assert len(server.asked("put")) == 2


@pytest.mark.parametrize("name", ["data/theirs.parquet", "train.parquet"])
def test_files_of_others_that_would_be_read_with_ours_are_refused(
    name: str, publish: Publish, server: WritingHub, tmp_path: Path
) -> None:
    client = HfApi()
    client.create_repo(LAB, repo_type="dataset")
    client.upload_file(path_or_fileobj=b"rows", path_in_repo=name, repo_id=LAB, repo_type="dataset")
    with pytest.raises(UsageError, match=f"holds files that zephyr did not publish.*: {name}"):
        publish()
    assert set(there(tmp_path)) == {".gitattributes", name}


# Where the server fails, with what, how often → words of the one error.
FAULTS = {
    "wrong token": ("", "", 0, "does not accept the token (401)", "`hf auth login`"),
    "no token": ("", "", 0, "needs a token of the Hub, and there is none", "HF_TOKEN"),
    "a token that reads": ("", "", 0, "nothing was published: the token may not write to lab/set (403)", "may write"),
    "no network": ("", "", 0, "nothing was published: ", "it continues"),
    "offline": ("", "", 0, "switched off (HF_HUB_OFFLINE)", "HF_HUB_OFFLINE=0"),
    "forbidden": ("create", "403", 1, "the token may not write to lab/set (403)", "HF_TOKEN"),
    "gone": ("preupload", "404", 9, "was not sent, and nothing was published: ", "it continues"),
    "moved": (
        "commit",
        "move",
        1,
        "the branch main of the Hub dataset lab/set moved meanwhile",
        "run the command again",
    ),
    "limited": ("preupload", "429", 9, "the Hub limits the rate of requests (429)", "in a few minutes"),
    "broken": ("put", "500", 9, "data/a.parquet was not sent, and nothing was published: ", "it continues"),
    "dropped": ("put", "drop", 9, "data/a.parquet was not sent, and nothing was published: ", "it continues"),
    "commit broken": ("commit", "500", 1, "the commit was not confirmed, it may be there: ", "it continues"),
    "answer lost": ("commit", "late", 1, "the commit was not confirmed, it may be there: ", "it continues"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_clear_error_and_the_next_run_publishes(
    fault: str, publish: Publish, server: WritingHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, what, times, message, hint = FAULTS[fault]
    with monkeypatch.context() as patch:
        if fault == "wrong token":
            patch.setenv("HF_TOKEN", "hf_wrong")
        elif fault == "no token":
            patch.delenv("HF_TOKEN")
        elif fault == "a token that reads":
            patch.setenv("HF_TOKEN", READER)
        elif fault == "no network":
            server.use(patch, tmp_path / "home", NOBODY)
        elif fault == "offline":
            patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        else:
            server.fault(at, what, times)
        with pytest.raises(ZephyrError) as caught:
            publish()
    text = f"{caught.value}\n{caught.value.hint}"
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.hint is not None and hint in caught.value.hint and caught.value.exit_code == 4
    assert "hf_" not in text
    (folder,) = tmp_path.glob("folder-*")
    assert damage(folder) is None, "what is here stays as it was"
    (server.root / "fault").unlink(missing_ok=True)
    assert publish().is_new == (fault != "answer lost")
    assert len(set(server.asked("put"))) == 2


def test_what_the_hub_has_afterwards_is_compared_with_what_is_here(publish: Publish, server: WritingHub) -> None:
    server.fault("commit", "alter")
    with pytest.raises(
        DataError, match=r"lab/set at \w{40} differs from what was sent: README\.md, plan\.json, manifest"
    ):
        publish()


@pytest.mark.parametrize("status", ["429", "500", "drop"])
def test_a_passing_fault_is_retried(status: str, publish: Publish, server: WritingHub) -> None:
    server.fault("put", status, 2)
    assert publish().is_new and len(server.asked("put")) == 4


def test_large_files_that_were_sent_are_not_sent_again(publish: Publish, server: WritingHub) -> None:
    server.fault("commit", "500")
    with pytest.raises(Unreachable):
        publish()
    publish()
    assert len(server.asked("put")) == 2


def test_a_branch_is_created_and_the_others_stay(publish: Publish, server: WritingHub, tmp_path: Path) -> None:
    publish()
    other = {**FILES, "plan.json": b"[]"}
    publish(other, revision="try/2")
    assert there(tmp_path, "try/2")["plan.json"] == b"[]" and there(tmp_path)["plan.json"] == b"{}"
    with pytest.raises(UsageError, match="v1 is a tag or commit"):
        publish(revision="v1")


def test_a_pull_request_leaves_the_branch_and_is_not_opened_twice(
    publish: Publish, server: WritingHub, tmp_path: Path
) -> None:
    first = publish(create_pr=True)
    assert first.page.endswith("/discussions/1") and set(there(tmp_path)) == {".gitattributes"}
    assert there(tmp_path, first.commit)["plan.json"] == b"{}"
    again = publish(create_pr=True)
    assert (again.commit, again.is_new) == (first.commit, False)


def test_public_is_for_new_repositories(
    publish: Publish, server: WritingHub, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(public=True)
    assert "public" in capsys.readouterr().err
    publish({**FILES, "plan.json": b"[]"})
    assert "exists and stays PUBLIC" in capsys.readouterr().err
    publish(repository="lab/other")
    with pytest.raises(UsageError, match="exists and is private"):
        publish(repository="lab/other", public=True)


def verify(folder: Path) -> None:
    what = damage(folder)
    if what:
        raise DataError(f"{folder} is damaged: {what}")


def pulled(out: Path, revision: str = "main") -> str:
    return hub.pull(hub.Request(LAB, "dataset", revision), out, verify)


def test_what_is_pulled_is_what_was_published_and_a_second_pull_fetches_nothing(
    publish: Publish, server: WritingHub, tmp_path: Path
) -> None:
    commit, out = publish().commit, tmp_path / "copy"
    assert pulled(out) == commit and damage(out) is None
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".copy")} == set()
    assert {name: (out / name).read_bytes() for name in manifest.file_names(out)} == {**FILES}
    fetched = len(server.asked("resolve"))
    assert pulled(out, commit) == commit and len(server.asked("resolve")) == fetched


def test_a_stopped_pull_leaves_nothing_and_the_next_one_fetches_the_rest(
    publish: Publish, server: WritingHub, tmp_path: Path, news: News
) -> None:
    publish()
    out = tmp_path / "copy"
    server.fault("resolve:b.parquet", "403", 9)
    with pytest.raises(Unreachable, match=r"the Hub refuses access \(403\)"):
        pulled(out)
    assert not out.exists()
    server.fault("nothing", "403")
    news()
    pulled(out)
    assert "4 files, 2 to fetch" in news()[0]
    got = [request.rsplit("/", 1)[1] for request in server.asked("resolve") if request.startswith("GET")]
    assert damage(out) is None and got.count("a.parquet") == got.count("b.parquet") == 1


def test_what_is_not_as_its_manifest_says_is_not_put_in_place(
    publish: Publish, server: WritingHub, tmp_path: Path
) -> None:
    publish()
    HfApi().upload_file(path_or_fileobj=b"[]", path_in_repo="plan.json", repo_id=LAB, repo_type="dataset")
    with pytest.raises(DataError, match=r"lab/set at \w+ is damaged: .*plan\.json has changed"):
        pulled(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("name", ["../outside", "gone.txt"])
def test_a_manifest_names_only_files_that_are_there(name: str, server: WritingHub, tmp_path: Path) -> None:
    folder = written(tmp_path / "theirs", {"a": b"a"})
    content = json.loads((folder / manifest.NAME).read_text())
    manifest.write(folder, {"kind": "reference"}, {**content["files"], name: content["files"]["a"]})
    HfApi().create_repo(LAB, repo_type="dataset")
    HfApi().upload_folder(folder_path=folder, repo_id=LAB, repo_type="dataset")
    with pytest.raises(DataError, match=f"lacks {name}, which its manifest"):
        pulled(tmp_path / "copy")


def test_what_a_pull_refuses(publish: Publish, server: WritingHub, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="lab/set does not exist, or is private"):
        pulled(tmp_path / "copy")
    HfApi().create_repo(LAB, repo_type="dataset")
    with pytest.raises(DataError, match=r"has no manifest\.json: it is not something that zephyr published"):
        pulled(tmp_path / "copy")
    publish()
    with pytest.raises(Unreachable, match="has no revision nope"):
        pulled(tmp_path / "copy", "nope")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine")
    with pytest.raises(UsageError, match="mine is there already"):
        pulled(tmp_path / "mine")
    assert (tmp_path / "mine" / "notes").read_text() == "mine"
