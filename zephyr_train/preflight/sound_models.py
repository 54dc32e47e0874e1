"""Models that were found sound, by everything the verdict depends on: building one again would take seconds.

Only a verdict without a fault and without a note is kept, in `models/` of the cache folder.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from zephyr_core import paths, this_code
from zephyr_core.keys import json_key
from zephyr_core.manifest import file_digest, write_text_whole
from zephyr_train.preflight.examination import Examination
from zephyr_train.safetensor_headers import shapes

if TYPE_CHECKING:
    from zephyr_core.template import Chat

_CODE = (
    "zephyr_train/meta_model.py",
    "zephyr_train/preflight/model_checks.py",
    "zephyr_train/preflight/sound_models.py",
)
_FILES = ("config.json", "generation_config.json")
_PACKAGES = ("torch", "transformers", "safetensors", "kernels", "flash-attn", "causal-conv1d", "mamba-ssm")


def key_of(examination: Examination, folder: Path) -> str:
    """Return the hex sha256 of what the verdict on a model depends on.

    Raises:
        ModelUnreachable: a weight file is missing.
        DataError: a weight file is damaged.
    """
    options = examination.request.options
    files = {name: file_digest(folder / name) for name in _FILES if (folder / name).is_file()}
    choices = [
        examination.request.step,
        options.attention,
        options.max_length,
        sorted(map(str, examination.settings.items())),
    ]
    versions = this_code.installed(*_PACKAGES)
    return json_key([files, shapes(folder), choices, _tokens(examination.chat), versions, this_code.digest_of(_CODE)])


def projections_of(key: str) -> tuple[str, ...] | None:
    """Return the projections of a model that was found sound; None if it was not, or not yet."""
    with suppress(OSError, ValueError, AttributeError):
        names = json.loads(_file(key).read_text(encoding="utf-8")).get(key)
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None


def keep(key: str, projections: tuple[str, ...]) -> None:
    """Keep that a model is sound, unless the cache folder cannot be written."""
    content: Mapping[str, object] = {key: list(projections)}
    with suppress(OSError):
        _file(key).parent.mkdir(parents=True, exist_ok=True)
        write_text_whole(_file(key), json.dumps(content))


def _file(key: str) -> Path:
    return paths.cache_directory() / "models" / f"{key[:32]}.json"


def _tokens(chat: "Chat | None") -> list[object]:
    """Return what the verdict takes from a tokenizer: the numbers of the tokens that rows can hold."""
    return [] if chat is None else [chat.tokenizer_digest, chat.digest, str(chat.tokenizer.pad_token)]
