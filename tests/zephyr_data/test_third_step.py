"""A third step is a third folder: nothing else knows of it, and it runs through everything."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import dialogue, runner, zephyr
from tests.zephyr_data.toy_step import TOY, ToyOptions
from zephyr_core import kinds, this_code
from zephyr_core.options import declared
from zephyr_core.steps import Step
from zephyr_data.cleaning.ultrachat import CLEANING
from zephyr_data.engine.step import FREE, DataStep
from zephyr_data.pairing.binarize import BINARIZING
from zephyr_run.report import bars, on_disk
from zephyr_train.reader import open_data

ROWS = [dialogue(f"What is {number}?", "A number.", row_id=f"t{number}") for number in (1, 7, 12, 71)]


@pytest.fixture
def toy(tmp_path: Path, write: Callable[..., Path]) -> Path:
    """The toy step's dataset, made by two processes."""
    runner(TOY, tmp_path, "toy")(write([*ROWS, "{"]), workers=2)
    return tmp_path / "toy"


def test_it_is_made_counted_and_shown_in_the_order_of_its_stages(toy: Path) -> None:
    content = kinds.read_dataset(toy)
    assert content["stages"] == ["read", "unheard-of"]
    assert content["counts"]["dropped"] == {"read/unreadable-line": 1, "unheard-of/digit": 2}
    table = zephyr("data", "audit", toy).stdout
    assert table.index("dropped: read/unreadable-line") < table.index("dropped: unheard-of/digit")
    assert "unheard-of/digit: 2 rows" in table and "train_sft" in table


def test_it_is_verified_and_its_rows_have_stories(toy: Path) -> None:
    assert "is whole" in zephyr("data", "verify", toy).stdout
    assert "dropped by unheard-of/digit" in zephyr("data", "why", toy, "t7").stdout
    assert "kept: train_sft, row 0" in zephyr("data", "why", toy, "t1").stdout


def test_its_card_opens_it_and_training_reads_it(toy: Path) -> None:
    card = (toy / "README.md").read_text()
    assert "\nzephyr data toy " in card and "| unheard-of/digit | 2 |" in card
    assert open_data(str(toy), "dialogues").table("train").num_rows == 2


def test_a_page_draws_its_drops(toy: Path) -> None:
    listed = Step("toy", ("data", "toy"), "dataset", "toy", "toy", ToyOptions, folder="toy", splits=("train_sft",))
    step = on_disk.files_of(listed, toy, {})
    picture = bars.drops(step)
    assert picture.index(">read<") < picture.index(">unheard-of<") and step.counts is not None


def test_a_dry_run_shows_its_plan(tmp_path: Path, write: Callable[..., Path]) -> None:
    from zephyr_core import recipe
    from zephyr_data.make import DataRequest
    from zephyr_data.make import run as run_step

    request = DataRequest(recipe.load("tiny"), {"sources": (str(write(ROWS)),)}, tmp_path / "o", dry_run=True)
    assert "stages: mark unheard-of" in run_step(TOY, request)[1]


# ---- what a block's result depends on ------------------------------------------------------------


@pytest.mark.parametrize("step", [CLEANING, BINARIZING, TOY], ids=lambda step: step.name)
def test_a_plan_is_every_option_but_those_named_as_free(step: DataStep) -> None:
    options = step.options()
    assert set(step.plan(options)) == set(declared(options)) - {*FREE, *step.free}
    assert {*FREE, *step.free} <= set(declared(options)), "a free option that does not exist"


def test_a_free_option_changes_no_block_and_any_other_starts_over(
    tmp_path: Path, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, news: Callable[[], list[str]]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    rows = write(ROWS)
    run = runner(TOY, tmp_path, "toy")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("zephyr_data.engine.pipeline.manifest.write", stop)
        run(rows)
    assert news() == ["starting"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("zephyr_data.engine.pipeline.manifest.write", stop)
        run(rows, shard_rows=1)
    assert news() == ["continuing: 1 blocks are done"]
    run(rows, digit="1")
    assert news()[0] == "starting over: digit changed since the run that stopped"


def test_the_code_that_blocks_depend_on_is_the_engine_s_and_the_step_s_own(tmp_path: Path) -> None:
    from zephyr_data.engine.pipeline import OF_BLOCKS

    cleaning, pairing = (this_code.digest_of(OF_BLOCKS, step.package) for step in (CLEANING, BINARIZING))
    assert len({cleaning, pairing, this_code.digest_of(OF_BLOCKS, TOY.package)}) == 3
    files = this_code.files_of(OF_BLOCKS, CLEANING.package)
    assert "zephyr_data/cleaning/language.py" in files and "zephyr_data/stages/verbs.py" in files
    assert not [name for name in files if name.startswith(("zephyr_page/", "zephyr_run/", "zephyr_data/pairing/"))]


def test_of_the_floor_a_block_s_code_uses_only_what_is_listed_or_changes_no_row() -> None:
    import grimp

    from zephyr_data.engine.pipeline import OF_BLOCKS

    no_part_of_rows = {
        *("console", "disk", "errors", "folder", "hub", "kinds", "listing", "manifest", "options", "paths"),
        *("credits", "process", "reading", "recipe", "records", "sealed", "shape", "this_code", "typed"),
    }
    graph = grimp.build_graph("zephyr_core", "zephyr_data")
    files = {name for step in (CLEANING, BINARIZING) for name in this_code.files_of(OF_BLOCKS, step.package)}
    outside = {"zephyr_data/commands.py", "zephyr_data/make.py", "zephyr_data/data_steps.py", "zephyr_data/steps.py"}
    modules = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in files - outside]
    imports = {
        imported.split(".")[1]
        for module in modules
        if module.startswith("zephyr_data")
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.startswith("zephyr_core.")
    }
    listed = {Path(name).stem for name in files if name.startswith("zephyr_core/")}
    assert listed == {"keys", "template", "texts"}
    assert imports <= listed | no_part_of_rows


def test_a_step_s_functions_travel_to_workers() -> None:
    import pickle

    for step in (CLEANING, BINARIZING, TOY):
        there = pickle.loads(pickle.dumps(step))  # noqa: S301  our own
        assert there == step and hash(there) == hash(step)
