"""Arguments of both trainers: every field of TrainingArguments that zephyr sets, in one place; LoRA through peft."""

from typing import Any

from zephyr_train.job import Job
from zephyr_train.planning.memory import LONGEST_BF16_SUM

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
# Of the weights as loaded; those of an adapter on a frozen model are fp32, or DeepSpeed has fp32 masters of them.
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "bf16-autocast": "float32", "bf16-frozen": "bfloat16"}


def autocast(numerics: str, device: str) -> Any:
    """Return the context of a forward pass on a kind of device, as the trainer makes it; DeepSpeed has none."""
    import torch

    return torch.autocast(device, torch.bfloat16, enabled=numerics in ("bf16-autocast", "bf16-frozen"))


def shared(job: Job) -> dict[str, object]:
    """Return the arguments that dSFT and dDPO have in common, with `--set` applied last."""
    options = job.options
    return {
        "output_dir": str(job.state),
        "seed": options.seed,
        "data_seed": options.seed,
        "num_train_epochs": options.epochs,
        "learning_rate": options.learning_rate,
        "lr_scheduler_type": SCHEDULES[options.schedule],
        "warmup_steps": job.warmup_steps,
        "weight_decay": options.weight_decay,
        "optim": options.optimizer,
        "per_device_train_batch_size": job.micro_batch_size,
        "per_device_eval_batch_size": job.micro_batch_size,
        "gradient_accumulation_steps": job.accumulation,
        "bf16": job.numerics != "fp32",
        "fp16": False,
        "activation_checkpointing": options.activation_checkpointing,
        "gradient_checkpointing": options.activation_checkpointing,
        "max_length": options.max_length,
        "logging_steps": options.log_every,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # it would hide a loss that is not a number
        "report_to": "tensorboard" if options.tensorboard else "none",
        "disable_tqdm": True,
        "eval_strategy": "no",  # watch.py says when
        "save_strategy": "steps",
        "save_steps": options.save_every,
        "save_total_limit": 2,
        "use_cpu": job.cpu,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": not job.cpu,
        "push_to_hub": False,
        **job.settings,
    }


def add_up_gradients(arguments: Any, job: Job) -> None:
    """Let DeepSpeed add up the gradients of a step in fp32, if it has so many that bf16 would lose the last ones."""
    if job.numerics == "bf16" and job.accumulation > LONGEST_BF16_SUM:
        arguments.deepspeed_plugin.deepspeed_config["data_types"] = {"grad_accum_dtype": "fp32"}


def starting_model(job: Job) -> Any:
    """Return the model that a run begins with, on this process's device; its weights are whole.

    Raises:
        DataError: they are not.
    """
    import torch

    from zephyr_train.training.loading import load, own_device

    dtype = getattr(torch, DTYPES[job.numerics])
    device_map = None if job.cpu or job.backend == "deepspeed-3" else own_device()  # ZeRO-3 places the weights itself
    return load(job.model, dtype=dtype, attention=job.options.attention, device_map=device_map)


def lora_config(job: Job) -> Any:
    """Return peft's configuration, or None when the whole model is trained."""
    options = job.options
    if not options.lora:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=list(options.lora_targets),
        task_type="CAUSAL_LM",
    )
