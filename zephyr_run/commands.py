"""`zephyr run`, `status`, `reproduce` and `ablate`. At import standard library and Typer; the rest loads in bodies.

The options of each section of a recipe come in the context's `obj`: they belong to packages that are not imported here.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from zephyr_core import recipe as recipes

app = typer.Typer(rich_markup_mode=None)

RecipeOption = Annotated[str, typer.Option("--recipe", help="A shipped recipe by name, or a .toml file.")]
ToOption = Annotated[Optional[str], typer.Option("--to", help="The last step; default: the last of all.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def show(result: Any, text: str, as_json: bool) -> None:
    """Print the result on stdout, for a program or for a person."""
    print(json.dumps(result, indent=2, ensure_ascii=False) if as_json else text)


@app.command()
def run(
    context: typer.Context,
    recipe: RecipeOption = recipes.DEFAULT,
    first: Annotated[Optional[str], typer.Option("--from", help="The first step; default: the first of all.")] = None,
    last: ToOption = None,
    dialogues: Annotated[
        Optional[list[str]], typer.Option(help="What clean-ultrachat reads, instead of the recipe's; may be repeated.")
    ] = None,
    ratings: Annotated[
        Optional[list[str]], typer.Option(help="What binarize reads, instead of the recipe's; may be repeated.")
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Make the step of --from anew, without --from every step; "
            "later ones follow where they are made of what came out otherwise.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Each step's command and plan; no network, nothing is written.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a recipe: clean-ultrachat, binarize, sft, reference, dpo; skip what is whole, continue what was stopped."""
    from zephyr_run.dry_run import plan
    from zephyr_run.run import Asked
    from zephyr_run.run import run as run_chain

    sources = {"clean-ultrachat": dialogues or (), "binarize": ratings or ()}
    asked = Asked(recipe, context.obj, first, last, sources, fresh, as_json)
    show(*(plan(asked) if dry_run else run_chain(asked)), as_json)


@app.command()
def status(
    context: typer.Context,
    recipe: RecipeOption = recipes.DEFAULT,
    verify: Annotated[bool, typer.Option("--verify", help="Compare files by sha256, not by size alone.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show of each step whether it is missing, stopped half-way, whole, damaged, or stale."""
    from zephyr_run.run import Asked
    from zephyr_run.status import status as states

    show(*states(Asked(recipe, context.obj), hashed=verify), as_json)


@app.command()
def reproduce(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, such as runs/tiny.")],
    last: ToOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove an earlier reproduction, and begin anew.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a run again from the recipe that it kept, in RUN.reproduced, and compare digests: exit code 0 or 1."""
    from zephyr_run.reproduce import refuse_different
    from zephyr_run.reproduce import reproduce as make_again

    result, table = make_again(directory, last, list(context.obj), fresh=fresh, as_json=as_json)
    show(result, table, as_json)
    refuse_different(result)


@app.command()
def ablate(
    recipe: RecipeOption = recipes.DEFAULT,
    seeds: Annotated[str, typer.Option(help="Seeds of the order of rows, such as 42,43,44.")] = "42,43,44",
) -> None:
    """Train the paper's Table 3 (dDPO - dSFT, dSFT-1, dSFT-2, dDPO + dSFT) and measure it: ablations.html."""
    from zephyr_run.ablation.ablate import ablate as train_arms
    from zephyr_run.ablation.ablate import numbers

    print(train_arms(recipe, numbers(seeds), lambda line: print(line, flush=True)))
