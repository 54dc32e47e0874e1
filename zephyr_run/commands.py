"""`zephyr run`, `status`, `verify`, `reproduce`, `ablate`. At import standard library and Typer; the rest in bodies."""

from pathlib import Path
from typing import Annotated

import typer

from zephyr_core.console import print_whole, show
from zephyr_core.flags import DEFAULT_RECIPE, JsonOption, RecipeOption

app = typer.Typer(rich_markup_mode=None)

RunFolder = Annotated[
    Path | None, typer.Option("--out", metavar="DIRECTORY", help="The run's folder; default runs/RECIPE.")
]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="The model that dSFT begins with: a folder, a finished run or a Hub id.")
]
GpusOption = Annotated[
    int | None,
    typer.Option("--gpus", help="GPUs for both trainings; the global batch stays. Without a GPU, CPU processes."),
]
AttentionOption = Annotated[str | None, typer.Option("--attention", help="Attention implementation of both trainings.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any value of the recipe; may be repeated."),
]
ToOption = Annotated[str | None, typer.Option("--to", help="Last step to run; default: the last one.")]


@app.command()
def run(
    recipe: RecipeOption = DEFAULT_RECIPE,
    first: Annotated[str | None, typer.Option("--from", help="First step to run; default: the first one.")] = None,
    last: ToOption = None,
    dialogues: Annotated[
        list[str] | None, typer.Option(help="Input of clean-ultrachat, instead of the recipe's; may be repeated.")
    ] = None,
    ratings: Annotated[
        list[str] | None, typer.Option(help="Input of binarize, instead of the recipe's; may be repeated.")
    ] = None,
    model: ModelOption = None,
    gpus: GpusOption = None,
    attention: AttentionOption = None,
    values: SetOption = None,
    out: RunFolder = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Rebuild the --from step (every step without --from). Later steps are rebuilt if their input changed.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show each step's command and plan; no network, nothing is written.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the steps of a recipe, from raw rows to a dDPO model; skip finished steps, continue a stopped one."""
    from zephyr_run.dry_run import plan
    from zephyr_run.run import RunRequest
    from zephyr_run.run import run as run_chain
    from zephyr_run.steps import CHAIN, with_given

    flags = {"--dialogues": dialogues or (), "--ratings": ratings or ()}
    sources = {step.name: flags[step.source_flag] for step in CHAIN if step.source_flag}
    recipe = with_given(recipe, {"--model": model, "--gpus": gpus, "--attention": attention}, values or ())
    request = RunRequest(recipe, first, last, sources, fresh, as_json, out)
    show(*(plan(request) if dry_run else run_chain(request)), as_json)


@app.command()
def status(
    recipe: RecipeOption = DEFAULT_RECIPE,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every sha256; else those of files with another size or time.")
    ] = False,
    out: RunFolder = None,
    as_json: JsonOption = False,
) -> None:
    """Show for each step whether it is missing, stopped half-way, whole, damaged, or stale."""
    from zephyr_run.run import RunRequest
    from zephyr_run.status import status as states

    show(*states(RunRequest(recipe, out=out), hashed=verify), as_json)


@app.command()
def verify(
    directory: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A dataset, training run, student, artefact, or run directory.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Compare every file of a folder made by zephyr with what was recorded then: exit code 0 or 5."""
    from zephyr_run.verify import verify as compare

    show(*compare(directory), as_json)


@app.command()
def reproduce(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, such as runs/tiny.")],
    last: ToOption = None,
    model: ModelOption = None,
    gpus: GpusOption = None,
    attention: AttentionOption = None,
    values: SetOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIRECTORY", help="Where to repeat it; default RUN.reproduced.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard an earlier reproduction and start over.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Repeat a run from the recipe it kept, in RUN.reproduced, and compare digests: exit code 0 or 1."""
    from zephyr_run.reproduce import refuse_different
    from zephyr_run.reproduce import reproduce as make_again
    from zephyr_run.steps import values_given

    given = values_given({"--model": model, "--gpus": gpus, "--attention": attention}, values or ())
    result, table = make_again(directory, last, given=given, out=out, fresh=fresh, as_json=as_json)
    show(result, table, as_json)
    refuse_different(result)


@app.command()
def ablate(
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: Annotated[str, typer.Option(help="Seeds for the order of rows, such as 42,43,44.")] = "42,43,44",
    model: ModelOption = None,
    gpus: GpusOption = None,
    attention: AttentionOption = None,
    values: SetOption = None,
    out: RunFolder = None,
) -> None:
    """Train and measure the paper's Table 3 (dDPO - dSFT, dSFT-1, dSFT-2, dDPO + dSFT); write ablations.html."""
    from zephyr_run.ablation.ablate import ablate as train_arms
    from zephyr_run.ablation.ablate import numbers
    from zephyr_run.steps import with_given

    recipe = with_given(recipe, {"--model": model, "--gpus": gpus, "--attention": attention}, values or ())
    print_whole(str(train_arms(recipe, numbers(seeds), out)))
