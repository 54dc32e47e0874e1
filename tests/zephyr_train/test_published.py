"""A run published, and a run from what was published, against a server process that the Hub's client writes to."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import zephyr
from tests.system import is_one_clear_error
from tests.writing_hub import TOKEN, WritingHub
from tests.zephyr_train.conftest import World, weights
from zephyr_core import hub, manifest
from zephyr_core.errors import DataError, OptionError, WrongFolder
from zephyr_core.folder import damage
from zephyr_core.hub import Target
from zephyr_data.publishing import publish as data_publish
from zephyr_data.publishing import pull
from zephyr_train.publishing import publish
from zephyr_train.reader import open_data
from zephyr_train.training.weights import model_digest, require_loadable

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # the client's, of its own library
]
COMMIT = "1" * 40


@pytest.fixture
def run(world: World, tmp_path: Path) -> Path:
    """A finished run, as if it had begun with a model of the Hub, with an adapter, in a folder of somebody's."""
    run = Path(shutil.copytree(world.run("sft"), tmp_path / "anna-of-the-lab" / "sft"))
    content: dict[str, Any] = {**manifest.read(run)}
    adapter = run / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes((run / "model" / "model.safetensors").read_bytes())
    base = {"base_model_name_or_path": str(run.parent / "base"), "peft_type": "LORA"}
    (adapter / "adapter_config.json").write_text(json.dumps(base))
    content["inputs"]["model"] = f"mistralai/Mistral-7B-v0.1 at {COMMIT}"
    manifest.write(run, {key: value for key, value in content.items() if key not in ("files", "self_digest", "format")})
    return run


def published(run: Path, licence: str | None = "apache-2.0", **more: Any) -> tuple[dict[str, Any], str]:
    return publish.answer(run, Target("lab/model", "model"), licence, None, None, **{"dry_run": False, **more})


def fetched(commit: str) -> dict[str, Path]:
    return hub.fetch(
        "lab/model", "model", commit, lambda names: [name for name in names if name[0] != "."], instead=""
    ).files


def test_a_published_run_is_a_model_with_card_and_records_that_names_no_machine(
    run: Path, server: WritingHub, tmp_path: Path
) -> None:
    before = manifest.list_files(run)
    record, _ = published(run)
    files = fetched(record["commit"])
    assert set(files) == {
        *("README.md", "manifest.json", "run/plan.json", "run/metrics.jsonl", "run/curves.svg"),
        *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
        *("chat_template.jinja", "adapter/adapter_config.json", "adapter/adapter_model.safetensors"),
    }
    folder = files["README.md"].parent
    assert damage(folder) is None and manifest.list_files(run) == before
    assert (folder / "model.safetensors").read_bytes() == (run / "model" / "model.safetensors").read_bytes()
    require_loadable(folder)
    assert model_digest(folder) == model_digest(run / "model")
    sent = b"\n".join(server.received())
    for secret in ("anna-of-the-lab", TOKEN, str(tmp_path), str(Path.home())):
        assert secret.encode() not in sent and not any(secret.encode() in path.read_bytes() for path in files.values())
    head = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert (head["license"], head["base_model"]) == ("apache-2.0", "mistralai/Mistral-7B-v0.1")
    base = json.loads((folder / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert base == "mistralai/Mistral-7B-v0.1"
    assert published(run)[0]["is_new"] is False and len(server.asked("commit")) == 1


def test_the_card_says_what_the_model_was_made_of_and_the_command(
    world: World, server: WritingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    target = Target("lab/model", "model")
    record, text = publish.answer(world.run("sft"), target, None, None, ["lab/chats"], dry_run=True)
    assert "`samples:ultrachat`: samples of zephyr" in record["card"] and "license: apache-2.0" in text
    assert "datasets:\n- lab/chats\n" in text and "\nzephyr train sft --recipe quick.toml\n" in text
    assert server.asked("whoami") == [], "a dry run asks the Hub nothing"


def test_the_licence_of_a_model_is_not_guessed_from_parts_that_differ(run: Path, server: WritingHub) -> None:
    content: dict[str, Any] = {**manifest.read(run)}
    content["inputs"]["rows"] = f"stingning/ultrachat at {COMMIT}"
    manifest.write(run, {key: value for key, value in content.items() if key not in ("files", "self_digest", "format")})
    with pytest.raises(OptionError, match=r"mistralai/Mistral-7B-v0\.1@1+: apache-2\.0, stingning/ultrachat@1+: mit"):
        published(run, None)


def test_what_is_not_a_finished_whole_run_is_refused(run: Path, server: WritingHub) -> None:
    (run / "plan.json").write_text("{}")
    with pytest.raises(DataError, match=r"damaged: plan\.json"):
        published(run)
    with pytest.raises(WrongFolder, match=r"not a finished run of `zephyr train sft` or `dpo`"):
        published(run / "model")
    assert server.asked("whoami") == []


def test_training_takes_what_was_pulled_for_what_was_published(
    world: World, server: WritingHub, tmp_path: Path
) -> None:
    chats, copy = world.run("clean-ultrachat"), tmp_path / "pulled"
    data_publish.answer(chats, Target("lab/chats", "dataset"), None, dry_run=False)
    pull.answer("lab/chats", copy)
    assert open_data(str(copy), "dialogues").digest == open_data(str(chats), "dialogues").digest


@pytest.mark.slow
def test_publish_pull_verify_and_train_from_what_was_pulled(world: World, server: WritingHub, tmp_path: Path) -> None:
    chats = world.run("clean-ultrachat")
    world.zephyr("data", "publish", chats, "lab/chats")
    world.zephyr("data", "pull", "lab/chats", tmp_path / "pulled")
    world.zephyr("data", "verify", tmp_path / "pulled")
    world.zephyr("train", "sft", "--data", tmp_path / "pulled", "--out", tmp_path / "sft")
    jobs = [json.loads((run / "job.json").read_text()) for run in (world.run("sft"), tmp_path / "sft")]
    assert jobs[0]["tokens_digest"] == jobs[1]["tokens_digest"]
    assert weights(tmp_path / "sft") == weights(world.run("sft"))


@pytest.mark.slow
def test_the_example_on_the_card_runs(world: World, server: WritingHub, tmp_path: Path) -> None:
    record, _ = published(world.run("sft"))
    card = fetched(record["commit"])["README.md"].read_text()
    (example,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0 and "Name a river" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_published_model_is_trained_further_from_the_hub(world: World, server: WritingHub, tmp_path: Path) -> None:
    published(world.run("sft"))
    world.zephyr("train", "sft", "--model", "lab/model", "--out", tmp_path / "more")
    assert manifest.read(tmp_path / "more")["inputs"]["model"].startswith("lab/model at ")
    record, _ = published(tmp_path / "more")
    assert "base_model: lab/model\n" in fetched(record["commit"])["README.md"].read_text()


def test_a_token_that_is_wrong_is_one_clear_error(world: World, server: WritingHub) -> None:
    words = ("train", "publish", world.run("sft"), "lab/model", "--license", "mit")
    done = zephyr(*words, HF_TOKEN="hf_wrong")
    assert done.returncode == 4 and "does not accept the token (401)" in done.stderr and is_one_clear_error(done.stderr)
