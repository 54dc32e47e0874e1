"""From preflight's findings and the token rows to the job: exact rows, steps, digests, versions."""

from dataclasses import replace
from typing import TYPE_CHECKING

from zephyr_core import this_code
from zephyr_train.job import NOT_KEPT, Job
from zephyr_train.options import StepOptions, TrainOptions
from zephyr_train.planning.model_shape import shape_of
from zephyr_train.planning.plan import Plan, Rows, make_plan, unit_of
from zephyr_train.preflight.examination import Examination
from zephyr_train.reference import reference_digest
from zephyr_train.tokenizing.token_sets import TokenSet
from zephyr_train.training.weights import model_digest

PACKAGES = ("torch", "transformers", "trl", "accelerate", "deepspeed", "peft", "datasets", "tokenizers", "flash-attn")

if TYPE_CHECKING:
    from zephyr_train.planning.token_statistics import TokenStatistics


def exact_plan(examination: Examination, tokens: TokenSet) -> Plan:
    """Return the plan for the actual token rows."""
    options = examination.request.options
    assert examination.model is not None and examination.source is not None
    counts = tokens.counts["train"]
    rows = Rows(
        counts["packed_rows" if options.packs else "kept_rows"],
        unit_of(options),
        examination.source.name,
        mixture=tuple(examination.mixture),
    )
    return make_plan(
        options,
        shape_of(examination.model.folder, examination.request.student),
        model=examination.model.name,
        rows=rows,
        tokens=_statistics(tokens, options, examination.micro_batch_size),
        micro_batch_size=examination.micro_batch_size,
    )


def _statistics(tokens: TokenSet, options: StepOptions, micro_rows: int) -> "TokenStatistics":
    import pyarrow as pa

    from zephyr_train.planning.token_statistics import lengths_of, token_statistics

    with pa.memory_map(str(tokens.train_file)) as stream:
        lengths = lengths_of(pa.ipc.open_stream(stream).read_all())
    return token_statistics(lengths, micro_rows, max_length=options.max_length, packing=options.packs)


def prepare(examination: Examination, tokens: TokenSet, plan: Plan) -> Job:
    """Return the job of a run, without its reference. The rows are freed: from here on, only their tokens are read."""
    request = examination.request
    options = request.options
    assert examination.model is not None and examination.model.folder is not None and examination.chat is not None
    assert plan.steps is not None and plan.warmup_steps is not None
    if examination.source is not None:
        examination.source.let_go()
    job = Job(
        step=request.step,
        recipe=request.recipe.name,
        options=options,
        origins={name: origin for name, origin in request.resolved.origins.items() if name not in NOT_KEPT},
        settings=examination.settings,
        out=str(request.out),
        model=str(examination.model.folder),
        model_digest=model_digest(examination.model.folder),
        tokens=str(tokens.path),
        tokens_digest=tokens.digest,
        template_digest=examination.chat.digest,
        reference=None,
        reference_digest=None,
        backend=f"deepspeed-{options.zero}" if options.zero else "ddp" if options.gpus > 1 else "single",
        world=options.gpus,
        cpu=examination.cpu,
        numerics=numerics(options),
        layout=examination.layout,
        micro_batch_size=examination.micro_batch_size,
        accumulation=plan.accumulation,
        steps=plan.steps,
        warmup_steps=plan.warmup_steps,
        versions=this_code.versions(*PACKAGES),
        mixture=examination.mixture,
    )
    return replace(job, reference_digest=reference_digest(job)) if request.step == "dpo" else job


def numerics(options: TrainOptions) -> str:
    """Return the number format: DeepSpeed keeps its own fp32 masters; without it the trained weights are fp32."""
    if options.precision == "fp32" or options.zero:
        return options.precision
    return "bf16-frozen" if options.lora else "bf16-autocast"
