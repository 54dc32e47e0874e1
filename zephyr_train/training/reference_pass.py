"""The forward passes behind the reference log-probs: each rank holds the frozen model and scores its own chunks."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zephyr_core import sealed
from zephyr_core.temporary import temporary_of
from zephyr_train.job import Job
from zephyr_train.models import LOAD
from zephyr_train.reference import missing_chunks, part_file, rows_of
from zephyr_train.training import tolerance
from zephyr_train.training.arguments import DTYPES, autocast
from zephyr_train.training.causal_check import require_causal
from zephyr_train.training.loading import load, own_device


def score(job: Job) -> None:
    """Write a Parquet file (split, row, key, chosen, rejected) for each chunk of this rank that is still missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset
    from transformers import AutoTokenizer

    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    rows = rows_of(job)
    todo = list(missing_chunks(job.folder, rows, rank, world))
    if not todo:
        return
    model, device = _frozen(job)
    pad = AutoTokenizer.from_pretrained(job.tokens, **LOAD).pad_token_id
    sets = {split: Dataset.from_file(str(Path(job.tokens) / f"{split}.arrow")) for split in rows}
    is_checked = False
    for split, start, stop in todo:
        part = sets[split][start:stop]
        pairs = [
            dict(zip(("prompt_ids", "chosen_ids", "rejected_ids"), ids, strict=True))
            for ids in zip(part["prompt_ids"], part["chosen_ids"], part["rejected_ids"], strict=True)
        ]
        if not is_checked:
            _check_model(model, pairs[0], device, job)
            is_checked = True
        chosen, rejected = _scores(model, pairs, pad, device, job)
        columns = {"row": list(range(start, stop)), "key": part["key"], "chosen": chosen, "rejected": rejected}
        table = pa.table({"split": [split] * (stop - start), **columns})
        file = part_file(job.folder, (split, start, stop))
        temporary = temporary_of(file)
        pq.write_table(table, temporary)
        sealed.seal(temporary, file)


def _frozen(job: Job) -> tuple[Any, torch.device]:
    from zephyr_train.pairs.scoring import frozen_scorer

    dtype = getattr(torch, DTYPES[job.numerics])
    model = load(job.model, dtype=dtype, attention=job.options.attention, device_map=_device_map(job))
    return frozen_scorer(model), model.device


def _device_map(job: Job) -> Any:
    """Return where the model is: on this process's GPU, or on all of the machine if one is too small for it."""
    if job.cpu:
        return None
    return own_device() if job.world == job.options.gpus else "auto"


def _check_model(model: Any, pair: dict[str, Any], device: torch.device, job: Job) -> None:
    """Make sure that no token of a pair sees those behind it."""

    def call(tokens: Tensor) -> Tensor:
        logits: Tensor = model(input_ids=tokens.to(device), use_cache=False).logits
        return logits

    with torch.no_grad(), autocast(job.numerics, device.type):
        require_causal(pair["prompt_ids"] + pair["chosen_ids"], call, tolerance.noise(job.numerics, model.config))


def _scores(
    model: Any, pairs: list[dict[str, Any]], pad: int, device: torch.device, job: Job
) -> tuple[list[float], list[float]]:
    """Return the log-probs of the pairs in their order; pairs of similar length are scored together."""
    from zephyr_train.pairs.scoring import pair_logps

    chosen, rejected = [0.0] * len(pairs), [0.0] * len(pairs)
    for batch in _batches(pairs, 2 * job.micro_batch_size * job.options.max_length):
        with torch.no_grad(), autocast(job.numerics, device.type):
            better, worse = pair_logps(model, [pairs[number] for number in batch], pad, job.layout)
        for number, first, second in zip(batch, better, worse, strict=True):
            chosen[number], rejected[number] = first, second
    return chosen, rejected


def _batches(pairs: list[dict[str, Any]], tokens: int) -> Iterator[list[int]]:
    """Yield row numbers, longest first, so that a padded batch of both completions holds at most `tokens` tokens."""
    lengths = [len(pair["prompt_ids"]) + max(len(pair["chosen_ids"]), len(pair["rejected_ids"])) for pair in pairs]
    batch: list[int] = []
    for number in sorted(range(len(pairs)), key=lambda number: (-lengths[number], number)):
        if batch and 2 * (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
