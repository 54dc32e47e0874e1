"""Commands of `zephyr data` on finished datasets. At import standard library and Typer; the rest loads in bodies."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zephyr_core import errors
from zephyr_core.console import print_whole
from zephyr_core.flags import DEFAULT_RECIPE, JsonOption, RecipeOption

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PLACE = "DIRECTORY|FILE|REPO[@REVISION]"
Source = Annotated[
    str, typer.Argument(metavar=PLACE, help="A dataset directory, a file or folder of rows, or a dataset on the Hub.")
]
SplitOption = Annotated[
    list[str] | None,
    typer.Option("--split", help="A split to read, or `all`; default: those that training reads. Can be repeated."),
]


@app.command()
def inspect(
    source: Source,
    split: SplitOption = None,
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 5,
    skip: Annotated[int, typer.Option(min=0, help="How many rows to pass over first.")] = 0,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help='Only rows that meet a condition: "margin > 2 AND turns = 1".')
    ] = None,
    random: Annotated[
        int | None, typer.Option("--random", metavar="SEED", help="A draw of rows, the same in every order of them.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--id", help="Only rows of that id or prompt_id, or key as training lists it.")
    ] = None,
    dropped: Annotated[bool, typer.Option("--dropped", help="Rows that the audit lists as dropped.")] = False,
    tokens: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Show the tokens of training: template, EOS, what counts for the loss."),
    ] = None,
    template: Annotated[
        Literal["zephyr", "model"] | None,
        typer.Option(help="With --tokens: the chat template; default: the recipe's."),
    ] = None,
    recipe: RecipeOption = DEFAULT_RECIPE,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show rows of a dataset, paged on a terminal."""
    from zephyr_look import inspecting
    from zephyr_look.choosing import Choice

    choice, splits = Choice(rows, skip, where, name, random), split or ()
    inspecting.refuse_mixed(dropped=dropped, tokens=tokens, template=template, splits=splits)
    if dropped:
        inspecting.inspect_dropped(source, choice, as_json=as_json)
    elif tokens is not None:
        inspecting.inspect_tokens(source, splits, choice, tokens, recipe, template, as_json=as_json)
    else:
        inspecting.inspect(source, splits, choice, as_json=as_json)


@app.command()
def export(
    source: Source,
    form: Annotated[
        Literal["jsonl", "sharegpt"],
        typer.Option("--to", help="jsonl: role and content; sharegpt: from and value."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write, which must not exist.")],
    split: Annotated[str | None, typer.Option(help="The split to write; default: the one to train on.")] = None,
) -> None:
    """Write a split as JSON Lines that other trainers read: dialogues, or chosen and rejected answers."""
    from zephyr_look.export import export

    print_whole(export(source, form, out, split))


@app.command()
def diff(
    left: Source,
    right: Source,
    split: SplitOption = None,
    examples: Annotated[int, typer.Option(min=0, help="How many rows of each change to show, word by word.")] = 0,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Also write the comparison as an HTML page.")
    ] = None,
    fail_on_change: Annotated[
        bool, typer.Option("--fail-on-change", help="End with exit code 1 if a row is new, gone or changed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare two datasets: rows in one only, edited, flipped; shifts of score, length, source and reason."""
    from zephyr_look.difference import difference

    differs = difference(left, right, split or (), examples, file=page, as_json=as_json)
    raise typer.Exit(errors.DIFFERENT if differs and fail_on_change else errors.DONE)


@app.command()
def leakage(
    source: Source,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|REPO", help="Questions to look for; default: the dataset's own test prompts. Can be repeated."
        ),
    ] = None,
    split: SplitOption = None,
    examples: Annotated[int, typer.Option(min=0, help="How many hits to show.")] = 10,
    fail_on_hit: Annotated[
        bool, typer.Option("--fail-on-hit", help="End with exit code 1 if a row holds one.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for benchmark questions, or test prompts, in the user turns of a dataset."""
    from zephyr_look.leaks import leakage

    is_hit = leakage(source, against or (), split or (), examples, as_json=as_json)
    raise typer.Exit(errors.DIFFERENT if is_hit and fail_on_hit else errors.DONE)
