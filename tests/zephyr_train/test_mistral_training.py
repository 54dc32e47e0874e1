"""dSFT and dDPO with Mistral-7B-v0.1's tokenizer: pad is EOS, and the first losses are those of tokens by SentencePiece."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import zephyr
from tests.zephyr_train import mistral
from tests.zephyr_train.conftest import BAD, GOOD, PROMPTS
from tests.zephyr_train.row_shapes import published_pair, write_lines
from tests.zephyr_train.small_chat import turns
from zephyr_train.training.loading import load

pytestmark = pytest.mark.slow

# One step an epoch, of all rows: the first is logged with the weights of the start.
RECIPE = """
extends = "tiny"
about = "for tests"
[sft]
packing = "off"
on_overlong = "error"
epochs = 2
global_batch_size = 6
micro_batch_size = 3
learning_rate = 1e-3
[dpo]
epochs = 2
global_batch_size = 6
micro_batch_size = 3
learning_rate = 1e-3
max_length = 128
max_prompt_length = 64
on_overlong = "error"
"""
REPLIES = [(GOOD[at % 2].format(prompt), BAD[at % 3].format(prompt)) for at, prompt in enumerate(PROMPTS)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the start `model`, and the runs `sft` and `dpo`."""
    folder = tmp_path_factory.mktemp("mistral")
    (folder / "small.toml").write_text(RECIPE)
    model = mistral.build(folder / "model")
    dialogues = [{"messages": turns(prompt, good)} for prompt, (good, _) in zip(PROMPTS, REPLIES, strict=True)]
    pairs = [published_pair(prompt, *replies) for prompt, replies in zip(PROMPTS, REPLIES, strict=True)]
    data = {"sft": write_lines(folder / "rows.jsonl", dialogues), "dpo": write_lines(folder / "pairs.jsonl", pairs)}
    for step in ("sft", "dpo"):
        words = ("--recipe", "small.toml", "--model", model, "--data", data[step], "--out", step)
        done = zephyr("train", step, *words, cwd=folder, OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr
        model = folder / step
    return folder


def reply_logps(model: Any, messages: list[dict[str, str]]) -> list[float]:
    """Return the log-prob of each token of a dialogue's replies, in nats, by the logits of that dialogue alone."""
    ids, is_reply = mistral.expected(mistral.sentencepiece_model(), messages)
    with torch.no_grad():
        logps = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    return [logps[at - 1, ids[at]].item() for at in range(1, len(ids)) if is_reply[at]]


def first_metrics(run: Path) -> dict[str, Any]:
    row: dict[str, Any] = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    assert (row["split"], row["step"]) == ("train", 1)
    return row


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def test_the_first_loss_of_dsft_is_that_of_each_reply_with_its_eos(trained: Path) -> None:
    model = load(trained / "model", dtype=torch.float32)
    replies = [reply_logps(model, turns(prompt, good)) for prompt, (good, _) in zip(PROMPTS, REPLIES, strict=True)]
    without_eos = -mean([logp for reply in replies for logp in reply[:-1]])
    loss = -mean([logp for reply in replies for logp in reply])
    assert abs(loss - without_eos) > 0.01
    assert first_metrics(trained / "sft")["loss"] == pytest.approx(loss, abs=1e-4)


def test_the_first_log_probs_of_ddpo_are_those_of_each_reply_with_its_eos(trained: Path) -> None:
    model = load(trained / "sft" / "model", dtype=torch.float32)
    row = first_metrics(trained / "dpo")
    for side, name in enumerate(("logps_chosen", "logps_rejected")):
        sums = [
            sum(reply_logps(model, turns(prompt, replies[side])))
            for prompt, replies in zip(PROMPTS, REPLIES, strict=True)
        ]
        assert row[name] == pytest.approx(mean(sums), abs=1e-3)
    assert row["loss"] == pytest.approx(math.log(2), abs=1e-4)


def test_the_saved_model_stops_at_eos_and_pads_with_it(trained: Path) -> None:
    for step in ("sft", "dpo"):
        model = trained / step / "model"
        for name in ("config.json", "generation_config.json"):
            content = json.loads((model / name).read_text())
            assert [content[f"{kind}_token_id"] for kind in ("bos", "eos", "pad")] == [1, mistral.EOS, mistral.EOS]
        tokenizer = json.loads((model / "tokenizer_config.json").read_text())
        assert (tokenizer["eos_token"], tokenizer["pad_token"]) == ("</s>", "</s>")
        assert (
            json.loads((model / "tokenizer.json").read_text())["model"]
            == json.loads((trained / "model" / "tokenizer.json").read_text())["model"]
        ), "the vocabulary and the merges are as they came"
