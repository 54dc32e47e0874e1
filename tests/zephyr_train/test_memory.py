"""Memory is what the notes worked out, falls with every ZeRO stage, and is counted from files without weights."""

import dataclasses
import json
from pathlib import Path

import pytest

from zephyr_core.errors import DataError
from zephyr_train.errors import ModelUnreachable
from zephyr_train.options import DPOOptions, StudentOptions
from zephyr_train.planning.memory import Setting, breakdown, disk_need, host_need, memory_table, pass_need, verdict
from zephyr_train.planning.model_shape import Shape, shape_of

MISTRAL = shape_of(None, StudentOptions())
GIB = 2**30
PAIRS = Setting("pairs", 3, 16, 2, 1_024)
SMALL = StudentOptions(
    source="new", vocabulary=300, hidden_size=16, intermediate_size=24, layers=2, heads=4, kv_heads=2, positions=64
)


@pytest.mark.parametrize(
    ("setting", "gibibytes"),
    [
        (Setting("dialogues", 3, 16, 16, 2_048), 28.6),
        (Setting("pairs", 3, 16, 2, 1_024, cached_reference=False), 15.5),
        (Setting("pairs", 2, 16, 2, 1_024, checkpointing=False), 53),
    ],
)
def test_the_figures_worked_out_in_the_notes(setting: Setting, gibibytes: float) -> None:
    assert sum(breakdown(MISTRAL, setting).values()) / GIB == pytest.approx(gibibytes, rel=0.03)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_weights_gradients_and_optimizer_are_16_bytes_a_parameter(precision: str) -> None:
    parts = breakdown(MISTRAL, dataclasses.replace(PAIRS, zero=0, precision=precision))
    assert parts["weights"] + parts["gradients"] + parts["optimizer"] == 16 * MISTRAL.parameters
    assert parts["gathered"] == 0


def test_ddp_keeps_a_copy_of_the_gradients_and_autocast_one_of_the_weights_in_bf16() -> None:
    """torch's gradient_as_bucket_view is off, as accelerate leaves it; one process has no buckets."""
    for world, precision, buckets, copies in ((16, "bf16", 4, 2), (16, "fp32", 4, 0), (1, "bf16", 0, 2)):
        setting = dataclasses.replace(PAIRS, zero=0, world=world, precision=precision)
        parts = breakdown(MISTRAL, setting)
        assert parts["buckets"] == buckets * MISTRAL.parameters
        assert parts["autocast"] == copies * MISTRAL.parameters
        adapters = breakdown(MISTRAL, dataclasses.replace(setting, adapter_parameters=1_000))
        assert (adapters["buckets"], adapters["autocast"]) == (buckets * 1_000, copies * 1_000)
    assert breakdown(MISTRAL, PAIRS)["autocast"] == 0, "DeepSpeed's weights are bf16"


@pytest.mark.parametrize(("part", "stage"), [("optimizer", 1), ("gradients", 2), ("weights", 3), ("reference", 3)])
def test_each_part_is_shared_from_its_stage_on(part: str, stage: int) -> None:
    """In fp32, whose numbers are stored alike at every stage."""
    setting = dataclasses.replace(PAIRS, cached_reference=False, precision="fp32")
    sizes = [breakdown(MISTRAL, dataclasses.replace(setting, zero=zero))[part] for zero in range(4)]
    assert all(size == sizes[0] for size in sizes[:stage])
    assert all(size * 16 == pytest.approx(sizes[0]) for size in sizes[stage:])


def test_a_cached_reference_and_dialogues_have_none() -> None:
    assert breakdown(MISTRAL, PAIRS)["reference"] == 0
    in_memory = dataclasses.replace(PAIRS, cached_reference=False)
    assert breakdown(MISTRAL, in_memory)["reference"] > 0
    assert breakdown(MISTRAL, dataclasses.replace(in_memory, kind="dialogues"))["reference"] == 0


def test_a_pair_has_the_tokens_of_two_rows() -> None:
    assert PAIRS.tokens == 2 * dataclasses.replace(PAIRS, kind="dialogues").tokens == 4_096


def test_checkpointing_pays_with_many_layers_only() -> None:
    def activations(layers: int, checkpointing: bool) -> int:
        shape = dataclasses.replace(MISTRAL, layers=layers)
        return breakdown(shape, dataclasses.replace(PAIRS, checkpointing=checkpointing))["activations"]

    assert activations(32, True) < activations(32, False) / 10
    assert activations(1, True) > activations(1, False)


def test_the_table_has_every_way_once_and_marks_the_planned_one() -> None:
    rows = memory_table(MISTRAL, PAIRS, 80.0)
    assert len({row.setting for row in rows}) == 16
    assert [row.setting for row in rows if row.planned] == [PAIRS]
    assert len(memory_table(MISTRAL, dataclasses.replace(PAIRS, kind="dialogues"), 80.0)) == 8
    assert rows[0].verdict == "does not fit" and rows[-1].verdict == "fits"


@pytest.mark.parametrize(
    ("gigabytes", "word"), [(71.9, "fits"), (72.1, "tight"), (80.0, "tight"), (80.1, "does not fit")]
)
def test_the_verdict_of_a_card(gigabytes: float, word: str) -> None:
    assert verdict(gigabytes * 1e9, 80.0) == word


def test_adapters_alone_are_trained() -> None:
    options = DPOOptions()
    trained = MISTRAL.adapter_parameters(options.lora_rank, options.lora_targets)
    assert trained == 41_943_040  # rank 16 on all seven projections of Mistral-7B
    alone = dataclasses.replace(PAIRS, zero=0, adapter_parameters=trained)
    parts = breakdown(MISTRAL, alone)
    assert parts["gradients"] + parts["optimizer"] == 12 * trained
    assert parts["weights"] == 2 * MISTRAL.parameters + 4 * trained, "without ZeRO the adapter is its own masters"
    assert disk_need(MISTRAL, alone).model == parts["weights"]
    in_fp32 = breakdown(MISTRAL, dataclasses.replace(alone, precision="fp32"))
    assert in_fp32["weights"] == 4 * (MISTRAL.parameters + trained)
    shared = breakdown(MISTRAL, dataclasses.replace(PAIRS, zero=1, adapter_parameters=trained))
    assert shared["weights"] == 2 * (MISTRAL.parameters + trained)
    assert shared["gradients"] == 2 * trained
    assert shared["optimizer"] * PAIRS.world == 12 * trained, "the fp32 masters among them"


@pytest.mark.parametrize(("zero", "processes"), [(1, 1), (2, 16), (3, 16)])
def test_a_long_sum_of_gradients_is_kept_in_fp32(zero: int, processes: int) -> None:
    for accumulation, number in ((16, 2), (17, 4)):
        setting = dataclasses.replace(PAIRS, zero=zero, accumulation=accumulation)
        assert breakdown(MISTRAL, setting)["gradients"] * processes == pytest.approx(number * MISTRAL.parameters)


def test_the_machine_holds_the_whole_model_where_it_is_gathered_or_merged() -> None:
    for zero, adapters, number in ((3, None, 2), (2, None, 0), (0, None, 0), (0, 1_000, 2), (3, 1_000, 2)):
        setting = dataclasses.replace(PAIRS, zero=zero, adapter_parameters=adapters)
        assert host_need(MISTRAL, setting) == number * MISTRAL.parameters


def test_a_model_too_large_for_a_card_is_shared_by_those_of_a_machine_for_its_reference() -> None:
    large = dataclasses.replace(MISTRAL, parameters=70_000_000_000)
    for shape, gpus_here, gpus, word in ((MISTRAL, 8, 1, "fits"), (large, 8, 8, "fits"), (large, 1, 1, "does not fit")):
        need = pass_need(shape, PAIRS, 80.0, gpus_here)
        assert need is not None and (need.gpus, need.verdict) == (gpus, word)
        assert need.total > 2 * shape.parameters / gpus
    whole = pass_need(MISTRAL, PAIRS, 80.0, 8)
    assert whole is not None
    edge = whole.total / 1e9  # GB
    assert [pass_need(MISTRAL, PAIRS, card, 8).gpus for card in (edge, edge - 0.001)] == [1, 8]  # type: ignore[union-attr]
    assert pass_need(MISTRAL, dataclasses.replace(PAIRS, kind="dialogues"), 80.0, 8) is None


def test_disk_holds_one_checkpoint_more_than_are_kept() -> None:
    need = disk_need(MISTRAL, PAIRS)
    assert need.total == 3 * 16 * MISTRAL.parameters + 2 * MISTRAL.parameters
    assert disk_need(MISTRAL, dataclasses.replace(PAIRS, precision="fp32")).model == 4 * MISTRAL.parameters


def test_mistral_has_the_parameters_that_it_has() -> None:
    assert (MISTRAL.parameters, MISTRAL.layers, MISTRAL.hidden_size, MISTRAL.vocabulary) == (
        7_241_732_096,
        32,
        4_096,
        32_000,
    )
    tied = shape_of(None, StudentOptions(tied=True))
    assert MISTRAL.parameters - tied.parameters == 32_000 * 4_096


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from zephyr_train import student

    folder = tmp_path_factory.mktemp("shape") / "student"
    student.build(SMALL, ["the plum is ripe", "the pear is not"], folder)
    return folder


@pytest.mark.parametrize("sharded", [False, True])
def test_a_folder_is_counted_from_its_headers_as_torch_counts_it(folder: Path, tmp_path: Path, sharded: bool) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    if sharded:
        model.save_pretrained(tmp_path, max_shard_size="10KB")
        assert len(list(tmp_path.glob("*.safetensors"))) > 1
    shape = shape_of(tmp_path if sharded else folder, StudentOptions())
    assert shape.parameters == model.num_parameters()
    assert (shape.layers, shape.hidden_size, shape.vocabulary) == (2, 16, model.config.vocab_size)
    by_formula = shape_of(None, dataclasses.replace(SMALL, vocabulary=shape.vocabulary))
    assert (shape.parameters, shape.projections) == (by_formula.parameters, by_formula.projections)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft reads the old name
def test_adapters_have_as_many_parameters_as_peft_gives_them(folder: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    targets = ["q_proj", "k_proj", "down_proj"]
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), LoraConfig(r=3, target_modules=targets))
    counted = shape_of(folder, SMALL).adapter_parameters(3, tuple(targets))
    assert counted == model.get_nb_trainable_parameters()[0]


def test_a_config_without_weights_is_counted_by_the_formula(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert shape_of(tmp_path, SMALL).parameters == shape_of(folder, SMALL).parameters
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "other"}))
    with pytest.raises(ModelUnreachable, match="`other`"):
        shape_of(tmp_path, SMALL)


def test_a_missing_or_cut_shard_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:40])
    with pytest.raises(DataError, match=r"model.safetensors is cut short"):
        shape_of(tmp_path, SMALL)
    (tmp_path / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"a": "model-1.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelUnreachable, match=r"model-1.safetensors is missing"):
        shape_of(tmp_path, SMALL)


def test_a_model_that_is_not_here_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shape_of("mistralai/Mistral-7B-v0.1", StudentOptions()) == MISTRAL
    with pytest.raises(ModelUnreachable, match="the sizes of lab/none are not known here"):
        shape_of("lab/none", StudentOptions())
    assert isinstance(shape_of("new", SMALL), Shape)
