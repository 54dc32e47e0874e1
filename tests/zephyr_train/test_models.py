"""Which model a step begins with, and what is said when there is none; its tokenizer is AutoTokenizer's."""

import json
import shutil
from pathlib import Path

import pytest

from tests import manifests
from tests.hub_server import COMMIT, HubServer
from zephyr_core import recipe
from zephyr_core.errors import DataError, Unreachable
from zephyr_train import models
from zephyr_train import student as students
from zephyr_train.errors import InvariantBroken, ModelUnreachable
from zephyr_train.models import Model, cached_model, hub_model, local_model, step_before
from zephyr_train.options import StudentOptions
from zephyr_train.planning.model_shape import shape_of
from zephyr_train.preflight import row_checks
from zephyr_train.preflight.inputs import find_model
from zephyr_train.preflight.row_checks import tokenizer_of
from zephyr_train.reader import open_data
from zephyr_train.request import TrainRequest
from zephyr_train.safetensor_headers import INDEX, shapes, weight_files
from zephyr_train.training.weights import model_digest, require_whole

SMALL = StudentOptions(
    source="new", vocabulary=300, hidden_size=16, intermediate_size=24, layers=1, heads=4, kv_heads=2, positions=64
)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "student"
    students.build(SMALL, ["the plum is ripe", "the pear is not"], folder)
    return folder


def refused(name: Path) -> str:
    with pytest.raises(ModelUnreachable) as fault:
        local_model(str(name))
    assert fault.value.hint
    return str(fault.value)


def test_a_folder_is_a_model_by_its_config(tmp_path: Path) -> None:
    assert local_model(str(tmp_path / "none")) is None
    assert "is not a model: it has no config.json" in refused(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    model = local_model(str(tmp_path))
    assert model is not None and (model.folder, model.commit) == (tmp_path.resolve(), None)


def test_of_a_run_its_model_is_taken_once_it_is_finished(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}")
    assert "is not finished" in refused(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert "is not finished" in refused(tmp_path)
    manifests.write(tmp_path, "model")
    model = local_model(str(tmp_path))
    assert model is not None and model.folder == (tmp_path / "model").resolve()


def test_a_home_folder_that_no_shell_expanded_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    assert local_model("~/m") == Model("~/m", (tmp_path / "m").resolve())
    (tmp_path / "rows.jsonl").write_text('{"messages": []}\n')
    assert open_data("~/rows.jsonl", "dialogues").files == {"train": (tmp_path / "rows.jsonl",)}


def test_an_adapter_without_its_base_is_named(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "a LoRA adapter without its base" in refused(tmp_path)


def test_the_step_before_is_named_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEPHYR_RUNS", str(tmp_path))
    file = tmp_path / "mine.toml"
    file.write_text('extends = "tiny"')
    for typed, step, command in (
        ("tiny", "sft", "zephyr train sft --recipe tiny"),
        ("tiny", "binarize", "zephyr data binarize --recipe tiny"),
        (str(file), "sft", f"zephyr train sft --recipe {file}"),
    ):
        with pytest.raises(ModelUnreachable) as fault:
            step_before(recipe.load(typed), step, "result")
        assert f"`{command}`" in str(fault.value.hint)
    (tmp_path / "mine" / "sft").mkdir(parents=True)
    manifests.write(tmp_path / "mine" / "sft", "model")
    assert step_before(recipe.load(str(file)), "sft", "result") == tmp_path / "mine" / "sft"


def _cache(home: Path, *names: str) -> None:
    snapshot = home / "models--owner--name" / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True, exist_ok=True)
    (home / "models--owner--name" / "refs").mkdir(exist_ok=True)
    (home / "models--owner--name" / "refs" / "main").write_text("c" * 40)
    for name in names:
        (snapshot / name).write_text("{}")


def test_a_hub_model_without_a_network_comes_from_the_cache_or_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert cached_model("owner/name", "main") == models.Model("owner/name", None)
    _cache(tmp_path, "tokenizer.json")
    for revision in ("main", "other"):
        with pytest.raises(Unreachable, match=f"HF_HUB_OFFLINE.*does not hold revision {revision}") as fault:
            hub_model("owner/name", revision)
        assert "--model" in str(fault.value.hint)
    _cache(tmp_path, "config.json")
    model = hub_model("owner/name", "main")
    assert model.folder is not None and model.folder.name == model.commit == "c" * 40
    assert cached_model("owner/name", "main") == model


def test_of_a_hub_model_only_what_training_reads_is_fetched(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = ("chat_template.jinja", "config.json", "model.safetensors", "tokenizer.model")
    hub_server.put("model", "owner/name", {name: name for name in (*parts, "README.md", "pytorch_model.bin")})
    hub_server.use(monkeypatch, tmp_path / "home")
    model = hub_model("owner/name", "main")
    assert model.commit == COMMIT and model == cached_model("owner/name", "main")
    assert model.folder is not None and sorted(path.name for path in model.folder.iterdir()) == sorted(parts)
    assert sorted(hub_server.downloads()) == sorted(parts)


def test_a_plan_fetches_no_more_of_a_hub_model_than_its_config(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, student: Path
) -> None:
    config = (student / "config.json").read_text()
    files = {"config.json": config, "model.safetensors": "w", "tokenizer.json": "t"}
    hub_server.put("model", "lab/small", files)
    hub_server.use(monkeypatch, tmp_path / "home")
    parameters = {"recipe": recipe.load("tiny"), "model": "lab/small"}
    found = find_model(TrainRequest.typed("dpo", parameters), None, dry=True)
    assert found.folder is None and hub_server.downloads() == ["config.json"]
    assert shape_of("lab/small", StudentOptions()).parameters == shape_of(student, StudentOptions()).parameters
    with pytest.raises(ModelUnreachable, match="sizes of lab/none"):
        find_model(TrainRequest.typed("dpo", parameters | {"model": "lab/none"}), None, dry=True)
        shape_of("lab/none", StudentOptions())


def test_a_hub_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(Unreachable, match="owner/name cannot be listed: no network") as fault:
        hub_model("owner/name", "main")
    assert "--model" in str(fault.value.hint)


def test_the_tokenizer_is_that_of_autotokenizer(student: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    mine, theirs = tokenizer_of(student), AutoTokenizer.from_pretrained(student)
    assert type(mine) is type(theirs)
    assert mine.backend_tokenizer.to_str() == theirs.backend_tokenizer.to_str()
    for name, one in (("mine", mine), ("theirs", theirs)):
        one.save_pretrained(tmp_path / name)
    files = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == files


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer"}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["a.B", None]}}),
        ("config.json", {"model_type": "qwen2"}),
        ("tekken.json", {}),
    ],
)
def test_a_folder_that_leaves_a_choice_leaves_it_to_autotokenizer(
    student: Path, tmp_path: Path, file: str, change: dict[str, object]
) -> None:
    copy = shutil.copytree(student, tmp_path / "copy")
    assert row_checks._has_plain_tokenizer(copy)
    config = json.loads((copy / file).read_text()) if (copy / file).exists() else {}
    (copy / file).write_text(json.dumps(config | change))
    assert not row_checks._has_plain_tokenizer(copy)


def test_headers_are_those_that_safetensors_reads(student: Path) -> None:
    from safetensors import safe_open

    with safe_open(student / "model.safetensors", "pt") as file:
        expected = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    assert shapes(student) == expected and len(expected) > 5
    assert require_whole(student) == len(expected)


def test_files_that_are_not_whole_are_refused_by_plan_and_run(student: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(student, tmp_path / "copy")
    whole = (copy / "model.safetensors").read_bytes()
    for wrong in (whole[:-1], whole + b" ", whole[:100], b""):
        (copy / "model.safetensors").write_bytes(wrong)
        with pytest.raises(DataError, match=r"model\.safetensors is .*cut short"):
            shapes(copy)
        with pytest.raises(InvariantBroken, match="cut short"):
            require_whole(copy)
    (copy / "model.safetensors").unlink()
    weight_map = {"a": "one.safetensors", "b": "two.safetensors"}
    (copy / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    with pytest.raises(ModelUnreachable, match=r"one.safetensors is missing and 1 more"):
        weight_files(copy)


def test_a_model_is_named_by_its_weight_files_and_config(student: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(student, tmp_path / "copy")
    (copy / "manifest.json").unlink()
    (copy / "tokenizer.json").unlink()
    assert model_digest(copy) == model_digest(student)
    (copy / "config.json").write_text("{}")
    assert model_digest(copy) != model_digest(student)
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelUnreachable, match=r"has no model\.safetensors"):
        model_digest(copy)
