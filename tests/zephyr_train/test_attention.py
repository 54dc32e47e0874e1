"""Packed documents do not see each other, on every back end that runs here."""

from typing import Any

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

FIRST, SECOND, THIRD = [5, 6, 7, 8, 9], [10, 11, 12], [13, 14, 15, 16]


def model(attention: str) -> Any:
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=32,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        attn_implementation=attention,
    )
    return MistralForCausalLM(config).eval()


def packed() -> dict[str, Any]:
    """Return one forward's batch as dSFT gets it: two packed rows, laid end to end."""
    rows = [
        {"input_ids": FIRST + SECOND, "labels": FIRST + SECOND, "seq_lengths": [5, 3]},
        {"input_ids": THIRD, "labels": THIRD, "seq_lengths": [4]},
    ]
    batch: dict[str, Any] = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(rows)
    return {name: value for name, value in batch.items() if name != "labels"}


def logits(attention: str, **batch: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(attention)(**batch, use_cache=False).logits[0]


@pytest.mark.parametrize("attention", ["eager", "sdpa", "flex_attention"])
@pytest.mark.filterwarnings("ignore")  # flex_attention warns that it is not compiled
def test_each_document_of_a_packed_row_is_seen_as_if_alone(attention: str) -> None:
    with torch.compiler.set_stance("force_eager"):  # else flex_attention is compiled, for half a minute
        together = logits(attention, **packed())
        alone = torch.cat([logits(attention, input_ids=torch.tensor([ids])) for ids in (FIRST, SECOND, THIRD)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_an_all_ones_mask_would_let_them_see_each_other() -> None:
    """Why the batch carries positions and no mask; the collator is told so by `packing` and its strategy in sft.py."""
    batch = packed()
    assert "attention_mask" not in batch
    leaking = logits("sdpa", **batch, attention_mask=torch.ones_like(batch["input_ids"]))
    alone = logits("sdpa", input_ids=torch.tensor([SECOND]))
    assert not torch.allclose(leaking[5:8], alone, atol=1e-3)
