"""Which layout a run takes, and that what it cannot do is refused by name."""

from typing import Any

import pytest

from zephyr_core.errors import OptionError
from zephyr_train.options import DPOOptions
from zephyr_train.pairs.layout import PADDED, SEPARATE, SHARED, choose


def options(attention: str = "sdpa", **changes: bool | None) -> DPOOptions:
    return DPOOptions(attention=attention, precision="bf16", **changes)  # type: ignore[arg-type]


def test_prompts_are_shared_where_that_was_proven() -> None:
    assert choose(options(), {"model_type": "mistral"}, cpu=True) == (SHARED, None)


@pytest.mark.parametrize("attention", ["sdpa", "flash_attention_2", "flash_attention_3"])
def test_on_a_gpu_they_are_not_and_a_line_says_how_to_turn_it_on(attention: str) -> None:
    layout, reason = choose(options(attention), {"model_type": "mistral"}, cpu=False)
    assert layout == SEPARATE
    assert reason is not None and attention in reason and "--share-prompt" in reason
    assert choose(options(attention, share_prompt=True), {"model_type": "mistral"}, cpu=False) == (SHARED, None)


def test_it_can_be_turned_off() -> None:
    assert choose(options(share_prompt=False), {"model_type": "mistral"}, cpu=True) == (SEPARATE, None)
    assert choose(options(padding_free=False), {"model_type": "mistral"}, cpu=True) == (PADDED, None)


@pytest.mark.parametrize(
    ("model_type", "scheme"), [("bloom", "ALiBi"), ("mpt", "ALiBi"), ("gpt2", "learned positions")]
)
def test_models_with_other_position_schemes_are_refused_by_name(model_type: str, scheme: str) -> None:
    with pytest.raises(OptionError, match=f"{model_type}.*{scheme}"):
        choose(options(share_prompt=True), {"model_type": model_type}, cpu=True)
    layout, reason = choose(options(), {"model_type": model_type}, cpu=True)
    assert layout == PADDED
    assert reason is not None and scheme in reason


def test_an_unknown_type_is_padded_too() -> None:
    layout, reason = choose(options(), {"model_type": "newest"}, cpu=True)
    assert (layout, reason is not None and "'newest'" in reason) == (PADDED, True)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0]}},
        {"rope_parameters": {"full_attention": {"rope_type": "default"}, "sliding": {"rope_type": "dynamic"}}},
        {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
    ],
)
def test_positions_that_hang_on_the_longest_row_of_a_batch_are_refused(rope: dict[str, Any]) -> None:
    config = {"model_type": "llama", **rope}
    with pytest.raises(OptionError, match="depend on the longest row"):
        choose(options(share_prompt=True), config, cpu=True)
    assert choose(options(), config, cpu=True)[0] == PADDED
    fixed = {"model_type": "llama", "rope_parameters": {"rope_type": "llama3", "factor": 8.0}}
    assert choose(options(), fixed, cpu=True) == (SHARED, None)


@pytest.mark.parametrize("attention", ["eager", "flex_attention"])
def test_attention_that_reads_only_whole_rows(attention: str) -> None:
    layout, reason = choose(options(attention), {"model_type": "mistral"}, cpu=True)
    assert (layout, reason is not None and attention in reason) == (PADDED, True)
    with pytest.raises(OptionError, match=attention):
        choose(options(attention, share_prompt=True), {"model_type": "mistral"}, cpu=True)


def test_shared_prompts_with_padded_rows_contradict_each_other() -> None:
    with pytest.raises(OptionError, match="padding_free is off"):
        options(share_prompt=True, padding_free=False)
