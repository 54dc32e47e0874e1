"""What the command line of a whole run gives the recipe: read, refused by name, above the environment, in the record."""

from dataclasses import replace
from pathlib import Path

import pytest

from zephyr_core import recipe
from zephyr_core.errors import RecipeError
from zephyr_core.recipe_names import RECORD, Given, given
from zephyr_run.steps import SECTIONS, with_given


@pytest.mark.parametrize(
    ("text", "section", "key", "value"),
    [
        ("dpo.learning_rate=1e-6", "dpo", "learning_rate", "1e-6"),
        ("dpo.learning-rate = 1e-6", "dpo", "learning_rate", "1e-6"),
        ("clean.size=100", "clean-ultrachat", "size", "100"),
        ("bin.test_prompts=5", "binarize", "test_prompts", "5"),
        ("sft.set=max_grad_norm=0.5", "sft", "set", ("max_grad_norm=0.5",)),
        ("student.source=", "student", "source", ""),
    ],
)
def test_a_text_names_section_option_and_value(text: str, section: str, key: str, value: str) -> None:
    assert given([text], SECTIONS) == (Given("--set", section, key, value),)


@pytest.mark.parametrize(
    ("texts", "message", "hint"),
    [
        (["dpo.betta=1"], "[dpo] has no option 'betta'", "did you mean 'beta'?"),
        (["dpoo.beta=1"], "no section 'dpoo'", "did you mean 'dpo'?"),
        (["s.seed=1"], "no section 's'", "known: binarize"),
        ([".seed=1"], "no section ''", "known: binarize"),
        (["beta=1"], "'beta=1' is not of the form SECTION.KEY=VALUE", "write --set dpo.beta=1"),
        (["epochs=2"], "is not of the form", "write --set sft.epochs=2 or dpo.epochs=2"),
        (["dpo.beta"], "'dpo.beta' is not of the form", "such as --set dpo.learning_rate=1e-6"),
        (["dpo.beta=1", "dpo.beta=2"], "--set dpo.beta is given twice", "keep one of them"),
    ],
)
def test_what_names_no_option_is_refused(texts: list[str], message: str, hint: str) -> None:
    with pytest.raises(RecipeError) as fault:
        given(texts, SECTIONS)
    assert message in str(fault.value) and hint in str(fault.value.hint)


def test_several_values_add_up_where_the_flag_may_be_repeated() -> None:
    texts = ["sft.set=a=1", "sft.set=b=[1, 2]"]
    loaded = with_given(recipe.load("tiny"), {}, texts)
    assert recipe.resolve("sft", SECTIONS["sft"], loaded).options.set == ("a=1", "b=[1, 2]")
    assert [pair for one in loaded.given for pair in one.words()] == [("--set", text) for text in texts]


def test_it_goes_before_recipe_and_environment_and_into_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEPHYR_DPO_BETA", "0.3")
    flags = {"--gpus": 2, "--attention": None, "--model": "owner/name"}
    loaded = with_given(recipe.load("tiny"), flags, ["dpo.beta=0.2", "dpo.gpus=4", "sft.set=max_grad_norm=1"])
    resolved = recipe.resolve("dpo", SECTIONS["dpo"], loaded)
    assert (resolved.options.beta, resolved.options.gpus) == (0.2, 4), "--set goes before the shorter flags"
    assert resolved.origins["beta"] == "flag --set of zephyr run"
    assert recipe.resolve("sft", SECTIONS["sft"], loaded).options.gpus == 2
    assert recipe.resolve("student", SECTIONS["student"], loaded).options.source == "owner/name"
    (tmp_path / "record.json").write_text(loaded.as_json())
    monkeypatch.setenv(RECORD, str(tmp_path / "record.json"))
    assert recipe.load("tiny", SECTIONS).given == loaded.given


def test_another_model_takes_neither_the_revision_nor_the_model_of_the_recipe() -> None:
    layer = {"student": {"source": "a/b", "revision": "of-a-b"}, "sft": {"model": "c/d"}}
    loaded = replace(recipe.load("tiny"), layers=(("file", layer),))
    loaded = with_given(loaded, {"--model": "owner/name"}, [])
    student = recipe.resolve("student", SECTIONS["student"], loaded).options
    assert (student.source, student.revision) == ("owner/name", "main")
    assert recipe.resolve("sft", SECTIONS["sft"], loaded).options.model is None


@pytest.mark.parametrize(
    ("text", "message"),
    [("dpo.beta=x", "flag --set of zephyr run: dpo.beta: 'x' is not a number"), ("dpo.epochs=1.5", "not an integer")],
)
def test_a_value_of_another_type_is_refused(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe.resolve("dpo", SECTIONS["dpo"], with_given(recipe.load("tiny"), {}, [text]))
