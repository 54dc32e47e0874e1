"""`zephyr train student`: a byte-level tokenizer learned from dialogues, and a Mistral with random weights."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from zephyr_core import keys, kinds, manifest, paths, recipe, this_code
from zephyr_core.console import say
from zephyr_core.errors import DataError, OptionError, UsageError
from zephyr_core.folder import build_once, damage, discard, lock
from zephyr_core.reading import json_file
from zephyr_core.records import StudentManifest
from zephyr_train.errors import ForeignRun, RowsUnfit
from zephyr_train.mixture import open_rows
from zephyr_train.models import sizes_of, step_before
from zephyr_train.options import NEW, StudentOptions
from zephyr_train.planning.model_shape import shape_of
from zephyr_train.reader import Source

SPECIALS = ("<unk>", "<s>", "</s>")
BYTES = 256  # tokens in a byte-level vocabulary before training
LEAST = len(SPECIALS) + BYTES
REBUILD = "give another folder, or rebuild it: `zephyr train student --fresh`"
NOT_BUILT_FROM = ("source", "revision")


def answer(parameters: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return what `zephyr train student` shows, JSON-ready and as text: the student, or with `dry_run` the plan.

    Raises:
        UsageError: the recipe begins with another model.
        ForeignRun: the folder holds a student built differently, or something else, and `fresh` is not set.
    """
    loaded = parameters["recipe"]
    options = recipe.resolve("student", StudentOptions, loaded).options
    if options.source != NEW:
        raise UsageError(
            f"the recipe {loaded.name} begins with {options.source}: it builds no student",
            f'`[student] source = "{NEW}"` in a recipe asks for one',
        )
    folder = Path(parameters["out"] or paths.run_directory(loaded.name, "student")).absolute()
    if parameters["dry_run"]:
        return _plan(options, folder)
    rows = open_rows(parameters["data"] or [str(step_before(loaded, "clean-ultrachat", "dataset"))], "dialogues")
    content, outcome = _ensure(options, texts_of(rows), folder, fresh=parameters["fresh"])
    text = f"{folder}: {outcome}: {content['vocabulary']:,} tokens, learned from {content['texts']['rows']:,} texts"
    return {"folder": str(folder), **content}, text


def _plan(options: StudentOptions, folder: Path) -> tuple[dict[str, Any], str]:
    _check_vocabulary(options)
    _refuse_foreign(folder)
    whole, parameters = damage(folder, hashed=False) is None, shape_of(NEW, options).parameters
    lines = [
        f"a Mistral of {parameters:,} random weights: {options.layers} layers of {options.hidden_size}",
        f"a tokenizer of at most {options.vocabulary:,} tokens, learned from the dialogues",
        f"{folder}: {'there already' if whole else 'to be written'}, {4 * parameters / 2**20:,.1f} MiB",
    ]
    return {"folder": str(folder), "whole": whole, "parameters": parameters}, "\n".join(lines)


def _ensure(options: StudentOptions, texts: Iterable[str], folder: Path, *, fresh: bool) -> tuple[StudentManifest, str]:
    """Return the manifest of the student of these options and texts, and whether it was built or found."""
    distinct = sorted(set(texts))
    with _alone(folder):
        _refuse_foreign(folder, fresh=fresh)
        if fresh:
            discard(folder)
        if manifest.is_whole(folder):
            _check_made_of(options, folder)
            content = manifest.read_as(folder, StudentManifest)
            if content["texts"]["digest"] != _digest(distinct):
                raise ForeignRun(f"the student in {folder} was built from other dialogues", REBUILD)
            if damage(folder) is None:
                return content, "nothing to do: it is whole, from the same dialogues and options"
        build(options, distinct, folder)
        return manifest.read_as(folder, StudentManifest), "built"


def student(options: StudentOptions, texts_of: Callable[[], Iterable[str]], folder: Path) -> Path:
    """Return the folder of the new student, building it if absent; `texts_of` is called only then.

    Raises:
        ForeignRun: the folder holds a student with other options, or something else.
        NoSpace: it cannot be written.
    """
    _refuse_foreign(folder)
    if manifest.is_whole(folder):
        _check_made_of(options, folder)
        return folder
    with _alone(folder):
        if not manifest.is_whole(folder):
            build(options, texts_of(), folder)
    return folder


def build(options: StudentOptions, texts: Iterable[str], folder: Path) -> None:
    """Write tokenizer, model, config and manifest; `folder` is whole or absent.

    The same options and set of texts give byte-equal weights and tokenizer, whatever the order of the texts.

    Raises:
        OptionError: the vocabulary is too small to hold every byte.
        NoSpace: the folder cannot be written.
    """
    _check_vocabulary(options)
    say(f"building a student with {options.layers} layers of {options.hidden_size} in {folder}")
    distinct = sorted(set(texts))

    def write(partial: Path) -> None:
        tokenizer = new_tokenizer(distinct, options.vocabulary, options.positions)
        tokenizer.save_pretrained(partial)
        _save(new_model(options, tokenizer), partial)
        manifest.write(partial, _record(options, distinct, len(tokenizer)))

    build_once(folder, write)


def new_tokenizer(texts: list[str], vocabulary: int, positions: int) -> Any:
    """Return a tokenizer of at most `vocabulary` tokens; like Mistral's, it adds `<s>` to plain text and has no pad."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    names = dict(zip(("unk_token", "bos_token", "eos_token"), SPECIALS, strict=True))
    inner = Tokenizer(models.BPE(unk_token=SPECIALS[0]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", inner.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=positions, **names)


def build_for_plan(options: StudentOptions, texts: Iterable[str], folder: Path) -> None:
    """Write a student without its weights: the same tokenizer and sizes, for a plan. No torch."""
    tokenizer = new_tokenizer(sorted(set(texts)), options.vocabulary, options.positions)
    tokenizer.save_pretrained(folder)
    content = {"model_type": "mistral", **_sizes(options, tokenizer)}
    (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def new_model(options: StudentOptions, tokenizer: Any) -> Any:
    """Return a Mistral with the options' sizes and random fp32 weights, seeded with `options.seed`."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(**_sizes(options, tokenizer), dtype="float32", architectures=["MistralForCausalLM"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return MistralForCausalLM(config).float()


def _sizes(options: StudentOptions, tokenizer: Any) -> dict[str, Any]:
    """Return the student's entries in a Mistral config."""
    return {
        **sizes_of(options),
        "vocab_size": len(tokenizer),
        "head_dim": options.hidden_size // options.heads,
        "max_position_embeddings": options.positions,
        "sliding_window": options.sliding_window,
        "initializer_range": options.hidden_size**-0.5,  # 0.02 would hold a small model back
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": None,
    }


def _save(model: Any, folder: Path) -> None:
    """Write weights and configs; the model's own `save_pretrained` imports DeepSpeed, which prints on stdout."""
    from safetensors.torch import save_file

    tied = model._tied_weights_keys if model.config.tie_word_embeddings else ()
    weights = {name: tensor for name, tensor in model.state_dict().items() if name not in tied}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)


def _made_of(options: StudentOptions) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(options).items() if name not in NOT_BUILT_FROM}


def texts_of(rows: Source) -> Iterator[str]:
    """Yield what a tokenizer is learned from: every message of the train split.

    Raises:
        RowsUnfit: the rows are not dialogues.
    """
    if rows.kind != "dialogues":
        raise RowsUnfit("a new student is built from dialogues", "begin with `zephyr train sft`")
    for messages in rows.table("train")["messages"]:
        for message in messages.as_py():
            yield message["content"]


def _digest(texts: list[str]) -> str:
    return keys.rows_digest(bytes.fromhex(keys.text_key(text)) for text in texts)


def _record(options: StudentOptions, texts: list[str], tokens: int) -> dict[str, object]:
    return {
        "kind": "student",
        "options": {"values": _made_of(options)},
        "texts": {"rows": len(texts), "digest": _digest(texts)},
        "vocabulary": tokens,
        "versions": this_code.versions("tokenizers", "transformers", "torch"),
    }


def _alone(folder: Path) -> AbstractContextManager[int]:
    waiting = f"another command is building the student in {folder}: waiting for it"
    return lock(folder.with_name(f".{folder.name}.lock"), patience=math.inf, on_wait=lambda: say(waiting))


def _refuse_foreign(folder: Path, *, fresh: bool = False) -> None:
    if manifest.is_whole(folder) and not json_file(folder / manifest.NAME):
        if fresh and (folder / "config.json").is_file():
            return
        raise DataError(f"{folder / manifest.NAME} is damaged", REBUILD)
    if folder.exists() and not folder.is_dir():
        raise ForeignRun(f"{folder} is a file", "give another folder or move it away")
    if folder.is_dir() and any(folder.iterdir()) and kinds.kind_of(folder) != "student":
        raise ForeignRun(f"{folder} is {kinds.describe(folder)}, not a student", "give another folder or remove it")


def _check_vocabulary(options: StudentOptions) -> None:
    if options.vocabulary < LEAST:
        raise OptionError(
            f"vocabulary is {options.vocabulary}: {BYTES} bytes and {len(SPECIALS)} special tokens need {LEAST}",
            f"set student.vocabulary to {LEAST} or more",
        )


def _check_made_of(options: StudentOptions, folder: Path) -> None:
    before = manifest.read_as(folder, StudentManifest)["options"]["values"]
    changed = [
        f"{name} {before.get(name)} → {value}" for name, value in _made_of(options).items() if before.get(name) != value
    ]
    if changed:
        raise ForeignRun(f"the student in {folder} was built with other options: {', '.join(changed)}", REBUILD)
