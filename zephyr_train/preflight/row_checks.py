"""The rows as training would see them: columns, splits, and the tokens of a sample."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zephyr_core.errors import ZephyrError, first_line
from zephyr_core.faults import Fault
from zephyr_core.reading import json_file
from zephyr_train.errors import UNFIT, RowsUnfit
from zephyr_train.mixture import Mixture
from zephyr_train.models import LOAD, config_of
from zephyr_train.options import DPOOptions, StepOptions
from zephyr_train.preflight import machine
from zephyr_train.preflight.examination import Examination
from zephyr_train.preflight.prompt_overlap import overlap
from zephyr_train.reader import Source
from zephyr_train.tokenizing.token_rows import Limits
from zephyr_train.tokenizing.turn_spans import template_words

if TYPE_CHECKING:
    from zephyr_core.template import Chat
    from zephyr_train.planning.token_statistics import TokenStatistics

UNCHANGED = ("read_rows", "kept_rows")  # counts of unchanged rows
# Two names of the tokenizer class that needs only tokenizer.json, and models for which AutoTokenizer has no better one.
PLAIN_CLASSES = ("TokenizersBackend", "PreTrainedTokenizerFast")
PLAIN_TYPES = ("mistral", "llama")


def limits_of(options: StepOptions) -> Limits:
    """Return the limits that apply to a row."""
    if isinstance(options, DPOOptions):
        return Limits(options.max_length, options.max_prompt_length, options.on_overlong, on_faulty=options.on_faulty)
    return Limits(
        options.max_length, None, options.on_overlong, options.loss_on, options.packs, on_faulty=options.on_faulty
    )


def rows_fault(fault: ZephyrError) -> Fault:
    """Return the named fault of rows that cannot be trained on."""
    return Fault(fault.name if isinstance(fault, RowsUnfit) else UNFIT, str(fault), fault.hint or "")


def examine_rows(examination: Examination) -> "TokenStatistics | None":
    """Check the rows; return the token statistics of a sample, if there is a tokenizer."""
    source = examination.source
    if source is None:
        return None
    try:
        examination.rows = source.table("train").num_rows
        examination.mixture = source.parts() if isinstance(source, Mixture) else []
        repeated = overlap(source)
    except RowsUnfit as fault:
        examination.add(rows_fault(fault))
        return None
    examination.add(*filter(None, [repeated.fault]))
    examination.notes += filter(None, [repeated.note])
    for dataset in source.datasets:
        for reason, dropped in dataset.dropped.items():
            examination.notes.append(f"{dropped:,} rows of {dataset.name} cannot be trained on: {reason}")
        if not dataset.has_test:
            nothing = "nothing of it is evaluated" if source.has_test else "nothing is evaluated"
            examination.notes.append(f"{dataset.name} has no test split: {nothing}")
    if source.other_fields:
        listed = ", ".join(f"{name} of {count:,}" for name, count in source.other_fields.items())
        examination.notes.append(f"fields of messages that are not read: {listed} messages")
    examination.chat = _chat(examination)
    return None if examination.chat is None else _examine_tokens(examination, source, examination.chat)


def _chat(examination: Examination) -> "Chat | None":
    """Return the model's tokenizer with the template of the options; None, with a note or fault, if there is none."""
    from zephyr_core.template import Chat, chat_fault

    folder = examination.model.folder if examination.model else None
    if folder is None:
        examination.notes.append("the tokenizer is not here: tokens, template and lengths are not checked")
        return None
    if not examination.has_sound_files:
        return None
    try:
        tokenizer = tokenizer_of(folder)
        template = examination.request.options.template
        unfit = chat_fault(tokenizer, template)
        chat = None if unfit else Chat(tokenizer, template)
    except ImportError as fault:
        examination.lacking(machine.import_fault(fault))
        return None
    except BaseException as fault:  # whatever transformers raises for a damaged file; tokenizers panics, in Rust
        if not isinstance(fault, Exception) and type(fault).__module__ != "pyo3_runtime":
            raise
        message = f"{folder} has no tokenizer that can be loaded: {first_line(fault)}"
        examination.add(Fault("no-tokenizer", message, "copy the tokenizer's files next to the weights"))
        return None
    unfit = unfit or (_template_fault(chat, folder) if chat is not None else None)
    if unfit is not None:
        examination.add(unfit)
        return None
    if chat is not None and chat.day:
        examination.notes.append(
            f"the template writes the date of the day: training writes {chat.day}, whatever the day"
        )
    return chat


def _template_fault(chat: "Chat", folder: Path) -> Fault | None:
    """Return why a model's template cannot be used for any dialogue; one that refuses a row is reported with the row.

    Such a template nests or calls itself too deeply for Python, or fails in an operation.
    """
    from jinja2 import TemplateError

    dialogue = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    try:
        chat.render(dialogue[:1], generation=True)
        chat.render(dialogue, generation=False)
    except (TemplateError, ValueError):
        return None
    except (Exception, MemoryError) as fault:
        message = f"the chat template of {folder} fails: {type(fault).__name__}: {template_words(fault)}"
        return Fault("template-refuses", message, 'write `template = "zephyr"` under [sft] and [dpo] of the recipe')
    return None


def tokenizer_of(folder: Path) -> Any:
    """Return the tokenizer. AutoTokenizer imports torch, which takes over a second, so the easy case is handled here.

    Raises:
        ImportError: transformers is not installed, or the tokenizer needs another package.
        Exception: of any kind, if files are missing or damaged.
    """
    if _has_plain_tokenizer(folder):
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(folder, **LOAD)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, **LOAD)


def _has_plain_tokenizer(folder: Path) -> bool:
    """Return whether the folder names the plain class for a model that has no better one."""
    config = json_file(folder / "tokenizer_config.json")
    return (
        config.get("tokenizer_class") in PLAIN_CLASSES
        and "auto_map" not in config
        and config_of(folder).get("model_type") in PLAIN_TYPES
        and (folder / "tokenizer.json").is_file()
        and not (folder / "tekken.json").exists()  # Mistral's own format takes precedence
    )


def _examine_tokens(examination: Examination, source: Source, chat: "Chat") -> "TokenStatistics | None":
    """Add the faults of a sample of token rows, note what happened to its rows, and return its token statistics."""
    from zephyr_train.planning.token_statistics import lengths_of, token_statistics
    from zephyr_train.tokenizing.tokens import tokenized_sample

    options, limits = examination.request.options, limits_of(examination.request.options)
    sample = tokenized_sample(source, chat, limits)
    examination.add(*sample.faults)
    changes = [
        f"{count:,} {name.removesuffix('_rows').replace('_', ' ')}"
        for name, count in sample.counts.items()
        if name.endswith("_rows") and name not in UNCHANGED and count
    ]
    if changes:
        examination.notes.append(f"of {sample.counts['read_rows']:,} rows looked at: {', '.join(changes)}")
    if not sample.table.num_rows:
        return None
    return token_statistics(
        lengths_of(sample.table),
        examination.micro_batch_size,
        max_length=options.max_length,
        packing=limits.packed,
        whole_rows=examination.rows,
    )
