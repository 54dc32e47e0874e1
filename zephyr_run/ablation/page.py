"""ablations.html: arms, epochs, claims and answers on one page, next to the paper's own figures."""

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zephyr_core.manifest import write_text_whole
from zephyr_page.chart import Chart, Line, figure
from zephyr_page.document import document
from zephyr_page.markup import NO_VALUE, Html, element, join, note, real, section, shorten, table
from zephyr_run.ablation.arms import ARMS
from zephyr_run.ablation.claims import ABOVE, claims

NAME = "ablations.html"
ANSWER_LIMIT = 160  # characters


def write(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write the page, whole or not at all; return its path."""
    path = folder / NAME
    title = f"Ablations at small scale: {content['recipe']}"
    parts = [
        element("header", join([element("h1", title), element("p", _lead(content), class_="lead")])),
        element(
            "main",
            join(
                [
                    section("Held-out pairs (Table 3)", "arms", [_arms(content), note(_how(content))]),
                    section("Epochs (Figure 3)", "epochs", [_epochs(content)]),
                    section("Claims", "claims", [_claims(content), note(_limits(content))]),
                    section("Answers", "answers", [_answers(content)]),
                ]
            ),
        ),
    ]
    write_text_whole(path, document(title, join(parts)))
    return path


def _lead(content: Mapping[str, Any]) -> str:
    return (
        f"Four ways to a chat model, {_seeds(content)} each, measured on {content['pairs']} held-out"
        " pairs. The paper's figures are of 7 B parameters and judged answers: another scale, another measure."
    )


def _seeds(content: Mapping[str, Any]) -> str:
    count = len(content["seeds"])
    return f"{count} seed{'' if count == 1 else 's'}"


def _arms(content: Mapping[str, Any]) -> Html:
    head = (
        "arm",
        "better answer likelier",
        "±",
        "implicit reward",
        "EOS after a good answer",
        "ends its turn",
        "plays on",
        "MT-Bench",
        "AlpacaEval",
    )
    rows: list[tuple[object, ...]] = [
        ("chance", real(content["chance"], 2), *[NO_VALUE] * 7),
        ("the longer answer", real(content["longer_is_chosen"], 3), *[NO_VALUE] * 7),
        _row("before dSFT", content["arms"]["base"], (NO_VALUE, NO_VALUE)),
    ]
    for arm in ARMS:
        paper = (real(arm.mt_bench, 2), real(arm.alpaca_eval, 2))
        rows.append(_row(arm.title, content["arms"][arm.name], paper))
    caption = "Shares of held-out pairs and prompts, means over seeds with least–largest; right: the paper's, Table 3"
    return table(caption, head, rows, "lrrrrrrrr")


def _row(title: str, arm: Mapping[str, Any], paper: tuple[str, str]) -> tuple[object, ...]:
    spread = [
        _spread(arm[name])
        for name in ("accuracy_per_token", "implicit_accuracy", "eos_probability", "stopped_share", "played_on_share")
    ]
    return (title, spread[0], real(arm["standard_error"], 3), *spread[1:], *paper)


def _spread(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return NO_VALUE
    ends = f" ({figures['least']:.2f}–{figures['largest']:.2f})" if len(figures["values"]) > 1 else ""
    return f"{figures['mean']:.3f}{ends}"


def _how(content: Mapping[str, Any]) -> str:
    return (
        "Better answer likelier: the chosen answer's log-prob per token is above the rejected one's, a measure that"
        " every arm has. ±: standard error of one seed's share. Implicit reward: what training added to the chosen"
        " answer since the arm's start is above what it added to the rejected one. EOS: its probability after the"
        " whole chosen answer, which the model did not write itself. Ends its turn: EOS within the limit,"
        f" of {content['answered']} greedy answers; plays on: the answer writes a role marker. Seeds draw the order of"
        " rows; data and the model before training are the same for all, so the spread shows the order's share alone."
    )


def _epochs(content: Mapping[str, Any]) -> Html:
    charts = [_chart(content, arm.name, arm.title) for arm in ARMS if arm.name in content["epochs"]]
    remark = note(
        "Train: share of pairs with a margin above 0 when the epoch trained them; test: after the epoch. Faint: each"
        " seed. The paper trains 1, 2 and 3 epochs and judges answers; there the third epoch is still the best."
    )
    return join([element("div", join(charts), class_="charts"), remark])


def _chart(content: Mapping[str, Any], name: str, title: str) -> Html:
    runs = content["epochs"][name]
    lines = []
    for kind in ("train", "test"):
        key = f"{kind}_accuracy"
        each = [[(float(row["epoch"]), row[key]) for row in run if row[key] is not None] for run in runs]
        is_test = kind == "test"
        lines += [Line(kind, points, is_faint=True, is_dashed=is_test) for points in each] if len(each) > 1 else []
        means = [(at[0][0], statistics.mean(value for _, value in at)) for at in zip(*each, strict=True)]
        lines.append(Line(kind, means, kind, is_dashed=is_test))
    epochs = max(row["epoch"] for run in runs for row in run)
    return figure(
        Chart(f"epochs-{name}", title, "share of pairs with a margin above 0", tuple(lines), epochs, 0.5, "chance 0.50")
    )


def _claims(content: Mapping[str, Any]) -> Html:
    rows = [("holds" if claim.holds else "does not hold", claim.says, claim.figures) for claim in claims(content)]
    return table("Each claim is held against every seed", ("", "claim", "figures, by seed"), rows)


def _limits(content: Mapping[str, Any]) -> str:
    """Return which results of the paper's table these figures do not show."""
    likelier = {arm: content["arms"][arm.name]["accuracy_per_token"]["mean"] for arm in ARMS}
    ours = sorted(ARMS, key=lambda arm: -likelier[arm])
    papers = sorted(ARMS, key=lambda arm: -arm.mt_bench)
    order = "the paper's own" if ours == papers else "not the paper's"
    sentences = [
        f"By the share of better answers found likelier, the arms rank in this order, which is {order}: "
        + ", ".join(f"{arm.title} {likelier[arm]:.2f}" for arm in ours)
        + f"; the paper's by MT-Bench: {', '.join(arm.title for arm in papers)}."
    ]
    shares = {arm.name: likelier[arm] for arm in ARMS}
    if shares["ddpo-alone"] > shares["ddpo"] - ABOVE:
        sentences.append(
            "Not reproduced at this size: that dDPO without dSFT fails as a whole. It separates given answers as well"
            " as dDPO with dSFT; look at EOS and at the answers below for where it fails."
        )
    return " ".join([*sentences, "Nothing here says anything about MT-Bench, AlpacaEval or knowledge."])


def _answers(content: Mapping[str, Any]) -> Html:
    return join(_answer(sample) for sample in content["samples"])


def _answer(sample: Mapping[str, Any]) -> Html:
    cards = [element("div", join(_card(arm.title, sample["answers"][arm.name])), class_="example") for arm in ARMS]
    question = " ".join(word for word in sample["prompt"].split() if not word.startswith("<|"))
    return join([element("h3", shorten(question)), element("div", join(cards), class_="cards")])


def _card(title: str, answer: Mapping[str, Any]) -> Iterator[Html]:
    yield element("p", title, class_="who")
    yield element("p", shorten(answer["text"], ANSWER_LIMIT), class_="said")
    if not answer["stopped"]:
        yield element("p", "did not end its turn", class_="who")
