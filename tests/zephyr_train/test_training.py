"""Both commands on the embedded datasets, as a user runs them: what is in the run directory, and what it proves."""

import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import zephyr
from tests.zephyr_train.conftest import World, weights
from zephyr_core import manifest

pytestmark = pytest.mark.long


def test_dsft_makes_a_whole_verified_model_and_learns(world: World) -> None:
    out = world.run("sft")
    content = manifest.read(out)
    assert content["verified"]["rows"] == 4
    assert content["verified"]["logps_difference"] < 1e-5
    rows, tests = world.metrics(out), world.metrics(out, "test")
    assert [row["step"] for row in rows] == list(range(1, content["plan"]["steps"] + 1))
    assert tests[-1]["loss"] < tests[0]["loss"]
    assert not out.with_name("sft.state").exists(), "checkpoints of a finished run go"


def test_dpo_begins_at_ln_2_with_no_margin_and_learns_the_pairs(aligned: World) -> None:
    out = aligned.run("dpo")
    rows = aligned.metrics(out)
    assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert rows[0]["margin"] == pytest.approx(0, abs=1e-4)
    last = rows[-5:]  # the very last step may hold a single pair
    assert sum(row["loss"] for row in last) / 5 < 0.64
    assert sum(row["margin"] for row in last) / 5 > 0.1
    assert [row["step"] for row in rows] == list(range(1, manifest.read(out)["plan"]["steps"] + 1))


def test_the_learning_rate_is_the_recipes(aligned: World) -> None:
    """Linear with 10 % warm-up, by hand: 20 steps, 2 of them warm-up."""
    rates = [row["learning_rate"] for row in aligned.metrics(aligned.run("dpo"))]
    steps, warmup = len(rates), math.ceil(len(rates) / 10)
    expected = [1e-3 * (step / warmup if step < warmup else (steps - step) / (steps - warmup)) for step in range(steps)]
    assert rates == pytest.approx(expected)


def test_the_run_directory_holds_everything_that_a_reader_asks_for(aligned: World) -> None:
    out = aligned.run("dpo")
    names = {path.name for path in out.iterdir()}
    assert {
        "job.json",
        "plan.json",
        "launch.yaml",
        "metrics.jsonl",
        "curves.svg",
        "margins",
        "model",
    } <= names
    job = json.loads((out / "job.json").read_text())
    assert job["origins"]["beta"].startswith("default, paper §4.4")
    assert job["origins"]["max_length"] == "file quick.toml"
    assert job["versions"]["trl"].startswith("1.")
    files = manifest.read(out)["files"]
    assert files["model/model.safetensors"]["sha256"] == manifest.file_digest(out / "model" / "model.safetensors")
    card = (out / "model" / "README.md").read_text()
    assert "strictly lower score" in card
    assert "| beta | 0.1 | default, paper §4.4 |" in card


def test_the_saved_model_answers_in_training_bytes_and_stops_at_its_eos(aligned: World) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    model = aligned.run("dpo") / "model"
    tokenizer = AutoTokenizer.from_pretrained(model)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<|user|>\nHi</s>\n<|assistant|>\n"
    job = json.loads((aligned.run("dpo") / "job.json").read_text())
    first = pq.read_table(aligned.run("dpo") / "margins" / "epoch-1.parquet")
    assert first.num_rows == manifest.read(Path(job["tokens"]))["splits"]["train"]["rows"]
    assert GenerationConfig.from_pretrained(model).eos_token_id == tokenizer.eos_token_id


def test_the_same_command_again_has_nothing_to_do(aligned: World) -> None:
    before = weights(aligned.run("dpo"))
    assert "nothing to do" in aligned.zephyr("train", "dpo").stdout
    assert weights(aligned.run("dpo")) == before


def test_other_options_in_the_same_folder_are_refused_by_name(aligned: World) -> None:
    done = aligned.zephyr("train", "dpo", "--beta", 0.5, "--seed", 7, fails=True)
    assert done.returncode == 2
    assert "these differ: beta, seed" in done.stderr


def test_the_reference_command_computes_what_dpo_finds(aligned: World) -> None:
    job = json.loads((aligned.run("dpo") / "job.json").read_text())
    content = json.loads(aligned.zephyr("train", "reference", "--json").stdout)
    assert content["folder"] == job["reference"]
    assert content["digest"] == job["reference_digest"]
    table = pq.read_table(Path(content["folder"]) / "reference.parquet")
    assert table.column_names == ["split", "row", "key", "chosen", "rejected"]
    assert max(table["chosen"].to_pylist()) < 0, "log-probs"


@pytest.mark.slow
def test_another_beta_and_seed_find_the_reference_that_is_there(aligned: World) -> None:
    job = json.loads((aligned.run("dpo") / "job.json").read_text())
    folder = Path(job["reference"])
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    done = aligned.zephyr("train", "dpo", "--beta", 0.5, "--epochs", 1, "--seed", 7, "--out", "beta-0.5")
    assert f"found in {folder}" in done.stderr
    ours, others = aligned.metrics("beta-0.5"), aligned.metrics(aligned.run("dpo"))
    assert ours[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert ours[2]["loss"] != pytest.approx(others[2]["loss"], abs=1e-4)
    orders = [[row["tokens"] for row in rows[:5]] for rows in (ours, others)]
    assert orders[0] != orders[1], "another seed, another order; that one seed gives equal weights, test_killed shows"
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    manifests = [manifest.read(path) for path in folder.parent.glob("reference-*")]
    alike = [(content["model"], content["tokens"], content["numerics"]) for content in manifests]
    assert alike.count((job["model_digest"], job["tokens_digest"], job["numerics"])) == 1


def test_suspects_lists_the_pairs_with_the_lowest_margins(aligned: World) -> None:
    done = aligned.zephyr("train", "suspects", aligned.run("dpo"), "--top", 3, "--json")
    rows = json.loads(done.stdout)
    margins = [pq.read_table(file).to_pydict() for file in sorted((aligned.run("dpo") / "margins").iterdir())]
    mean = {
        key: sum(dict(zip(table["key"], table["margin"], strict=True))[key] for table in margins) / len(margins)
        for key in margins[0]["key"]
    }
    assert [row["key"] for row in rows] == sorted(mean, key=lambda key: (mean[key], key))[:3]


def test_another_layout_trains_to_the_same_figures(aligned: World) -> None:
    """The reference was computed by shared prompts; the first step is held against it. All layouts: test_oracle."""
    (aligned.folder / "other.toml").write_text('extends = "quick.toml"\nabout = "t"\n[dpo]\npadding_free = false\n')
    out = aligned.folder / "padded"
    command = ["train", "dpo", "--model", aligned.run("sft"), "--data", aligned.run("binarize"), "--out", out]
    folder = Path(json.loads((aligned.run("dpo") / "job.json").read_text())["reference"])
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    done = aligned.zephyr(*command, recipe="other.toml")
    assert f"reference log-probs: found in {folder}" in done.stderr
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert json.loads((out / "job.json").read_text())["layout"] == "padded"
    assert json.loads((aligned.run("dpo") / "job.json").read_text())["layout"] == "shared"
    for split in ("train", "test"):
        ours, shared = (aligned.metrics(place, split) for place in (out, aligned.run("dpo")))
        for name in ("loss", "margin", "logps_chosen", "tokens", "token_accuracy"):
            assert [row.get(name) for row in ours] == pytest.approx(
                [row.get(name) for row in shared], rel=1e-6, abs=1e-4
            ), name
    margins = (pq.read_table(place / "margins" / "epoch-2.parquet") for place in (out, aligned.run("dpo")))
    ours, shared = (table.to_pydict() for table in margins)
    assert ours["key"] == shared["key"]
    assert ours["margin"] == pytest.approx(shared["margin"], abs=1e-4)


def test_measure_sets_models_side_by_side_on_held_out_pairs(aligned: World) -> None:
    sft, dpo = aligned.run("sft"), aligned.run("dpo")
    command = ["train", "measure", sft, dpo, "--pairs", dpo, "--start", sft, "--answers", 3, "--json"]
    done = zephyr(*command, cwd=aligned.folder)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    last = aligned.metrics(dpo, "test")[-1]
    dpo_figures = content["models"][str(dpo)]
    assert content["pairs"] == len(dpo_figures["chosen"])
    assert dpo_figures["implicit_accuracy"] == pytest.approx(last["accuracy"])
    assert sum(dpo_figures["chosen"]) / content["pairs"] == pytest.approx(last["logps_chosen"], abs=1e-2)
    assert content["models"][str(sft)]["implicit_accuracy"] is None
    assert len(dpo_figures["answers"]) == len(dpo_figures["stopped"]) == min(3, content["pairs"])
    unfinished = zephyr("train", "measure", sft, "--pairs", aligned.folder, cwd=aligned.folder)
    assert unfinished.returncode == 4 and "is not a finished run" in unfinished.stderr
