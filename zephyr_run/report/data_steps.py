"""The data steps: counts by reason, splits, what was changed and dropped, lengths."""

from collections.abc import Iterator, Sequence

from zephyr_core.console import listed
from zephyr_core.records import Counts, DatasetManifest
from zephyr_page.markup import Html, count, digest, element, facts, join, note, real, share, table
from zephyr_run.report import bars
from zephyr_run.report.changes import dropped, rewritten
from zephyr_run.report.on_disk import Run, StepFiles

MOST_MODELS = 12


def about(run: Run) -> Html:
    """Return the part about each data step."""
    return join(map(_step, run.of_kind("dataset")))


def _step(step: StepFiles) -> Html:
    head = element("h3", step.name)
    if step.dataset is None:
        return join([head, note(f"{step.state.capitalize()}.")])
    counts = step.dataset["counts"]
    of_rows = [_reasons(counts, step.stages), *_lengths(counts)]
    of_dataset = [_splits(step), rewritten(step), dropped(step), _models(counts)]
    columns = join([element("div", join(of_rows)), element("div", join(of_dataset))])
    return join([head, _basics(step.dataset), element("div", columns, class_="split")])


def _basics(content: DatasetManifest) -> Html:
    values, counts = content["options"]["values"], content["counts"]
    recased = None
    if counts.get("rewritten_words"):
        words, turns = counts["rewritten_words"], counts["rewritten_turns"]
        recased = f"{count(counts['rewritten_rows'])} dialogues: {count(words)} words in {count(turns)} turns"
    return facts(
        [
            ("Sources", listed(values["sources"])),
            ("Read", f"{_files(content)}, {count(content['bytes_read'])} bytes"),
            ("Kept", f"{count(counts['kept_rows'])} of {count(counts['rows_read'])} rows"),
            ("Recased", recased),
            ("Cut short", count(counts["cut_rows"]) if counts.get("cut_rows") else None),
            ("Policy", _policy(values)),
            ("Time", f"{real(content['seconds'], 1)} s"),
        ]
    )


def _policy(values: dict[str, object]) -> str | None:
    if "rejected" not in values:
        return None
    return f"score {values['score']}, rejected {values['rejected']}, ties {values['ties']}, seed {values['seed']}"


def _reasons(counts: Counts, order: Sequence[str]) -> Html:
    stages = bars.by_stage(counts["dropped"], order)
    read = counts["rows_read"]
    most = max((rows for reasons in stages.values() for rows in reasons.values()), default=1)
    rows = [
        (f"{stage}/{reason}", count(number), share(number, read), _bar(number / most))
        for stage, reasons in stages.items()
        for reason, number in reasons.items()
    ]
    total = [("kept", count(counts["kept_rows"]), share(counts["kept_rows"], read), "")]
    head = ("reason", "rows", "of read", "")
    return table(f"Dropped rows by reason, of {count(read)} read", head, [*rows, *total], "lrrb")


def _bar(part: float) -> Html:
    return element("span", "", class_="bar", style=f"width:{part:.1%}")


def _splits(step: StepFiles) -> Html:
    rows = [(name, count(entry["rows"]), digest(entry["rows_digest"])) for name, entry in step.splits.items()]
    return table(
        "Splits; the digest depends on the rows alone, not on their order",
        ("split", "rows", "rows_digest"),
        rows,
        "lrl",
    )


def _lengths(counts: Counts) -> Iterator[Html]:
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
    yield bars.margins(counts)


def _models(counts: Counts) -> Html:
    wins, losses = counts.get("wins", {}), counts.get("losses", {})
    if not wins:
        return Html("")
    names = sorted({*wins, *losses}, key=lambda name: (-wins.get(name, 0), name))[:MOST_MODELS]
    rows = [(name, count(wins.get(name, 0)), count(losses.get(name, 0))) for name in names]
    return table("Pairs by the model that answered", ("model", "chosen", "rejected"), rows, "lrr")


def _files(content: DatasetManifest) -> str:
    number = len(content["inputs"])
    return "1 file" if number == 1 else f"{count(number)} files"
