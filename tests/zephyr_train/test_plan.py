"""A plan is arithmetic: it agrees with transformers' schedules, with counting by hand, and with the paper's figures."""

import dataclasses
import itertools
import json
import math
import statistics
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from zephyr_core import recipe
from zephyr_core.errors import OptionError
from zephyr_train.errors import ModelUnreachable
from zephyr_train.options import OF_STEP, DPOOptions, SFTOptions, StudentOptions
from zephyr_train.planning.model_shape import shape_of
from zephyr_train.planning.plan import (
    Rows,
    batch,
    batch_for,
    batch_line,
    learning_rate_at,
    make_plan,
    moves,
    steps_per_epoch,
    warmup_steps,
)
from zephyr_train.planning.plan_text import large, plan_text
from zephyr_train.planning.token_statistics import token_statistics

MISTRAL = shape_of(None, StudentOptions())


def test_accumulation_holds_the_global_batch() -> None:
    for gpus, micro in itertools.product((1, 2, 4, 16), (1, 2)):
        assert batch(32, micro, gpus) * micro * gpus == 32
    assert batch_line(32, 2, 16) == "32 = 2/GPU × 16 GPUs × 1"
    assert batch_line(32, 2, 1) == "32 = 2/GPU × 1 GPU × 16"


def test_a_batch_that_does_not_divide_shows_its_arithmetic_and_what_would() -> None:
    with pytest.raises(OptionError) as fault:
        batch(32, 2, 5)
    assert str(fault.value) == "10 = 2/GPU × 5 GPUs does not divide 32"
    assert "with micro_batch_size 2 it takes 1, 2, 4, 8, 16 GPUs; with 5 GPUs micro_batch_size nothing" in str(
        fault.value.hint
    )
    with pytest.raises(OptionError, match="64 = 4/GPU × 16 GPUs does not divide 32"):
        batch(32, 4, 16)


@pytest.mark.parametrize(("rows", "steps"), [(1, 1), (31, 1), (32, 1), (33, 2), (64, 2), (65, 3), (61_135, 1_911)])
def test_the_last_step_of_an_epoch_may_be_smaller(rows: int, steps: int) -> None:
    assert steps_per_epoch(rows, 32) == steps


@pytest.mark.parametrize(("ratio", "total"), [(0.1, 5_733), (0.1, 30), (0.07, 100), (0.0, 9), (0.999, 7)])
def test_warm_up_rounds_as_transformers_does(ratio: float, total: int) -> None:
    from transformers import TrainingArguments

    assert warmup_steps(ratio, total) == TrainingArguments(warmup_steps=ratio, use_cpu=True).get_warmup_steps(total)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0, 1, 7, 20])
def test_learning_rates_are_those_of_transformers_at_every_step(schedule: str, warmup: int) -> None:
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=5e-7)
    name = "constant_with_warmup" if schedule == "constant" else schedule
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=20)
    for step in range(21):
        assert learning_rate_at(step, schedule, 5e-7, warmup, 20) == pytest.approx(
            optimizer.param_groups[0]["lr"], rel=1e-12, abs=1e-22
        )
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("epochs", [1, 3, 20])
@pytest.mark.parametrize(("rows", "part"), [(25, 1), (498, 16), (498, 4), (61_135, 32), (20, 1), (400, 2)])
def test_the_batch_that_fits_is_the_largest_with_that_many_steps(rows: int, epochs: int, part: int) -> None:
    def steps(size: int) -> int:
        return steps_per_epoch(rows, size) * epochs

    size = batch_for(20, rows, epochs, part)
    assert size % part == 0 and (steps(size) >= 20 or size == part)
    assert steps(size + part) < 20 or size + part > rows


def test_a_run_that_is_all_warm_up_does_not_move() -> None:
    assert not moves("cosine", 2e-5, warmup_steps(0.1, 1), 1)
    assert moves("cosine", 2e-5, warmup_steps(0.1, 2), 2) and moves("linear", 2e-5, 0, 1)
    assert not moves("constant", 0.0, 1, 9)


def test_padding_in_random_order_is_the_mean_over_all_micro_batches() -> None:
    lengths = [3, 9, 4, 4, 7, 1]
    longest = statistics.mean(max(pair) for pair in itertools.combinations(lengths, 2))
    totals = token_statistics(lengths, 2, max_length=100)
    assert totals.padding_share == pytest.approx(1 - statistics.mean(lengths) / longest)
    assert (totals.rows, totals.tokens, totals.longest_tokens, totals.estimated) == (6, 28, 9, False)
    assert totals.packed_rows is None
    assert token_statistics(lengths, 1, max_length=100).padding_share == pytest.approx(0)
    assert token_statistics(lengths, 99, max_length=100).padding_share == pytest.approx(
        1 - statistics.mean(lengths) / 9
    )


def test_a_pair_is_two_sequences_padded_together() -> None:
    pairs = [(3, 9), (4, 4), (7, 1)]
    longest = statistics.mean(max(*left, *right) for left, right in itertools.combinations(pairs, 2))
    totals = token_statistics(pairs, 2, max_length=100)
    assert totals.padding_share == pytest.approx(1 - statistics.mean(itertools.chain(*pairs)) / longest)
    assert (totals.rows, totals.tokens) == (3, 28)


def test_long_rows_are_padded_as_cut_and_packed_whole() -> None:
    totals = token_statistics([4, 10], 2, max_length=5, packing=True)
    assert totals.padding_share == pytest.approx(1 - 4.5 / 5)
    assert (totals.tokens, totals.packed_rows) == (14, 3)
    assert totals.packing_fill_share == pytest.approx(14 / 15)


def test_a_sample_is_scaled_up_and_says_so() -> None:
    totals = token_statistics([5, 5, 3], 2, max_length=5, packing=True, whole_rows=300)
    assert (totals.rows, totals.tokens, totals.packed_rows, totals.estimated) == (300, 1_300, 300, True)
    assert totals.mean_tokens == pytest.approx(13 / 3)


def test_no_rows_have_no_tokens() -> None:
    totals = token_statistics([], 2, max_length=5, packing=True)
    assert (totals.tokens, totals.padding_share, totals.packed_rows, totals.packing_fill_share) == (0, 0.0, 0, 0.0)


def test_the_papers_plan_of_ddpo() -> None:
    plan = make_plan(DPOOptions(), MISTRAL, model="dsft")
    assert (plan.steps_per_epoch, plan.steps, plan.warmup_steps) == (1_911, 5_733, 574)
    text = plan_text(plan)
    for part in (
        "32 = 2/GPU × 16 GPUs × 1",
        "61,135 pairs (not counted here: card of HuggingFaceH4/ultrafeedback_binarized",
        "5,733 = 1,911 × 3 epochs, 574 of them warm-up",
        "unknown until the dataset and tokenizer are here",
        "7.24 B parameters",
    ):
        assert part in text
    marked = [line.split() for line in text.splitlines() if "→" in line]
    assert marked == [["→", "3", "cached", "yes", "15.8", "fits"]]


def test_the_papers_plan_of_dsft_knows_no_packed_rows_before_tokens() -> None:
    plan = make_plan(SFTOptions(), MISTRAL, model="mistral")
    assert (plan.steps, plan.rows.rows, plan.accumulation) == (None, None, 2)
    assert "207,865 dialogues" in plan_text(plan)
    assert make_plan(SFTOptions(packing="off", on_overlong="cut"), MISTRAL, model="mistral").steps == -(-207_865 // 512)


def test_counted_rows_and_tokens_are_told() -> None:
    tokens = token_statistics([1_000, 2_000], 16, max_length=2_048, packing=True)
    plan = make_plan(SFTOptions(), MISTRAL, model="m", rows=Rows(1_025, "packed rows", "my set"), tokens=tokens)
    assert plan.steps == 3
    text = plan_text(plan)
    assert "1,025 packed rows (my set)" in text and "3.00 k an epoch" in text and "packing leaves 26.8% empty" in text


@pytest.mark.parametrize(
    ("number", "text"),
    [(999, "999"), (1_000, "1.00 k"), (7_241_732_096, "7.24 B"), (999_960, "1.00 M"), (238_022_698, "238 M"), (0, "0")],
)
def test_numbers_keep_three_digits(number: int, text: str) -> None:
    assert large(number) == text


def test_another_micro_batch_keeps_the_global_one() -> None:
    plan = make_plan(SFTOptions(), MISTRAL, model="m", micro_batch_size=1)
    assert (plan.accumulation, plan.memory[0].setting.micro_rows) == (32, 1)
    with pytest.raises(OptionError):
        make_plan(DPOOptions(gpus=3), MISTRAL, model="m")


def test_the_record_is_json_and_whole() -> None:
    plan = make_plan(DPOOptions(), MISTRAL, model="m")
    record = json.loads(json.dumps(plan.record()))
    assert record["batch"] == "32 = 2/GPU × 16 GPUs × 1"
    assert (record["steps"], record["shape"]["parameters"]) == (5_733, 7_241_732_096)
    assert len(record["memory"]) == 16 and record["memory"][0]["total"] == plan.memory[0].total
    assert record["host"] == 2 * 7_241_732_096
    assert record["reference"]["gpus"] == 1 and record["reference"]["total"] > record["host"]


def test_a_plan_without_a_dataset_loads_nothing_heavy() -> None:
    code = """
import sys
from zephyr_train.options import DPOOptions, StudentOptions
from zephyr_train.planning.plan import make_plan
from zephyr_train.planning.plan_text import large, plan_text
from zephyr_train.planning.model_shape import shape_of
plan_text(make_plan(DPOOptions(), shape_of(None, StudentOptions()), model="m"))
heavy = {"torch", "transformers", "trl", "datasets", "pyarrow", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_what_cannot_run_is_no_option() -> None:
    for wrong, message in (
        ({"precision": "fp32"}, "computes in bf16"),
        ({"gpus": 5, "nodes": 2}, "do not divide among 2 nodes"),
        ({"save_every": 100, "log_every": 3}, "not a multiple of log_every"),
        ({"learning_rate": 5}, "must be at most 1"),
    ):
        with pytest.raises(OptionError, match=message):
            DPOOptions(**wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="lora_dropout is 1: it must be below 1"):
        SFTOptions(lora_dropout=1)


@pytest.mark.parametrize("kind", [SFTOptions, DPOOptions])
def test_every_fraction_that_is_an_option_is_a_number_and_not_negative(
    kind: type[SFTOptions] | type[DPOOptions],
) -> None:
    fractions = [field.name for field in dataclasses.fields(kind) if field.type is float]
    assert {"learning_rate", "weight_decay", "warmup_ratio", "lora_dropout"} <= {*fractions}
    for name in fractions:
        for wrong in (math.nan, math.inf, -math.inf, -0.5):
            with pytest.raises(OptionError, match=f"{name} is {wrong}"):
                kind(**{name: wrong})


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_refuses_is_known_before_anything_is_trained(seed: int) -> None:
    with pytest.raises(OptionError, match=f"seed is {seed}: it must be"):
        SFTOptions(seed=seed)


# ---- what is said of memory, and of LoRA's rate --------------------------------------------------


def test_the_line_of_the_run_comes_first_and_the_others_on_request() -> None:
    plan = make_plan(DPOOptions(), MISTRAL, model="m")
    lines = plan_text(plan).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("memory per GPU"))
    assert lines[first + 2].startswith("  → 3     cached") and "`--memory` shows 15 other settings" in lines[-1]
    whole = plan_text(plan, whole_table=True).splitlines()
    assert len(whole) == len(lines) + 14 and whole[first + 2] == lines[first + 2]
    assert sum("does not fit" in line for line in whole) > 0
    assert "host    14.5 GB of the first machine's own memory" in plan_text(plan)
    assert "the reference takes 17.9 GB per GPU, estimated: each GPU has the whole model; fits" in plan_text(plan)
    tight = plan_text(make_plan(DPOOptions(zero=0), MISTRAL, model="m"))
    assert "host  " not in tight
    assert "→ 0     cached      yes" in tight and "3     cached" in tight, "a run that does not fit shows what would"


def test_the_memory_of_a_model_that_is_not_known_is_unknown() -> None:
    plan = make_plan(DPOOptions(), None, model="lab/large")
    text = plan_text(plan)
    assert "lab/large: sizes unknown" in text and "memory  sizes unknown" in text and "disk    sizes unknown" in text
    assert "fits" not in text
    assert plan.record()["shape"] is None and json.dumps(plan.record())


def test_a_student_of_another_name_does_not_have_the_default_students_sizes() -> None:
    with pytest.raises(ModelUnreachable, match="the sizes of lab/large are not known"):
        shape_of(None, StudentOptions(source="lab/large"))
    assert shape_of(None, StudentOptions(source="lab/large", layers=2)).layers == 2, "the recipe states them"


@pytest.mark.parametrize(("step", "full", "lora"), [("sft", 2e-5, 2e-4), ("dpo", 5e-7, 5e-6)])
def test_lora_has_loras_rate_unless_somebody_says_otherwise(step: str, full: float, lora: float) -> None:
    paper, tiny = recipe.load("zephyr-7b-beta"), recipe.load("tiny")

    def rate(loaded: recipe.Recipe, **flags: object) -> tuple[float, str]:
        resolved = recipe.resolve(step, OF_STEP[step], loaded, flags)
        return resolved.options.learning_rate, resolved.explain("learning_rate")

    assert rate(paper)[0] == rate(paper, lora=False)[0] == full
    assert rate(paper, lora=True)[0] == lora
    assert "default with lora, as the public LoRA recipes" in rate(paper, lora=True)[1]
    assert rate(paper, lora=True, learning_rate=full)[0] == full
    assert rate(tiny, lora=True) == rate(tiny)
