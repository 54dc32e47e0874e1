"""The training steps: the plan, what differs from the defaults, curves, the last figures."""

from collections.abc import Iterator
from typing import Any

from zephyr_core.console import listed
from zephyr_core.records import JobRecord, MetricsRow, PlanRecord
from zephyr_page import training_curves
from zephyr_page.chart import figure
from zephyr_page.markup import Html, count, element, facts, folded, join, note, real, safe, table
from zephyr_run.report.head import accuracy_note
from zephyr_run.report.on_disk import Run, StepFiles

MOST_EVALUATIONS = 12  # rows in the table of evaluations
COLUMNS = (  # metric, name, decimals
    ("loss", "loss", 4),
    ("accuracy", "accuracy", 3),
    ("margin", "margin", 4),
    ("reward_chosen", "reward chosen", 4),
    ("reward_rejected", "reward rejected", 4),
    ("token_accuracy", "token accuracy", 3),
)


def about(run: Run) -> Html:
    """Return the deviations of the recipe, then the part about each training step."""
    return join([*_notes(run), *(_step(run, step) for step in run.of_kind("model"))])


def _notes(run: Run) -> Iterator[Html]:
    deviations, interpretations = run.notes("deviations"), run.notes("interpretations")
    if deviations:
        yield _note_table("Where the recipe departs from the paper", deviations)
    if interpretations:
        inside = _note_table("What the paper leaves open, and how it is read here", interpretations)
        yield folded(f"How {len(interpretations)} open points of the paper are read", inside)


def _note_table(caption: str, notes: list[dict[str, Any]]) -> Html:
    rows = [(entry["what"], entry.get("paper", "silent"), entry.get("decision", "")) for entry in notes]
    return table(caption, ("here", "the paper", "decision"), rows)


def _step(run: Run, step: StepFiles) -> Html:
    head = element("h3", step.step.title)
    if not (step.plan or step.metrics or step.manifest):
        return join([head, note(f"{step.state.capitalize()}.")])
    parts = [head, note(f"{step.state.capitalize()}.") if not step.manifest else "", _plan(step)]
    charts = [_curves(step) if step.metrics else note("No metrics were logged."), *_evaluations(run, step)]
    return join([*parts, *charts, _options(step)])


def _curves(step: StepFiles) -> Html:
    charts = join(map(figure, training_curves.charts(step.metrics, step.name)))
    parts = [element("div", charts, class_="charts"), note(" ".join(training_curves.remarks(step.metrics)))]
    if step.unreadable_lines:
        parts.append(note(f"{step.unreadable_lines} lines of metrics.jsonl are not rows of metrics and are not drawn."))
    return join(parts)


def _plan(step: StepFiles) -> Html:
    plan, job = step.plan, step.job
    tokens = plan.get("tokens") or {}
    packing = tokens.get("packing_fill_share")
    limit = count(job.get("options", {}).get("max_length"))
    lengths = f"mean {real(tokens.get('mean_tokens'), 0)}, longest {count(tokens.get('longest_tokens'))}; limit {limit}"
    return facts(
        [
            ("Begins with", plan.get("model")),
            ("Train rows", _rows(plan)),
            ("Global batch", f"{plan['batch']} accumulated" if "batch" in plan else None),
            ("Steps", _steps(plan)),
            ("Rate", f"peak {plan.get('learning_rate', 0):g}, {plan.get('schedule')} after the warm-up"),
            ("Tokens of a row", lengths if tokens else None),
            ("Packing", f"{count(tokens.get('packed_rows'))} rows, {packing:.1%} full" if packing else None),
            ("β", job.get("options", {}).get("beta")),
            ("Back end", _backend(job)),
            ("Layout of pairs", LAYOUTS.get(str(job.get("layout")), job.get("layout"))),
            ("Time", _seconds(step)),
        ]
    )


LAYOUTS = {  # docs/training.md, How pairs are read
    "shared": "shared: without padding, each prompt read once for both replies",
    "separate": "separate: without padding, each prompt read twice",
    "padded": "padded to the longest of a micro-batch",
}


def _rows(plan: PlanRecord) -> str | None:
    rows = plan.get("rows")
    return f"{count(rows.get('rows'))} {rows.get('unit', 'rows')}" if rows else None


def _steps(plan: PlanRecord) -> str | None:
    if not plan.get("steps"):
        return None
    product = f"{count(plan['steps'])} = {count(plan['steps_per_epoch'])} × {plan['epochs']} epochs"
    return f"{product}, {count(plan['warmup_steps'])} of them warm-up"


def _backend(job: JobRecord) -> str | None:
    if not job:
        return None
    where = "CPU" if job.get("cpu") else "GPU"
    processes = "1 process" if job.get("world") == 1 else f"{count(job.get('world'))} processes"
    return f"{job.get('backend')}, {processes} on {where}, {job.get('numerics')}"


def _seconds(step: StepFiles) -> str | None:
    seconds = step.record.get("seconds")
    return f"{real(seconds, 1)} s for the whole step" if isinstance(seconds, int | float) else None


def _evaluations(run: Run, step: StepFiles) -> Iterator[Html]:
    tests = step.tests()
    if not tests:
        return
    listed_tests = tests if len(tests) <= MOST_EVALUATIONS else _of_epochs(tests)
    columns = [column for column in COLUMNS if any(column[0] in row for row in listed_tests)]
    head = ("epoch", "step", *(name for _, name, _ in columns))
    rows = [
        (f"{row.get('epoch', 0):.4g}", count(row["step"]), *(real(row.get(key), digits) for key, _, digits in columns))
        for row in listed_tests
    ]
    left_out = f"; {len(tests) - len(listed_tests)} between are left out" if len(listed_tests) < len(tests) else ""
    evaluations = table(f"Evaluations on the test split{left_out}", head, rows, "lr" + "r" * len(columns))
    accuracy = tests[-1].get("accuracy")
    if accuracy is not None:
        last = note(f"Last test accuracy {real(accuracy, 3)}, {accuracy_note(accuracy, run.test_rows(step))}.")
        evaluations = join([evaluations, last])
    yield evaluations


def _of_epochs(tests: list[MetricsRow]) -> list[MetricsRow]:
    """Return the first and last evaluation, and those at the ends of epochs between them."""
    ends = [row for row in tests[1:-1] if float(row.get("epoch", 0.5)).is_integer()]
    return [tests[0], *ends[2 - MOST_EVALUATIONS :], tests[-1]]


def _options(step: StepFiles) -> Html:
    """Return the non-default options, folded; defaults are the paper's where it gives them."""
    options, origins = step.job.get("options", {}), step.job.get("origins", {})
    rows = [
        (element("code", name), listed(options[name]), origin)
        for name, origin in origins.items()
        if name in options and not origin.startswith("default")
    ]
    if not rows:
        return note("Every option has its default.") if options else safe("")
    inside = table("Options that are set", ("option", "value", "set by"), rows)
    return folded(f"{len(rows)} options are set by the recipe or the user; the others have their defaults", inside)
