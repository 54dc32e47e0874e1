"""The head of the page: what the run made, in one sentence and a few figures."""

from collections.abc import Iterator

from zephyr_core.records import Counts
from zephyr_page.markup import Html, count, element, facts, join, real, share
from zephyr_page.series import interval
from zephyr_run.report.on_disk import WHOLE, Run, StepFiles

LINKS = (("flow", "Data flow"), ("data", "Data"), ("training", "Training"), ("samples", "Samples"))
FEW = 30  # test pairs; with fewer, an accuracy says little


def header(run: Run) -> Html:
    """Return title, sentence, key figures and links to the sections."""
    key = [_figure(*figure) for figure in _figures(run)]
    links = join(
        element("li", element("a", name, href=f"#{anchor}")) for anchor, name in (*LINKS, ("provenance", "Provenance"))
    )
    parts = [
        element("h1", f"Run of the recipe {run.name}"),
        element("p", f"{run.about()[:1].upper()}{run.about()[1:]}.", class_="lead") if run.about() else "",
        element("p", results(run)),
        element("dl", join(key), class_="key") if key else "",
        facts([("Steps", _states(run)), ("Data finished", _finished(run)), ("Versions", versions(run))]),
        element("nav", element("ul", links), aria_label="Sections"),
    ]
    return element("header", join(parts))


def results(run: Run) -> str:
    """Return one sentence about what the run made."""
    phrases = [_rows(step.counts) for step in run.of_kind("dataset") if step.counts]
    phrases += [f"a {step.step.title} model" for step in run.of_kind("model") if step.manifest]
    if not phrases:
        return "This run has no finished step yet."
    return f"It made {', '.join(phrases[:-1])}{' and ' if phrases[1:] else ''}{phrases[-1]}{_size(run)}."


def _rows(counts: Counts) -> str:
    """Return what a data step made of what, as a phrase."""
    if "pairs" in counts:
        return f"{count(counts['pairs'])} preference pairs of {count(counts['rows_read'])} rated rows"
    return f"{count(counts['kept_rows'])} clean dialogues of {count(counts['rows_read'])} raw ones"


def versions(run: Run) -> str:
    """Return the versions that the steps recorded; two where steps disagree."""
    by_name: dict[str, list[str]] = {}
    for step in run.steps.values():
        for name, version in (step.manifest["versions"] if step.manifest else {}).items():
            if version not in by_name.setdefault(name, []):
                by_name[name].append(version)
    return ", ".join(f"{name} {' and '.join(versions)}" for name, versions in sorted(by_name.items()))


def accuracy_note(accuracy: float, pairs: int) -> str:
    """Return what an accuracy on this number of pairs is worth."""
    if not pairs:
        return "share of test pairs; chance is 0.50"
    low, high = interval(accuracy, pairs)
    few = "; so few pairs say little" if pairs < FEW else ""
    return f"of {count(pairs)} test pairs; 95 % interval {low:.2f} to {high:.2f}, chance 0.50{few}"


def _figures(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and remark of each key figure that is known."""
    for step in run.of_kind("dataset"):
        yield from _data_figures(step)
    for step in run.of_kind("model"):
        yield from _model_figures(run, step)


def _data_figures(step: StepFiles) -> Iterator[tuple[str, str, str]]:
    counts = step.counts
    if not counts:
        return
    rows, read = counts["kept_rows"], counts["rows_read"]
    if "pairs" in counts:
        yield "Pairs", count(counts["pairs"]), f"from {count(rows)} of {count(read)} rated rows, {share(rows, read)}"
    else:
        yield "Dialogues kept", count(rows), f"of {count(read)} read, {share(rows, read)}"


def _model_figures(run: Run, step: StepFiles) -> Iterator[tuple[str, str, str]]:
    tests, title = step.tests(), step.step.title
    if not tests:
        return
    if not step.is_of_pairs:
        ends = [tests[0], tests[-1]] if tests[1:] else tests
        which = "first → last evaluation" if tests[1:] else "last evaluation"
        yield f"{title} test loss", " → ".join(real(row.get("loss"), 2) for row in ends), f"nats per token, {which}"
        return
    accuracy, margin = tests[-1].get("accuracy"), tests[-1].get("margin")
    if accuracy is not None:
        yield f"{title} test accuracy", real(accuracy, 2), accuracy_note(accuracy, run.test_rows(step))
    yield f"{title} test margin", real(margin, 3), "β × nats, mean over test pairs; 0 at the start"


def _figure(name: str, value: str, aside: str) -> Html:
    inside = [element("dt", name), element("dd", value, class_="value"), element("dd", aside, class_="aside")]
    return element("div", join(inside, ""))


def _states(run: Run) -> str:
    if all(step.state == WHOLE for step in run.steps.values()):
        return f"all {len(run.steps)} whole"
    return ", ".join(f"{step.step.title} {step.state}" for step in run.steps.values())


def _finished(run: Run) -> str:
    times = [step.dataset["finished"] for step in run.steps.values() if step.dataset]
    return max(times).replace("T", " ").replace("Z", " UTC") if times else ""


def _size(run: Run) -> str:
    """Return how large the models are, if a plan says so."""
    sizes = [(step.plan.get("shape") or {}).get("parameters") for step in run.of_kind("model") if step.manifest]
    size = next(filter(None, sizes), None)
    return f" of {count(size)} parameters" if size else ""
