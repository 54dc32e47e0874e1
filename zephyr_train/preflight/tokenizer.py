"""A model folder's tokenizer, as AutoTokenizer would return it; without torch if the folder settles its class."""

from pathlib import Path
from typing import Any

from zephyr_core.reading import json_file
from zephyr_train.models import config_of

PLAIN = ("TokenizersBackend", "PreTrainedTokenizerFast")  # two names of the class that needs only tokenizer.json
TYPES = ("mistral", "llama")  # models whose own class AutoTokenizer does not prefer to a plain one


def tokenizer_of(folder: Path) -> Any:
    """Return the tokenizer. AutoTokenizer imports torch, which takes over a second, so the easy case is handled here.

    Raises:
        ImportError: transformers is not installed, or the tokenizer needs another package.
        Exception: of any kind, if files are missing or damaged.
    """
    if _is_plain(folder):
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(folder)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def _is_plain(folder: Path) -> bool:
    """Return whether the folder names the plain class for a model that has no better one."""
    config = json_file(folder / "tokenizer_config.json")
    return (
        config.get("tokenizer_class") in PLAIN
        and "auto_map" not in config
        and config_of(folder).get("model_type") in TYPES
        and (folder / "tokenizer.json").is_file()
        and not (folder / "tekken.json").exists()  # Mistral's own format takes precedence
    )
