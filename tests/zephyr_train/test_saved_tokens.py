"""EOS, pad and template are the tokenizer's in every file of a saved model, merged from an adapter or not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.zephyr_train.jobs import job
from tests.zephyr_train.model_folder import build
from zephyr_core.keys import text_key
from zephyr_core.template import ZEPHYR_TEMPLATE, Chat
from zephyr_train.errors import InvariantBroken
from zephyr_train.job import Job
from zephyr_train.preflight.row_checks import tokenizer_of
from zephyr_train.results.finish import GENERATION, TEMPLATE, _complete_model
from zephyr_train.training.loading import load
from zephyr_train.training.probe import _merge
from zephyr_train.training.weights import require_other

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")  # peft asks for it
OTHER = 5  # not the tokenizer's EOS, which is 2


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tokens") / "student")


@pytest.fixture
def run(student: Path, tmp_path: Path) -> Job:
    """A run with an adapter, of a base whose configs name another EOS than its tokenizer."""
    from peft import LoraConfig, get_peft_model

    base = Path(shutil.copytree(student, tmp_path / "base"))
    for name in ("config.json", GENERATION):
        content = json.loads((base / name).read_text())
        (base / name).write_text(json.dumps(content | {"eos_token_id": OTHER}))
    tokens = tmp_path / "tokens"
    chat = Chat(tokenizer_of(base))
    chat.tokenizer.save_pretrained(tokens)
    out = tmp_path / "out"
    options = {"lora": True, "attention": "sdpa"}
    made = job(
        out, "sft", model=str(base), tokens=str(tokens), template_digest=text_key(ZEPHYR_TEMPLATE), options=options
    )
    adapter = get_peft_model(load(base, dtype="auto"), LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
    adapter.save_pretrained(out / "adapter")
    chat.tokenizer.save_pretrained(out / "adapter")
    return made


def contents(folder: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / name).read_text()) for name in ("config.json", GENERATION)]


def test_a_merged_model_stops_at_the_tokenizers_eos(run: Job) -> None:
    weights = run.folder / "weights"
    _merge(run, run.folder / "adapter", weights)
    _complete_model(run, weights)
    config, generation = contents(weights)
    assert (config["eos_token_id"], config["pad_token_id"]) == (2, 2)
    assert generation["eos_token_id"] == [2, OTHER] and generation["pad_token_id"] == 2
    require_other(weights, Path(run.model))


@pytest.mark.parametrize("name", ["config.json", GENERATION])
@pytest.mark.parametrize("token", ["eos_token_id", "pad_token_id"])
def test_a_file_that_names_another_token_is_refused(run: Job, name: str, token: str) -> None:
    weights = run.folder / "weights"
    _merge(run, run.folder / "adapter", weights)
    content = json.loads((weights / name).read_text())
    (weights / name).write_text(json.dumps(content | {token: OTHER}))
    with pytest.raises(InvariantBroken, match=f"{name} has {token} {OTHER}, the tokenizer's '</s>' is 2"):
        _complete_model(run, weights)


def test_an_adapter_with_another_template_is_refused(run: Job) -> None:
    weights = run.folder / "weights"
    _merge(run, run.folder / "adapter", weights)
    (run.folder / "adapter" / TEMPLATE).write_text("another")
    with pytest.raises(InvariantBroken, match=r"adapter/chat_template\.jinja is not the template of the training rows"):
        _complete_model(run, weights)


def test_weights_that_are_all_those_of_the_start_are_refused(student: Path, tmp_path: Path) -> None:
    import torch

    same = tmp_path / "same"
    model = load(student, dtype="auto")
    model.save_pretrained(same)
    with pytest.raises(InvariantBroken, match="nothing was learned"):
        require_other(same, student)
    model.to(torch.bfloat16).save_pretrained(same)
    with pytest.raises(InvariantBroken, match="nothing was learned"):
        require_other(same, student)
    next(iter(model.parameters())).data[3, 2] += 1
    model.save_pretrained(same)
    require_other(same, student)
