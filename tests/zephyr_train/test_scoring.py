"""Whatever the layout, pairs get the log-probs and gradients that whole logits of each row alone give them."""

import itertools
from collections import defaultdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import add_fused_lm_head

from tests.zephyr_train import trl_side
from zephyr_train.pairs import attention, scoring
from zephyr_train.pairs.layout import MODELS, PADDED, SEPARATE, SHARED
from zephyr_train.pairs.pieces import pieces_of

BY_THEIR_OLD_NAMES = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
LAYOUTS = [SHARED, SEPARATE, PADDED]
ROWS = [
    *trl_side.pair_rows(5),
    {"prompt_ids": [5, 9, 11], "chosen_ids": [6, 7], "rejected_ids": [6, 7, 8]},  # chosen begins rejected
    {"prompt_ids": [5, 9, 11], "chosen_ids": [6, 7, 8], "rejected_ids": [6, 7]},
    {"prompt_ids": [4, 4, 9, 3], "chosen_ids": [7, 6], "rejected_ids": [7, 6]},  # equal texts
    {"prompt_ids": [8], "chosen_ids": [6, 9, 4], "rejected_ids": [7]},  # a prompt of one token
    {"prompt_ids": [8], "chosen_ids": [6], "rejected_ids": [7]},
    {"prompt_ids": list(range(3, 43)), "chosen_ids": [5] * 15, "rejected_ids": [6, 7, 8]},
]
WEIGHTS = torch.linspace(-1, 1, 2 * len(ROWS))  # so that each completion has a gradient of its own


def batch_of(rows: trl_side.Rows) -> dict[str, Tensor]:
    batch: dict[str, Tensor] = DataCollatorForPreference(pad_token_id=trl_side.PAD)(rows)
    return batch


def scorer(model: Any) -> Any:
    add_fused_lm_head(model, outputs=("log_probs", "is_top1"))
    scoring.prepare(model)
    return model


def logps(model: Any, layout: str) -> Tensor:
    """Return chosen, then rejected: (2 × pairs,)."""
    scores = scoring.score(model, batch_of(ROWS), layout)
    return torch.cat([scores.chosen, scores.rejected])


def plain(model: Any) -> Tensor:
    return torch.cat(trl_side.plain_pairs(model, ROWS))


def gradients(model: Any, values: Tensor) -> dict[str, Tensor]:
    (values * WEIGHTS).sum().backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def assert_equal(model: Any, other: Any, layout: str) -> None:
    """Hold log-probs and every gradient of a layout on `model` against those of plain logits on `other`."""
    ours, theirs = logps(scorer(model), layout), plain(other)
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-5)
    expected = gradients(other, theirs)
    actual = gradients(model, ours)
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    assert largest > 0.1
    for name, gradient in expected.items():
        torch.testing.assert_close(
            actual[name], gradient, atol=2e-6 * largest, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


def tiny(model_type: str, **changes: Any) -> Any:
    """Return a tiny random model of a type."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        model_type,
        **{
            "vocab_size": trl_side.VOCABULARY, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64,
            "initializer_range": 0.2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **changes,
        },
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("model_type", MODELS)
def test_every_type_of_model_that_is_let_in_is_scored_as_by_its_own_logits(model_type: str, layout: str) -> None:
    assert_equal(tiny(model_type), tiny(model_type), layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("window", [1, 3, 7, 200])
def test_a_sliding_window_reaches_from_the_reply_back_into_the_prompt(window: int, layout: str) -> None:
    assert_equal(trl_side.tiny_model(sliding_window=window), trl_side.tiny_model(sliding_window=window), layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_model_that_scales_its_logits_and_attention(layout: str) -> None:
    scales = {
        "logits_scaling": 8.0,
        "attention_multiplier": 0.2,
        "embedding_multiplier": 6.0,
        "residual_multiplier": 0.5,
    }
    assert_equal(tiny("granite", **scales), tiny("granite", **scales), layout)


def test_layers_with_and_without_a_window_may_alternate() -> None:
    kinds = {"use_sliding_window": True, "sliding_window": 3, "layer_types": ["full_attention", "sliding_attention"]}
    assert_equal(tiny("qwen2", **kinds), tiny("qwen2", **kinds), SHARED)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_activation_checkpointing_computes_the_same_again(use_reentrant: bool) -> None:
    model = trl_side.tiny_model().train()
    model.activation_checkpointing_enable({"use_reentrant": use_reentrant})
    model.enable_input_require_grads()
    passes: list[int] = []
    model.model.layers[0].self_attn.q_proj.register_forward_hook(lambda *_: passes.append(1))
    assert_equal(model, trl_side.tiny_model(), SHARED)
    assert len(passes) == 2  # forward, and again for the backward pass


@BY_THEIR_OLD_NAMES
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_adapter_counts_and_only_it_has_a_gradient(layout: str) -> None:
    import peft

    def adapted(prepared: bool) -> Any:
        base = trl_side.tiny_model()
        if prepared:
            add_fused_lm_head(base, outputs=("log_probs", "is_top1"))
        torch.manual_seed(1)
        config = peft.LoraConfig(
            r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
        )
        return peft.get_peft_model(base, config)

    ours, theirs = adapted(True), adapted(False)
    scoring.prepare(ours)
    values, expected = logps(ours, layout), plain(theirs)
    torch.testing.assert_close(values, expected, atol=2e-5, rtol=1e-5)
    assert not torch.allclose(values, plain(trl_side.tiny_model()), atol=1e-3)
    mine, others = gradients(ours, values), gradients(theirs, expected)
    assert mine.keys() == others.keys() and all("lora" in name for name in mine)
    for name, gradient in others.items():
        torch.testing.assert_close(mine[name], gradient, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bf16_weights_are_scored_with_a_softmax_in_float32(layout: str) -> None:
    ours = logps(scorer(trl_side.tiny_model().bfloat16()), layout)
    theirs = plain(trl_side.tiny_model().bfloat16())
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, atol=0.15, rtol=0.01)


def test_a_prompt_is_read_once_and_what_predicts_nothing_is_not_read() -> None:
    model = scorer(trl_side.tiny_model())
    read: list[int] = []
    headed: list[int] = []
    model.model.embed_tokens.register_forward_hook(lambda layer, inputs, output: read.append(inputs[0].numel()))
    model.model.register_forward_hook(lambda *arguments: headed.append(arguments[-1].last_hidden_state.shape[1]))
    for layout in LAYOUTS:
        logps(model, layout)
    prompts, completions = (
        sum(len(row[name]) for row in ROWS for name in names) for names in (["prompt_ids"], trl_side.COLUMNS[1:])
    )
    assert read[0] == prompts - len(ROWS) + completions
    assert read[1] == 2 * (prompts - len(ROWS)) + completions
    assert read[2] == 2 * len(ROWS) * 55
    assert headed[:2] == [completions, completions]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hits_are_the_chosen_tokens_that_come_first(layout: str) -> None:
    model = trl_side.tiny_model()
    rows = []
    for row in ROWS[:4]:  # chosen: what the model would say itself, but for one token
        ids = list(row["prompt_ids"])
        for _ in range(4):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        mine = ids[len(row["prompt_ids"]) :]
        rows.append({**row, "chosen_ids": [*mine[:3], (mine[3] + 1) % trl_side.VOCABULARY]})
    assert scoring.score(scorer(model), batch_of(rows), layout).hits.tolist() == [3, 3, 3, 3]


def test_partners_in_the_batch_change_nothing() -> None:
    model = scoring.frozen_scorer(trl_side.tiny_model())
    for layout in LAYOUTS:
        together = scoring.pair_logps(model, ROWS, trl_side.PAD, layout)
        alone = [scoring.pair_logps(model, [row], trl_side.PAD, layout) for row in ROWS]
        assert together[0] == pytest.approx([chosen for [chosen], _ in alone], abs=1e-5)
        assert together[1] == pytest.approx([rejected for _, [rejected] in alone], abs=1e-5)


@BY_THEIR_OLD_NAMES
def test_a_completion_without_a_prompt_is_scored_from_its_second_token_on_as_in_trl(tmp_path: Path) -> None:
    rows = [{"prompt_ids": [], "chosen_ids": [6, 7, 9], "rejected_ids": [8]}, *ROWS[:2]]
    theirs = trl_side.trainer(trl_side.tiny_model(), ROWS, tmp_path)
    expected = theirs.compute_ref_log_probs(theirs.model, theirs.data_collator(rows))
    model = scoring.frozen_scorer(trl_side.tiny_model())
    for layout in LAYOUTS:
        actual = scoring.pair_logps(model, rows, trl_side.PAD, layout)
        for mine, other in zip(actual, expected, strict=True):
            assert mine == pytest.approx(other.tolist(), abs=1e-5)


def test_a_prepared_model_still_reads_ordinary_text() -> None:
    ids = torch.tensor([[5, 6, 7, 8]])
    prepared, untouched = scorer(trl_side.tiny_model(sliding_window=2)), trl_side.tiny_model(sliding_window=2)
    torch.testing.assert_close(prepared(input_ids=ids).logits, untouched(input_ids=ids).logits)
    assert prepared.generate(ids, max_new_tokens=3, do_sample=False).shape == (1, 7)


def varlen(query: Tensor, key: Tensor, value: Tensor, **keywords: Any) -> Tensor:
    """FlashAttention-2's varlen function by its documentation: causal, aligned at the lower right, a window to the left.

    Shape: (tokens, heads, head_size), fewer key heads than query heads; ends of pieces from 0.
    """
    assert keywords["causal"] is True
    ends = (keywords["cu_seqlens_q"].tolist(), keywords["cu_seqlens_k"].tolist())
    reach = keywords.get("window_size", (-1, -1))[0]
    parts = []
    for (start, stop), (first, last) in zip(*map(itertools.pairwise, ends), strict=True):
        assert 0 < stop - start <= keywords["max_seqlen_q"] and 0 < last - first <= keywords["max_seqlen_k"]
        queries = query[start:stop].transpose(0, 1)
        keys, values = (side[first:last].transpose(0, 1) for side in (key, value))
        groups = queries.shape[0] // keys.shape[0]
        keys, values = keys.repeat_interleave(groups, 0), values.repeat_interleave(groups, 0)
        rows = torch.arange(stop - start)[:, None] + (last - first) - (stop - start)
        places = torch.arange(last - first)[None]
        visible = (places <= rows) & ((reach < 0) | (places >= rows - reach))
        scores = (queries @ keys.transpose(1, 2) * keywords["softmax_scale"]).masked_fill(~visible, -torch.inf)
        parts.append((scores.softmax(dim=-1) @ values).transpose(0, 1))
    return torch.cat(parts)


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("layout", [SHARED, SEPARATE])
def test_what_flash_attention_is_called_with(monkeypatch: pytest.MonkeyPatch, layout: str, window: int | None) -> None:
    """Everything up to the kernel, which needs a GPU: transformers' own call, on a stand-in that follows its manual."""
    from transformers import modeling_flash_attention_utils as theirs

    parameters = dict.fromkeys(("softmax_scale", "causal", "window_size", "max_seqlen_q", "max_seqlen_k"), True)
    options = partial(theirs._process_flash_attention_kwargs, supports_mapping=defaultdict(bool, parameters))
    functions = ((None, varlen, None, None, None), (options, None))
    monkeypatch.setattr(theirs, "lazy_import_flash_attention", lambda name: functions)
    model = scorer(trl_side.tiny_model(sliding_window=window))
    model.config._attn_implementation = (
        "flash_attention_2"  # as a model that was loaded so; its check wants the package
    )
    other = trl_side.tiny_model(sliding_window=window)
    torch.testing.assert_close(logps(model, layout), plain(other), atol=2e-5, rtol=1e-5)
    actual, expected = gradients(model, logps(model, layout)), gradients(other, plain(other))
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, atol=1e-4, rtol=1e-4)


def test_without_pieces_flash_attention_is_transformers_own() -> None:
    call: dict[str, Any] = {}

    def flash(*arguments: Any, **keywords: Any) -> str:
        call.update(keywords, arguments=arguments)
        return "its own"

    module = SimpleNamespace()
    assert attention._flash(flash, module, 1, 2, 3, 4, sliding_window=5, dropout=0.0) == "its own"
    assert call == {"arguments": (module, 1, 2, 3, 4), "sliding_window": 5, "dropout": 0.0}


def test_a_layout_by_hand() -> None:
    """Prompt 5 9 11, chosen 6 7, rejected 8; the batch's rows have length 5."""
    batch = batch_of([{"prompt_ids": [5, 9, 11], "chosen_ids": [6, 7], "rejected_ids": [8]}])
    pieces = pieces_of(batch["attention_mask"], batch["completion_mask"], share_prompt=True)
    flat = batch["input_ids"].flatten()
    assert flat[pieces.tokens].tolist() == [5, 9, 11, 6, 11]  # prompt but its last; that and 6; that again
    assert pieces.positions.tolist() == [0, 1, 2, 3, 2]
    assert pieces.query_lengths == [2, 2, 1]
    assert pieces.keys.tolist() == [0, 1, 0, 1, 2, 3, 0, 1, 4]
    assert pieces.key_lengths == [2, 4, 3]
    assert pieces.predicting.tolist() == [2, 3, 4]
    assert flat[pieces.targets].tolist() == [6, 7, 8]
    assert pieces.scored == [2, 1]
    assert (pieces.query_ends.tolist(), pieces.key_ends.tolist()) == ([0, 2, 4, 5], [0, 2, 6, 9])
