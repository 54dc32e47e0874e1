"""A dataset published and pulled, against a server process that the Hub's client writes to."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.conftest import dialogue, runner, zephyr
from tests.hub_server import NOBODY
from tests.system import Running, is_one_clear_error
from tests.writing_hub import TOKEN, WritingHub
from zephyr_core import manifest
from zephyr_core.errors import OptionError
from zephyr_core.hub import Target
from zephyr_data.cleaning.ultrachat import CLEANING
from zephyr_data.engine import store
from zephyr_data.errors import ContractBroken
from zephyr_data.pairing.binarize import BINARIZING
from zephyr_data.publishing import publish, pull

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's, of its own library
SECRETS = ("anna-of-the-lab", TOKEN)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dialogues from a folder of somebody's, some dropped, some changed, and the drops kept whole."""
    folder = tmp_path_factory.mktemp("machine") / "anna-of-the-lab"
    (folder / "raw").mkdir(parents=True)
    good = [
        dialogue(f"What is number {n}?", f"It is the number {n} of the list, plainly.", row_id=f"{n}")
        for n in range(30)
    ]
    bad = [dialogue("who are you, then?", "As an AI language model, I am a program.", row_id="bad"), "no json"]
    cased = [dialogue("Where is it?", "the river is in france, and the town is near it.", row_id="low")]
    (folder / "raw" / "rows.jsonl").write_text("\n".join([*good, *bad, *cased]) + "\n")
    rules = folder / "mine.toml"
    rules.write_text(RULE)
    run = runner(CLEANING, folder, "chats")
    run(folder / "raw", keep_dropped=True, rules=(str(rules),))
    return folder / "chats"


RULE = """[[drop]]
id = "as-an-ai"
role = "assistant"
turn = "any"
pattern = '''As an AI'''
why = "says so"
source = "ours"
hits = ["As an AI"]
misses = ["as you are"]
"""


def published(folder: Path, repository: str = "lab/chats", licence: str | None = "mit", **more: Any) -> dict[str, Any]:
    return publish.answer(folder, Target(repository, "dataset", **more), licence, dry_run=False)[0]


def digests(folder: Path) -> dict[str, Any]:
    content = store.verify(folder)
    return {"splits": content["splits"], "dropped": content["dropped_digest"], "counts": content["counts"]}


def test_what_is_pulled_verifies_and_has_the_digests_of_what_was_published(
    ours: Path, server: WritingHub, tmp_path: Path
) -> None:
    before = manifest.list_files(ours)
    record = published(ours)
    pulled, text = pull.answer(f"lab/chats@{record['commit']}", tmp_path / "copy")
    assert digests(tmp_path / "copy") == digests(ours) and pulled["commit"] in text
    assert manifest.list_files(ours) == before, "the dataset itself stays as it is"
    assert {
        file: entry["sha256"] for file, entry in manifest.list_files(tmp_path / "copy").items() if file[:4] == "data"
    } == {file: entry["sha256"] for file, entry in before.items() if file[:4] == "data"}
    assert len(server.asked("commit")) == 1
    assert published(ours)["is_new"] is False and len(server.asked("commit")) == 1


def texts_of(folder: Path) -> str:
    """Return everything that the files of a folder say, tables decompressed."""
    said = []
    for name in manifest.file_names(folder):
        path = folder / name
        said.append(str(pq.read_table(path).to_pydict()) if name.endswith(".parquet") else path.read_text())
    return "\n".join([*said, (folder / manifest.NAME).read_text()])


def test_nothing_that_is_published_names_the_machine_its_user_or_the_token(
    ours: Path, server: WritingHub, tmp_path: Path
) -> None:
    published(ours)
    pull.answer("lab/chats", tmp_path / "copy")
    here, there = texts_of(ours), texts_of(tmp_path / "copy")
    assert SECRETS[0] in here and str(ours) not in there
    sent = b"\n".join(server.received())
    for secret in (*SECRETS, str(Path.home()), str(tmp_path)):
        assert secret not in there and secret.encode() not in sent
    assert "zephyr data clean-ultrachat raw --recipe zephyr-7b-beta --keep-dropped --rules mine.toml" in there
    kept = pq.read_table(tmp_path / "copy" / "audit" / "kept.parquet")
    assert set(kept["source"].to_pylist()) == {"raw"} and kept.num_rows == 31


def test_pairs_are_published_with_their_rated_rows(server: WritingHub, tmp_path: Path) -> None:
    runner(BINARIZING, tmp_path, "pairs")()
    record = published(tmp_path / "pairs", "lab/pairs", None)
    pull.answer("lab/pairs", tmp_path / "copy")
    assert digests(tmp_path / "copy") == digests(tmp_path / "pairs") and record["is_new"]
    assert "license: apache-2.0" in (tmp_path / "copy" / "README.md").read_text(), "the samples are ours"


def test_a_licence_is_known_or_given_never_guessed(ours: Path, server: WritingHub, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"does not follow from the sources \(raw: unknown\)") as fault:
        published(ours, licence=None)
    assert fault.value.hint and "--license" in fault.value.hint and server.asked("whoami") == []
    published(ours, licence="unknown")
    pull.answer("lab/chats", tmp_path / "copy")
    card = (tmp_path / "copy" / "README.md").read_text()
    assert "**The licence is not known**" in card and "`raw`: licence and authors not known" in card
    assert yaml.safe_load(card.split("---")[1])["license"] == "unknown"


def test_the_example_on_the_card_runs(ours: Path, server: WritingHub, tmp_path: Path) -> None:
    published(ours)
    pull.answer("lab/chats", tmp_path / "copy")
    card = (tmp_path / "copy" / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert 'load_dataset("lab/chats", split="train_sft")' in example
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("28 {'prompt': ")


def test_a_dry_run_shows_files_sizes_and_card_and_asks_the_hub_nothing(ours: Path, server: WritingHub) -> None:
    record, text = publish.answer(ours, Target("lab/chats", "dataset"), "mit", dry_run=True)
    assert server.asked("whoami") == [] and "nothing was sent" in text
    assert "# Cleaned dialogues" in text and "license: mit" in text
    for name, entry in record["files"].items():
        assert re.search(rf"^{re.escape(name)} +{entry['bytes']:,}$", text, re.MULTILINE)


def test_a_damaged_dataset_is_refused_before_anything_is_asked(ours: Path, server: WritingHub, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    subprocess.run(["cp", "-r", ours, damaged], check=True)
    (damaged / "audit" / "kept.parquet").write_bytes(b"PAR1")
    with pytest.raises(ContractBroken, match=r"audit/kept\.parquet has 4 bytes"):
        published(damaged)
    assert server.asked("whoami") == []


@pytest.mark.parametrize("at", ["put", pytest.param("commit", marks=pytest.mark.slow)])
def test_killed_in_the_middle_the_next_run_sends_the_rest(
    at: str, ours: Path, server: WritingHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    environment = server.environment(tmp_path / "home")
    before, words = manifest.list_files(ours), ("data", "publish", ours, "lab/chats", "--license", "mit")
    hung = before["data/train_sft-00000-of-00001.parquet"]["sha256"]
    fault = {"put": f"put:{hung}", "commit": "commit"}[at]
    server.fault(fault, "hang")
    running = Running(*words, **environment)
    running.reach(lambda: any(hung in request for request in server.asked("put")) and server.asked(at) != [])
    running.process.kill()
    running.process.wait()
    done = zephyr(*words, **environment)
    assert done.returncode == 0 and "published at" in done.stdout, done.stderr
    sent = server.asked("put")
    again = [request for request in sent if sent.count(request) > 1]
    assert [hung in request for request in again] == [True] * (2 if at == "put" else 0), "no other is sent twice"
    assert manifest.list_files(ours) == before
    assert TOKEN not in done.stdout + done.stderr + running.output


FAULTS = {
    "wrong token": ({"HF_TOKEN": "hf_wrong"}, "does not accept the token (401)"),
    "network gone": ({"HF_ENDPOINT": NOBODY}, "nothing was published: "),
}


@pytest.mark.parametrize("fault", ["wrong token", pytest.param("network gone", marks=pytest.mark.slow)])
def test_a_fault_is_one_clear_error_of_the_command(fault: str, ours: Path, server: WritingHub, tmp_path: Path) -> None:
    environment, message = FAULTS[fault]
    done = zephyr("data", "publish", ours, "lab/chats", "--license", "mit", **environment)
    assert done.returncode == 4 and message in done.stderr and is_one_clear_error(done.stderr), done.stderr
    assert "hf_" not in done.stdout + done.stderr


def test_pulling_what_is_missing_or_not_ours_is_one_clear_error(server: WritingHub, tmp_path: Path) -> None:
    done = zephyr("data", "pull", "lab/none", cwd=tmp_path)
    assert done.returncode == 4 and "lab/none does not exist, or is private" in done.stderr
    assert is_one_clear_error(done.stderr) and not any("none" in path.name for path in tmp_path.iterdir())
