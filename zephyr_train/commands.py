"""The commands of `zephyr train`. At import standard library and Typer; the rest loads in bodies."""

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from zephyr_core import recipe as recipes

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="A dataset to a model: dSFT, dDPO.")

RecipeOption = Annotated[str, typer.Option("--recipe", help="A shipped recipe by name, or a .toml file.")]
ModelOption = Annotated[Optional[str], typer.Option(help="A model folder, finished run or Hub id to begin with.")]
DataOption = Annotated[Optional[str], typer.Option(help="A dataset directory, file of rows, or Hub id.")]
OutOption = Annotated[Optional[Path], typer.Option(help="Run directory; default runs/RECIPE/STEP.")]
EpochsOption = Annotated[Optional[int], typer.Option(help="Passes over the rows.")]
SeedOption = Annotated[Optional[int], typer.Option(help="Seed of the order of rows, and of LoRA's weights.")]
GpusOption = Annotated[Optional[int], typer.Option(help="GPUs on all nodes together; without a GPU, CPU processes.")]
NodesOption = Annotated[Optional[int], typer.Option(help="Machines; run the same command on each.")]
ZeroOption = Annotated[Optional[int], typer.Option(help="DeepSpeed ZeRO stage, 0 (none) to 3.")]
AttentionOption = Annotated[
    Optional[str], typer.Option(help="flash_attention_2, flash_attention_3, sdpa, flex_attention, eager.")
]
LoraOption = Annotated[Optional[bool], typer.Option("--lora", help="Train a LoRA adapter; it is merged at the end.")]
ShareOption = Annotated[
    Optional[bool],
    typer.Option(help="Read each prompt once for both replies; by default where that is proven equal."),
]
SetOption = Annotated[Optional[list[str]], typer.Option("--set", help="KEY=VALUE for the trainer; may be repeated.")]
OverlongOption = Annotated[
    Optional[str],
    typer.Option(help="Rows beyond max_length: dSFT split, cut, drop, error; dDPO cut-prompt, drop, error."),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue a stopped run, or fail when there is none.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Discard what an earlier run left in the folder.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Checks and plan; nothing is written or loaded.")]
ExplainOption = Annotated[Optional[str], typer.Option(help="Say where the value of an option comes from, and stop.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def show(result: Any, text: str, as_json: bool) -> None:
    """Print the result on stdout, for a program or for a person."""
    print(json.dumps(result, indent=2, ensure_ascii=False) if as_json else text)


@app.command()
def sft(
    context: typer.Context,
    model: ModelOption = None,
    data: DataOption = None,
    out: OutOption = None,
    recipe: RecipeOption = recipes.DEFAULT,
    epochs: EpochsOption = None,
    seed: SeedOption = None,
    gpus: GpusOption = None,
    nodes: NodesOption = None,
    zero: ZeroOption = None,
    attention: AttentionOption = None,
    on_overlong: OverlongOption = None,
    lora: LoraOption = None,
    settings: SetOption = None,
    resume: ResumeOption = False,
    fresh: FreshOption = False,
    dry_run: DryRunOption = False,
    explain: ExplainOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train on dialogues (dSFT): checks and plan, tokens, packing, training, a verified model."""
    from zephyr_train.run import answer

    answer("sft", context.params, show)


@app.command()
def dpo(
    context: typer.Context,
    model: ModelOption = None,
    data: DataOption = None,
    out: OutOption = None,
    recipe: RecipeOption = recipes.DEFAULT,
    epochs: EpochsOption = None,
    beta: Annotated[Optional[float], typer.Option(help="How firmly the reference holds, Eq. (1).")] = None,
    seed: SeedOption = None,
    gpus: GpusOption = None,
    nodes: NodesOption = None,
    zero: ZeroOption = None,
    attention: AttentionOption = None,
    on_overlong: OverlongOption = None,
    share_prompt: ShareOption = None,
    lora: LoraOption = None,
    settings: SetOption = None,
    resume: ResumeOption = False,
    fresh: FreshOption = False,
    dry_run: DryRunOption = False,
    explain: ExplainOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train on preference pairs (dDPO) against the frozen model it begins with."""
    from zephyr_train.run import answer

    answer("dpo", context.params, show)


@app.command()
def reference(
    context: typer.Context,
    model: ModelOption = None,
    data: DataOption = None,
    recipe: RecipeOption = recipes.DEFAULT,
    gpus: GpusOption = None,
    nodes: NodesOption = None,
    zero: ZeroOption = None,
    attention: AttentionOption = None,
    on_overlong: OverlongOption = None,
    share_prompt: ShareOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute the reference log-probs that `zephyr train dpo` with the same options would use; it finds them."""
    from zephyr_train.run import answer_reference

    answer_reference(context.params, show)


@app.command()
def suspects(
    run: Annotated[Path, typer.Argument(help="A run directory of `zephyr train dpo`.")],
    top: Annotated[int, typer.Option(help="How many pairs.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the pairs that training could not agree with: probable label errors, worst first."""
    from zephyr_train.results.suspects import report

    show(*report(run, top), as_json)


@app.command()
def measure(
    models: Annotated[list[str], typer.Argument(help="Model folders or finished runs.")],
    pairs: Annotated[Path, typer.Option(help="A run of `zephyr train dpo`, whose held-out pairs are used.")],
    start: Annotated[
        Optional[str], typer.Option(help="The model that dDPO began with; the implicit reward is above it.")
    ] = None,
    answers: Annotated[int, typer.Option(help="Prompts that are answered.")] = 40,
    new_tokens: Annotated[int, typer.Option(help="Tokens of an answer, at most.")] = 64,
    as_json: JsonOption = False,
) -> None:
    """Compare models on held-out pairs: which answer they find likelier, and whether they end their turn."""
    from zephyr_train.results.measure import report

    show(*report(models, pairs, start, answers, new_tokens), as_json)
