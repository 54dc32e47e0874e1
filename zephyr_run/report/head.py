"""The head of the page: what the run made, in one sentence and a few figures."""

from collections.abc import Iterator

from zephyr_page.markup import Html, count, element, facts, join, real, share
from zephyr_page.series import interval
from zephyr_run.report.found import TRAINING, WHOLE, Run
from zephyr_run.steps import CHAIN, DATA

LINKS = (("flow", "Data flow"), ("data", "Data"), ("training", "Training"), ("samples", "Samples"))
NAMES = {step.name: step.title for step in CHAIN}
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
        element("p", made(run)),
        element("dl", join(key), class_="key") if key else "",
        facts([("Steps", _states(run)), ("Data finished", _finished(run)), ("Versions", versions(run))]),
        element("nav", element("ul", links), aria_label="Sections"),
    ]
    return element("header", join(parts))


def made(run: Run) -> str:
    """Return one sentence about what the run made."""
    clean, pairs = (run.steps[name].counts for name in DATA)
    told = []
    if clean:
        told.append(f"{count(clean['kept_rows'])} clean dialogues of {count(clean['rows_read'])} raw ones")
    if pairs:
        told.append(f"{count(pairs['pairs'])} preference pairs of {count(pairs['rows_read'])} rated rows")
    told += [f"a {NAMES[name]} model" for name in TRAINING if run.steps[name].manifest]
    if not told:
        return "This run has no finished step yet."
    return f"It made {', '.join(told[:-1])}{' and ' if told[1:] else ''}{told[-1]}{_size(run)}."


def versions(run: Run) -> str:
    """Return the versions that the steps recorded; two where steps disagree."""
    found: dict[str, list[str]] = {}
    for step in run.steps.values():
        for name, version in (step.manifest["versions"] if step.manifest else {}).items():
            if version not in found.setdefault(name, []):
                found[name].append(version)
    return ", ".join(f"{name} {' and '.join(seen)}" for name, seen in sorted(found.items()))


def accuracy_told(accuracy: float, pairs: int) -> str:
    """Return what an accuracy on this number of pairs is worth."""
    if not pairs:
        return "share of test pairs; chance is 0.50"
    low, high = interval(accuracy, pairs)
    few = "; so few pairs say little" if pairs < FEW else ""
    return f"of {count(pairs)} test pairs; 95 % interval {low:.2f} to {high:.2f}, chance 0.50{few}"


def _figures(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and remark of each key figure that is known."""
    clean, pairs = (run.steps[name].counts for name in DATA)
    if clean:
        kept, read = clean["kept_rows"], clean["rows_read"]
        yield "Dialogues kept", count(kept), f"of {count(read)} read, {share(kept, read)}"
    if pairs:
        kept, read = pairs["kept_rows"], pairs["rows_read"]
        yield "Pairs", count(pairs["pairs"]), f"from {count(kept)} of {count(read)} rated rows, {share(kept, read)}"
    tests = run.steps["sft"].tests()
    if tests:
        ends = [tests[0], tests[-1]] if tests[1:] else tests
        told = "first → last evaluation" if tests[1:] else "last evaluation"
        yield "dSFT test loss", " → ".join(real(row.get("loss"), 2) for row in ends), f"nats per token, {told}"
    tests = run.steps["dpo"].tests()
    if tests:
        accuracy, margin = tests[-1].get("accuracy"), tests[-1].get("margin")
        if accuracy is not None:
            yield "dDPO test accuracy", real(accuracy, 2), accuracy_told(accuracy, run.test_pairs())
        yield "dDPO test margin", real(margin, 3), "β × nats, mean over test pairs; 0 at the start"


def _figure(name: str, value: str, aside: str) -> Html:
    inside = [element("dt", name), element("dd", value, class_="value"), element("dd", aside, class_="aside")]
    return element("div", join(inside, ""))


def _states(run: Run) -> str:
    if all(step.state == WHOLE for step in run.steps.values()):
        return f"all {len(run.steps)} whole"
    return ", ".join(f"{NAMES[name]} {step.state}" for name, step in run.steps.items())


def _finished(run: Run) -> str:
    times = [step.dataset["finished"] for step in run.steps.values() if step.dataset]
    return max(times).replace("T", " ").replace("Z", " UTC") if times else ""


def _size(run: Run) -> str:
    """Return how large the models are, if a plan says so."""
    sizes = [run.steps[name].plan.get("shape", {}).get("parameters") for name in TRAINING]
    known = [size for size in sizes if size]
    return f" of {count(known[0])} parameters" if known and run.steps["sft"].manifest else ""
