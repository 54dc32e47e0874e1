"""A step's model and rows: as named, or the output of the step before. A missing one is reported with its command."""

import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path

from zephyr_core import hub, manifest, paths
from zephyr_core.amounts import Wanted
from zephyr_train import models
from zephyr_train.errors import ModelUnreachable
from zephyr_train.models import Model
from zephyr_train.options import NEW
from zephyr_train.planning.model_shape import states_sizes
from zephyr_train.reader import Source, open_data
from zephyr_train.request import TrainRequest

KINDS = {"sft": "dialogues", "dpo": "pairs"}
ROWS_OF = {"sft": "clean-ultrachat", "dpo": "binarize"}


def dataset_names(request: TrainRequest, wanted: Iterable[Wanted]) -> list[str | None]:
    """Return the names of the datasets that are wanted, None for the output of the step before.

    That is wanted if none is named, or by its step's name if there is nothing of that name here.
    """
    own = ROWS_OF[request.step]
    is_here = paths.expanded(own).exists()
    return [None if one.name == own and not is_here else one.name for one in wanted] or [None]


def find_rows(request: TrainRequest, named: str | None) -> Source:
    """Return the rows of a dataset as named, or of the step before, found but not read.

    Raises:
        Unreachable: they are missing.
        RowsUnfit: they are not what this step trains on.
    """
    if named is None:
        named = str(models.step_before(request.recipe, ROWS_OF[request.step], "dataset"))
    return open_data(named, KINDS[request.step], request.options.revision)


def find_model(request: TrainRequest, source: Source | None, *, dry: bool) -> Model:
    """Return the starting model. A dry run uses what is here; a real run fetches or builds the model if needed.

    Raises:
        Unreachable: it is missing and cannot be fetched or built.
    """
    name = request.options.model
    if name is None and request.step == "dpo":
        place = paths.run_directory(request.recipe.name, "sft")
        if dry and not manifest.is_whole(place):
            return Model(f"what `zephyr train sft --recipe {request.recipe.typed}` makes", None)
        return _required(str(models.step_before(request.recipe, "sft", "model")))
    name = name or request.student.source
    if name == NEW:
        return _new_student(request, source, dry=dry)
    local = models.local_model(name)
    if local is not None:
        return local
    if not hub.is_hub_id(name):
        raise ModelUnreachable(f"{name}: not a folder, and not a model id on the Hub", "see --model")
    revision = request.student.revision if name == request.student.source else "main"
    if not dry:
        return models.hub_model(name, revision)
    is_needed = name != request.student.source or not states_sizes(request.student)
    models.config_folder(name, revision, is_fetched=is_needed)
    return models.cached_model(name, revision)


def _required(name: str) -> Model:
    local = models.local_model(name)
    assert local is not None
    return local


def _new_student(request: TrainRequest, source: Source | None, *, dry: bool) -> Model:
    """Return the student, built from the rows' texts; a dry run's has no weights and is removed when zephyr exits."""
    from zephyr_train.student import build_for_plan, student, texts_of

    folder = paths.run_directory(request.recipe.name, "student")
    if source is None:
        return Model("a new student", None)
    if dry and not manifest.is_whole(folder):
        planned = Path(_temporary().name) / source.digest[:16]
        build_for_plan(request.student, texts_of(source), planned)
        return Model("a new student", planned)
    return Model("a new student", student(request.student, lambda: texts_of(source), folder).resolve())


@functools.cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="zephyr-")
