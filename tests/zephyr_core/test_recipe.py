import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from zephyr_core import paths, recipe
from zephyr_core.errors import RecipeError, UsageError
from zephyr_core.options import value
from zephyr_core.recipe_names import RECORD
from zephyr_run.steps import SECTIONS


@dataclass(frozen=True)
class Options:
    beta: float = value(0.1, "§4.4", "how strongly")
    epochs: int = 3
    names: tuple[str, ...] = ("a",)
    quick: bool = False
    limit: int | None = None


def load(tmp_path: Path, text: str, name: str = "mine.toml", sections: dict[str, type] | None = None) -> recipe.Recipe:
    (tmp_path / name).write_text(text)
    return recipe.load(str(tmp_path / name), sections)


def test_each_layer_overrides_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(tmp_path, "[step]\nbeta = 0.2\nepochs = 1\nquick = true", "base.toml")
    mine = load(tmp_path, f'extends = "{tmp_path}/base.toml"\n[step]\nepochs = 2\nlimit = 7')
    monkeypatch.setenv("ZEPHYR_STEP_LIMIT", "8")
    monkeypatch.setenv("ZEPHYR_STEP_NAMES", "b, c")
    resolved = recipe.resolve("step", Options, mine, {"limit": 9, "beta": None})
    assert resolved.options == Options(0.2, 2, ("b", "c"), True, 9)
    assert resolved.origins == {
        "beta": f"file {tmp_path}/base.toml",
        "epochs": f"file {tmp_path}/mine.toml",
        "names": "environment ZEPHYR_STEP_NAMES",
        "quick": f"file {tmp_path}/base.toml",
        "limit": "flag --limit",
    }
    assert resolved.explain("limit") == "step.limit = 9   (flag --limit)"


def test_default_says_its_section(tmp_path: Path) -> None:
    resolved = recipe.resolve("step", Options, load(tmp_path, ""))
    assert resolved.explain("beta") == "step.beta = 0.1   (default, §4.4)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[step]\nbetta = 1", "no option 'betta'"),
        ("[step]\nbeta = 'x'", "'x' is not a number"),
        ("[step]\nepochs = 1.5", "1.5 is not an integer"),
        ("[step]\nquick = 1", "1 is not true or false"),
        ("[step]\nquick = 'true'", "'true' is not true or false"),
        ("[step]\nepochs = '2'", "'2' is not an integer"),
        ("[step]\nlimit = '2'", "'2' is not an integer"),
        ("[step", "not valid TOML"),
        ('extends = "nowhere"', "no recipe 'nowhere'"),
    ],
)
def test_a_wrong_recipe_names_file_and_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe.resolve("step", Options, load(tmp_path, text))


def test_a_near_miss_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe.resolve("step", Options, load(tmp_path, "[step]\nepoch = 1"))
    assert "did you mean 'epochs'?" in str(caught.value.hint)


def test_a_loop_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loop.toml"
    with pytest.raises(RecipeError, match="extends itself"):
        load(tmp_path, f'extends = "{path}"', "loop.toml")


def test_the_folder_that_runs_share_is_no_recipes(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"artefacts.toml: runs keep what they share"):
        load(tmp_path, "", "artefacts.toml")


def test_a_bad_environment_value_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEPHYR_STEP_EPOCHS", "many")
    with pytest.raises(RecipeError, match="ZEPHYR_STEP_EPOCHS"):
        recipe.resolve("step", Options, load(tmp_path, ""))


@pytest.mark.parametrize("name", recipe.shipped_names())
def test_every_shipped_recipe_resolves_and_lists_its_decisions(name: str) -> None:
    from zephyr_data.options import CleanOptions

    loaded = recipe.load(name)
    assert loaded.about()
    recipe.resolve("clean-ultrachat", CleanOptions, loaded)
    decisions = {path.name[:4] for path in (Path(__file__).parents[2] / "docs" / "decisions").glob("*.md")}
    for note in loaded.notes("deviations") + loaded.notes("interpretations"):
        assert note["decision"] in decisions


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[dop]\nbeta = 0.5", "mine.toml: a recipe has no section [dop]", "did you mean 'dpo'?"),
        ("[binarise]\nties = 'drop'", "a recipe has no section [binarise]", "did you mean 'binarize'?"),
        ("seed = 7", "a recipe has no key 'seed'", "write it under [clean-ultrachat] or [binarize]"),
        ("abuot = 'x'", "a recipe has no key 'abuot'", "did you mean 'about'?"),
        ("[sft]\nepcohs = 2", "[sft] has no option 'epcohs'", "did you mean 'epochs'?"),
        ("[sft]\nmax-length = 1\nmax_length = 2", "[sft] sets max_length twice", "keep one of them"),
        ("dpo = 3", "dpo is 3", "write its options under [dpo]"),
        ("extends = 3", "extends is 3", "name a shipped recipe"),
        ("deviations = 'none'", "deviations holds something other than notes", "write [[deviations]]"),
        ("[[interpretations]]\nwat = 'x'", "interpretations holds something other than notes", "with what ="),
    ],
)
def test_a_name_that_nothing_reads_is_refused(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text, sections=SECTIONS)
    assert message in str(caught.value) and hint in str(caught.value.hint)


def test_a_name_that_nothing_reads_is_refused_in_the_base_too(tmp_path: Path) -> None:
    load(tmp_path, "[dpo]\nbetta = 1", "base.toml")
    with pytest.raises(RecipeError, match=r"base.toml: \[dpo\] has no option 'betta'"):
        load(tmp_path, "extends = 'base.toml'", sections=SECTIONS)


def test_a_base_is_looked_for_in_the_folder_of_the_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "elsewhere").mkdir()
    load(tmp_path, "[step]\nepochs = 7", "base.toml")
    load(tmp_path, "extends = '../base.toml'", "team/ours.toml")
    load(tmp_path, "extends = 'team/ours.toml'")
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "base.toml").write_text("[step]\nepochs = 1")
    resolved = recipe.resolve("step", Options, recipe.load("../mine.toml"))
    assert resolved.options.epochs == 7


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ZEPHYR_DPO_BETTA", "did you mean 'ZEPHYR_DPO_BETA'?"),
        ("ZEPHYR_RUN", "did you mean 'ZEPHYR_RUNS'?"),
        ("ZEPHYR_QQQQQQQQQQQQQQQ", "ZEPHYR_<SECTION>_<OPTION>"),
    ],
)
def test_a_variable_that_nothing_reads_is_refused(name: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe.load("tiny", SECTIONS)
    monkeypatch.setenv(name, "1")
    with pytest.raises(RecipeError, match=f"{name} does not name an option") as caught:
        recipe.load("tiny", SECTIONS)
    assert hint in str(caught.value.hint)


def test_a_run_s_record_is_read_instead_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = load(tmp_path, "about = 'first'\n[step]\nepochs = 2\n[[deviations]]\nwhat = 'x'\nwhen = 2024-01-02")
    (tmp_path / "record.json").write_text(read.as_json())
    monkeypatch.setenv(RECORD, str(tmp_path / "record.json"))
    again = load(tmp_path, "about = 'second'\n[step]\nepochs = 3")
    assert again.about() == "first" and again.name == "mine"
    assert recipe.resolve("step", Options, again) == recipe.resolve("step", Options, read)
    assert load(tmp_path, "about = 'other'", "other.toml").about() == "other", "another recipe is read from its file"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        json.dumps({"name": "x", "typed": "x", "layers": [3]}),
        json.dumps({"name": "x", "typed": "x", "layers": []}),
        100_000 * "[",
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    (tmp_path / "record.json").write_text(content)
    monkeypatch.setenv(RECORD, str(tmp_path / "record.json"))
    with pytest.raises(RecipeError, match=r"record.json, the run's record of its recipe, cannot be read"):
        recipe.load("tiny")


def test_a_loop_through_another_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.toml").write_text('extends = "../a.toml"')
    with pytest.raises(RecipeError, match=r"extends itself: .*a\.toml → .*sub/b\.toml → .*sub/\.\./a\.toml"):
        load(tmp_path, 'extends = "sub/b.toml"', "a.toml")


def test_a_loop_through_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to("a.toml")
    with pytest.raises(RecipeError, match="extends itself"):
        load(tmp_path, 'extends = "link.toml"', "a.toml")


@pytest.mark.parametrize("name", ["../recipes/tiny", "/etc/../{folder}/mine", "", "a" * 300])
def test_a_recipe_without_toml_at_its_end_is_a_shipped_one(tmp_path: Path, name: str) -> None:
    load(tmp_path, "")
    with pytest.raises(RecipeError, match="no recipe"):
        recipe.load(name.format(folder=tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names = 5", "names: 5 is not a list"),
        ("names = true", "names: True is not a list"),
        ("names = 2020-01-01", "is not a list"),
        ("names = {a = 1}", "names: {'a': 1} is not a list"),
        ("names = [1]", "names: 1 is not text"),
        ("names = [['a']]", r"names: \['a'\] is not text"),
        ("beta = 1" + 400 * "0", "is not a number"),
    ],
)
def test_a_value_of_another_type_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe.resolve("step", Options, load(tmp_path, f"[step]\n{text}"))


@pytest.mark.parametrize("text", ["", "none"])
def test_the_environment_can_empty_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ZEPHYR_STEP_NAMES", text)
    resolved = recipe.resolve("step", Options, load(tmp_path, ""))
    assert resolved.options.names == ()


def test_a_recipe_nested_too_deeply_is_not_valid(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not valid TOML: it is nested too deeply"):
        load(tmp_path, f"x = {5000 * '['}{5000 * ']'}")


def test_a_base_in_the_home_of_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"~nobody-at-all/x\.toml: there is no such home folder"):
        load(tmp_path, 'extends = "~nobody-at-all/x.toml"')


def test_a_switch_that_was_turned_off_says_by_which_flag(tmp_path: Path) -> None:
    resolved = recipe.resolve("step", Options, load(tmp_path, ""), {"quick": False})
    assert resolved.explain("quick") == "step.quick = False   (flag --no-quick)"


@pytest.mark.parametrize("name", ["..", "...", "a b", "a/b", "\x1b[31mx", "naïve"])
def test_a_name_that_leads_out_of_the_runs_or_into_a_terminal_is_refused(tmp_path: Path, name: str) -> None:
    assert not paths.is_name(name)
    file = tmp_path / f"{name.replace('/', '_ _')}.toml"
    file.write_text('extends = "tiny"\n')
    with pytest.raises(RecipeError, match="cannot be a recipe's name"):
        recipe.load(str(file))
