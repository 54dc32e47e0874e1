"""Log-probs of completions equal the naive computation and TRL's, whatever they are padded with."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.zephyr_train import trl_side
from zephyr_train import logps
from zephyr_train.errors import OptionError

ROWS = trl_side.pair_rows(5)
BY_THEIR_OLD_NAMES = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def naive(model: Any, row: dict[str, Any], side: str) -> float:
    """Return the log-prob of one completion from all logits of one unpadded row, token by token."""
    tokens = row["prompt_ids"] + row[side]
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].float()
    table = logits.log_softmax(dim=-1)
    return float(sum(table[at - 1, tokens[at]].item() for at in range(len(row["prompt_ids"]), len(tokens))))


def close(left: list[float], right: list[float]) -> bool:
    return left == pytest.approx(right, abs=1e-5)


def test_equal_to_the_full_logits_of_each_row_alone() -> None:
    model = trl_side.tiny_model()
    chosen, rejected = logps.pair_logps(model, ROWS, trl_side.PAD, "cpu")
    assert close(chosen, [naive(model, row, "chosen_ids") for row in ROWS])
    assert close(rejected, [naive(model, row, "rejected_ids") for row in ROWS])
    assert not close(chosen, rejected)


@BY_THEIR_OLD_NAMES  # TRL calls transformers so
@pytest.mark.parametrize("is_mixed", [False, True])
def test_equal_to_trls_reference_log_probs(tmp_path: Path, is_mixed: bool) -> None:
    theirs = trl_side.trainer(trl_side.tiny_model(), ROWS, tmp_path)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
        chosen, rejected = theirs.compute_ref_log_probs(theirs.model, theirs.data_collator(ROWS))
        ours = logps.pair_logps(trl_side.tiny_model(), ROWS, trl_side.PAD, "cpu")
    assert close(ours[0], chosen.tolist())
    assert close(ours[1], rejected.tolist())


def test_partners_in_the_batch_change_nothing() -> None:
    model = trl_side.tiny_model()
    long = {"prompt_ids": [5] * 30, "chosen_ids": [6] * 20, "rejected_ids": [7] * 3}
    together = logps.pair_logps(model, [*ROWS, long], trl_side.PAD, "cpu")
    alone = [logps.pair_logps(model, [row], trl_side.PAD, "cpu") for row in ROWS]
    assert close(together[0][:-1], [chosen for [chosen], _ in alone])
    assert close(together[1][:-1], [rejected for _, [rejected] in alone])


@pytest.mark.parametrize("chunk_tokens", [1, 3, 1_000])
def test_chunks_change_nothing(chunk_tokens: int) -> None:
    model, batch = trl_side.tiny_model(), logps.pair_batch(ROWS, trl_side.PAD)
    inputs = batch["input_ids"], batch["completion_mask"]
    whole = logps.completion_logps(model, *inputs, attention_mask=batch["attention_mask"])
    assert close(logps.completion_logps(model, *inputs, chunk_tokens=chunk_tokens).tolist(), whole.tolist())


def test_the_head_sees_only_what_predicts_a_completion() -> None:
    model, batch = trl_side.tiny_model(), logps.pair_batch(ROWS, trl_side.PAD)
    seen: list[int] = []
    model.lm_head.register_forward_hook(lambda head, inputs, logits: seen.append(len(logits)))
    logps.completion_logps(model, batch["input_ids"], batch["completion_mask"], chunk_tokens=4)
    completion_tokens = sum(len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in ROWS)
    assert sum(seen) == completion_tokens
    assert max(seen) == 4


def test_gradients_are_those_of_the_full_logits() -> None:
    ours, theirs = trl_side.tiny_model(), trl_side.tiny_model()
    batch = logps.pair_batch(ROWS, trl_side.PAD)
    logps.completion_logps(ours, batch["input_ids"], batch["completion_mask"], chunk_tokens=5).sum().backward()
    table = theirs(batch["input_ids"]).logits[:, :-1].log_softmax(dim=-1)
    picked = table.gather(2, batch["input_ids"][:, 1:, None])[..., 0]
    (picked * batch["completion_mask"][:, 1:]).sum().backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-4, rtol=1e-4)


def test_bf16_weights_are_scored_with_a_softmax_in_float32() -> None:
    model, batch = trl_side.tiny_model().bfloat16(), logps.pair_batch(ROWS, trl_side.PAD)
    ours = logps.completion_logps(model, batch["input_ids"], batch["completion_mask"])
    table = model(batch["input_ids"]).logits[:, :-1].float().log_softmax(dim=-1)
    picked = table.gather(2, batch["input_ids"][:, 1:, None])[..., 0] * batch["completion_mask"][:, 1:]
    assert ours.dtype == torch.float32
    assert close(ours.tolist(), picked.sum(dim=1).tolist())


@BY_THEIR_OLD_NAMES  # and so does peft
def test_an_adapter_counts_and_can_be_turned_off() -> None:
    import peft

    plain, _ = logps.pair_logps(trl_side.tiny_model(), ROWS, trl_side.PAD, "cpu")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = peft.get_peft_model(trl_side.tiny_model(), config)
    adapted, _ = logps.pair_logps(model, ROWS, trl_side.PAD, "cpu")
    assert close(adapted, [naive(model, row, "chosen_ids") for row in ROWS])
    assert not close(adapted, plain)
    with model.disable_adapter():
        assert close(logps.pair_logps(model, ROWS, trl_side.PAD, "cpu")[0], plain)


def test_scoring_is_without_dropout_and_leaves_the_model_as_it_was() -> None:
    model = trl_side.tiny_model()
    model.config.attention_dropout = 0.9
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.9
    model.train()
    first, second = (logps.pair_logps(model, ROWS, trl_side.PAD, "cpu") for _ in range(2))
    assert first == second
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_batch_is_padded_as_trl_pads(tmp_path: Path) -> None:
    rows = [{**row, "ref_chosen_logps": -1.5, "ref_rejected_logps": -2.5} for row in ROWS]
    theirs: dict[str, Tensor] = trl_side.trainer(trl_side.tiny_model(), rows, tmp_path).data_collator(rows)
    ours = logps.pair_batch(rows, trl_side.PAD)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_model_that_changes_its_logits_behind_the_head_is_refused() -> None:
    model = trl_side.tiny_model()
    model.config.final_logit_softcapping = 30.0
    with pytest.raises(OptionError, match="final_logit_softcapping = 30"):
        logps.pair_logps(model, ROWS, trl_side.PAD, "cpu")
