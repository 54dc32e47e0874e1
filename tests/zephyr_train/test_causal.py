"""A model whose tokens see those behind them is refused: by preflight where transformers says so, else by its numbers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer

from tests import manifests
from tests.zephyr_train import zoo
from tests.zephyr_train.jobs import job
from tests.zephyr_train.model_folder import look
from zephyr_core.errors import DATA, DataError
from zephyr_train import sft
from zephyr_train.job import Job
from zephyr_train.meta_model import meta_model, reads_ahead
from zephyr_train.training import tolerance
from zephyr_train.training.causal_check import require_causal
from zephyr_train.training.loading import load
from zephyr_train.training.reference_pass import score

ROW = [*range(5, 40)]
FAR = {"initializer_range": 0.5}  # of small weights nothing shows


def check(folder: Path, row: list[int] = ROW, dtype: Any = torch.float32) -> None:
    model = load(folder, dtype=dtype).eval()
    noise = tolerance.noise("fp32" if dtype == torch.float32 else "bf16", model.config)
    with torch.no_grad():
        require_causal(row, lambda ids: model(input_ids=ids).logits, noise)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", zoo.KINDS)
def test_causal_models_pass(kind: str, dtype: Any, tmp_path: Path) -> None:
    check(zoo.build(kind, tmp_path), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["bert", "megatron-bert"])
def test_models_that_read_ahead_are_refused(kind: str, dtype: Any, tmp_path: Path) -> None:
    folder = zoo.build(kind, tmp_path, **FAR)
    with pytest.raises(DataError, match="the model reads ahead") as refusal:
        check(folder, dtype=dtype)
    assert "is_decoder" in str(refusal.value.hint)
    check(zoo.build(kind, tmp_path, is_decoder=True, **FAR), dtype=dtype)


def test_the_last_of_all_tokens_and_a_row_of_one_can_be_looked_at(tmp_path: Path) -> None:
    folder = zoo.build("mistral", tmp_path)
    check(folder, [5, zoo.VOCABULARY - 1])
    check(folder, [5])


@pytest.mark.parametrize(
    ("kind", "switch"),
    [
        ("megatron-bert", "is_decoder"),
        ("rembert", "is_decoder"),
        ("roformer", "is_decoder"),
        ("big_bird", "is_decoder"),
        ("xlm", "causal"),
    ],
)
def test_transformers_knows_what_reads_ahead_where_attention_does_not_say(
    kind: str, switch: str, tmp_path: Path
) -> None:
    sizes: dict[str, Any] = {**FAR, "pad_token_id": 3}  # XLM looks for it in each row
    folder = zoo.build(kind, tmp_path, **sizes)
    with pytest.raises(DataError, match="the model reads ahead"):
        check(folder)
    assert reads_ahead(meta_model(folder).model)
    zoo.build(kind, tmp_path, **sizes, **{switch: True})
    check(folder)
    assert not reads_ahead(meta_model(folder).model)


@pytest.mark.parametrize("kind", ["mistral", "gpt2", "opt"])
def test_and_what_does_not(kind: str, tmp_path: Path) -> None:
    assert not reads_ahead(meta_model(zoo.build(kind, tmp_path)).model)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("kind", "name"), [("bert", "BertLMHeadModel"), ("megatron-bert", "MegatronBertForCausalLM")])
def test_preflight_refuses_what_transformers_knows_to_read_ahead(
    kind: str, name: str, student: Path, tmp_path: Path
) -> None:
    folder = zoo.build(kind, tmp_path / "model", tokenizer=student)
    for dry in (True, False):
        [fault] = look(folder, dry=dry).faults
        assert (fault.name, fault.exit_code) == ("reads-ahead", DATA)
        assert name in fault.message and "is_decoder" in fault.hint
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"is_decoder": True}))
    assert [fault.name for fault in look(folder).faults] in ([], ["unsupported-attention"])


@pytest.fixture
def looking_ahead(student: Path, tmp_path: Path) -> Path:
    """A model that reads ahead, as a worker would meet it if preflight had not known."""
    return zoo.build("megatron-bert", tmp_path / "model", tokenizer=student, **FAR)


def job_of(tmp_path: Path, model: Path, step: str, row: dict[str, Any]) -> Job:
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    manifests.write(tokens, "tokens", splits={"train": {"rows": 1}})
    writer = Dataset.from_list([row])
    writer.save_to_disk(tmp_path / "rows")
    next((tmp_path / "rows").glob("*.arrow")).rename(tokens / "train.arrow")
    AutoTokenizer.from_pretrained(model).save_pretrained(tokens)
    options = {"attention": "eager", "precision": "fp32", "activation_checkpointing": False}
    options |= {"packing": "off", "on_overlong": "cut"} if step == "sft" else {}
    return job(tmp_path / "run", step, model=str(model), tokens=str(tokens), options=options)


def test_dsft_stops_before_its_first_step(looking_ahead: Path, tmp_path: Path) -> None:
    trainer = sft.trainer(job_of(tmp_path, looking_ahead, "sft", {"input_ids": ROW, "labels": ROW}), [])
    with pytest.raises(DataError, match="the model reads ahead"):
        trainer.train()


def test_the_reference_of_ddpo_is_not_computed(looking_ahead: Path, tmp_path: Path) -> None:
    row = {"prompt_ids": ROW[:9], "chosen_ids": ROW[9:], "rejected_ids": ROW[20:], "key": "a"}
    with pytest.raises(DataError, match="the model reads ahead"):
        score(job_of(tmp_path, looking_ahead, "reference", row))
