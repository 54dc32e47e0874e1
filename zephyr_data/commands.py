"""The commands of `zephyr data` and `zephyr rules`. At import standard library and Typer; the rest loads in bodies."""

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from zephyr_core import paths
from zephyr_core.console import print_whole, show
from zephyr_core.flags import (
    DEFAULT_RECIPE,
    BranchOption,
    ExplainOption,
    JsonOption,
    LicenceOption,
    OutOption,
    PublicOption,
    PublishDryRunOption,
    PullRequestOption,
    RecipeOption,
    RepositoryArgument,
    takes,
)
from zephyr_data.options import BinarizeOptions, CleanOptions

FIRST_STEP: Final = "clean-ultrachat"

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Turn raw rows into datasets on disk.")
rules_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show and test the phrase rules.")

StepName = Literal["clean-ultrachat", "binarize"]
StepOption = Annotated[
    StepName, typer.Option("--step", help="Which of the recipe's datasets to use without DIRECTORY.")
]
WorkersOption = Annotated[int | None, typer.Option(help="Worker processes; default: all cores for large inputs.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show the plan, schema and a projected sample; write nothing.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a dataset that was made differently.")]
Directory = Annotated[Path | None, typer.Argument(help="A dataset directory; default: the recipe's.")]
RuleNames = Annotated[list[str] | None, typer.Argument(help="Rule sets or .toml files.")]


def _add_step(name: str, options: type, help: str) -> None:
    """Add the command of a step that makes a dataset."""

    @app.command(name, help=help)
    @takes(options)
    def make(
        context: typer.Context,
        out: OutOption = None,
        recipe: RecipeOption = DEFAULT_RECIPE,
        workers: WorkersOption = None,
        dry_run: DryRunOption = False,
        overwrite: OverwriteOption = False,
        explain: ExplainOption = None,
        as_json: JsonOption = False,
    ) -> None:
        from zephyr_data.data_steps import STEPS
        from zephyr_data.make import answer, refuse_cut_inputs

        result, text = answer(STEPS[name], context.params)
        show(result, text, as_json)
        refuse_cut_inputs(result)


_add_step(
    "clean-ultrachat",
    CleanOptions,
    "Clean raw dialogues: phrase rules, casing, language, duplicates, selection, splits, audit.",
)
_add_step(
    "binarize",
    BinarizeOptions,
    "Make preference pairs from rated answers: score, gates, benchmarks, policy, splits, audit.",
)


@app.command()
def audit(
    directory: Directory = None,
    recipe: RecipeOption = DEFAULT_RECIPE,
    step: StepOption = FIRST_STEP,
    as_json: JsonOption = False,
) -> None:
    """Show every rule's hits, drops and examples, and counts that add up."""
    from zephyr_core import kinds
    from zephyr_data.data_steps import reports_of
    from zephyr_data.engine.store import odd_manifest
    from zephyr_data.reporting.closing import closing_table
    from zephyr_data.reporting.story import rules_table

    place = directory or paths.run_directory(recipe.name, step)
    content = kinds.read_dataset(place)
    with odd_manifest(place):
        closing = closing_table(content, reports_of(content), place)
    show(content["counts"], f"{closing}\n\n{rules_table(place)}", as_json)


@app.command()
def why(
    place: Annotated[
        str, typer.Argument(metavar="DIRECTORY|ROW", help="A dataset directory; if omitted, the recipe's.")
    ],
    row: Annotated[str | None, typer.Argument(metavar="ROW", help="A raw id, row_key, prompt_id or FILE:LINE.")] = None,
    recipe: RecipeOption = DEFAULT_RECIPE,
    step: StepOption = FIRST_STEP,
) -> None:
    """Trace one row: where it came from, what changed it, and what dropped it or where it went."""
    from zephyr_data.reporting.story import story

    print_whole(story(Path(place), row) if row is not None else story(paths.run_directory(recipe.name, step), place))


@app.command()
def verify(
    directory: Directory = None,
    recipe: RecipeOption = DEFAULT_RECIPE,
    step: StepOption = FIRST_STEP,
    as_json: JsonOption = False,
) -> None:
    """Check every file, sum and digest of a dataset directory against its manifest."""
    from zephyr_data.engine.store import verify

    place = directory or paths.run_directory(recipe.name, step)
    content = verify(place)
    show(content["splits"], f"{place} is whole: files, sums and digests match its manifest", as_json)


@app.command()
def publish(
    directory: Annotated[Path, typer.Argument(help="A dataset directory.")],
    repository: RepositoryArgument,
    licence: LicenceOption = None,
    revision: BranchOption = "main",
    create_pr: PullRequestOption = False,
    public: PublicOption = False,
    dry_run: PublishDryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Publish a dataset on the Hub, in one commit: splits, audit, card and manifest, verified before and after."""
    from zephyr_core.hub import Target
    from zephyr_data.publishing.publish import answer

    target = Target(repository, "dataset", revision, create_pr, public)
    show(*answer(directory, target, licence, dry_run=dry_run), as_json)


@app.command()
def pull(
    repository: Annotated[str, typer.Argument(metavar="REPO[@REVISION]", help="A dataset that zephyr published.")],
    directory: Annotated[Path | None, typer.Argument(help="Where to; default: the repository's name, here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a published dataset as a directory, whole and verified."""
    from zephyr_data.publishing.pull import answer

    show(*answer(repository, directory), as_json)


@rules_app.command("show")
def show_rules(names: RuleNames = None, as_json: JsonOption = False) -> None:
    """List the rules with their reasons and sources."""
    from zephyr_data.reporting.rule_report import listing

    show(*listing(names or ["ultrachat"]), as_json)


@rules_app.command("test")
def test_rules(
    names: RuleNames = None,
    labelled: Annotated[Path | None, typer.Option(help="JSON Lines with `data` and `label` (drop or keep).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check each rule against its own examples, and against rows labelled by hand."""
    from zephyr_data.reporting.rule_report import examination

    show(*examination(names or ["ultrachat"], labelled), as_json)
