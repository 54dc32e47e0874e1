"""A step's model and rows: as named, or what the step before made. What is missing is told with what makes it."""

import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path

from zephyr_core import hub, manifest, paths
from zephyr_train import models
from zephyr_train.asked import Asked
from zephyr_train.errors import ModelUnreachable, RowsUnfit
from zephyr_train.models import Model
from zephyr_train.reader import Source, open_data

KINDS = {"sft": "dialogues", "dpo": "pairs"}
ROWS_OF = {"sft": "clean-ultrachat", "dpo": "binarize"}


def find_rows(asked: Asked) -> Source:
    """Return the rows to train on, found and not read.

    Raises:
        Unreachable: they are not there.
        RowsUnfit: they are not what this step trains on.
    """
    named = asked.options.data
    if named is None:
        named = str(models.step_before(asked.recipe, ROWS_OF[asked.step], "dataset"))
    return open_data(named, KINDS[asked.step], asked.options.revision)


def find_model(asked: Asked, source: Source | None, *, dry: bool) -> Model:
    """Return the model to begin with. A plan takes it as far as it is here; else it is fetched or built.

    Raises:
        Unreachable: it is not there, and cannot be fetched or built.
    """
    name = asked.options.model
    if name is None and asked.step == "dpo":
        place = paths.run_directory(asked.recipe.name, "sft")
        if dry and not manifest.is_whole(place):
            return Model(f"what `zephyr train sft --recipe {asked.recipe.typed}` makes", None)
        return _required(str(models.step_before(asked.recipe, "sft", "model")))
    name = name or asked.student.source
    if name == "new":
        return _built(asked, source, dry=dry)
    found = models.local_model(name)
    if found is not None:
        return found
    if not hub.is_hub_id(name):
        raise ModelUnreachable(f"{name}: not a folder, and not a model id on the Hub", "see --model")
    revision = asked.student.revision if name == asked.student.source else "main"
    return models.cached_model(name, revision) if dry else models.hub_model(name, revision)


def _required(name: str) -> Model:
    found = models.local_model(name)
    assert found is not None
    return found


def _built(asked: Asked, source: Source | None, *, dry: bool) -> Model:
    """Return the student, built of the rows' texts; a plan's has no weights, and goes with the process."""
    from zephyr_train.student import build_for_plan, student

    folder = paths.run_directory(asked.recipe.name, "student")
    if source is None:
        return Model("a new student", None)
    if dry and not manifest.is_whole(folder):
        planned = Path(_temporary().name) / source.digest[:16]
        build_for_plan(asked.student, _texts(source), planned)
        return Model("a new student", planned)
    return Model("a new student", student(asked.student, lambda: _texts(source), folder).resolve())


def _texts(source: Source) -> Iterable[str]:
    if source.kind != "dialogues":
        raise RowsUnfit("a new student is built from dialogues", "begin with `zephyr train sft`")
    for messages in source.table("train")["messages"]:
        for message in messages.as_py():
            yield message["content"]


@functools.cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="zephyr-")
