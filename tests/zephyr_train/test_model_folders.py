"""Model folders that are damaged, hostile or of another format: a fault by name that names the file, never a trace."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.zephyr_train.model_folder import SMALL, look
from zephyr_core.errors import DATA, DataError
from zephyr_train import models
from zephyr_train.errors import ModelUnreachable, PreflightFailed
from zephyr_train.planning.model_shape import shape_of
from zephyr_train.safetensor_headers import INDEX, WEIGHTS, tensors, unread_weights, weight_files
from zephyr_train.training.weights import model_digest, require_loadable

pytestmark = pytest.mark.usefixtures("here")

SHARD = "model-00001-of-00001.safetensors"
DEEP = "[" * 100_000
PARENTHESES = "{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}"
RECURSION = "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}"


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


def test_a_message_holds_no_more_of_a_hostile_file_than_a_line(foreign: Path) -> None:
    (foreign / "config.json").write_text(json.dumps({"model_type": "x", "hidden_size": "\x1b[31m" * 100_000}))
    (fault,) = look(foreign).faults
    assert len(str(fault)) < 400 and "\x1b" not in str(fault)
