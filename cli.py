"""The `zephyr` command line: mounts each package's commands, renders their errors. Nothing heavy."""

import sys
from functools import partial
from typing import Annotated

import typer

import zephyr_core
from zephyr_core import console, errors, recipe_report
from zephyr_core.crash import explained
from zephyr_core.flags import DEFAULT_RECIPE, RecipeArgument
from zephyr_core.process import Terminated, sigterm_raises
from zephyr_data import commands as data
from zephyr_look import commands as look
from zephyr_run import commands as chain
from zephyr_run.hints import in_words_of_the_run, step_of
from zephyr_run.steps import SECTIONS
from zephyr_train import commands as train

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
recipe_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Recipes: a run's values, and where they come from."
)
app.add_typer(chain.app)
data.app.add_typer(look.app)  # on datasets that are there already
app.add_typer(data.app, name="data")
app.add_typer(data.rules_app, name="rules")
app.add_typer(train.app, name="train")
app.add_typer(recipe_app, name="recipe")


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print_whole(f"zephyr {zephyr_core.__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Make a chat model from raw teacher data, and trust every row and number on the way."""
    context.obj = SECTIONS  # what a recipe can hold: zephyr_core.flags reads recipes with it


@recipe_app.command("list")
def list_recipes() -> None:
    """List the shipped recipes."""
    console.print_whole(recipe_report.listing())


@recipe_app.command("show")
def show_recipe(name: RecipeArgument = DEFAULT_RECIPE) -> None:
    """Print every value of a recipe with its origin, then its deviations and interpretations."""
    console.print_whole(recipe_report.values(name, SECTIONS))


@recipe_app.command("diff")
def diff_recipes(left: RecipeArgument, right: RecipeArgument) -> None:
    """Print the values in which two recipes differ: exit code 0 if there are none, else 1."""
    differences = recipe_report.differences(left, right, SECTIONS)
    same = f"{left.typed} and {right.typed} resolve to the same values"
    console.print_whole("\n".join(differences) or same)
    raise typer.Exit(errors.DIFFERENT if differences else errors.DONE)


def main(*, of_run: bool = False) -> None:
    """Run the command line; an error is one line, a hint and its exit code (zephyr_core.errors has the table).

    `of_run`: it is a step of `zephyr run`, whose options its hints name, and which says itself that it was stopped.
    """
    console.prepare_streams()
    step = step_of(sys.argv[1:]) if of_run else None
    if step is not None:
        console.speak(partial(in_words_of_the_run, step=step))
    try:
        with sigterm_raises():
            app()
    except errors.ZephyrError as fault:
        _give_up(fault)
    except KeyboardInterrupt:
        _stopped(errors.INTERRUPTED, of_run=of_run)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Typer makes exit code 1 of it
            _give_up(console.closed(end.__context__))
        if end.code in (errors.INTERRUPTED, errors.TERMINATED):  # Typer makes the first of ctrl-c
            _stopped(int(end.code), of_run=of_run)
        raise
    except Exception as fault:
        if Terminated.has_come:
            _stopped(errors.TERMINATED, of_run=of_run)
        _give_up(explained(fault))


def _stopped(code: int, *, of_run: bool) -> None:
    if not of_run:
        console.say("stopped; the same command continues")
    sys.exit(code)


def _give_up(fault: errors.ZephyrError) -> None:
    console.say(f"error: {fault}")
    if fault.hint:
        console.say(f"hint:  {fault.hint}")
    sys.exit(fault.exit_code)


if __name__ == "__main__":
    main()
