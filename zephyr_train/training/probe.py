"""Compare a few rows' log-probs from the trained model and, in a fresh process, the saved one; refuse a mismatch.

`python -m zephyr_train.training.probe RUN_DIRECTORY` is that fresh process. It merges a LoRA adapter first.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from zephyr_core import manifest
from zephyr_core.process import as_worker
from zephyr_train.errors import InvariantBroken
from zephyr_train.job import Job
from zephyr_train.models import LOAD
from zephyr_train.training.arguments import DTYPES, autocast
from zephyr_train.training.out_of_memory import clear_memory_errors

NAME = "probe.json"
ROWS = 4
# Allowed difference of a row's summed log-prob, as a share of it: fp32 sums in a different order; bf16 rounds.
ALLOWED = {"fp32": 1e-4, **dict.fromkeys(("bf16", "bf16-autocast", "bf16-frozen"), 5e-3)}
BUSY = "the saved model is loaded whole: free memory on this machine, and run the command again: it continues here"
MERGED = 4  # factor on the allowance if an adapter was added to bf16 weights


def write_probe(trainer: Any, job: Job) -> None:
    """Write the trained model's log-probs of the first rows; every rank takes part."""
    from datasets import Dataset

    dataset = Dataset.from_file(str(Path(job.tokens) / "train.arrow"))
    rows = dataset.select(range(min(ROWS, len(dataset))))
    texts = [row["input_ids"] if "input_ids" in row else row["prompt_ids"] + row["chosen_ids"] for row in rows]
    texts = [ids[: job.options.max_length] for ids in texts]
    device = trainer.accelerator.device
    trainer.model_wrapped.eval()
    sums = [_sum_logps(trainer.model_wrapped, ids, device, job.numerics) for ids in texts]
    if trainer.is_world_process_zero():
        manifest.write_text_whole(job.folder / NAME, json.dumps({"input_ids": texts, "logps": sums}))


def _sum_logps(model: Any, ids: list[int], device: Any, numerics: str) -> float:
    """Return the summed log-prob of a text's tokens after the first, in nats."""
    tokens = torch.tensor([ids], device=device)
    with torch.no_grad(), autocast(numerics, torch.device(device).type):
        logits = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
    return float(torch.log_softmax(logits, dim=-1).gather(1, tokens[0, 1:, None]).sum())


def verify(folder: Path) -> dict[str, float]:
    """Return the largest difference between trained and saved model; merge an adapter first.

    Raises:
        InvariantBroken: the saved weights are not whole, they are those of the start, or not the trained ones.
    """
    from zephyr_train.training.loading import load
    from zephyr_train.training.weights import require_other, require_whole

    job = Job.read(folder)
    if job.options.lora:
        _merge(job, folder / "adapter", folder / "weights")
    require_whole(folder / "weights")
    require_other(folder / "weights", Path(job.model))
    # Over all GPUs of the run on this machine, since one may be too small; its workers have left them.
    device_map = "auto" if torch.cuda.is_available() and not job.cpu else None
    model = load(folder / "weights", dtype="auto", attention=job.options.attention, device_map=device_map).eval()
    probe = json.loads((folder / NAME).read_text())
    worst = 0.0
    for ids, trained in zip(probe["input_ids"], probe["logps"], strict=True):
        saved = _sum_logps(model, ids, model.device, job.numerics)
        worst = max(worst, abs(saved - trained) / max(1.0, abs(trained)))
    allowed = ALLOWED[job.numerics] * (MERGED if job.options.lora else 1)
    if not worst <= allowed:
        raise InvariantBroken(
            f"the saved model's log-probs differ from the trained one's by {worst:.2e} of their size,"
            f" allowed is {allowed:.0e}",
            f"the checkpoints are still in {job.state}; run the command again: it saves the model again."
            ' If it stops here again, write `precision = "fp32"` in the recipe, use --fresh, and please report it',
        )
    return {"logps_difference": worst, "rows": len(probe["logps"])}


def _merge(job: Job, adapter: Path, out: Path) -> None:
    """Write the base model with the adapter merged in to `out`, so that the next step starts from whole weights.

    Its configs name the tokenizer's EOS, BOS and pad, as the trainer does with the object that it trains.
    """
    from peft import PeftModel
    from transformers import AutoTokenizer
    from transformers.trainer_utils import align_special_tokens

    from zephyr_train.training.loading import load

    model = load(job.model, dtype=getattr(torch, DTYPES[job.numerics]))
    align_special_tokens(model, AutoTokenizer.from_pretrained(job.tokens, **LOAD))
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.save_pretrained(out)


def main() -> None:
    """Verify the run directory given on the command line; write the result, or the failure, into it."""
    folder = Path(sys.argv[1])
    with as_worker(folder), clear_memory_errors(BUSY):
        manifest.write_json(folder / "verified.json", verify(folder))


if __name__ == "__main__":
    main()
