"""A plan as text for people."""

from zephyr_core.records import MixedSource
from zephyr_train.planning.memory import GB, DiskNeed, MemoryRow, PassNeed
from zephyr_train.planning.plan import Plan, batch_line
from zephyr_train.planning.token_statistics import TokenStatistics

UNKNOWN = "unknown until the dataset and tokenizer are here"
UNKNOWN_SIZES = "sizes unknown until the model or its config.json is here"


def plan_text(plan: Plan, *, whole_table: bool = False) -> str:
    """Return the plan: a line per topic, then the memory of the run; `whole_table`: of other settings too."""
    lines = {
        "model": f"{plan.model}: {_size(plan)}",
        "rows": _rows(plan),
        "batch": batch_line(plan.global_batch_size, plan.micro_batch_size, plan.gpus),
        "steps": _steps(plan),
        "rate": f"peak {plan.learning_rate:g}, {plan.schedule} after the warm-up",
        "tokens": UNKNOWN if plan.tokens is None else _tokens(plan.tokens, plan.epochs),
        "disk": UNKNOWN_SIZES if plan.disk is None else _disk(plan.disk),
        **({"host": _host(plan.host)} if plan.host else {}),
        **({"pass": _pass(plan.reference)} if plan.reference else {}),
    }
    topics = [f"{name:<8}{line}" for name, line in lines.items()]
    topics[2:2] = [f"{'':<8}{part_text(part)}" for part in plan.rows.mixture]
    return "\n".join([f"plan of {plan.step}", *topics, "", *_memory(plan, whole_table=whole_table)])


def part_text(part: MixedSource) -> str:
    """Return what a mixture takes of a dataset, in words."""
    test = f"{part['test_rows']:,} test rows" if part["test_rows"] else "no test rows"
    return f"{part['rows']:,} of {part['available']:,} rows of {part['source']} ({part['share']:.1%}), {test}"


def _size(plan: Plan) -> str:
    if plan.shape is None:
        return UNKNOWN_SIZES
    return f"{large(plan.shape.parameters)} parameters ({plan.shape.source})"


def _rows(plan: Plan) -> str:
    about = "" if plan.rows.known else "not counted here: "
    number = "unknown number of" if plan.rows.rows is None else f"{plan.rows.rows:,}"
    return f"{number} {plan.rows.unit} ({about}{plan.rows.source})"


def _steps(plan: Plan) -> str:
    if plan.steps is None or plan.steps_per_epoch is None:
        return UNKNOWN
    epochs = "1 epoch" if plan.epochs == 1 else f"{plan.epochs} epochs"
    return f"{plan.steps:,} = {plan.steps_per_epoch:,} × {epochs}, {plan.warmup_steps:,} of them warm-up"


def _tokens(tokens: TokenStatistics, epochs: int) -> str:
    about = "about " if tokens.estimated else ""
    share = f"plain padding makes up {tokens.padding_share:.1%} of a batch"
    if tokens.packing_fill_share is not None:
        share = f"packing leaves {1 - tokens.packing_fill_share:.1%} empty, {share}"
    return (
        f"{about}{large(tokens.tokens)} an epoch, {large(tokens.tokens * epochs)} in all; "
        f"a sequence {tokens.mean_tokens:,.0f} on average, {tokens.longest_tokens:,} at most; {share}"
    )


def _disk(disk: DiskNeed) -> str:
    total, checkpoint, model = (size / GB for size in (disk.total, disk.checkpoint, disk.model))
    return (
        f"{total:,.1f} GB at most: {disk.kept_checkpoints} checkpoints of {checkpoint:,.1f} GB are kept, "
        f"plus one while it is written; the model takes {model:,.1f} GB"
    )


def _host(size: int) -> str:
    return f"{size / GB:,.1f} GB of the first machine's own memory, while the whole model is there to be saved"


def _pass(need: PassNeed) -> str:
    copy = "each GPU has the whole model" if need.gpus == 1 else f"{need.gpus} GPUs share it, since one is too small"
    return f"the reference takes {need.total / GB:,.1f} GB per GPU, estimated: {copy}; {need.verdict}"


def _memory(plan: Plan, *, whole_table: bool) -> list[str]:
    """Return the line of the run, and the others if they are asked for or the run does not fit."""
    if not plan.memory:
        return [f"memory  {UNKNOWN_SIZES}"]
    chosen = next(row for row in plan.memory if row.planned)
    others = [row for row in plan.memory if not row.planned]
    rows = "pairs" if chosen.setting.kind == "pairs" else "rows"
    lines = [
        f"memory per GPU, estimated, not measured: {chosen.setting.micro_rows} {rows} of"
        f" {chosen.setting.max_length:,} tokens, {chosen.setting.precision}, {chosen.setting.world} ×"
        f" {plan.gpu_memory:g} GB",
        f"    {'ZeRO':<6}{'reference':<12}{'checkpointing':<15}{'GB':>8}",
        _memory_line(chosen),
    ]
    if whole_table or chosen.verdict == "does not fit":
        return lines + [_memory_line(row) for row in others]
    return [*lines, f"    `--memory` shows {len(others)} other settings"]


def _memory_line(row: MemoryRow) -> str:
    setting = row.setting
    reference = "none" if setting.kind != "pairs" else "cached" if setting.cached_reference else "in memory"
    checkpointing = "yes" if setting.checkpointing else "no"
    mark = "→" if row.planned else " "
    return f"  {mark} {setting.zero:<6}{reference:<12}{checkpointing:<15}{row.total / GB:>8.1f}  {row.verdict}"


def large(number: float) -> str:
    """Return a number with three significant digits: 7.24 B."""
    for size, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        value = number / size
        if value >= 0.9995:
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {name}"
    return f"{number:,.0f}"
