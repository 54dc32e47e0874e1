"""Everything that can be known before weights load: inputs, all faults, the plan. No weights, no TRL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zephyr_core.errors import DataError, OptionError, Unreachable, UsageError, WrongFolder
from zephyr_core.faults import Fault, Lack, OptionFault
from zephyr_core.hub import is_hub_id
from zephyr_train.asked import Asked
from zephyr_train.errors import ModelUnreachable
from zephyr_train.models import STUDENT, config_of
from zephyr_train.options import NEW, DPOOptions
from zephyr_train.pairs import layout
from zephyr_train.planning.plan import PUBLISHED, Rows, batch, make_plan, unit_of
from zephyr_train.planning.shape import Shape, shape_of
from zephyr_train.preflight import machine
from zephyr_train.preflight.examination import Examination
from zephyr_train.preflight.inputs import ROWS_OF, find_model, find_rows
from zephyr_train.preflight.output import examine_output
from zephyr_train.preflight.row_checks import examine_rows, rows_fault
from zephyr_train.preflight.settings import settings

if TYPE_CHECKING:
    from zephyr_train.planning.token_statistics import TokenStatistics


def examine(asked: Asked, *, dry: bool, writes_run: bool = True) -> Examination:
    """Return everything that can be known in advance.

    With `dry`, what this machine lacks and missing inputs that were not named are not faults: the plan may be for
    another machine.
    """
    found = Examination(asked, dry)
    found.settings, unusable = settings(asked.step, asked.options.set)
    found.faults += unusable
    _examine_machine(found)
    _find_inputs(found)
    _choose_layout(found)
    statistics = examine_rows(found)
    _make_plan(found, statistics)
    if writes_run:
        examine_output(found)
    return found


def _examine_machine(found: Examination) -> None:
    options = found.asked.options
    gpus = machine.gpus_here()
    found.cpu = not gpus and options.attention not in machine.FLASH
    faults = machine.machine_faults(options, gpus)
    found.lacking(*faults)
    if found.cpu and not faults:
        found.notes.append(f"no GPU here: {options.gpus} CPU process(es)")
    least = min((gpu.memory for gpu in gpus if gpu.memory), default=options.gpu_memory)
    if least < 0.9 * options.gpu_memory and not found.dry:
        found.notes.append(f"a GPU here has {least:.0f} GB, the plan's has {options.gpu_memory:g} (gpu_memory)")
    found.micro_batch_size = _micro_batch_size(found)


def _micro_batch_size(found: Examination) -> int:
    """Return the rows per GPU and forward pass: 1 if its packed rows would be joined into one, at quadratic cost."""
    options = found.asked.options
    flat = options.packs and options.attention in ("sdpa", "eager")
    if not flat or options.micro_batch_size == 1:
        return options.micro_batch_size
    found.notes.append(
        f"micro_batch_size is 1, not {options.micro_batch_size}: packed rows of one forward are laid end to end,"
        f" and the cost of {options.attention} grows with the square of that; the global batch stays the same"
    )
    return 1


def _find_inputs(found: Examination) -> None:
    asked = found.asked
    with _told(found, asked.options.data):
        found.source = find_rows(asked)
    with _told(found, asked.options.model or (asked.student.source if asked.step == "sft" else None)):
        found.model = find_model(asked, found.source, dry=found.dry)


def _choose_layout(found: Examination) -> None:
    """Choose the layout of pairs that attention, model and device allow."""
    options, model = found.asked.options, found.model
    if not isinstance(options, DPOOptions):
        return
    folder = model.folder if model is not None else None
    if folder is None and options.model is not None:
        found.notes.append(f"the layout of pairs is known once {options.model} is here")
        return
    config = config_of(folder) if folder else STUDENT
    if config.get("output_router_logits"):
        found.notes.append("the loss is Eq. (1) alone: the auxiliary loss of the model's router is not added")
    try:
        found.layout, reason = layout.choose(options, config, cpu=found.cpu)
    except OptionError as fault:
        found.add(OptionFault("share-prompt-option", str(fault), fault.hint or ""))
        return
    found.notes.append(layout.WORDS[found.layout] + (f": {reason}" if reason else ""))


@contextmanager
def _told(found: Examination, named: str | None) -> Iterator[None]:
    """Turn a missing input into a fault, or into a note if a dry run does not need it: unnamed, or on the Hub."""
    try:
        yield
    except Unreachable as fault:
        if found.dry and (named is None or is_hub_id(named)):
            found.notes.append(f"not checked: {fault}; {fault.hint}")
        else:
            found.add(Lack("missing-input", str(fault), fault.hint or ""))
    except DataError as fault:
        found.add(rows_fault(fault))
    except WrongFolder as fault:
        found.add(OptionFault("wrong-folder", str(fault), fault.hint or ""))
    except UsageError as fault:
        found.add(Fault("unfit-student", str(fault), fault.hint or ""))
    except ImportError as fault:
        found.lacking(machine.import_fault(fault))


def _check_targets(found: Examination, shape: Shape) -> None:
    options = found.asked.options
    unknown = [name for name in options.lora_targets if name not in shape.projections] if options.lora else []
    if unknown and shape.projections:
        message = (
            f"lora_targets includes {', '.join(unknown)}; the model's projections are {', '.join(shape.projections)}"
        )
        found.add(OptionFault("lora-targets-option", message, "give projections of the model"))


def _make_plan(found: Examination, statistics: "TokenStatistics | None") -> None:
    options = found.asked.options
    try:
        batch(options.global_batch_size, found.micro_batch_size, options.gpus)
    except OptionError as fault:
        found.add(OptionFault("batch-does-not-divide", str(fault), fault.hint or ""))
        return
    shape = _shape(found)
    if shape is not None:
        _check_targets(found, shape)
        found.plan = make_plan(
            options,
            shape,
            model=found.model.name if found.model else options.model or "unknown",
            rows=_rows(found, statistics),
            tokens=statistics,
            micro_batch_size=found.micro_batch_size,
        )


def _shape(found: Examination) -> Shape | None:
    """Return the model's sizes; if it is not here, use those of the recipe's student and add a note."""
    options, student, model = found.asked.options, found.asked.student, found.model
    folder = model.folder if model else None
    try:
        return shape_of(folder or options.model, student)
    except (ModelUnreachable, WrongFolder) as fault:
        if folder is not None and model is not None and model.commit is None:
            found.add(Fault("broken-model", str(fault), fault.hint or ""))
            return None
        found.notes.append(f"the plan assumes the sizes of the recipe's student: {fault}")
        return shape_of(NEW, student)


def _rows(found: Examination, statistics: "TokenStatistics | None") -> Rows | None:
    """Return the rows of an epoch, as far as they are known before all rows are tokenized."""
    options, source = found.asked.options, found.source
    unit = unit_of(options)
    if found.rows is None or source is None:
        if _is_as_published(found.asked):
            return None
        return Rows(None, unit, "counted once the data are here", known=False)
    if options.packs:
        packed = statistics.packed_rows if statistics else None
        return Rows(packed, unit, f"{source.name}, by a sample" if packed else source.name, known=False)
    return Rows(found.rows, unit, source.name)


def _is_as_published(asked: Asked) -> bool:
    """Return whether data that is not here would be about the size of the published set."""
    raw, made = PUBLISHED[asked.step]
    if asked.options.data is not None:
        return asked.options.data == made
    named = [content.get(ROWS_OF[asked.step], {}).get("sources") for _, content in asked.recipe.layers]
    return [sources for sources in named if sources is not None][-1:] in ([], [[raw]])
