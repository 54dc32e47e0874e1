from dataclasses import dataclass, field
from pathlib import Path

import pytest

from zephyr_core import recipe
from zephyr_core.errors import RecipeError


@dataclass(frozen=True)
class Options:
    beta: float = field(default=0.1, metadata={"section": "§4.4"})
    epochs: int = 3
    names: tuple[str, ...] = ("a",)
    quick: bool = False
    limit: int | None = None


def load(tmp_path: Path, text: str, name: str = "mine.toml") -> recipe.Recipe:
    (tmp_path / name).write_text(text)
    return recipe.load(str(tmp_path / name))


def test_each_layer_overrides_the_one_before(tmp_path: Path) -> None:
    load(tmp_path, "[step]\nbeta = 0.2\nepochs = 1\nquick = true", "base.toml")
    mine = load(tmp_path, f'extends = "{tmp_path}/base.toml"\n[step]\nepochs = 2\nlimit = 7')
    environment = {"ZEPHYR_STEP_LIMIT": "8", "ZEPHYR_STEP_NAMES": "b, c"}
    resolved = recipe.resolve("step", Options, mine, {"limit": 9, "beta": None}, environment)
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
    resolved = recipe.resolve("step", Options, load(tmp_path, ""), environment={})
    assert resolved.explain("beta") == "step.beta = 0.1   (default, §4.4)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[step]\nbetta = 1", "no option 'betta'"),
        ("[step]\nbeta = 'x'", "'x' is not a number"),
        ("[step]\nepochs = 1.5", "1.5 is not an integer"),
        ("[step]\nquick = 1", "1 is not true or false"),
        ("[step", "not valid TOML"),
        ('extends = "nowhere"', "no recipe 'nowhere'"),
    ],
)
def test_a_wrong_recipe_names_file_and_fault(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe.resolve("step", Options, load(tmp_path, text), environment={})


def test_a_near_miss_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe.resolve("step", Options, load(tmp_path, "[step]\nepoch = 1"), environment={})
    assert "did you mean 'epochs'?" in str(caught.value.hint)


def test_a_loop_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loop.toml"
    with pytest.raises(RecipeError, match="extends itself"):
        load(tmp_path, f'extends = "{path}"', "loop.toml")


def test_the_folder_that_runs_share_is_no_recipes(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"artefacts.toml: runs keep what they share"):
        load(tmp_path, "", "artefacts.toml")


def test_a_bad_environment_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="ZEPHYR_STEP_EPOCHS"):
        recipe.resolve("step", Options, load(tmp_path, ""), environment={"ZEPHYR_STEP_EPOCHS": "many"})


@pytest.mark.parametrize("name", recipe.shipped_names())
def test_every_shipped_recipe_resolves_and_lists_its_decisions(name: str) -> None:
    from zephyr_data.options import CleanOptions

    loaded = recipe.load(name)
    assert loaded.about()
    recipe.resolve("clean-ultrachat", CleanOptions, loaded, environment={})
    decisions = {path.name[:4] for path in (Path(__file__).parents[2] / "docs" / "decisions").glob("*.md")}
    for note in loaded.notes("deviations") + loaded.notes("interpretations"):
        assert note["decision"] in decisions
