"""`--set key=value` takes what the trainer knows and honours; everything else is a fault that says what to do."""

import dataclasses
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from zephyr_core.faults import OptionFault
from zephyr_core.options import declared
from zephyr_train.options import OF_STEP, DPOOptions, SFTOptions
from zephyr_train.preflight.settings import changes, known_fields, settings

FOLDER = Path(settings.__code__.co_filename).parent
RENAMED = tomllib.loads((FOLDER / "renamed.toml").read_text(encoding="utf-8"))
REFUSED = tomllib.loads((FOLDER / "refused.toml").read_text(encoding="utf-8"))
STEPS = ("sft", "dpo")
ANYWHERE = known_fields("sft").keys() | known_fields("dpo").keys()


def fault(step: str, text: str) -> tuple[str, str, str]:
    values, faults = settings(step, [text])
    assert values == {}, values
    [refusal] = faults
    assert isinstance(refusal, OptionFault)
    return refusal.name, refusal.message, refusal.hint


def test_an_eos_is_named_where_the_tokenizer_is() -> None:
    name, _, hint = fault("sft", "eos_token=<|im_end|>")
    assert name == "refused-option" and "tokenizer_config.json" in hint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("adam_beta2=0.98", 0.98),
        ("max-grad-norm=1", 1.0),
        ("torch_empty_cache_steps=none", None),
        ("torch_empty_cache_steps=3", 3),
        ("tf32=True", True),
        ("torch_compile=false", False),
        ("optim_args=a=b, c=d", "a=b, c=d"),
        ('activation_checkpointing_kwargs={"use_reentrant": false}', {"use_reentrant": False}),
        ("pad_to_multiple_of=64", 64),
        ("pad_to_multiple_of=auto", "auto"),
        ("log_level=warning", "warning"),
        ("report_to=none", "none"),
        ("report_to=tensorboard", "tensorboard"),
        ("include_num_input_tokens_seen=true", True),
        ("include_num_input_tokens_seen=non_padding", "non_padding"),
    ],
)
def test_a_value_gets_its_fields_type(text: str, value: Any) -> None:
    step = "sft" if text.startswith("pad_to") else "dpo"  # dDPO pads nothing
    [parsed] = settings(step, [text])[0].values()
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ("max_grad_norm=loose", "it takes a number"),
        ("adam_epsilon=nan", "it takes a number"),
        ("torch_empty_cache_steps=2.5", "it takes an integer or none"),
        ("torch_compile=maybe", "it takes true or false"),
        ("activation_checkpointing_kwargs=x", "it takes a JSON object or none"),
        ("activation_checkpointing_kwargs=[1]", "it takes a JSON object or none"),
        ("log_level=loud", "it takes detail or debug or info or warning or error or critical or passive"),
        ("max_grad_norm", "not of the form KEY=VALUE"),
        ("=1", "not of the form KEY=VALUE"),
    ],
)
def test_a_value_of_another_type_is_a_fault(text: str, takes: str) -> None:
    name, message, _ = fault("dpo", text)
    assert name == "unreadable-option"
    assert takes in message


@pytest.mark.parametrize("step", STEPS)
def test_every_field_that_passes_takes_its_own_default(step: str) -> None:
    passed: dict[str, Any] = {}
    for key, field in known_fields(step).items():
        default = field["default"]
        text = "none" if default is None else default if isinstance(default, str) else json.dumps(default)
        values, faults = settings(step, [f"{key}={text}"])
        assert {refusal.name for refusal in faults} <= {
            "owned-option",
            "refused-option",
            "renamed-option",
            "unreadable-option",
        }
        assert all(refusal.name != "unreadable-option" or text == "" for refusal in faults), key
        passed |= values
    assert {key: value for key, value in passed.items() if value != known_fields(step)[key]["default"]} == {}
    assert {"adam_beta1", "max_grad_norm", "torch_compile"} <= passed.keys()
    assert not {"learning_rate", "push_to_hub_token", "precompute_ref_log_probs"} & passed.keys()


def test_each_text_has_its_fault_and_the_rest_pass() -> None:
    values, faults = settings("dpo", ["adam_beta1=0.8", "warmup_ratio=0.1", "adam_beta2=0.9", "adam_beta=1"])
    assert values == {"adam_beta1": 0.8, "adam_beta2": 0.9}
    assert [refusal.name for refusal in faults] == ["renamed-option", "unknown-option"]
    assert faults[1].hint == "did you mean 'adam_beta2'?"


def test_one_option_given_twice_must_agree() -> None:
    assert settings("sft", ["max_grad_norm=1", "max_grad_norm=1.0"]) == ({"max_grad_norm": 1.0}, [])
    [refusal] = settings("sft", ["max_grad_norm=1", "max_grad_norm=2"])[1]
    assert refusal.name == "repeated-option"
    assert "1.0, 2.0" in refusal.message


def test_an_option_of_the_other_step_says_so() -> None:
    assert fault("dpo", "assistant_only_loss=true")[::2] == ("unknown-option", "only `zephyr train sft` has it")
    assert fault("dpo", "nonsense=1")[2].startswith("the names are those of TRL ")


@pytest.mark.parametrize("rule", RENAMED["renamed"], ids=lambda rule: rule["name"])
def test_a_renamed_option_says_what_to_use_instead(rule: dict[str, str]) -> None:
    for step in STEPS:
        name, message, hint = fault(step, f"{rule['name']}=1")
        assert name == "renamed-option"
        assert rule["now"] in message
        assert hint == rule["instead"]
    is_old_name = rule["name"].startswith("gradient_checkpointing")  # the libraries still take it, and warn
    assert (rule["name"] in ANYWHERE) == is_old_name
    assert rule["now"] in ANYWHERE | {"dtype", "processing_class"}  # arguments of the model and the trainer


@pytest.mark.parametrize("rule", RENAMED["gone"], ids=lambda rule: rule["name"])
def test_a_gone_option_says_so_and_why(rule: dict[str, str]) -> None:
    assert rule["name"] not in ANYWHERE
    for step in STEPS:
        name, message, hint = fault(step, f"{rule['name']}=1")
        assert (name, hint) == ("renamed-option", rule["instead"])
        assert "it is gone" in message
        assert rule["why"] in message


def test_the_list_of_names_is_whole() -> None:
    """The renamed and gone names that were seen in public recipes (lab §8)."""
    names = """warmup_ratio group_by_length evaluation_strategy no_cuda torch_dtype max_seq_length tokenizer
        gradient_checkpointing overwrite_output_dir logging_dir save_safetensors max_prompt_length ref_model_init_kwargs
        rpo_alpha reference_free use_liger_loss generate_during_eval label_pad_token_id"""
    assert set(names.split()) <= {rule["name"] for kind in ("renamed", "gone") for rule in RENAMED[kind]}


@pytest.mark.parametrize("option", REFUSED["owned"])
def test_an_option_that_zephyr_sets_itself_names_zephyrs(option: str) -> None:
    steps = [step for step in STEPS if option in ("out", "resume") or option in fields(step)]
    assert steps
    for theirs in REFUSED["owned"][option]:
        assert theirs in ANYWHERE
        for step in steps:
            if theirs in known_fields(step):
                name, message, hint = fault(step, f"{theirs}=1")
                assert name == "owned-option"
                assert message.endswith(f"its own option {option}")
                assert f"--{option}" in hint or f"`{option} = …` under [{step}]" in hint


def fields(step: str) -> set[str]:
    return {field.name for field in dataclasses.fields(OF_STEP[step])}


@pytest.mark.parametrize("step", STEPS)
def test_zephyrs_own_options_are_not_the_trainers(step: str) -> None:
    for option in fields(step) - known_fields(step).keys() - {"warmup_ratio", "max_prompt_length"}:  # renamed or gone
        assert fault(step, f"{option}=1")[0] == "owned-option"


@pytest.mark.parametrize("rule", REFUSED["refused"], ids=lambda rule: rule["names"][0])
def test_a_refused_option_says_why_and_its_harmless_values_pass(rule: dict[str, Any]) -> None:
    for key in rule["names"]:
        steps = [step for step in rule.get("steps", STEPS) if key in known_fields(step)]
        assert steps, f"{key} is no field any more"
        for step in steps:
            assert fault(step, f"{key}=surely-not")[0] == "refused-option"
            for value in rule.get("allowed", []):
                text = value if isinstance(value, str) else json.dumps(value)
                assert settings(step, [f"{key}={text}"]) == ({key: value}, [])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("loss_type=ipo", "only the sigmoid loss is Eq. (1)"),
        ('loss_type=["sigmoid", "sft"]', "only the sigmoid loss is Eq. (1)"),
        ("label_smoothing=0.1", "ignores it"),
        ("pad_to_multiple_of=64", "without padding"),
        ("precompute_ref_log_probs=true", "an artefact of zephyr's"),
        ("precompute_ref_log_probs=false", "an artefact of zephyr's"),
        ("report_to=wandb", "nothing phones home"),
        ("report_to=all", "nothing phones home"),
        ('report_to=["tensorboard", "wandb"]', "nothing phones home"),
        ("push_to_hub=true", "sends nothing out"),
    ],
)
def test_what_breaks_a_promise_is_refused_by_name(text: str, why: str) -> None:
    name, message, _ = fault("dpo", text)
    assert name == "refused-option"
    assert why in message


def test_what_makes_another_loss_of_dsft_passes_and_is_told_and_in_ddpo_is_refused() -> None:
    texts = ["neftune_noise_alpha=5", "loss_type=dft"]
    values, faults = settings("sft", texts)
    assert (values, faults) == ({"neftune_noise_alpha": 5.0, "loss_type": "dft"}, [])
    noise, loss = changes("sft", values)
    assert noise.startswith("--set neftune_noise_alpha=5.0: noise") and "loss_type=dft" in loss and "log π" in loss
    assert [refusal.name for refusal in settings("dpo", texts)[1]] == ["refused-option"] * 2
    smoothed = settings("sft", ["label_smoothing_factor=0.1", "average_tokens_across_devices=false"])[0]
    assert [line.partition("=")[0].split()[-1] for line in changes("sft", smoothed)] == [*smoothed]


@pytest.mark.parametrize("rule", REFUSED["noted"], ids=lambda rule: rule["names"][0])
def test_values_that_change_nothing_are_not_told(rule: dict[str, Any]) -> None:
    for key in rule["names"]:
        for step in rule["steps"]:
            assert known_fields(step)[key]["default"] in (None, *rule["allowed"])
            for value in (None, *rule["allowed"]):
                assert [*changes(step, {key: value})] == []


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ("adam_epsilon=0", "it must be above 0 and at most 1"),
        ("adam_epsilon=-1e-8", "it must be above 0"),
        ("adam_epsilon=1e8", "it must be above 0 and at most 1"),
        ("adam_beta1=1", "it must be at least 0 and below 1"),
        ("adam_beta2=-0.1", "it must be at least 0 and below 1"),
        ("max_grad_norm=-1", "it must be at least 0"),
        ("label_smoothing_factor=1", "it must be at least 0 and below 1"),
        ("neftune_noise_alpha=-5", "it must be at least 0"),
        ("router_aux_loss_coef=-0.01", "it must be at least 0"),
        ("pad_to_multiple_of=0", "it must be at least 1"),
        ("pad_to_multiple_of=eight", "it must be at least 1"),
        ("torch_empty_cache_steps=0", "it must be at least 1"),
        ("ddp_timeout=0", "it must be at least 1"),
        ("dataloader_num_workers=-1", "it must be at least 0"),
    ],
)
def test_a_number_that_cannot_be_meant_is_a_fault(text: str, takes: str) -> None:
    name, message, hint = fault("sft", text)
    assert name == "out-of-bounds" and takes in message
    assert hint.startswith("leave it out")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize("key", ["max_grad_norm", "adam_beta1", "router_aux_loss_coef", "neftune_noise_alpha"])
def test_what_is_no_number_is_a_fault(key: str, value: str) -> None:
    assert fault("sft", f"{key}={value}")[0] == "unreadable-option"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_in_an_object_is_a_fault(value: str) -> None:
    assert fault("sft", f'activation_checkpointing_kwargs={{"use_reentrant": {value}}}')[0] == "unreadable-option"


@pytest.mark.parametrize("step", STEPS)
def test_every_number_that_passes_has_bounds(step: str) -> None:
    """A field of the next TRL has none, so somebody must look at it."""
    bounded = {name for rule in REFUSED["bounds"] for name in rule["names"]}
    for key, field in known_fields(step).items():
        if {"int", "float"} & set(field["kinds"]):
            _, faults = settings(step, [f"{key}=12345"])
            assert key in bounded or [each.name for each in faults] in (["owned-option"], ["refused-option"]), key


def test_what_does_nothing_next_to_another_option_is_a_fault() -> None:
    assert settings("sft", ["loss_type=dft", "label_smoothing_factor=0"])[1] == []
    assert settings("dpo", ["dataloader_num_workers=2", "dataloader_prefetch_factor=4"])[1] == []
    for texts, option in (
        (["label_smoothing_factor=0.1", "loss_type=dft"], "loss_type is dft"),
        (["dataloader_prefetch_factor=4"], "dataloader_num_workers is 0"),
        (["dataloader_num_workers=0", "dataloader_persistent_workers=true"], "dataloader_num_workers is 0"),
    ):
        values, [refusal] = settings("sft", texts)
        assert refusal.name == "idle-option" and option in refusal.message
        assert len(values) == len(texts) - 1


def test_the_papers_options_are_owned() -> None:
    """Each field of the paper's table that the trainer also has cannot be set behind the plan's back."""
    for step, options in (("sft", SFTOptions), ("dpo", DPOOptions)):
        for name, option in declared(options).items():
            if "paper" in option.source and name in known_fields(step):
                assert fault(step, f"{name}=1")[0] == "owned-option"


def test_settings_import_no_library() -> None:
    code = (
        "import sys; from zephyr_train.preflight.settings import settings; settings('dpo', ['adam_beta1=0.8', 'x=1']);"
        "print({'torch', 'transformers', 'trl', 'datasets', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
