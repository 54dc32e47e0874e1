"""The data steps: counts by reason, splits, what was changed and dropped, lengths."""

from collections.abc import Iterator

from zephyr_page.markup import Html, count, digest, element, facts, join, note, real, share, table
from zephyr_run.report import bars
from zephyr_run.report.changes import dropped, rewritten
from zephyr_run.report.found import Run, Step
from zephyr_run.steps import DATA

MOST_MODELS = 12
SNIPPET = 260  # characters of an example


def about(run: Run) -> Html:
    """Return the part of each data step."""
    return join(_step(run.steps[name]) for name in DATA)


def _step(step: Step) -> Html:
    head = element("h3", step.name)
    if not step.manifest:
        return join([head, note(f"{step.state.capitalize()}.")])
    left = [_reasons(step), *_lengths(step)]
    right = [_splits(step), rewritten(step), dropped(step), _models(step)]
    columns = join([element("div", join(left)), element("div", join(right))])
    return join([head, _basics(step), element("div", columns, class_="split")])


def _basics(step: Step) -> Html:
    values, counts = step.manifest["options"]["values"], step.counts
    recased = None
    if counts.get("rewritten_words"):
        words, turns = counts["rewritten_words"], counts["rewritten_turns"]
        recased = f"{count(counts['rewritten_rows'])} dialogues: {count(words)} words in {count(turns)} turns"
    return facts(
        [
            ("Sources", ", ".join(values["sources"])),
            ("Read", f"{_files(step)}, {count(step.manifest['bytes_read'])} bytes"),
            ("Kept", f"{count(counts['kept_rows'])} of {count(counts['rows_read'])} rows"),
            ("Recased", recased),
            ("Cut short", count(counts["cut_rows"]) if counts.get("cut_rows") else None),
            ("Policy", _policy(values)),
            ("Time", f"{real(step.manifest['seconds'], 1)} s"),
        ]
    )


def _policy(values: dict[str, object]) -> str | None:
    if "rejected" not in values:
        return None
    return f"score {values['score']}, rejected {values['rejected']}, ties {values['ties']}, seed {values['seed']}"


def _reasons(step: Step) -> Html:
    stages = bars.by_stage(step.counts["dropped"])
    read = step.counts["rows_read"]
    most = max((rows for reasons in stages.values() for rows in reasons.values()), default=1)
    rows = [
        (f"{stage}/{reason}", count(number), share(number, read), _bar(number / most))
        for stage, reasons in stages.items()
        for reason, number in reasons.items()
    ]
    total = [("kept", count(step.counts["kept_rows"]), share(step.counts["kept_rows"], read), "")]
    head = ("reason", "rows", "of read", "")
    return table(f"Dropped rows by reason, of {count(read)} read", head, [*rows, *total], "lrrb")


def _bar(part: float) -> Html:
    return element("span", "", class_="bar", style=f"width:{part:.1%}")


def _splits(step: Step) -> Html:
    rows = [(name, count(entry["rows"]), digest(entry["rows_digest"])) for name, entry in step.splits.items()]
    return table(
        "Splits; the digest hangs on the rows alone, in any order", ("split", "rows", "rows_digest"), rows, "lrl"
    )


def _lengths(step: Step) -> Iterator[Html]:
    counts = step.counts
    if not counts.get("pairs"):
        return
    pairs, unequal = counts["pairs"], counts["pairs"] - counts["equally_long_pairs"]
    yield element("h4", "Lengths and margins")
    yield facts(
        [
            ("Mean length, chosen", f"{real(counts['chosen_characters'] / pairs, 0)} characters"),
            ("Mean length, rejected", f"{real(counts['rejected_characters'] / pairs, 0)} characters"),
            ("The longer answer is the chosen one", share(counts["longer_chosen_pairs"], unequal)),
            ("Rows tied for the best", count(counts["tied_rows"])),
        ]
    )
    yield bars.margins(step)


def _models(step: Step) -> Html:
    wins, losses = step.counts.get("wins", {}), step.counts.get("losses", {})
    if not wins:
        return Html("")
    names = sorted({*wins, *losses}, key=lambda name: (-wins.get(name, 0), name))[:MOST_MODELS]
    rows = [(name, count(wins.get(name, 0)), count(losses.get(name, 0))) for name in names]
    return table("Pairs by the model that answered", ("model", "chosen", "rejected"), rows, "lrr")


def _files(step: Step) -> str:
    number = len(step.manifest["inputs"])
    return "1 file" if number == 1 else f"{count(number)} files"
