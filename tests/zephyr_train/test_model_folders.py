"""Model folders that are damaged, hostile or of another format: a fault by name that names the file, never a trace."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import manifests
from tests.zephyr_train.jobs import job
from tests.zephyr_train.row_shapes import turn, write_lines
from zephyr_core import manifest, recipe
from zephyr_core.errors import DATA, DataError
from zephyr_train import models
from zephyr_train import student as students
from zephyr_train.errors import ModelUnreachable, PreflightFailed
from zephyr_train.models import local_model
from zephyr_train.options import StudentOptions
from zephyr_train.planning.model_shape import shape_of
from zephyr_train.preflight import machine
from zephyr_train.preflight.examination import Examination
from zephyr_train.preflight.examine import examine
from zephyr_train.request import TrainRequest
from zephyr_train.safetensor_headers import INDEX, WEIGHTS, tensors, unread_weights, weight_files
from zephyr_train.train import run
from zephyr_train.training.weights import damage_faults, model_digest, require_loadable

SMALL = StudentOptions(
    source="new", vocabulary=300, hidden_size=16, intermediate_size=24, layers=1, heads=4, kv_heads=2, positions=256
)
ROWS = [{"messages": [turn("user", f"Hello, {number}!"), turn("assistant", "Good day.")]} for number in range(4)]
SHARD = "model-00001-of-00001.safetensors"
DEEP = "[" * 100_000
PARENTHESES = "{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}"
RECURSION = "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}"


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folders") / "student"
    students.build(SMALL, ["Hello", "Good day.", "Which plum is ripe?"], folder)
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder on a machine without a GPU."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(machine, "gpus_here", list)
    yield folder


@pytest.fixture
def foreign(student: Path, tmp_path: Path) -> Path:
    """A model of somebody else: without a manifest of ours."""
    folder = Path(shutil.copytree(student, tmp_path / "foreign"))
    (folder / "manifest.json").unlink()
    return folder


def request(model: Path, **changes: Any) -> TrainRequest:
    data = write_lines(model.parent / "rows.jsonl", ROWS)
    options = {"max_length": 96, "global_batch_size": 4, "micro_batch_size": 1, "attention": "sdpa", "gpus": 1}
    fixed = {"precision": "fp32", "zero": 0, "packing": "off", "on_overlong": "cut", "recipe": recipe.load("tiny")}
    return TrainRequest.typed("sft", options | fixed | {"model": str(model), "data": str(data)} | changes)


def look(model: Path, *, dry: bool = True, **changes: Any) -> Examination:
    return examine(request(model, **changes), dry=dry)


def header(content: object, tail: bytes = b"", length: int | None = None) -> bytes:
    """Return a weight file with any header."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + tail


def entry(*offsets: object, shape: object = (1,), dtype: object = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": list(offsets)}


HEADERS = {
    "a list": header([1]),
    "an entry that is a number": header({"a": 5}),
    "an entry without data_offsets": header({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "no dtype": header({"a": {"shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
    "offsets as text": header({"a": entry("0", "4")}, bytes(4)),
    "three offsets": header({"a": entry(0, 4, 4)}, bytes(4)),
    "a negative offset": header({"a": entry(-4, 0)}),
    "offsets backwards": header({"a": entry(4, 0)}, bytes(4)),
    "a shape that is text": header({"a": entry(0, 4, shape="1")}, bytes(4)),
    "a shape of true": header({"a": entry(0, 4, shape=[True])}, bytes(4)),
    "a shape of other bytes": header({"a": entry(0, 4, shape=(2,))}, bytes(4)),
    "two tensors in one place": header({"a": entry(0, 4), "b": entry(0, 4)}, bytes(4)),
    "a gap": header({"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)),
    "a header as long as memory": header({}, length=2**62),
    "a header longer than allowed": header({}, length=100_000_001),
    "a header longer than the file": header({}, length=99_000_000),
    "a deep header": header(DEEP.encode()),
    "not JSON": header(b"\xff\xfe{"),
    "a number of 5,000 digits": header(b'{"a": ' + b"9" * 5_000 + b"}"),
    "nothing": b"",
}
CONFIGS: dict[str, Callable[[dict[str, Any]], str]] = {
    "a list": lambda config: "[]",
    "cut": lambda config: json.dumps(config)[:40],
    "empty": lambda config: "",
    "deep": lambda config: DEEP,
    "layers as text": lambda config: json.dumps(config | {"num_hidden_layers": "x"}),
    "layers below 0": lambda config: json.dumps(config | {"num_hidden_layers": -1}),
    "a fraction": lambda config: json.dumps(config | {"hidden_size": 16.5}),
    "without a size": lambda config: json.dumps(config | {"vocab_size": None}),
    "a type that is a list": lambda config: json.dumps(config | {"model_type": ["mistral"]}),
    "a text model that is a list": lambda config: json.dumps(config | {"text_config": ["mistral"]}),
}
INDICES = {
    "not JSON": "{",
    "a list": "[]",
    "deep": DEEP,
    "without weight_map": json.dumps({"metadata": {}}),
    "without metadata": json.dumps({"weight_map": {"a": SHARD}}),
    "with lists": json.dumps({"metadata": {}, "weight_map": {"a": [SHARD]}}),
    "a weight_map that is a list": json.dumps({"metadata": {}, "weight_map": [SHARD]}),
    "an empty weight_map": json.dumps({"metadata": {}, "weight_map": {}}),
    "a file above": json.dumps({"metadata": {}, "weight_map": {"a": "../foreign/" + SHARD}}),
    "an absolute path": json.dumps({"metadata": {}, "weight_map": {"a": "/tmp/" + SHARD}}),  # noqa: S108
    "a pickle": json.dumps({"metadata": {}, "weight_map": {"a": "pytorch_model.bin"}}),
}


def is_refused(folder: Path, name: str, file: str) -> None:
    """Check that plan, run and measurement refuse a model by that fault, which names the file."""
    for dry in (True, False):
        examination = look(folder, dry=dry)
        assert [fault.name for fault in examination.faults] == [name], [str(fault) for fault in examination.faults]
        assert str(folder / file) in examination.faults[0].message and examination.faults[0].hint
        with pytest.raises(PreflightFailed) as refusal:
            examination.refuse()
        assert refusal.value.exit_code == DATA


@pytest.mark.parametrize("case", HEADERS)
def test_a_damaged_header_is_named(foreign: Path, case: str) -> None:
    (foreign / WEIGHTS).write_bytes(HEADERS[case])
    with pytest.raises(DataError, match=r"model\.safetensors is (damaged|cut short)"):
        tensors(foreign / WEIGHTS)
    is_refused(foreign, "broken-model", WEIGHTS)
    with pytest.raises(DataError, match="broken-model"):
        require_loadable(foreign)


@pytest.mark.parametrize("case", CONFIGS)
def test_a_damaged_config_is_named(foreign: Path, case: str) -> None:
    config = json.loads((foreign / "config.json").read_text())
    (foreign / "config.json").write_text(CONFIGS[case](config))
    is_refused(foreign, "broken-model", "config.json")


def test_a_config_that_links_to_a_text_is_named(foreign: Path, tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("root:x:0:0\n")
    (foreign / "config.json").unlink()
    (foreign / "config.json").symlink_to(tmp_path / "passwords")
    is_refused(foreign, "broken-model", "config.json")


@pytest.mark.parametrize("name", ["tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize("content", ["[]", DEEP, "{"])
def test_other_damaged_configs_are_named(foreign: Path, name: str, content: str) -> None:
    (foreign / name).write_text(content)
    is_refused(foreign, "broken-model", name)


@pytest.mark.parametrize("case", INDICES)
def test_a_damaged_index_is_named(foreign: Path, case: str) -> None:
    (foreign / WEIGHTS).rename(foreign / SHARD)
    (foreign / INDEX).write_text(INDICES[case])
    is_refused(foreign, "broken-model", INDEX)


@pytest.mark.parametrize("template", [RECURSION, PARENTHESES, "{{ 1 // 0 }}"])
def test_a_template_that_fails_in_itself_is_a_fault(foreign: Path, template: str) -> None:
    (foreign / "chat_template.jinja").write_text(template)
    for dry in (True, False):
        examination = look(foreign, dry=dry, template="model")
        assert [fault.name for fault in examination.faults] == ["template-refuses"]
    assert look(foreign).faults == [], "the template of the recipe takes its place"


def test_what_is_loaded_is_what_transformers_loads(foreign: Path) -> None:
    assert weight_files(foreign) == [foreign / WEIGHTS]
    digest, shape = model_digest(foreign), shape_of(foreign, SMALL)
    for name in ("consolidated.safetensors", "model.fp16.safetensors", "pytorch_model.bin", INDEX):
        (foreign / name).write_bytes(b"not looked at")
    assert weight_files(foreign) == [foreign / WEIGHTS]
    assert (model_digest(foreign), shape_of(foreign, SMALL)) == (digest, shape)
    assert look(foreign).faults == look(foreign, dry=False).faults == []


def test_shards_are_those_of_the_index_and_loaded_with_it(foreign: Path) -> None:
    from transformers import AutoModelForCausalLM

    names = list(tensors(foreign / WEIGHTS))
    (foreign / WEIGHTS).rename(foreign / SHARD)
    (foreign / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, SHARD)}))
    (foreign / "consolidated.safetensors").write_bytes(b"not looked at")
    assert weight_files(foreign) == [foreign / SHARD]
    assert unread_weights(foreign) == ["consolidated.safetensors"]
    assert look(foreign, dry=False).faults == []
    model = AutoModelForCausalLM.from_pretrained(foreign, **models.LOAD_WEIGHTS)
    assert {name for name, _ in model.named_parameters()} == set(names)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("foo.safetensors", "name the file model.safetensors"),
        ("consolidated.safetensors", "name the file model.safetensors"),
        ("pytorch_model.bin", "convert them once"),
        ("pytorch_model-00001-of-00002.bin", "convert them once"),
        ("model.gguf", "convert them once"),
    ],
)
def test_weights_of_another_name_or_format_are_a_fault_with_the_way_out(foreign: Path, name: str, way: str) -> None:
    (foreign / WEIGHTS).rename(foreign / name)
    for dry in (True, False):
        (fault,) = look(foreign, dry=dry).faults
        assert fault.name == "no-safetensors" and repr(name) in fault.message and way in fault.hint
    with pytest.raises(DataError, match="no-safetensors"):
        require_loadable(foreign)


def test_a_model_without_weights_can_be_planned_but_not_trained(foreign: Path) -> None:
    (foreign / WEIGHTS).unlink()
    assert look(foreign).faults == []
    assert [fault.name for fault in look(foreign, dry=False).faults] == ["no-safetensors"]


def test_other_ways_to_other_weights_are_refused(foreign: Path) -> None:
    config = json.loads((foreign / "config.json").read_text())
    (foreign / "config.json").write_text(json.dumps(config | {"transformers_weights": "foo.safetensors"}))
    is_refused(foreign, "no-safetensors", "config.json")
    (foreign / "config.json").write_text(json.dumps(config))
    (foreign / "adapter_config.json").write_text("{}")
    is_refused(foreign, "broken-model", "adapter_config.json")


def test_a_missing_shard_is_named(foreign: Path) -> None:
    (foreign / WEIGHTS).unlink()
    (foreign / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": {"a": SHARD}}))
    is_refused(foreign, "broken-model", SHARD)
    with pytest.raises(ModelUnreachable, match="is missing"):
        require_loadable(foreign)


# ---- models of ours -----------------------------------------------------------------------------


def flip(file: Path) -> None:
    """Change one bit, and the time of change."""
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)


@pytest.fixture
def finished(foreign: Path, tmp_path: Path) -> Path:
    """A finished run of dSFT with that model."""
    out = tmp_path / "run"
    shutil.move(foreign, out / "model")
    job(out, "sft").write(out)
    return manifests.write(out, "model")


def test_an_undamaged_model_of_ours_has_no_fault(finished: Path, student: Path) -> None:
    for name in (finished, finished / "model", student):
        assert look(name).faults == look(name, dry=False).faults == []
        require_loadable(name / "model" if name == finished else name)


@pytest.mark.parametrize("file", ["model/config.json", f"model/{WEIGHTS}", "model/tokenizer.json"])
@pytest.mark.parametrize("below", ["", "model"])
def test_a_damaged_file_of_a_run_is_named_with_the_command_that_repairs_it(
    finished: Path, file: str, below: str
) -> None:
    flip(finished / file)
    (fault, *_) = look(finished / below).faults
    assert fault.name == "broken-model" and f"{finished / file} has changed" in fault.message
    assert "`zephyr train sft --fresh`" in fault.hint and "`zephyr run`" in fault.hint
    with pytest.raises(DataError, match="has changed"):
        require_loadable(finished / "model")
    (finished / file).unlink()
    for dry in (True, False):
        if file != "model/config.json":
            assert f"{finished / file} is missing" in look(finished / below, dry=dry).faults[0].message


@pytest.mark.parametrize("file", ["config.json", WEIGHTS, "tokenizer.json"])
def test_a_run_compares_every_sha256_though_size_and_time_are_as_recorded(student: Path, here: Path, file: str) -> None:
    copy = Path(shutil.copytree(student, here / "student"))
    before = (copy / file).stat()
    flip(copy / file)
    os.utime(copy / file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [*damage_faults(copy)] == [], "a dry run trusts them"
    with pytest.raises(DataError, match="has changed: another sha256") as refusal:
        run(request(copy))
    assert refusal.value.exit_code == DATA and str(copy / file) in str(refusal.value)
    assert "zephyr train student --fresh" in str(refusal.value) + str(refusal.value.hint)


def test_weights_are_read_once_by_a_run(student: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(student, here / "student"))
    digested: list[str] = []
    digest = manifest.file_digest
    monkeypatch.setattr(manifest, "file_digest", lambda path: digested.append(path.name) or digest(path))
    assert look(copy, dry=False).faults == []
    model_digest(copy)
    assert digested.count(WEIGHTS) == 1


@pytest.mark.parametrize("content", ["{", "", '{"format": 2, "kind": "student"', "\x00"])
def test_a_manifest_that_is_cut_short_is_named(student: Path, finished: Path, here: Path, content: str) -> None:
    copy = Path(shutil.copytree(student, here / "student"))
    for where in (copy, finished):
        (where / "manifest.json").write_text(content)
    for where, model in ((copy, copy), (finished, finished), (finished, finished / "model")):
        for dry in (True, False):
            (fault,) = look(model, dry=dry).faults
            assert fault.name == "broken-model" and str(where / "manifest.json") in fault.message


def test_a_weight_file_that_takes_precedence_is_found(finished: Path) -> None:
    (finished / "model" / WEIGHTS).rename(finished / "model" / SHARD)
    manifests.write(finished, "model")
    shutil.copy(finished / "model" / SHARD, finished / "model" / WEIGHTS)
    assert f"{WEIGHTS} is not in the manifest" in look(finished).faults[0].message
    assert f"{WEIGHTS} is not in the manifest" in look(finished, dry=False).faults[0].message


def test_a_foreign_manifest_says_nothing_about_a_model(foreign: Path) -> None:
    (foreign / "manifest.json").write_text('{"files": ["a"], "format": 7}')
    assert look(foreign).faults == look(foreign, dry=False).faults == []
    assert local_model(str(foreign)) is not None


# ---- from the Hub -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "weights"),
    [
        ([WEIGHTS, "consolidated.safetensors", INDEX, SHARD], [WEIGHTS]),
        ([INDEX, SHARD, "consolidated.safetensors", "consolidated-00001-of-00001.safetensors"], [SHARD]),
        (["consolidated.safetensors", "foo.safetensors", "pytorch_model.bin"], []),
        ([WEIGHTS, "onnx/model.safetensors", "fp16/" + SHARD], [WEIGHTS]),
    ],
)
def test_of_a_hub_model_the_weights_that_are_loaded_are_fetched(names: list[str], weights: list[str]) -> None:
    fetched = models._parts(sorted([*names, "config.json", "tokenizer.json", "x.py"]))
    assert [name for name in fetched if name.endswith(".safetensors")] == weights
    assert fetched[0] == "config.json" and "tokenizer.json" in fetched and "x.py" not in fetched
