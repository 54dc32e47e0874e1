"""A new student is decided by its options and the set of its texts, and by nothing else."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import manifests
from tests.conftest import SMALL_STUDENT, News
from zephyr_core import manifest, recipe
from zephyr_core.errors import DataError, OptionError, UsageError
from zephyr_data.steps import SECTIONS as OF_DATA
from zephyr_train import student as students
from zephyr_train.errors import ForeignRun
from zephyr_train.options import StudentOptions
from zephyr_train.steps import SECTIONS as OF_TRAINING

HERE = Path(__file__).parent
SECTIONS = {**OF_TRAINING, **OF_DATA}
Command = Callable[..., tuple[dict[str, Any], str]]
SMALL = StudentOptions(
    source="new", vocabulary=300, hidden_size=16, intermediate_size=24, layers=2, heads=4, kv_heads=2, positions=64,
    sliding_window=32,
)  # fmt: skip
TEXTS = ["the plum is ripe", "the pear is not", "the plum and the pear", "naïve 你好 😀\n\tend"]


def _files(folder: Path) -> dict[str, str]:
    names = ("model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture(scope="module")
def small_student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("student") / "student"
    students.build(SMALL, TEXTS, folder)
    return folder


def test_order_and_repeats_of_texts_do_not_matter(small_student: Path, tmp_path: Path) -> None:
    students.build(SMALL, [*reversed(TEXTS), TEXTS[0]], tmp_path / "other")
    assert _files(tmp_path / "other") == _files(small_student)
    assert manifest.read(tmp_path / "other")["texts"] == manifest.read(small_student)["texts"]


def test_another_seed_gives_other_weights_and_the_same_tokenizer(small_student: Path, tmp_path: Path) -> None:
    students.build(dataclasses.replace(SMALL, seed=43), TEXTS, tmp_path / "other")
    mine, other = _files(small_student), _files(tmp_path / "other")
    assert mine["model.safetensors"] != other["model.safetensors"]
    assert mine["tokenizer.json"] == other["tokenizer.json"]


def test_building_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    students.build(SMALL, TEXTS, tmp_path / "student")
    assert torch.equal(torch.rand(3), expected)


def test_tokenizer_keeps_every_text_and_has_mistrals_special_tokens(small_student: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(small_student)
    for text in [*TEXTS, "unseen: żółw ☂ \x00 \r\n  ", "</", "<s", "a . b , do n't"]:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert (tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert tokenizer.pad_token is None
    assert tokenizer.model_max_length == 64
    assert tokenizer("the plum").input_ids[0] == 1 and tokenizer("the plum").input_ids.count(1) == 1
    assert tokenizer.encode("a</s>", add_special_tokens=False)[-1] == 2
    assert len(tokenizer) <= SMALL.vocabulary


def test_model_has_the_sizes_of_the_options(small_student: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(small_student)
    config = json.loads((small_student / "config.json").read_text())
    assert (
        config["vocab_size"]
        == manifest.read(small_student)["vocabulary"]
        == model.get_input_embeddings().weight.shape[0]
    )
    assert config["sliding_window"] == 32
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 2)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.lm_head.weight is not model.model.embed_tokens.weight
    assert float(model.model.layers[0].mlp.up_proj.weight.detach().std()) == pytest.approx(
        config["hidden_size"] ** -0.5, rel=0.3
    )


def test_tied_embeddings_are_one_tensor(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    students.build(dataclasses.replace(SMALL, tied=True), TEXTS, tmp_path / "tied")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "tied")
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_built_student_is_found_again_without_reading_texts(small_student: Path, news: News) -> None:
    def unread() -> list[str]:
        raise AssertionError("the texts were read again")

    assert students.student(SMALL, unread, small_student) == small_student
    renamed = dataclasses.replace(SMALL, source="another", revision="x")
    assert students.student(renamed, unread, small_student) == small_student
    assert news() == []


def test_an_absent_student_is_built_and_said(tmp_path: Path, news: News) -> None:
    folder = students.student(SMALL, lambda: TEXTS, tmp_path / "deep" / "student")
    assert manifest.is_whole(folder) and "2 layers of 16" in news()[0]
    assert [path.name for path in folder.parent.iterdir() if path.name[0] != "."] == ["student"]


def test_a_student_of_other_options_is_refused(small_student: Path) -> None:
    with pytest.raises(ForeignRun, match="layers 2 → 3, seed 42 → 1"):
        students.student(dataclasses.replace(SMALL, layers=3, seed=1), list, small_student)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ForeignRun, match="not a student"):
        students.student(SMALL, lambda: TEXTS, tmp_path)
    manifests.write(tmp_path, "pairs")
    with pytest.raises(ForeignRun, match="is a dataset of preference pairs, not a student"):
        students.student(SMALL, lambda: TEXTS, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_vocabulary_below_the_bytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="need 259"):
        students.build(dataclasses.replace(SMALL, vocabulary=258), TEXTS, tmp_path / "student")
    assert not (tmp_path / "student").exists()


# ---- zephyr train student ------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `zephyr train student` on two dialogues; the recipe is written with the changes to its student."""
    monkeypatch.chdir(tmp_path)

    def run(changes: str = "", rows: str = "two_dialogues.jsonl", **flags: bool) -> tuple[dict[str, Any], str]:
        (tmp_path / "small.toml").write_text(f'extends = "tiny"\nabout = "small"\n{SMALL_STUDENT}{changes}')
        parameters = {"data": [str(HERE / rows)], "out": None, "fresh": False, "dry_run": False, **flags}
        return students.answer({"recipe": recipe.load("small.toml", SECTIONS), **parameters})

    return run


def test_the_command_builds_what_dsft_would(command: Command, tmp_path: Path) -> None:
    content, text = command()
    folder = tmp_path / "runs" / "small" / "student"
    assert content["folder"] == str(folder) and "built: 384 tokens" not in text
    assert text.startswith(f"{folder}: built: ") and content["texts"]["rows"] == 4
    texts = [text for pair in (("Name a river.", "The Danube is a river."), ("Name a tree.", "The oak is a tree."))
             for text in pair]  # fmt: skip
    options = recipe.resolve("student", StudentOptions, recipe.load("small.toml", SECTIONS)).options
    assert students.student(options, lambda: pytest.fail("it is whole"), folder) == folder
    students.build(options, texts, tmp_path / "again")
    assert _files(folder) == _files(tmp_path / "again")


def test_a_whole_student_is_left_alone_and_another_is_refused_unless_fresh(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "small" / "student"
    command()
    before = _files(folder)
    assert "nothing to do" in command()[1]
    (tmp_path / "others.jsonl").write_text((HERE / "two_dialogues.jsonl").read_text().replace("oak", "elm"))
    others = str(tmp_path / "others.jsonl")
    with pytest.raises(ForeignRun, match="was built from other dialogues") as refused:
        command(rows=others)
    assert "--fresh" in str(refused.value.hint) and refused.value.exit_code == 2
    with pytest.raises(ForeignRun, match="seed 42 → 7"):
        command("seed = 7\n")
    assert _files(folder) == before
    assert ": built: " in command("seed = 7\n", rows=others, fresh=True)[1]
    assert _files(folder)["model.safetensors"] != before["model.safetensors"]


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_student_is_built_again(command: Command, tmp_path: Path, file: str) -> None:
    folder = tmp_path / "runs" / "small" / "student"
    command()
    before = _files(folder)
    content = bytearray((folder / file).read_bytes())
    content[-9] ^= 1
    (folder / file).write_bytes(content)
    assert "to be written" in command(dry_run=True)[1] and _files(folder) != before
    assert ": built: " in command()[1]
    assert _files(folder) == before
    (folder / file).unlink()
    assert ": built: " in command()[1] and _files(folder) == before


def test_a_student_with_a_damaged_manifest_is_only_discarded_by_the_users_word(
    command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "small" / "student"
    command()
    whole = (folder / "manifest.json").read_text()
    for content in (whole[:50], "", whole.replace('"seed": 42', '"seed": 43')):
        (folder / "manifest.json").write_text(content)
        with pytest.raises(DataError, match=r"manifest\.json is damaged"):
            command()
    (folder / "manifest.json").write_text("{")
    assert ": built: " in command(fresh=True)[1] and "nothing to do" in command()[1]


def test_a_plan_writes_nothing(command: Command, tmp_path: Path) -> None:
    content, text = command(dry_run=True)
    assert not (tmp_path / "runs").exists() and content["whole"] is False
    assert "2 layers of 32" in text and "to be written" in text
    command()
    assert "there already" in command(dry_run=True)[1]


def test_what_it_cannot_build_is_refused(command: Command, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="begins with owner/model: it builds no student"):
        command('source = "owner/model"\n')
    place = tmp_path / "runs" / "small" / "student"
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    for flags in ({}, {"fresh": True}, {"dry_run": True}):
        with pytest.raises(ForeignRun, match="is a file"):
            command(**flags)
    place.unlink()
    manifests.write(place, "pairs")
    with pytest.raises(ForeignRun, match="is a dataset of preference pairs, not a student"):
        command(fresh=True)
