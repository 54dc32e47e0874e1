"""Models that were found sound, by everything the verdict depends on: building one again would take seconds.

Only a verdict without a fault is kept, in `models/` of the cache folder, with what else preflight asks about a model.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from zephyr_core import paths, this_code
from zephyr_core.keys import json_key
from zephyr_core.manifest import file_digest, write_text_whole
from zephyr_core.reading import json_file
from zephyr_core.shape import misfit
from zephyr_train.safetensor_headers import shapes

_CODE = (
    "zephyr_train/meta_model.py",
    "zephyr_train/preflight/model_checks.py",
    "zephyr_train/preflight/sound_models.py",
)
_FILES = ("config.json", "generation_config.json")
_PACKAGES = ("torch", "transformers", "safetensors", "kernels", "flash-attn", "causal-conv1d", "mamba-ssm")


@dataclass(frozen=True)
class ModelFacts:
    """What a model is like: last names of its linear layers, numbers of embeddings and positions, and its routers."""

    projections: tuple[str, ...]
    embeddings: int
    positions: int | None
    is_rotary: bool
    has_routers: bool
    router_weight: float | None


def key_of(folder: Path, attention: str) -> str:
    """Return the hex sha256 of what the verdict on a model depends on.

    Raises:
        ModelUnreachable: a weight file is missing.
        DataError: a weight file is damaged.
    """
    files = {name: file_digest(folder / name) for name in _FILES if (folder / name).is_file()}
    versions = this_code.installed(*_PACKAGES)
    return json_key([files, shapes(folder), attention, versions, this_code.digest_of(_CODE)])


def facts_of(key: str) -> ModelFacts | None:
    """Return what a model that was found sound is like; None if none was, or not yet."""
    content = json_file(_file(key)).get(key)
    if content is None or misfit(content, ModelFacts):
        return None
    facts = ModelFacts(**{field.name: content[field.name] for field in fields(ModelFacts)})
    return replace(facts, projections=tuple(facts.projections))


def keep(key: str, facts: ModelFacts) -> None:
    """Keep that a model is sound, unless the cache folder cannot be written."""
    content: Mapping[str, object] = {key: asdict(facts)}
    with suppress(OSError):
        _file(key).parent.mkdir(parents=True, exist_ok=True)
        write_text_whole(_file(key), json.dumps(content))


def _file(key: str) -> Path:
    return paths.cache_directory() / "models" / f"{key[:32]}.json"
