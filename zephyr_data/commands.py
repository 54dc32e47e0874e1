"""The commands of `zephyr data` and `zephyr rules`. At import standard library and Typer; the rest loads in bodies."""

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from zephyr_core import paths
from zephyr_core import recipe as recipes

FIRST_STEP = "clean-ultrachat"

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Raw rows to datasets on disk.")
rules_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The phrase rules: show and test them.")

RecipeOption = Annotated[str, typer.Option("--recipe", help="A shipped recipe by name, or a .toml file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
StepOption = Annotated[str, typer.Option("--step", help="Which of the recipe's datasets, without DIRECTORY.")]
# What every step that makes a dataset can be told.
SeedOption = Annotated[Optional[int], typer.Option(help="Seed of the keyed draws.")]
KeepDroppedOption = Annotated[Optional[bool], typer.Option("--keep-dropped", help="Store dropped rows whole.")]
LimitOption = Annotated[Optional[int], typer.Option(help="Read at most so many rows.")]
ShardRowsOption = Annotated[Optional[int], typer.Option(help="Rows per Parquet file.")]
RevisionOption = Annotated[Optional[str], typer.Option(help="Branch, tag or commit of a Hub source.")]
WorkersOption = Annotated[Optional[int], typer.Option(help="Processes; default: all cores for large inputs.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Plan, schema and a projected sample; write nothing.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a dataset made otherwise.")]
ExplainOption = Annotated[Optional[str], typer.Option(help="Say where the value of an option comes from, and stop.")]
Directory = Annotated[Optional[Path], typer.Argument(help="A dataset directory; default: the recipe's.")]


def show(result: Any, text: str, as_json: bool) -> None:
    """Print the result on stdout, for a program or for a person."""
    print(json.dumps(result, indent=2, ensure_ascii=False) if as_json else text)


def made_by(recipe: str, step: str) -> Path:
    """Return the directory that a recipe's step writes when no `--out` is given."""
    return paths.run_directory(recipes.load(recipe).name, step)


@app.command("clean-ultrachat")
def clean_ultrachat(
    context: typer.Context,
    sources: Annotated[
        Optional[list[str]], typer.Argument(help="Files, folders, globs or a Hub dataset; default: the recipe's.")
    ] = None,
    out: Annotated[Optional[Path], typer.Option(help="Dataset directory; default runs/RECIPE/clean-ultrachat.")] = None,
    recipe: RecipeOption = recipes.DEFAULT,
    size: Annotated[Optional[int], typer.Option(help="Dialogues to select.")] = None,
    test_share: Annotated[Optional[float], typer.Option(help="Share of them for the test side, 0..1.")] = None,
    seed: SeedOption = None,
    rules: Annotated[
        Optional[list[str]], typer.Option(help="Rule sets or .toml files, instead of the shipped set.")
    ] = None,
    on_hit: Annotated[Optional[str], typer.Option(help="What a phrase rule does: as-ruled, drop, cut, off.")] = None,
    truecase: Annotated[Optional[bool], typer.Option(help="Restore the case of badly cased turns.")] = None,
    truecase_roles: Annotated[Optional[str], typer.Option(help="Whose turns: assistant or assistant,user.")] = None,
    languages: Annotated[Optional[str], typer.Option(help="Languages to keep, such as en or en,de.")] = None,
    duplicates: Annotated[Optional[str], typer.Option(help="What counts as one: dialogue, prompt, off.")] = None,
    keep_dropped: KeepDroppedOption = None,
    limit: LimitOption = None,
    shard_rows: ShardRowsOption = None,
    revision: RevisionOption = None,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    overwrite: OverwriteOption = False,
    explain: ExplainOption = None,
    as_json: JsonOption = False,
) -> None:
    """Clean raw dialogues: phrase rules, casing, language, duplicates, selection, splits, audit."""
    from zephyr_data.run import answer
    from zephyr_data.ultrachat import CLEANING

    answer(CLEANING, context.params, show)


@app.command()
def binarize(
    context: typer.Context,
    sources: Annotated[
        Optional[list[str]],
        typer.Argument(help="Files, folders, globs, a Hub dataset, or a dataset made before; default: the recipe's."),
    ] = None,
    out: Annotated[Optional[Path], typer.Option(help="Dataset directory; default runs/RECIPE/binarize.")] = None,
    recipe: RecipeOption = recipes.DEFAULT,
    rejected: Annotated[
        Optional[str], typer.Option(help="random, random-any, lowest, all-lower, all-pairs, h4-v1.")
    ] = None,
    score: Annotated[Optional[str], typer.Option(help="What is compared: mean, overall, aspect:NAME.")] = None,
    ties: Annotated[Optional[str], typer.Option(help="Which of several best is chosen: draw, first, drop.")] = None,
    min_margin: Annotated[Optional[float], typer.Option(help="Least difference of the two scores.")] = None,
    suspicious_tens: Annotated[
        Optional[str], typer.Option(help="Overall scores of 10 that may be a 1: drop, keep, as-read.")
    ] = None,
    rules: Annotated[
        Optional[list[str]], typer.Option(help="Rule sets or .toml files; a hit in a chosen answer drops the pair.")
    ] = None,
    benchmark: Annotated[
        Optional[list[str]], typer.Option(help="A file of prompts that are not to be trained on; may be repeated.")
    ] = None,
    benchmark_sources: Annotated[
        Optional[str], typer.Option(help="Values of `source` that are benchmarks, such as truthful_qa.")
    ] = None,
    keep_benchmarks: Annotated[
        Optional[bool], typer.Option("--keep-benchmarks", help="Do not look for benchmark prompts.")
    ] = None,
    test_prompts: Annotated[
        Optional[int], typer.Option(help="Prompts for the test side; default 2,000, or 3 % of fewer than 20,000.")
    ] = None,
    layout: Annotated[Optional[str], typer.Option(help="Columns: trainer, or h4 as published.")] = None,
    seed: SeedOption = None,
    keep_dropped: KeepDroppedOption = None,
    limit: LimitOption = None,
    shard_rows: ShardRowsOption = None,
    revision: RevisionOption = None,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    overwrite: OverwriteOption = False,
    explain: ExplainOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make preference pairs of rated answers: score, gates, benchmarks, policy, splits, audit."""
    from zephyr_data.binarize import BINARIZING
    from zephyr_data.run import answer

    answer(BINARIZING, context.params, show)


@app.command()
def audit(
    directory: Directory = None,
    recipe: RecipeOption = recipes.DEFAULT,
    step: StepOption = FIRST_STEP,
    as_json: JsonOption = False,
) -> None:
    """Show every rule's hits, drops and examples, and the counts that meet."""
    from zephyr_core import kinds
    from zephyr_data.closing import closing_table
    from zephyr_data.report import rules_table

    place = directory or made_by(recipe, step)
    content = kinds.read_dataset(place)
    show(content["counts"], f"{closing_table(content, place)}\n\n{rules_table(place)}", as_json)


@app.command()
def why(
    place: Annotated[
        str, typer.Argument(metavar="DIRECTORY|ROW", help="A dataset directory; left out, it is the recipe's.")
    ],
    row: Annotated[
        Optional[str], typer.Argument(metavar="ROW", help="A raw id, row_key, prompt_id or FILE:LINE.")
    ] = None,
    recipe: RecipeOption = recipes.DEFAULT,
    step: StepOption = FIRST_STEP,
) -> None:
    """Tell the story of one row: where it came from, what changed it, what dropped it or where it went."""
    from zephyr_data.report import story

    print(story(Path(place), row) if row is not None else story(made_by(recipe, step), place))


@app.command()
def verify(
    directory: Directory = None,
    recipe: RecipeOption = recipes.DEFAULT,
    step: StepOption = FIRST_STEP,
    as_json: JsonOption = False,
) -> None:
    """Check every file, sum and digest of a dataset directory against its manifest."""
    from zephyr_data.store import verify

    place = directory or made_by(recipe, step)
    content = verify(place)
    show(content["splits"], f"{place} is whole: files, sums and digests match its manifest", as_json)


@rules_app.command("show")
def show_rules(
    names: Annotated[Optional[list[str]], typer.Argument(help="Rule sets or .toml files.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the rules with their reasons and sources."""
    from zephyr_data.rule_report import listing

    show(*listing(names or ["ultrachat"]), as_json)


@rules_app.command("test")
def test_rules(
    names: Annotated[Optional[list[str]], typer.Argument(help="Rule sets or .toml files.")] = None,
    labelled: Annotated[Optional[Path], typer.Option(help="JSON Lines with `data` and `label` (drop or keep).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check each rule against its own examples, and against rows labelled by eye."""
    from zephyr_data.rule_report import examination

    show(*examination(names or ["ultrachat"], labelled), as_json)
