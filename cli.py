"""The `zephyr` command line: mounts each package's commands, renders their errors. Nothing heavy."""

import sys
from typing import Annotated

import typer

import zephyr_core
from zephyr_core import recipe as recipes
from zephyr_core import recipe_report
from zephyr_core.errors import ZephyrError
from zephyr_data import commands as data
from zephyr_data.options import BinarizeOptions, CleanOptions
from zephyr_run import commands as chain
from zephyr_train import commands as train
from zephyr_train.options import DPOOptions, SFTOptions, StudentOptions

INTERRUPTED = 130  # exit code after ctrl-c
STEPS = {
    "clean-ultrachat": CleanOptions,
    "binarize": BinarizeOptions,
    "student": StudentOptions,
    "sft": SFTOptions,
    "dpo": DPOOptions,
}

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
recipe_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Recipes: what a run's values are, and why.")
app.add_typer(chain.app)
app.add_typer(data.app, name="data")
app.add_typer(data.rules_app, name="rules")
app.add_typer(train.app, name="train")
app.add_typer(recipe_app, name="recipe")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"zephyr {zephyr_core.__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Make a chat model from raw teacher data, and trust every row and number on the way."""
    context.obj = STEPS


@recipe_app.command("list")
def list_recipes() -> None:
    """List the shipped recipes."""
    print(recipe_report.listing())


@recipe_app.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(help="A shipped recipe by name, or a .toml file.")] = recipes.DEFAULT,
) -> None:
    """Print every value of a recipe with its origin, then its deviations and interpretations."""
    print(recipe_report.values(name, STEPS))


@recipe_app.command("diff")
def diff_recipes(left: str, right: str) -> None:
    """Print the values in which two recipes differ."""
    print(recipe_report.difference(left, right, STEPS))


def main() -> None:
    """Run the command line; an error is one line, a hint and its exit code."""
    try:
        app()
    except ZephyrError as fault:
        print(f"error: {fault}", file=sys.stderr)
        if fault.hint:
            print(f"hint:  {fault.hint}", file=sys.stderr)
        sys.exit(fault.exit_code)
    except (KeyboardInterrupt, SystemExit) as stopped:
        if isinstance(stopped, SystemExit) and stopped.code != INTERRUPTED:  # Typer makes that of ctrl-c
            raise
        print("stopped; the same command continues", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
