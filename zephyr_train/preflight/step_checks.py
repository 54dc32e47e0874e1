"""Would a run learn anything? A first step has rate 0, so a run of one step that is all warm-up moves no weight."""

from zephyr_core.faults import Fault, OptionFault
from zephyr_train.options import StepOptions
from zephyr_train.planning.plan import Plan, batch_for, moves

FEW = 20  # steps


def step_fault(plan: Plan, options: StepOptions) -> Fault | None:
    """Return the fault of a plan in which every step has rate 0, with its arithmetic and a batch that fits."""
    if plan.steps is None or plan.warmup_steps is None or plan.rows.rows is None:
        return None
    if moves(plan.schedule, plan.learning_rate, plan.warmup_steps, plan.steps):
        return None
    place = f"under [{plan.step}] of the recipe"
    if plan.learning_rate == 0:
        return OptionFault("nothing-learned", "learning_rate is 0", f"write `learning_rate = …` {place}")
    message = (
        f"{_arithmetic(plan)}, {plan.warmup_steps:,} of them warm-up: every step has rate 0, so no weight would change"
    )
    smaller = _smaller(plan)
    if smaller < plan.global_batch_size:
        hint = f"write `global_batch_size = {smaller}` {place}, or train on more rows"
    elif options.warmup_ratio:
        hint = f"train on more rows or for more epochs, or write `warmup_ratio = 0` {place}"
    else:
        hint = "train on more rows or for more epochs"
    return OptionFault("nothing-learned", message, hint)


def step_note(plan: Plan) -> str | None:
    """Return a note on a plan with few steps."""
    if plan.steps is None or plan.steps >= FEW:
        return None
    smaller = _smaller(plan)
    more = f"; with global_batch_size {smaller} there are more" if smaller < plan.global_batch_size else ""
    return f"only {_arithmetic(plan)}: the model will hardly change{more}"


def _arithmetic(plan: Plan) -> str:
    steps, epochs = ("step" if plan.steps == 1 else "steps"), ("epoch" if plan.epochs == 1 else "epochs")
    rows = f"{plan.rows.rows:,} {plan.rows.unit} in batches of {plan.global_batch_size:,}, {plan.epochs} {epochs}"
    return f"{plan.steps:,} {steps} ({rows})"


def _smaller(plan: Plan) -> int:
    assert plan.rows.rows is not None
    return batch_for(FEW, plan.rows.rows, plan.epochs, plan.micro_batch_size * plan.gpus)
