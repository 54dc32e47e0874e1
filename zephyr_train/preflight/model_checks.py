"""Can transformers load, call and save the model, with these options and this tokenizer? On the meta device."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zephyr_core.errors import DataError
from zephyr_core.faults import Fault, Lack, OptionFault
from zephyr_train.errors import ModelUnreachable
from zephyr_train.meta_model import (
    ONE_WAY,
    UNFIT_WEIGHTS,
    call_fault,
    empty_model,
    meta_model,
    reads_ahead,
    save_fault,
    unfit_weights,
)
from zephyr_train.models import BROKEN, config_of
from zephyr_train.options import TrainOptions
from zephyr_train.preflight import machine, sound_models
from zephyr_train.preflight.examination import Examination
from zephyr_train.preflight.sound_models import ModelFacts
from zephyr_train.safetensor_headers import weight_files

if TYPE_CHECKING:
    from zephyr_core.template import Chat

_BARE = ("eager", "sdpa")  # attention that needs no package


def examine_whole_model(examination: Examination) -> None:
    """Add why the model could not be loaded, called or saved, and note positions that it has never seen.

    Of a model whose files are not all here, or not sound, nothing is looked at.
    """
    folder = examination.model.folder if examination.model else None
    is_sound = examination.has_sound_files and all(fault.name != BROKEN for fault in examination.faults)
    if folder is None or not is_sound:
        return
    try:
        if weight_files(folder):
            _judge(examination, folder)
    except ModelUnreachable:  # a missing part is told with the plan
        return
    except ImportError as fault:
        message = f"the model in {folder} cannot be used without a package: {fault}"
        examination.lacking(Lack("missing-package", message, machine.INSTALL))


def _judge(examination: Examination, folder: Path) -> None:
    """Add the faults of a model; one with the same files and shapes that was found sound is not built again."""
    key = sound_models.key_of(folder, examination.request.options.attention)
    facts = sound_models.facts_of(key)
    if facts is None:
        faults: list[Fault] = []
        facts = _facts(examination.request.options, folder, faults)
        examination.add(*faults)
        if facts is not None and not faults:
            sound_models.keep(key, facts)
    if facts is None:
        return
    examination.projections = facts.projections
    _note_router_loss(examination, facts)
    examination.add(*_position_faults(examination, facts), *_token_faults(examination.chat, facts, folder))


def _facts(options: TrainOptions, folder: Path, faults: list[Fault]) -> ModelFacts | None:
    """Return what a model is like, None if it cannot be built; add its faults, whatever the rows and the settings."""
    config = folder / "config.json"
    if config_of(folder).get("quantization_config"):
        hint = "give the weights before quantization: those of a quantized model cannot be trained"
        faults.append(Fault("quantized-model", f"{config} has a quantization_config", hint))
        return None
    attention = options.attention if options.attention in _BARE else _BARE[0]
    try:
        loaded = meta_model(folder, attention)
    except DataError as fault:
        bare = None if attention == _BARE[0] else _empty(folder)
        if bare is None:
            faults.append(Fault("no-causal-model", str(fault), fault.hint or ""))
        else:
            faults.append(_ahead_fault(bare, config) if reads_ahead(bare) else _attention_fault(options, str(fault)))
        return None
    if loaded.misfits:
        faults.append(Fault(BROKEN, unfit_weights(folder, loaded.misfits), UNFIT_WEIGHTS))
        return None
    faults += _model_faults(loaded.model, options, folder)
    return _facts_of(loaded.model)


def _model_faults(model: Any, options: TrainOptions, folder: Path) -> Iterator[Fault]:
    config = folder / "config.json"
    if reads_ahead(model):
        yield _ahead_fault(model, config)
    if not _has_attention(model, options.attention):
        yield _attention_fault(options, f"transformers has no {options.attention} for {type(model).__name__}")
    if wrong := call_fault(model):
        yield Fault("broken-config", f"{config} contradicts itself: a row of tokens gives {wrong!r}", "correct it")
    if wrong := save_fault(model, folder):
        hint = "correct generation_config.json: with temperature, top_p or top_k it needs `do_sample: true`"
        yield Fault("unsavable-config", f"the model of {folder} could not be saved: {wrong}", hint)


def _facts_of(model: Any) -> ModelFacts:
    config = model.config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None)
    return ModelFacts(
        projections=_projections(model),
        embeddings=model.get_input_embeddings().weight.shape[0],
        positions=positions if isinstance(positions, int) else None,
        is_rotary=bool(getattr(config, "rope_parameters", None)),
        has_routers=hasattr(config, "output_router_logits"),
        router_weight=getattr(config, "router_aux_loss_coef", None),
    )


def _empty(folder: Path) -> Any:
    """Return the model of a config with plain attention, or None if there is none."""
    try:
        return empty_model(folder)
    except DataError:
        return None


def _ahead_fault(model: Any, config: Path) -> Fault:
    return Fault("reads-ahead", f"{config}: each token of {type(model).__name__} sees those behind it", ONE_WAY)


def _attention_fault(options: TrainOptions, message: str) -> Fault:
    return OptionFault("unsupported-attention", message, "use `--attention eager`, or `sdpa` if the model has it")


def _has_attention(model: Any, attention: str) -> bool:
    """Return whether a model's class knows an implementation that is not tried here."""
    kind = attention.partition("_")[0]
    return kind not in ("flash", "flex") or bool(getattr(model, f"_supports_{kind}_attn", False))


def _projections(model: Any) -> tuple[str, ...]:
    """Return the last names of a model's linear layers but the head: what an adapter can be put on."""
    head = model.get_output_embeddings()
    names = {
        name.rpartition(".")[2]: None
        for name, module in model.named_modules()
        if type(module).__name__ in ("Linear", "Conv1D") and module is not head
    }
    return tuple(names)


def _note_router_loss(examination: Examination, facts: ModelFacts) -> None:
    """Note that TRL adds the load-balancing loss of a mixture of experts to dSFT's; dDPO has a note of its own."""
    weight = examination.settings.get("router_aux_loss_coef", facts.router_weight)
    if examination.request.step == "sft" and facts.has_routers and weight:
        examination.notes.append(
            f"the loss includes {weight:g} × the load-balancing loss of the model's routers, as its config says;"
            " `--set router_aux_loss_coef=0` leaves it out"
        )


def _position_faults(examination: Examination, facts: ModelFacts) -> Iterator[Fault]:
    positions, longest = facts.positions, examination.request.options.max_length
    if positions is None or longest <= positions:
        return
    message = f"max_length is {longest:,}, and the model has {positions:,} positions"
    if facts.is_rotary:
        examination.notes.append(f"{message}: in longer rows it meets positions that it has never seen")
        return
    step = examination.request.step
    yield OptionFault("row-beyond-positions", message, f"write `max_length = {positions}` under [{step}] of the recipe")


def _token_faults(chat: "Chat | None", facts: ModelFacts, folder: Path) -> Iterator[Fault]:
    """Yield the fault of tokens that rows can hold and the model has no embedding for."""
    tokens = chat.possible_tokens() if chat is not None else {}
    beyond = {token: number for token, number in tokens.items() if number >= facts.embeddings}
    if chat is None or not beyond:
        return
    token, number = max(beyond.items(), key=lambda item: item[1])
    message = (
        f"{len(beyond):,} of the tokenizer's tokens have no embedding: it ends at {facts.embeddings - 1:,},"
        f" and the number of {token!r} is {number:,}"
    )
    pads = [*beyond] == [chat.tokenizer.pad_token]
    hint = (
        "remove pad_token from tokenizer_config.json: EOS is used then"
        if pads
        else "use the tokenizer that belongs to the weights, or give the model an embedding for each token"
    )
    yield Fault("token-beyond-embedding", f"{message} ({folder})", hint)
