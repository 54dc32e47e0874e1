"""Which layout a run takes, and that what it cannot do is refused by name."""

import pytest

from zephyr_train.errors import OptionError
from zephyr_train.options import DPOOptions
from zephyr_train.pairs.layout import PADDED, SEPARATE, SHARED, choose


def options(attention: str = "sdpa", **changes: bool | None) -> DPOOptions:
    return DPOOptions(attention=attention, precision="bf16", **changes)  # type: ignore[arg-type]


def test_prompts_are_shared_where_that_was_proven() -> None:
    assert choose(options(), "mistral", cpu=True) == (SHARED, None)


@pytest.mark.parametrize("attention", ["sdpa", "flash_attention_2", "flash_attention_3"])
def test_on_a_gpu_they_are_not_and_a_line_says_how_to_turn_it_on(attention: str) -> None:
    layout, reason = choose(options(attention), "mistral", cpu=False)
    assert layout == SEPARATE
    assert reason is not None and attention in reason and "--share-prompt" in reason
    assert choose(options(attention, share_prompt=True), "mistral", cpu=False) == (SHARED, None)


def test_it_can_be_turned_off() -> None:
    assert choose(options(share_prompt=False), "mistral", cpu=True) == (SEPARATE, None)
    assert choose(options(padding_free=False), "mistral", cpu=True) == (PADDED, None)


@pytest.mark.parametrize(
    ("model_type", "scheme"), [("bloom", "ALiBi"), ("mpt", "ALiBi"), ("gpt2", "learned positions")]
)
def test_models_with_other_position_schemes_are_refused_by_name(model_type: str, scheme: str) -> None:
    with pytest.raises(OptionError, match=f"{model_type}.*{scheme}"):
        choose(options(share_prompt=True), model_type, cpu=True)
    layout, reason = choose(options(), model_type, cpu=True)
    assert layout == PADDED
    assert reason is not None and scheme in reason


def test_an_unknown_type_is_padded_too() -> None:
    layout, reason = choose(options(), "newest", cpu=True)
    assert (layout, reason is not None and "'newest'" in reason) == (PADDED, True)


@pytest.mark.parametrize("attention", ["eager", "flex_attention"])
def test_attention_that_reads_only_whole_rows(attention: str) -> None:
    layout, reason = choose(options(attention), "mistral", cpu=True)
    assert (layout, reason is not None and attention in reason) == (PADDED, True)
    with pytest.raises(OptionError, match=attention):
        choose(options(attention, share_prompt=True), "mistral", cpu=True)


def test_shared_prompts_with_padded_rows_contradict_each_other() -> None:
    with pytest.raises(OptionError, match="padding_free is off"):
        options(share_prompt=True, padding_free=False)
