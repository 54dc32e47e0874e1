"""Command-line parameters: those that several packages share, and the flags of an options dataclass.

The only module of zephyr_core that imports Typer; only each package's commands.py imports it.
"""

import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from zephyr_core import recipe as recipes
from zephyr_core.options import Option, declared
from zephyr_core.recipe import Recipe

KEYWORD = inspect.Parameter.KEYWORD_ONLY
Command = typing.TypeVar("Command", bound=Callable[..., None])


def _read(context: typer.Context, name_or_file: str) -> Recipe:
    """Return the recipe that was named; the root context holds the sections that a recipe can have."""
    return recipes.load(name_or_file, context.find_root().obj)


# The command sees a Recipe: its file is read here, once.
RecipeOption = Annotated[
    Recipe,
    typer.Option(
        "--recipe", metavar="RECIPE", parser=str, callback=_read, help="A shipped recipe by name, or a .toml file."
    ),
]
DEFAULT_RECIPE: Any = recipes.DEFAULT  # as text; the callback turns it into a Recipe
RecipeArgument = Annotated[
    Recipe,
    typer.Argument(metavar="RECIPE", parser=str, callback=_read, help="A shipped recipe by name, or a .toml file."),
]
OutOption = Annotated[Path | None, typer.Option(metavar="DIRECTORY", help="Where to write; default runs/RECIPE/STEP.")]
ExplainOption = Annotated[str | None, typer.Option(metavar="OPTION", help="Show where an option's value comes from.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

# Of the commands that publish on the Hub.
RepositoryArgument = Annotated[str, typer.Argument(metavar="REPO", help="OWNER/NAME on the Hub; created if missing.")]
LicenceOption = Annotated[
    str | None,
    typer.Option("--license", help="To publish under, as the Hub spells it; needed unless the sources' is known."),
]
BranchOption = Annotated[
    str, typer.Option("--revision", metavar="BRANCH", help="The branch; created from main if missing.")
]
PullRequestOption = Annotated[bool, typer.Option("--create-pr", help="Open a pull request; leave the branch alone.")]
PublicOption = Annotated[bool, typer.Option("--public", help="Make a new repository public; default: private.")]
PublishDryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show files, sizes and card; send nothing.")]


def takes(kind: type, *, without: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the flags of an options dataclass, in front of its own parameters.

    The command finds their values in the context's `params`, by the options' names; None where a flag was not given.

    Args:
        kind: the dataclass; see zephyr_core.options.
        without: options whose flag the command does not take.
    """
    hints = typing.get_type_hints(kind)
    added = [
        inspect.Parameter(name, KEYWORD, default=None, annotation=_annotation(name, hints[name], option))
        for name, option in declared(kind).items()
        if (option.has_flag or option.is_argument) and name not in without
    ]

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True).parameters

        def run(**parameters: Any) -> None:
            command(**{name: parameters[name] for name in own})

        whole = [*added, *(parameter.replace(kind=KEYWORD) for parameter in own.values())]
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in whole}
        run.__signature__ = inspect.Signature(whole)  # type: ignore[attr-defined]
        return typing.cast(Command, run)

    return decorate


def _annotation(name: str, hint: Any, option: Option) -> Any:
    """Return the Typer annotation of an option's flag or argument."""
    if option.is_argument:
        return Annotated[list[str] | None, typer.Argument(help=option.help)]
    names = () if _is_switch(hint) else (f"--{name.replace('_', '-')}",)  # a switch gets its --no- from Typer
    return Annotated[_flag_type(hint, option) | None, typer.Option(*names, help=option.help)]


def _is_switch(hint: Any) -> bool:
    return bool in (hint, *typing.get_args(hint))


def _flag_type(hint: Any, option: Option) -> Any:
    """Return the type of a flag's value; for several values, a list or one text with commas."""
    if isinstance(hint, types.UnionType):
        hint = next(member for member in typing.get_args(hint) if member is not type(None))
    if typing.get_origin(hint) is tuple:
        return list[str] if option.is_repeated else str
    return Literal[option.choices] if option.choices else hint
