"""A step's model and rows: as named, or the output of the step before. A missing one is reported with its command."""

import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path

from zephyr_core import hub, manifest, paths
from zephyr_train import models
from zephyr_train.errors import ModelUnreachable, RowsUnfit
from zephyr_train.models import Model
from zephyr_train.reader import Source, open_data
from zephyr_train.request import Request

KINDS = {"sft": "dialogues", "dpo": "pairs"}
ROWS_OF = {"sft": "clean-ultrachat", "dpo": "binarize"}


def find_rows(asked: Request) -> Source:
    """Return the rows to train on, found but not read.

    Raises:
        Unreachable: they are missing.
        RowsUnfit: they are not what this step trains on.
    """
    named = asked.options.data
    if named is None:
        named = str(models.step_before(asked.recipe, ROWS_OF[asked.step], "dataset"))
    return open_data(named, KINDS[asked.step], asked.options.revision)


def find_model(asked: Request, source: Source | None, *, dry: bool) -> Model:
    """Return the starting model. A dry run uses what is here; a real run fetches or builds the model if needed.

    Raises:
        Unreachable: it is missing and cannot be fetched or built.
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


def _built(asked: Request, source: Source | None, *, dry: bool) -> Model:
    """Return the student, built from the rows' texts; a dry run's has no weights and is removed when zephyr exits."""
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
