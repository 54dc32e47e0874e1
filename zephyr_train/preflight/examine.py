"""Everything that can be known before weights load: inputs, all faults, the plan. No weights, no TRL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zephyr_core import amounts
from zephyr_core.amounts import Wanted
from zephyr_core.errors import DataError, OptionError, Unreachable, UsageError, WrongFolder
from zephyr_core.faults import Fault, Lack, OptionFault
from zephyr_core.hub import is_hub_id
from zephyr_train.errors import ModelUnreachable, RowsUnfit
from zephyr_train.mixture import mixed
from zephyr_train.models import BROKEN, STUDENT, config_faults, config_of, weight_faults
from zephyr_train.options import LORA_RATE, DPOOptions
from zephyr_train.pairs import layout
from zephyr_train.planning.model_shape import Shape, shape_of
from zephyr_train.planning.plan import PUBLISHED, Rows, batch, make_plan, unit_of
from zephyr_train.preflight import machine
from zephyr_train.preflight.examination import Examination
from zephyr_train.preflight.inputs import ROWS_OF, dataset_names, find_model, find_rows
from zephyr_train.preflight.memory_check import host_note, memory_lacks
from zephyr_train.preflight.model_checks import examine_whole_model
from zephyr_train.preflight.output_folder import examine_disk, examine_output
from zephyr_train.preflight.row_checks import examine_rows, rows_fault
from zephyr_train.preflight.settings import changes, optimizer_faults, settings
from zephyr_train.preflight.step_checks import step_fault, step_note
from zephyr_train.reader import Source
from zephyr_train.request import TrainRequest
from zephyr_train.training.weights import damage_faults

MIXTURE = "mixture-option"

if TYPE_CHECKING:
    from zephyr_train.planning.token_statistics import TokenStatistics


def examine(request: TrainRequest, *, dry: bool, writes_run: bool = True, with_inputs: bool = True) -> Examination:
    """Return everything that can be known in advance; without inputs, what options and machine say before these exist.

    With `dry`, what this machine lacks and missing inputs that were not named are not faults: the plan may be for
    another machine.
    """
    examination = Examination(request, dry)
    examination.settings, unusable = settings(request.step, request.options.set)
    examination.faults += [*unusable, *optimizer_faults(request.step, request.options.optimizer)]
    examination.notes += changes(request.step, examination.settings)
    _note_rate(examination)
    _read_amounts(examination)
    _examine_machine(examination)
    statistics = _examine_inputs(examination) if with_inputs else None
    _make_plan(examination, statistics)
    examine_whole_model(examination)
    _check_targets(examination)
    if writes_run and with_inputs:
        examine_output(examination)
    if not with_inputs:
        examine_disk(examination)
        examination.faults = [fault for fault in examination.faults if isinstance(fault, OptionFault | Lack)]
    return examination


def _examine_inputs(examination: Examination) -> "TokenStatistics | None":
    """Find and check model and rows; return what a sample of the rows says."""
    _find_inputs(examination)
    _examine_model(examination)
    _choose_layout(examination)
    return examine_rows(examination)


def _note_rate(examination: Examination) -> None:
    """Note a learning rate that nobody gave and that is not the paper's."""
    request = examination.request
    if request.resolved.origins["learning_rate"] == LORA_RATE:
        paper = type(request.options).learning_rate
        examination.notes.append(
            f"the peak rate is {request.options.learning_rate:g}, as in the public LoRA recipes, since nobody said"
            f" otherwise; full fine-tuning has {paper:g}"
        )


def _read_amounts(examination: Examination) -> None:
    """Read which datasets are named and how much of each is wanted; none are left if they do not fit together."""
    options = examination.request.options
    try:
        examination.wanted = amounts.read_all(options.data)
        on_hub = [one.name for one in examination.wanted if is_hub_id(one.name)]
        if len(on_hub) > 1 and options.revision != type(options).revision:
            several = f"revision {options.revision} cannot be of all of {', '.join(on_hub)}"
            raise OptionError(several, "fetch a dataset at another revision to a folder, and give that")
    except OptionError as fault:
        examination.wanted = None
        examination.add(OptionFault(MIXTURE, str(fault), fault.hint or ""))


def _examine_machine(examination: Examination) -> None:
    options = examination.request.options
    gpus = machine.gpus_here()
    examination.cpu = not gpus and options.attention not in machine.FLASH
    faults = machine.machine_faults(options, gpus, examination.settings)
    examination.lacking(*faults)
    if examination.cpu and not faults:
        examination.notes.append(f"no GPU here: {options.gpus} CPU process(es)")
    least = min((gpu.memory for gpu in gpus if gpu.memory), default=options.gpu_memory)
    if least < 0.9 * options.gpu_memory and not examination.dry:
        examination.notes.append(f"a GPU here has {least:.0f} GB, the plan's has {options.gpu_memory:g} (gpu_memory)")
    examination.micro_batch_size = _micro_batch_size(examination)


def _micro_batch_size(examination: Examination) -> int:
    """Return the rows per GPU and forward pass: 1 if its packed rows would be joined into one, at quadratic cost."""
    options = examination.request.options
    flat = options.packs and options.attention in ("sdpa", "eager")
    if not flat or options.micro_batch_size == 1:
        return options.micro_batch_size
    examination.notes.append(
        f"micro_batch_size is 1, not {options.micro_batch_size}: packed rows of one forward are laid end to end,"
        f" and the cost of {options.attention} grows with the square of that; the global batch stays the same"
    )
    return 1


def _find_inputs(examination: Examination) -> None:
    request = examination.request
    examination.source = _find_rows(examination)
    model = request.options.model or (request.student.source if request.step == "sft" else None)
    with _input_faults(examination, model, broken=BROKEN):
        examination.model = find_model(request, examination.source, dry=examination.dry)


def _find_rows(examination: Examination) -> Source | None:
    """Return the rows, found but not read; None, with the faults of every dataset that cannot be had."""
    if examination.wanted is None:
        return None
    datasets: list[Source] = []
    names = dataset_names(examination.request, examination.wanted)
    for name in names:
        with _input_faults(examination, name):
            datasets.append(find_rows(examination.request, name))
    if len(datasets) < len(names):
        return None
    try:
        return mixed(datasets, examination.wanted or (Wanted(datasets[0].name),))
    except OptionError as fault:
        examination.add(OptionFault(MIXTURE, str(fault), fault.hint or ""))
        return None


def _examine_model(examination: Examination) -> None:
    """Check the model's files before anything loads them: damage, code of others, other formats."""
    folder = examination.model.folder if examination.model else None
    if folder is None:
        return
    dry = examination.dry
    of_configs, damage = [*config_faults(folder)], [*damage_faults(folder, dry=dry)]
    examination.has_sound_files = not (of_configs or damage)
    examination.add(*(damage or [*of_configs, *weight_faults(folder, needed=not dry)]))


def _choose_layout(examination: Examination) -> None:
    """Choose the layout of pairs that attention, model and device allow."""
    options, model = examination.request.options, examination.model
    if not isinstance(options, DPOOptions):
        return
    folder = model.folder if model is not None else None
    if folder is None and options.model is not None:
        examination.notes.append(f"the layout of pairs is known once {options.model} is here")
        return
    config = config_of(folder) if folder else STUDENT
    if config.get("output_router_logits"):
        examination.notes.append("the loss is Eq. (1) alone: the auxiliary loss of the model's router is not added")
    try:
        examination.layout, reason = layout.choose(options, config, cpu=examination.cpu)
    except OptionError as fault:
        examination.add(OptionFault("share-prompt-option", str(fault), fault.hint or ""))
        return
    examination.notes.append(layout.WORDS[examination.layout] + (f": {reason}" if reason else ""))


@contextmanager
def _input_faults(examination: Examination, name: str | None, broken: str | None = None) -> Iterator[None]:
    """Turn a missing input into a fault, or into a note if a dry run does not need it: unnamed, or on the Hub.

    `broken` names the fault of damaged files; None: that of rows.
    """
    try:
        yield
    except Unreachable as fault:
        if examination.dry and (name is None or is_hub_id(name)):
            examination.notes.append(f"not checked: {fault}; {fault.hint}")
        else:
            examination.add(Lack("missing-input", str(fault), fault.hint or ""))
    except DataError as fault:
        is_of_rows = broken is None or isinstance(fault, RowsUnfit)
        examination.add(rows_fault(fault) if is_of_rows else Fault(str(broken), str(fault), fault.hint or ""))
    except WrongFolder as fault:
        examination.add(OptionFault("wrong-folder", str(fault), fault.hint or ""))
    except UsageError as fault:
        examination.add(Fault("unfit-student", str(fault), fault.hint or ""))
    except ImportError as fault:
        examination.lacking(machine.import_fault(fault))


def _check_targets(examination: Examination) -> None:
    """Add the fault of adapters on projections that the model does not have."""
    options, plan = examination.request.options, examination.plan
    there = examination.projections or tuple(plan.shape.projections if plan and plan.shape else ())
    unknown = [name for name in options.lora_targets if name not in there] if options.lora else []
    if unknown and there:
        message = f"lora_targets includes {', '.join(unknown)}; the model's projections are {', '.join(there)}"
        examination.add(OptionFault("lora-targets-option", message, "give projections of the model"))


def _make_plan(examination: Examination, statistics: "TokenStatistics | None") -> None:
    options = examination.request.options
    try:
        batch(options.global_batch_size, examination.micro_batch_size, options.gpus)
    except OptionError as fault:
        examination.add(OptionFault("batch-does-not-divide", str(fault), fault.hint or ""))
        return
    if any(fault.name == BROKEN for fault in examination.faults):
        return
    plan = make_plan(
        options,
        _shape(examination),
        model=examination.model.name if examination.model else options.model or "unknown",
        rows=_rows(examination, statistics),
        tokens=statistics,
        micro_batch_size=examination.micro_batch_size,
    )
    if any(fault.name == BROKEN for fault in examination.faults):  # its sizes
        return
    examination.plan = plan
    if not examination.dry and not examination.cpu:
        here = machine.host_memory()
        examination.lacking(*memory_lacks(plan, options, here))
        examination.notes += filter(None, [host_note(plan, here)])
    examination.add(*filter(None, [step_fault(plan, options)]))
    examination.notes += filter(None, [step_note(plan)] if examination.dry else [])


def _shape(examination: Examination) -> Shape | None:
    """Return the model's sizes; None, with a fault or a note, if they cannot be read."""
    options, student, model = examination.request.options, examination.request.student, examination.model
    folder = model.folder if model else None
    try:
        return shape_of(folder or options.model, student)
    except DataError as fault:
        examination.add(Fault(BROKEN, str(fault), fault.hint or ""))
    except (ModelUnreachable, WrongFolder) as fault:
        if folder is not None and model is not None and model.commit is None:
            examination.add(Fault(BROKEN, str(fault), fault.hint or ""))
        else:
            examination.notes.append(f"memory and disk are unknown: {fault}")
    return None


def _rows(examination: Examination, statistics: "TokenStatistics | None") -> Rows | None:
    """Return the rows of an epoch, as far as they are known before all rows are tokenized."""
    options, source = examination.request.options, examination.source
    unit, mixture = unit_of(options), tuple(examination.mixture)
    if examination.rows is None or source is None:
        if _is_as_published(examination.request):
            return None
        return Rows(None, unit, "counted once the data are here", known=False)
    if options.packs:
        packed = statistics.packed_rows if statistics else None
        about = f"{source.name}, by a sample" if packed else source.name
        return Rows(packed, unit, about, known=False, mixture=mixture)
    return Rows(examination.rows, unit, source.name, mixture=mixture)


def _is_as_published(request: TrainRequest) -> bool:
    """Return whether data that is not here would be about the size of the published set."""
    raw, published = PUBLISHED[request.step]
    if request.options.data:
        return request.options.data == (published,)
    layers = [content.get(ROWS_OF[request.step], {}).get("sources") for _, content in request.recipe.layers]
    return [sources for sources in layers if sources is not None][-1:] in ([], [[raw]])
