"""The end of a run: verified weights become `model/` with template and card; the manifest is written last."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from zephyr_core import manifest
from zephyr_core.folder import publish
from zephyr_core.reading import json_file
from zephyr_core.recipe import Recipe
from zephyr_core.records import MetricsRow, ModelManifest, PlanRecord
from zephyr_page import training_curves
from zephyr_train.errors import InvariantBroken
from zephyr_train.job import Job
from zephyr_train.models import CONFIG, config_of
from zephyr_train.results import card
from zephyr_train.training import metrics_file

TEMPLATE = "chat_template.jinja"
GENERATION = "generation_config.json"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model", TEMPLATE)
LEFT_BEHIND = ("training_args.bin", "README.md")  # a pickle, and TRL's own card


def finish(job: Job, inputs: Mapping[str, str], plan: PlanRecord, recipe: Recipe) -> ModelManifest:
    """Return the manifest of the finished run directory."""
    folder = job.folder
    rows = metrics_file.read(folder)
    verified = json_file(folder / "verified.json")
    results: MetricsRow = next(
        (row for row in reversed(rows) if row["split"] == "test"), rows[-1] if rows else MetricsRow()
    )
    _complete_model(job, folder / "weights")
    notes = [note["what"] for kind in ("deviations", "interpretations") for note in recipe.notes(kind)]
    (folder / "weights" / "README.md").write_text(card.text(job, inputs, plan, results, [*notes, *_own_notes(job)]))
    curves = training_curves.file_text(rows, f"{card.TITLES[job.step]} of the recipe {job.recipe}")
    (folder / training_curves.NAME).write_text(curves, encoding="utf-8")
    publish(folder / "weights", folder / "model")
    (folder / "verified.json").unlink()
    content = {"kind": "model", "step": job.step, "recipe": job.recipe, "inputs": dict(inputs), "plan": dict(plan)}
    manifest.write(folder, {**content, "verified": verified, "results": results, "versions": job.versions})
    shutil.rmtree(job.state, ignore_errors=True)
    return manifest.read_as(folder, ModelManifest)


def _own_notes(job: Job) -> Sequence[str]:
    """Return how this run differs from its recipe: values set by a flag, a file or the environment, and `--set`."""
    return [
        *(f"--set {name}={value}" for name, value in job.settings.items()),
        *(
            f"{name} = {getattr(job.options, name)} ({origin})"
            for name, origin in job.origins.items()
            if origin.startswith(("flag", "environment", "file"))
        ),
    ]


def _complete_model(job: Job, weights: Path) -> None:
    """Put tokenizer, template and generation config next to the weights, and check that training used the same.

    Raises:
        InvariantBroken: the saved template is not the one used in training, or a config names another EOS or pad.
    """
    from zephyr_core.keys import text_key

    for name in LEFT_BEHIND:
        (weights / name).unlink(missing_ok=True)
        (job.folder / "adapter" / name).unlink(missing_ok=True)
    for name in TOKENIZER:
        source = Path(job.tokens) / name
        if source.is_file():
            shutil.copyfile(source, weights / name)
    for folder in (weights, job.folder / "adapter"):
        template = folder / TEMPLATE
        is_needed = folder == weights or folder.is_dir()
        if is_needed and (not template.is_file() or text_key(template.read_text("utf-8")) != job.template_digest):
            raise InvariantBroken(
                f"{template} is not the template of the training rows", "run the command again with --fresh"
            )
    config, generation = json_file(weights / CONFIG), json_file(weights / GENERATION)
    routers = config_of(Path(job.model)).get("output_router_logits")
    if "output_router_logits" in config:  # TRL turns it on for the loss of the routers
        config["output_router_logits"] = bool(routers)
        manifest.write_json(weights / CONFIG, config)
    for name in ("bos_token_id", "eos_token_id"):
        if generation.get(name) is None and config.get(name) is not None:
            generation[name] = config[name]
    if generation.get("pad_token_id") is None:
        ends = generation.get("eos_token_id")
        generation["pad_token_id"] = ends[0] if isinstance(ends, list) else ends
    (weights / GENERATION).write_text(json.dumps(generation, indent=2) + "\n")
    require_agreement(weights)


def require_agreement(model: Path) -> None:
    """Refuse a saved model whose configs do not stop at its tokenizer's EOS, or pad with another token.

    Raises:
        InvariantBroken: naming the file, its token and the tokenizer's.
    """
    from tokenizers import Tokenizer

    words = json_file(model / "tokenizer_config.json")
    tokens = {name: words.get(f"{name}_token") for name in ("eos", "pad")}
    texts = {name: token.get("content") if isinstance(token, dict) else token for name, token in tokens.items()}
    numbers = {
        name: Tokenizer.from_file(str(model / "tokenizer.json")).token_to_id(text)
        for name, text in texts.items()
        if text
    }
    for file in (CONFIG, GENERATION):
        content = json_file(model / file)
        content = content.get("text_config") or content
        for name, number in numbers.items():
            there = content.get(f"{name}_token_id")
            if number not in (there if isinstance(there, list) else [there]):
                raise InvariantBroken(
                    f"{model / file} has {name}_token_id {there}, the tokenizer's {texts[name]!r} is {number}",
                    "report it with the name of the model: this is a fault of zephyr",
                )
