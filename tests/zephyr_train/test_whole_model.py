"""The model that a run begins with can be loaded, called and saved; a missing tensor is never drawn at random."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.zephyr_train import zoo
from tests.zephyr_train.jobs import job
from tests.zephyr_train.model_folder import look
from zephyr_core.errors import DATA, USAGE, DataError
from zephyr_train.errors import InvariantBroken
from zephyr_train.meta_model import call_fault, meta_model
from zephyr_train.options import StudentOptions
from zephyr_train.planning.model_shape import shape_of
from zephyr_train.preflight import model_checks
from zephyr_train.preflight.examination import Examination
from zephyr_train.training.arguments import starting_model
from zephyr_train.training.loading import load
from zephyr_train.training.weights import require_other, require_whole

pytestmark = pytest.mark.usefixtures("here")

DOWN = "model.layers.0.mlp.down_proj.weight"


def change(folder: Path, file: str, **entries: object) -> None:
    """Set entries of a JSON file, or remove those that are None."""
    content = json.loads((folder / file).read_text()) if (folder / file).is_file() else {}
    content = {name: value for name, value in (content | entries).items() if value is not None}
    (folder / file).write_text(json.dumps(content))


def change_weights(folder: Path, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    file = folder / "model.safetensors"
    save_file(edit(load_file(file)), file, metadata={"format": "pt"})


def names(examination: Examination) -> list[str]:
    return [fault.name for fault in examination.faults]


# ---- tensors ------------------------------------------------------------------------------------

DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "a tensor is left out": (lambda all: {k: v for k, v in all.items() if k != DOWN}, f"{DOWN} is missing"),
    "a prefix before every name": (
        lambda all: {f"base_model.model.{name}": tensor for name, tensor in all.items()},
        f"{DOWN} is missing",
    ),
    "a tensor too many": (lambda all: {**all, "extra.weight": all[DOWN].clone()}, "extra.weight is not of this model"),
    "another shape": (
        lambda all: {**all, DOWN: all[DOWN][:, :-1].contiguous()},
        f"{DOWN} has shape [16, 23], not [16, 24]",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_weights_that_do_not_fit_the_config_are_refused_by_plan_run_and_worker(
    foreign: Path, tmp_path: Path, case: str
) -> None:
    edit, line = DAMAGE[case]
    change_weights(foreign, edit)
    for dry in (True, False):
        examination = look(foreign, dry=dry)
        assert names(examination) == ["broken-model"] and examination.faults[0].exit_code == DATA
        assert str(foreign) in examination.faults[0].message and line in examination.faults[0].message
    with pytest.raises(DataError, match="not whole") as refusal:
        starting_model(job(tmp_path / "run", "sft", model=str(foreign), options={"attention": "sdpa"}))
    assert line in str(refusal.value)
    with pytest.raises(InvariantBroken, match="not whole") as refused:
        require_whole(foreign)
    assert line in str(refused.value)


def test_a_whole_model_is_loaded(student: Path) -> None:
    tensors = load_file(student / "model.safetensors")
    assert require_whole(student) == len(tensors)
    loaded = load(student, dtype="auto").state_dict()
    assert all(loaded[name].equal(tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("kind", zoo.KINDS)
def test_a_model_that_transformers_saved_is_whole_and_can_be_called(tmp_path: Path, kind: str) -> None:
    """Experts are merged in memory and written one by one; gpt_neox writes its head under another name."""
    folder = zoo.build(kind, tmp_path / kind)
    found = meta_model(folder)
    assert (found.misfits, call_fault(found.model)) == ([], None)
    assert require_whole(folder) == len(load_file(folder / "model.safetensors"))
    shape = shape_of(folder, StudentOptions())
    assert (shape.layers, shape.hidden_size, shape.vocabulary) == (2, 32, zoo.VOCABULARY)


def test_a_base_models_weights_have_no_prefix_and_are_whole(student: Path, tmp_path: Path) -> None:
    """As the first GPT-2 on the Hub, whose head is its embedding; transformers would write the prefix."""
    folder = zoo.build("gpt2", tmp_path / "gpt2", tokenizer=student)
    model = load(folder, dtype="auto")
    change_weights(folder, lambda all: {name.removeprefix("transformer."): tensor for name, tensor in all.items()})
    assert names(look(folder, max_length=zoo.POSITIONS)) == []
    saved = tmp_path / "saved"
    model.save_pretrained(saved)
    with pytest.raises(InvariantBroken, match="nothing was learned"):
        require_other(saved, folder)
    model.transformer.h[1].mlp.c_fc.weight.data[0, 0] += 1
    model.save_pretrained(saved)
    require_other(saved, folder)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("mixtral", "model.layers.0.block_sparse_moe.experts.2.w1.weight"),
        ("mixtral", "model.layers.1.block_sparse_moe.gate.weight"),
        ("qwen2_moe", "model.layers.0.mlp.experts.1.up_proj.weight"),
        ("gpt_neox", "embed_out.weight"),
        ("gpt2", "transformer.h.1.attn.c_proj.bias"),
    ],
)
def test_a_tensor_that_is_missing_is_found_where_memory_and_file_differ(tmp_path: Path, kind: str, name: str) -> None:
    folder = zoo.build(kind, tmp_path / kind)
    change_weights(folder, lambda all: {other: tensor for other, tensor in all.items() if other != name})
    with pytest.raises(InvariantBroken):
        require_whole(folder)
    with pytest.raises((DataError, RuntimeError)):
        load(folder, dtype="auto")


MASK = torch.ones(1, 1, zoo.POSITIONS, zoo.POSITIONS, dtype=torch.uint8).tril()
LEFTOVERS = {
    "gpt2": {"transformer.h.0.attn.bias": MASK, "transformer.h.0.attn.masked_bias": torch.tensor(-1e4)},
    "gptj": {"transformer.h.1.attn.bias": MASK.bool(), "transformer.h.1.attn.masked_bias": torch.tensor(-1e9)},
    "gpt_neox": {
        "gpt_neox.layers.0.attention.bias": MASK,
        "gpt_neox.layers.0.attention.masked_bias": torch.tensor(-1e9),
        "gpt_neox.layers.0.attention.rotary_emb.inv_freq": torch.ones(4),
    },
    "mistral": {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)},
    "mixtral": {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)},
}


@pytest.mark.parametrize(("kind", "prefix"), [*((kind, "") for kind in LEFTOVERS), ("gpt2", "transformer.")])
def test_what_old_releases_saved_besides_the_weights_is_left_out(
    student: Path, tmp_path: Path, kind: str, prefix: str
) -> None:
    """GPT-2 on the Hub has its masks in the file. `prefix` is taken off every name, as in a base model's file."""
    folder = zoo.build(kind, tmp_path / kind, tokenizer=student)
    change_weights(
        folder, lambda all: {name.removeprefix(prefix): each for name, each in (all | LEFTOVERS[kind]).items()}
    )
    attention = {"attention": "eager", "max_length": zoo.POSITIONS}
    for dry in (True, False):
        assert names(look(folder, dry=dry, **attention)) == []
    load(folder, dtype="auto").save_pretrained(tmp_path / "saved")
    assert LEFTOVERS[kind].keys().isdisjoint(load_file(tmp_path / "saved" / "model.safetensors"))
    assert require_whole(tmp_path / "saved") == len(load_file(tmp_path / "saved" / "model.safetensors"))


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("transformer.h.0.attn.masked_bias", torch.ones(2)),
        ("transformer.h.7.attn.bias", torch.ones(32)),
        ("transformer.h.0.attn.mask", MASK),
    ],
)
def test_what_could_be_a_weight_is_no_mask(tmp_path: Path, name: str, tensor: torch.Tensor) -> None:
    folder = zoo.build("gptj", tmp_path / "gptj")
    change_weights(folder, lambda all: {**all, name: tensor})
    assert meta_model(folder).misfits == [f"{name} is not of this model"]
    with pytest.raises(DataError, match=f"{name} is not of this model"):
        load(folder, dtype="auto")


# ---- configs, options, tokenizer ----------------------------------------------------------------

T5 = {"model_type": "t5", "d_model": 16, "d_kv": 4, "num_layers": 1, "num_heads": 4, "hidden_size": 16}


@pytest.mark.parametrize(
    ("file", "entries", "options", "fault", "code", "words"),
    [
        ("generation_config.json", {"temperature": 0.7}, {}, "unsavable-config", DATA, "do_sample"),
        ("config.json", {"quantization_config": {"quant_method": "bitsandbytes"}}, {}, "quantized-model", DATA, ""),
        ("config.json", T5, {}, "no-causal-model", DATA, "causal"),
        ("config.json", {"model_type": "nothing_known"}, {}, "no-causal-model", DATA, "nothing_known"),
        ("tokenizer_config.json", {"pad_token": "[PAD]"}, {}, "token-beyond-embedding", DATA, "'[PAD]'"),
    ],
)
def test_what_would_end_a_run_with_a_trace_is_a_fault(
    foreign: Path, file: str, entries: dict[str, object], options: dict[str, Any], fault: str, code: int, words: str
) -> None:
    change(foreign, file, **entries)
    for dry in (True, False):
        found = [each for each in look(foreign, dry=dry, **options).faults if each.name == fault]
        assert len(found) == 1 and found[0].exit_code == code and words in str(found[0]) + found[0].hint
        assert found[0].hint


def test_the_router_loss_of_a_mixture_of_experts_is_told_and_does_not_disturb_the_call(
    student: Path, tmp_path: Path
) -> None:
    folder = zoo.build("mixtral", tmp_path / "mixtral", tokenizer=student)
    change(folder, "config.json", output_router_logits=True)
    notes = " ".join(look(folder).notes)
    assert "0.001 × the load-balancing loss" in notes and names(look(folder)) == []
    assert "load-balancing" not in " ".join(look(folder, set=("router_aux_loss_coef=0",)).notes)


def test_a_config_that_contradicts_itself_is_found_by_calling_the_model(tmp_path: Path) -> None:
    folder = zoo.build("mixtral", tmp_path / "mixtral")
    change(folder, "config.json", num_experts_per_tok=9)
    assert "k not in range" in str(call_fault(meta_model(folder).model))


def test_tokens_without_an_embedding_are_counted(foreign: Path) -> None:
    vocabulary = json.loads((foreign / "config.json").read_text())["vocab_size"]
    change_weights(
        foreign,
        lambda all: {k: v[:-3].clone() if v.shape[0] == vocabulary else v for k, v in all.items()},
    )
    change(foreign, "config.json", vocab_size=vocabulary - 3)
    [fault] = look(foreign).faults
    assert fault.name == "token-beyond-embedding" and "3 of the tokenizer's tokens have no embedding" in fault.message


def test_special_tokens_that_no_row_can_hold_need_no_embedding(foreign: Path) -> None:
    """As the image token of a text-only model: escaped in texts, and not in the template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(foreign)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.save_pretrained(foreign)
    assert names(look(foreign)) == []


@pytest.mark.parametrize(("kind", "is_fault"), [("gpt2", True), ("gpt_neox", False)])
def test_rows_longer_than_the_positions_are_a_fault_where_they_are_learned(
    student: Path, tmp_path: Path, kind: str, is_fault: bool
) -> None:
    folder = zoo.build(kind, tmp_path / kind, tokenizer=student)
    assert names(look(folder, max_length=zoo.POSITIONS)) == []
    examination = look(folder, max_length=zoo.POSITIONS + 1)
    assert names(examination) == (["row-beyond-positions"] if is_fault else [])
    words = f"max_length is {zoo.POSITIONS + 1}, and the model has {zoo.POSITIONS} positions"
    assert words in " ".join([*map(str, examination.faults), *examination.notes])


def test_attention_that_the_model_does_not_have_is_a_fault_of_the_option(student: Path, tmp_path: Path) -> None:
    folder = zoo.build("gptj", tmp_path / "gptj", tokenizer=student)
    assert names(look(folder, attention="eager")) == []
    examination = look(folder, attention="sdpa")
    assert names(examination) == ["unsupported-attention"] and examination.faults[0].exit_code == USAGE
    assert names(look(folder, attention="flex_attention")) == ["unsupported-attention"]


def test_a_package_that_the_model_needs_is_a_lack(student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zephyr_train.preflight import model_checks as module

    def missing(model: object) -> None:
        raise ImportError("install causal_conv1d")

    monkeypatch.setattr(module, "call_fault", missing)
    examination = look(student)
    assert names(examination) == [] and [lack.name for lack in examination.lacks] == ["missing-package"]
    assert "causal_conv1d" in str(examination.lacks[0])
    assert names(look(student, dry=False)) == ["missing-package"]


def test_adapters_go_on_the_linear_layers_of_the_model_in_memory(student: Path, tmp_path: Path) -> None:
    """A Mixtral's files name w1, w2, w3 and the router's gate, which are no linear layers once it is loaded."""
    folder = zoo.build("mixtral", tmp_path / "mixtral", tokenizer=student)
    queries = ("q_proj", "v_proj")
    assert names(look(folder, lora=True, lora_targets=queries)) == []
    examination = look(folder, lora=True, lora_targets=("q_proj", "w1"))
    assert names(examination) == ["lora-targets-option"]
    assert "are q_proj, k_proj, v_proj, o_proj" in examination.faults[0].message


def test_a_sound_model_is_built_once_and_a_changed_one_again(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []

    def counted(folder: Path, attention: str) -> Any:
        built.append(folder)
        return meta_model(folder, attention)

    monkeypatch.setattr(model_checks, "meta_model", counted)
    first, again = look(foreign), look(foreign)
    assert len(built) == 1 and first.projections == again.projections != ()
    for file in (tmp_path / "cache" / "models").iterdir():
        file.write_text("{")
    assert look(foreign).projections == first.projections and len(built) == 2, "a damaged file says nothing"
    change(foreign, "generation_config.json", temperature=0.5, do_sample=False)
    for _ in range(2):
        assert names(look(foreign)) == ["unsavable-config"], "a fault is found each time"
    assert len(built) == 4


def test_damaged_weights_are_a_fault_next_to_a_batch_that_does_not_divide(foreign: Path) -> None:
    file = foreign / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    found = names(look(foreign, global_batch_size=5, micro_batch_size=2))
    assert "batch-does-not-divide" in found and "broken-model" in found
