"""Preflight finds each fault by its name, all of them in one message, before anything is written or trained."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import manifests
from tests.zephyr_train.jobs import job
from tests.zephyr_train.row_shapes import trainer_pair, turn, write_lines
from zephyr_core import recipe
from zephyr_core.faults import Fault, Lack, OptionFault
from zephyr_train import student as students
from zephyr_train.errors import PreflightFailed
from zephyr_train.options import StudentOptions
from zephyr_train.preflight import machine
from zephyr_train.preflight.examination import Examination
from zephyr_train.preflight.examine import examine
from zephyr_train.request import TrainRequest
from zephyr_train.rows import row_files
from zephyr_train.train import _job, run

pytestmark = pytest.mark.usefixtures("here")

SMALL = StudentOptions(
    source="new", vocabulary=320, hidden_size=16, intermediate_size=24, layers=2, heads=4, kv_heads=2, positions=256
)
SENTENCES = ["Which plum is ripe?", "The blue one is ripe, and the green one is not yet."]
PAIRS = [trainer_pair(f"Which plum is ripe, {number}?", "The blue one.", "I do not know.") for number in range(8)]
TALKS = [
    {"messages": [turn("user", f"Hello, {number}!"), turn("assistant", "Good morning to you, dear friend.")]}
    for number in range(8)
]
ROWS = {"dpo": PAIRS, "sft": TALKS}
SOUND = {
    "recipe": recipe.load("tiny"),
    "max_length": 96,
    "global_batch_size": 4,
    "micro_batch_size": 1,
    "attention": "sdpa",
    "precision": "fp32",
    "gpus": 1,
    "zero": 0,
}
OF_STEP = {"sft": {"packing": "off", "on_overlong": "cut"}, "dpo": {"max_prompt_length": 48}}
TURNS = "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
ASK = "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
NO_EOS = TURNS + ASK
BOS_TWICE = "{{ bos_token }}{{ bos_token }}" + TURNS + "{{ eos_token }}" + ASK
OTHER_PROMPT = TURNS + "{{ eos_token }}" + ASK.replace("<|assistant|>", "<|assistant|> <think>")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preflight") / "student"
    students.build(SMALL, SENTENCES * 3, folder)
    return folder


Look = Callable[..., Examination]


@pytest.fixture
def look(student: Path, tmp_path: Path) -> Look:
    """Examine a sound run, with changes."""

    def look(step: str, *, dry: bool = True, **changes: Any) -> Examination:
        rows = changes.pop("rows", ROWS[step])
        data = write_lines(tmp_path / "rows.jsonl", rows) if rows else None
        parameters = SOUND | OF_STEP[step] | {"model": str(student), "data": str(data)} | changes
        return examine(TrainRequest.typed(step, parameters), dry=dry)

    return look


def names(examination: Examination) -> list[str]:
    return [fault.name for fault in examination.faults]


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize("step", ["sft", "dpo"])
def test_a_sound_run_has_no_fault_and_a_plan(look: Look, step: str, dry: bool) -> None:
    examination = look(step, dry=dry)
    assert (examination.faults, examination.lacks) == ([], [])
    assert examination.plan is not None and examination.plan.steps == 2 * examination.plan.epochs
    examination.refuse()


FAULTS = {
    "missing-input": {"data": "nowhere.jsonl"},
    "all-overlong": {"max_length": 12, "max_prompt_length": 4, "on_overlong": "drop"},
    "overlong": {"max_length": 12, "max_prompt_length": 4, "on_overlong": "error"},
    "batch-does-not-divide": {"micro_batch_size": 3},
    "renamed-option": {"set": ("tokenizer=x",)},
    "unknown-option": {"set": ("no_such_thing=1",)},
    "owned-option": {"set": ("learning_rate=1",)},
    "refused-option": {"set": ("report_to=wandb",)},
    "out-of-bounds": {"set": ("adam_epsilon=0",)},
    "idle-option": {"set": ("dataloader_prefetch_factor=4",)},
    "no-template": {"template": "model"},
}


@pytest.mark.parametrize("step", ["sft", "dpo"])
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_by_its_name_and_alone(look: Look, step: str, name: str) -> None:
    examination = look(step, **FAULTS[name])
    assert names(examination) == [name]
    with pytest.raises(PreflightFailed, match=f"preflight found 1 fault:\n  {name}: "):
        examination.refuse()


def test_an_optimiser_that_the_trainer_does_not_have_is_a_fault(look: Look) -> None:
    [fault] = look("sft", optimizer="adamw_8bits").faults
    assert fault.name == "unknown-option" and "did you mean 'adamw_8bit'?" in fault.hint


@pytest.mark.parametrize(
    ("step", "batch", "words", "hint"),
    [
        ("sft", 8, "1 step (8 dialogues in batches of 8, 1 epoch), 1 of them warm-up", "`global_batch_size = 1`"),
        ("dpo", 16, "1 step (8 pairs in batches of 16, 1 epoch), 1 of them warm-up", "`global_batch_size = 1`"),
    ],
)
def test_a_run_whose_every_step_has_rate_0_is_a_fault_with_its_arithmetic(
    look: Look, step: str, batch: int, words: str, hint: str
) -> None:
    for dry in (True, False):
        [fault] = look(step, dry=dry, global_batch_size=batch, epochs=1).faults
        assert fault.name == "nothing-learned" and fault.exit_code == 2
        assert words in fault.message and "every step has rate 0" in fault.message and hint in fault.hint
    assert names(look(step, global_batch_size=batch, epochs=2)) == []
    assert names(look(step, global_batch_size=batch, epochs=1, warmup_ratio=0.0)) == []
    assert names(look(step, learning_rate=0.0)) == ["nothing-learned"]


def test_the_rate_of_an_adapter_that_nobody_gave_is_told(look: Look) -> None:
    recipes = {"recipe": recipe.load("zephyr-7b-beta")}
    assert "the peak rate is 0.0002, as in the public LoRA recipes" in look("sft", lora=True, **recipes).text()
    assert "full fine-tuning has 5e-07" in look("dpo", lora=True, **recipes).text()
    assert "LoRA recipes" not in look("sft", lora=True, learning_rate=1e-4, **recipes).text()


def test_a_setting_that_changes_the_loss_is_told(look: Look) -> None:
    assert "note    --set loss_type=dft: the loss is not −log π(y|x)" in look("sft", set=("loss_type=dft",)).text()
    assert "--set" not in look("sft", set=("loss_type=nll", "adam_beta2=0.98")).text()


def test_few_steps_are_noted_with_a_batch_that_gives_more(look: Look) -> None:
    text = look("sft", epochs=1).text()
    assert "only 2 steps (8 dialogues in batches of 4, 1 epoch): the model will hardly change" in text
    assert "with global_batch_size 1 there are more" in text
    assert "hardly change" not in look("sft", epochs=10).text(), "20 steps"


def test_steps_are_counted_again_once_all_rows_are_tokens(
    look: Look, student: Path, tmp_path: Path, here: Path
) -> None:
    """Preflight may have had an estimate only."""
    rows = [
        {"messages": [turn("user", "A plum?"), turn("assistant", "Yes.")], "prompt_id": f"{number:064x}"}
        for number in range(9)
    ]
    look("sft", rows=rows)
    parameters = SOUND | OF_STEP["sft"] | {"model": str(student), "data": str(tmp_path / "rows.jsonl")}
    request = TrainRequest.typed("sft", parameters | {"global_batch_size": 9, "epochs": 1})
    examination = examine(request, dry=False)
    examination.faults.clear()
    with pytest.raises(PreflightFailed, match="nothing-learned: 1 step"):
        _job(examination)


@pytest.mark.parametrize(
    ("options", "layout", "words"),
    [
        ({}, "shared", "each prompt read once for both replies"),
        ({"share_prompt": False}, "separate", "each prompt read twice"),
        ({"padding_free": False}, "padded", "padded to the longest"),
        ({"attention": "eager"}, "padded", "attention eager reads only whole rows"),
    ],
)
def test_the_layout_of_pairs_is_chosen_and_told(look: Look, options: dict[str, Any], layout: str, words: str) -> None:
    examination = look("dpo", **options)
    assert (examination.layout, examination.faults) == (layout, [])
    assert any(words in note for note in examination.notes)
    assert look("sft").layout == ""


def test_on_a_gpu_prompts_are_shared_only_when_asked(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gpus_here", lambda: [machine.Gpu("A", 9.0, 80.0)])
    assert look("dpo").layout == "separate"
    assert look("dpo", share_prompt=True).layout == "shared"


def test_shared_prompts_that_cannot_be_are_a_fault_by_name(look: Look, student: Path, tmp_path: Path) -> None:
    assert names(look("dpo", share_prompt=True)) == []
    assert names(look("dpo", share_prompt=True, attention="eager")) == ["share-prompt-option"]
    own = shutil.copytree(student, tmp_path / "own")
    config = (own / "config.json").read_text()
    (own / "config.json").write_text(config.replace('"model_type": "mistral"', '"model_type": "bloom"'))
    examination = look("dpo", share_prompt=True, model=str(own))
    assert "share-prompt-option" in names(examination)
    fault = next(fault for fault in examination.faults if fault.name == "share-prompt-option")
    assert "'bloom' has ALiBi" in fault.message


@pytest.mark.parametrize("step", ["sft", "dpo"])
def test_absent_columns_and_other_unfit_rows_have_names_of_their_own(look: Look, step: str) -> None:
    column = {"sft": "messages", "dpo": "chosen"}[step]
    without = [{name: value for name, value in row.items() if name != column} | {"x": 1} for row in ROWS[step]]
    absent = look(step, rows=without)
    assert names(absent) == ["missing-column"]
    assert f"column '{column}' is absent" in absent.faults[0].message
    other = look(step, rows=[row | {column: 7} for row in ROWS[step]])
    assert names(other) == ["unfit-rows"] and f"'{column}'" in other.faults[0].message
    assert absent.plan is not None and not absent.plan.rows.known, "nobody's rows are counted"


@pytest.mark.parametrize("step", ["sft", "dpo"])
@pytest.mark.parametrize(
    ("name", "template"),
    [("eos-not-in-loss", NO_EOS), ("double-bos", BOS_TWICE), ("prompt-not-prefix", OTHER_PROMPT)],
)
def test_faults_of_a_models_own_template_are_found(
    look: Look, student: Path, tmp_path: Path, step: str, name: str, template: str
) -> None:
    own = shutil.copytree(student, tmp_path / "own")
    marks = "{% generation %}{{ message['content'] }}{% endgeneration %}"
    spoken = "{% if message['role'] == 'assistant' %}" + marks + "{% else %}{{ message['content'] }}{% endif %}"
    (own / "chat_template.jinja").write_text(template.replace("{{ message['content'] }}", spoken))
    examination = look(step, model=str(own), template="model")
    assert names(examination) == [name]
    assert "8 of 8 rows" in examination.faults[0].message


def test_a_handful_of_faulty_rows_is_left_out_when_asked_and_told(look: Look, student: Path, tmp_path: Path) -> None:
    own = shutil.copytree(student, tmp_path / "own")
    strict = "{% if message['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    (own / "chat_template.jinja").write_text(OTHER_PROMPT.replace(" <think>", "").replace("<|{{", strict + "<|{{", 1))
    rows = [{"messages": [turn("user", f"{number}?"), turn("assistant", "yes")]} for number in range(40)]
    rows[7]["messages"].insert(0, turn("system", "Be brief."))
    options = {"model": str(own), "template": "model", "rows": rows}
    [fault] = look("sft", **options).faults
    assert fault.name == "template-refuses" and "no system turn" in fault.message and "--on-faulty drop" in fault.hint
    examination = look("sft", on_faulty="drop", **options)
    assert names(examination) == [] and "40 rows looked at: 1 dropped template refuses" in examination.text()
    real = look("sft", on_faulty="drop", dry=False, **options)
    _job(real)
    assert "left out as faulty: 1 template-refuses; listed in" in real.text()


@pytest.mark.parametrize("step", ["sft", "dpo"])
def test_prompts_of_the_test_split_in_train_are_counted(look: Look, tmp_path: Path, step: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    write_lines(folder / "train.jsonl", ROWS[step][:6])
    write_lines(folder / "test.jsonl", ROWS[step][4:])
    examination = look(step, data=str(folder))
    assert names(examination) == ["test-in-train"] and examination.faults[0].message.startswith("2 test prompts")
    write_lines(folder / "train.jsonl", ROWS[step][:4])
    assert names(look(step, data=str(folder))) == []


@pytest.mark.parametrize(
    ("name", "lack"),
    [
        ("no-disk", {}),
        ("missing-gpu", {"attention": "flash_attention_2", "precision": "bf16"}),
        ("missing-package", {"attention": "flash_attention_3", "precision": "bf16"}),
    ],
)
def test_what_the_machine_lacks_is_a_fault_of_a_run_and_only_told_of_a_plan(
    look: Look, monkeypatch: pytest.MonkeyPatch, name: str, lack: dict[str, Any]
) -> None:
    if name == "no-disk":
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(9, 8, 1))
    dry_run, real = look("dpo", **lack), look("dpo", dry=False, **lack)
    assert names(dry_run) == [] and name in [fault.name for fault in dry_run.lacks]
    assert f"on this machine it would not run:\n  {dry_run.lacks[0]}" in dry_run.text()
    assert name in names(real) and real.lacks == []
    with pytest.raises(PreflightFailed, match=f"{name}: "):
        real.refuse()


def test_a_smaller_card_than_the_plans_is_noted(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    for memory, noted in ((25.8, True), (85.9, False), (None, False)):
        monkeypatch.setattr(machine, "gpus_here", lambda memory=memory: [machine.Gpu("card", 8.9, memory)])
        assert ("a GPU here has 26 GB, the plan's has 80" in look("dpo", dry=False).text()) == noted
        assert "a GPU here" not in look("dpo").text(), "a plan may be for another machine"


def test_a_plan_that_does_not_fit_the_card_stops_a_run_unless_the_user_insists(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "gpus_here", lambda: [machine.Gpu("card", 8.0, 85.9)])
    tight = {"gpus": 1, "gpu_memory": 1.0}
    lacking = look("dpo", dry=False, **tight)
    assert "no-memory" in names(lacking)
    whole, scoring = [fault for fault in lacking.faults if fault.name == "no-memory"]
    assert "GB a GPU, estimated, and the card has 1 (gpu_memory)" in str(whole) and "gpu_memory" in str(whole.hint)
    assert "the reference pass takes" in str(scoring) and "with the whole model on one GPU" in str(scoring)
    assert "no-memory" not in names(look("dpo", dry=False, gpus=1))
    assert "no-memory" not in names(look("dpo", **tight)), "the table says so"
    monkeypatch.setattr(machine, "gpus_here", list)
    assert "no-memory" not in names(look("dpo", dry=False, **tight, attention="sdpa")), "a CPU has no card"


def test_a_machine_that_cannot_hold_the_model_is_a_fault_and_one_that_is_busy_a_note(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZeRO-3 gathers the model in the memory of the machine to save it."""
    monkeypatch.setattr(machine, "gpus_here", lambda: [machine.Gpu("card", 8.0, 85.9)])

    def looked(total: int, available: int, **changes: Any) -> Examination:
        monkeypatch.setattr(machine, "host_memory", lambda: machine.HostMemory(total, available))
        return look("dpo", dry=False, gpus=1, **changes)

    plan = looked(10**12, 10**12, zero=3).plan
    assert plan is not None and plan.host is not None and plan.record()["host"] == plan.host > 0
    assert "no-memory" not in names(looked(plan.host, plan.host, zero=3))
    [fault] = [fault for fault in looked(plan.host - 1, 0, zero=3).faults if fault.name == "no-memory"]
    assert "this machine's memory" in str(fault) and "--zero 2" in str(fault.hint)
    assert "are free now" in looked(plan.host, plan.host - 1, zero=3).text()
    assert names(looked(1, 1, zero=2)) == names(looked(10**12, 10**12, zero=2)), "weights are saved from the GPUs"


def test_inputs_that_nobody_named_are_noted_in_a_plan_and_missed_by_a_run(look: Look) -> None:
    dry_run = look("dpo", data=None, model=None, rows=None)
    assert names(dry_run) == [] and "zephyr data binarize" in dry_run.text()
    assert dry_run.plan is not None and dry_run.plan.rows.rows is None, "of samples there are not as many as of the set"
    assert names(look("dpo", dry=False, data=None, model=None, rows=None)) == ["missing-input"] * 2


@pytest.mark.parametrize(
    ("name", "data", "rows"),
    [
        ("zephyr-7b-beta", None, 61_135),
        ("tiny", None, None),
        ("tiny", "HuggingFaceH4/ultrafeedback_binarized", 61_135),
        ("zephyr-7b-beta", "owner/set", None),
    ],
)
def test_rows_that_are_not_here_are_reckoned_with_where_they_are_the_papers(
    look: Look, monkeypatch: pytest.MonkeyPatch, name: str, data: str | None, rows: int | None
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.is_offline_mode", lambda: True)
    examination = look("dpo", recipe=recipe.load(name), data=data, rows=None)
    assert examination.plan is not None and examination.plan.rows.rows == rows


def test_named_inputs_are_missed_by_a_plan_too_unless_they_are_on_the_hub(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.is_offline_mode", lambda: True)
    for changes in ({"data": "sets/none.parquet"}, {"model": "nothing"}, {"model": "./deep/nothing"}):
        assert names(look("dpo", **changes)) == ["missing-input"], changes
    examination = look("dpo", data="owner/set", model="owner/model")
    assert names(examination) == [] and examination.plan is not None
    assert "owner/set" in examination.text() and "sizes unknown until" in examination.text()
    assert examination.plan.memory == [] and examination.record()["plan"]["disk"] is None  # type: ignore[index]
    assert names(look("dpo", dry=False, data="owner/set", model="owner/model")) == ["missing-input"] * 2


def test_a_damaged_model_is_found_before_it_is_loaded(look: Look, student: Path, tmp_path: Path) -> None:
    cut = shutil.copytree(student, tmp_path / "cut")
    whole = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[:-1])
    assert names(look("dpo", model=str(cut))) == ["broken-model"]
    (cut / "model.safetensors").write_bytes(whole)
    (cut / "manifest.json").unlink()  # somebody else's model
    (cut / "tokenizer.json").write_text("{")
    assert names(look("dpo", model=str(cut))) == ["no-tokenizer"]
    (cut / "config.json").unlink()
    assert names(look("dpo", model=str(cut))) == ["missing-input"]


def test_a_folder_of_something_else_is_never_the_output(look: Look, here: Path) -> None:
    out = here / "out"
    out.mkdir()
    assert names(look("dpo", out=out)) == []
    (out / "thesis.tex").touch()
    for fresh in (False, True):
        examination = look("dpo", out=out, fresh=fresh)
        assert names(examination) == ["foreign-output"]
        assert "holds other files, not a training run" in examination.faults[0].message
    manifests.write(out, "pairs")
    assert "is a dataset of preference pairs, not a training run" in look("dpo", out=out, fresh=True).faults[0].message
    assert "is a file" in look("dpo", out=out / "thesis.tex").faults[0].message


def test_a_run_of_another_recipe_or_step_is_only_discarded_by_the_users_word(look: Look, here: Path) -> None:
    out = here / "out"
    for name, step, expected in (
        ("tiny", "dpo", []),
        ("tiny", "sft", ["foreign-output"]),
        ("x", "dpo", ["foreign-output"]),
    ):
        job(out, step, recipe=name).write(out)
        assert names(look("dpo", out=out)) == expected
        assert names(look("dpo", out=out, fresh=True)) == []
    (out / "job.json").write_text("{}")
    assert names(look("dpo", out=out)) == ["foreign-output"]


def test_all_faults_stand_in_one_message(look: Look, here: Path) -> None:
    (here / "out").touch()
    examination = look("dpo", micro_batch_size=3, set=("no_such=1", "tokenizer=x"), template="model", out=here / "out")
    with pytest.raises(PreflightFailed) as refusal:
        examination.refuse()
    listed = ["unknown-option", "renamed-option", "no-template", "batch-does-not-divide", "foreign-output"]
    assert names(examination) == listed
    assert str(refusal.value).startswith("preflight found 5 faults:\n")
    assert all(f"\n  {fault}\n    → {fault.hint}" in str(refusal.value) for fault in examination.faults)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ([Lack("no-disk", "seen", "do"), Lack("missing-gpu", "seen", "do")], 4),
        ([Lack("missing-package", "seen", "do"), OptionFault("batch-does-not-divide", "seen", "do")], 2),
        ([OptionFault("owned-option", "seen", "do")], 2),
        ([Lack("missing-package", "seen", "do"), Fault("double-bos", "seen", "do"), OptionFault("x", "seen", "do")], 5),
    ],
)
def test_the_exit_code_tells_what_is_at_fault(look: Look, faults: list[Fault], code: int) -> None:
    examined = look("dpo")
    examined.faults = faults
    with pytest.raises(PreflightFailed) as refusal:
        examined.refuse()
    assert refusal.value.exit_code == code


def test_a_fault_beyond_the_sample_stops_the_run_when_all_rows_are_tokens(
    look: Look, student: Path, tmp_path: Path, here: Path
) -> None:
    rows = [trainer_pair("A plum?", "Yes.", "No.") | {"prompt_id": f"{number:064x}"} for number in range(1_001)]
    rows[-1]["chosen"] = [turn("assistant", "Certainly. " * 60)]
    assert names(look("dpo", rows=rows, on_overlong="error")) == []
    request = TrainRequest.typed(
        "dpo",
        SOUND | OF_STEP["dpo"] | {"model": str(student), "data": str(tmp_path / "rows.jsonl"), "on_overlong": "error"},
    )
    with pytest.raises(PreflightFailed, match=r"overlong: train: .*: 1 of 1,001 rows"):
        run(request)
    assert not request.out.exists(), "nothing was trained"


def test_table_files_are_opened_once(look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for name, rows in (("train", PAIRS[:6]), ("test", PAIRS[6:])):
        write_lines(folder / f"{name}.jsonl", rows)
    opened: list[str] = []
    rows_of = row_files._json_rows
    monkeypatch.setattr(row_files, "_json_rows", lambda path: opened.append(path.stem) or rows_of(path))
    examination = look("dpo", data=str(folder))
    assert examination.source is not None and sorted(opened) == ["test", "train"]
    assert examination.source.table("train").num_rows == 6 and sorted(opened) == ["test", "train"]
    examination.source.let_go()
    assert examination.source.table("train").num_rows == 6 and sorted(opened) == ["test", "train", "train"]


def test_a_new_student_is_planned_without_weights_and_as_it_would_be_built(
    look: Look, here: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dry_run = look("sft", model="new")
    assert dry_run.faults == [] and dry_run.model is not None and dry_run.model.folder is not None
    assert list(dry_run.model.folder.glob("*.safetensors")) == [] and list(here.iterdir()) == []
    real = look("sft", model="new", dry=False)
    assert real.model is not None and real.model.folder is not None and real.plan and dry_run.plan
    assert dry_run.plan.shape.parameters == real.plan.shape.parameters
    assert (dry_run.plan.tokens, dry_run.plan.steps) == (real.plan.tokens, real.plan.steps)
    output = capfd.readouterr()
    assert output.out == "" and re.fullmatch("building a student [^\n]*\n", output.err), "no bars, no warnings"
