"""The commands of `zephyr train`. At import standard library and Typer; the rest loads in bodies."""

from pathlib import Path
from typing import Annotated

import typer

from zephyr_core.console import show
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
from zephyr_train.options import DPOOptions, SFTOptions

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train a model on a dataset: dSFT, dDPO.")

ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue a stopped run; fail if there is none.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Discard what an earlier run left in the folder.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Run the checks and show the plan; write and load nothing.")
]
MemoryOption = Annotated[
    bool, typer.Option("--memory", help="With --dry-run: memory for every ZeRO stage, with and without checkpointing.")
]
MachineOption = Annotated[
    bool, typer.Option("--machine", help="With --dry-run: judge options and this machine only, not model and rows.")
]
OF_TRAINING = ("epochs", "beta", "seed", "lora", "set")  # flags that change no reference log-prob


def _add_training(step: str, options: type, help: str) -> None:
    """Add the command of a training step."""

    @app.command(step, help=help)
    @takes(options)
    def train(
        context: typer.Context,
        out: OutOption = None,
        recipe: RecipeOption = DEFAULT_RECIPE,
        resume: ResumeOption = False,
        fresh: FreshOption = False,
        machine: MachineOption = False,
        dry_run: DryRunOption = False,
        memory: MemoryOption = False,
        explain: ExplainOption = None,
        as_json: JsonOption = False,
    ) -> None:
        from zephyr_train.train import answer

        answer(step, context.params)


@app.command()
def student(
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Dialogues to learn the tokenizer from: a dataset directory, a file or a Hub id; as for `train sft`."
        ),
    ] = None,
    out: OutOption = None,
    recipe: RecipeOption = DEFAULT_RECIPE,
    fresh: FreshOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build a recipe's new student: a tokenizer learned from the dialogues, and a Mistral with random weights."""
    from zephyr_train.student import answer

    parameters = {"data": data, "out": out, "recipe": recipe, "fresh": fresh, "dry_run": dry_run}
    show(*answer(parameters), as_json)


_add_training(
    "sft",
    SFTOptions,
    "Train on dialogues (dSFT): checks and plan, tokens, packing, training, a verified model.",
)
_add_training("dpo", DPOOptions, "Train on preference pairs (dDPO) against the frozen starting model.")


@app.command()
@takes(DPOOptions, without=OF_TRAINING)
def reference(context: typer.Context, recipe: RecipeOption = DEFAULT_RECIPE, as_json: JsonOption = False) -> None:
    """Precompute reference log-probs; `zephyr train dpo` with the same options finds and uses them."""
    from zephyr_train.train import answer_reference

    show(*answer_reference(context.params), as_json)


@app.command()
def suspects(
    run: Annotated[Path, typer.Argument(help="A run directory of `zephyr train dpo`.")],
    top: Annotated[int, typer.Option(help="Number of pairs to list.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the pairs that training could not fit: probable label errors, worst first."""
    from zephyr_train.results.suspects import report

    show(*report(run, top), as_json)


@app.command()
def publish(
    run: Annotated[Path, typer.Argument(help="A finished run of `zephyr train sft` or `dpo`.")],
    repository: RepositoryArgument,
    licence: LicenceOption = None,
    base_model: Annotated[
        str | None, typer.Option(help="The card's base_model; default: the Hub model that training began with.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="A dataset of the card, may be repeated; default: those of the Hub.")
    ] = None,
    revision: BranchOption = "main",
    create_pr: PullRequestOption = False,
    public: PublicOption = False,
    dry_run: PublishDryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Publish a run's model on the Hub, in one commit: weights, tokenizer, card, curves, metrics, plan, manifest."""
    from zephyr_core.hub import Target
    from zephyr_train.publishing.publish import answer

    target = Target(repository, "model", revision, create_pr, public)
    show(*answer(run, target, licence, base_model, dataset, dry_run=dry_run), as_json)


@app.command()
def measure(
    models: Annotated[list[str], typer.Argument(help="Model folders or finished runs.")],
    pairs: Annotated[Path, typer.Option(help="A run of `zephyr train dpo`, whose held-out pairs are used.")],
    start: Annotated[
        str | None, typer.Option(help="The model that dDPO started from: the baseline of the implicit reward.")
    ] = None,
    answers: Annotated[int, typer.Option(help="Number of prompts to answer.")] = 40,
    new_tokens: Annotated[int, typer.Option(help="Maximum tokens per answer.")] = 64,
    as_json: JsonOption = False,
) -> None:
    """Compare models on held-out pairs: which answer they find likelier, and whether they end their turn."""
    from zephyr_train.results.measure import report

    show(*report(models, pairs, start, answers, new_tokens), as_json)
