"""Real commands on a small recipe: made, skipped, mended where damaged, continued where killed, made again elsewhere."""

import json
import shutil
from typing import Any

import pytest

from tests import manifests
from tests.zephyr_run.conftest import NAMES, Place, flip_byte
from zephyr_core import manifest, this_code

pytestmark = pytest.mark.long


def test_a_run_makes_every_step_and_ends_with_the_page(finished: Place) -> None:
    lines = (finished.folder / "told.txt").read_text().splitlines()
    assert [line.split()[:2] for line in lines[-7:-1]] == [[name, "done"] for name in NAMES]
    assert lines[-1] == "runs/quick/report.html"
    assert (finished.folder / lines[-1]).read_text().startswith("<!DOCTYPE html>")
    record = finished.record()
    assert list(record) == list(NAMES)
    for name, entry in record.items():
        assert entry["state"] == "whole" and entry["seconds"] > 0
        assert entry["command"][0] == "zephyr" and entry["command"][2] == name
    made_of = {"binarize": record["binarize"]["content"], "sft": record["sft"]["content"]}
    assert record["dpo"]["made_of"] == record["reference"]["made_of"] == made_of
    assert finished.states("--verify") == dict.fromkeys(NAMES, "whole")


def test_again_everything_is_skipped(finished: Place) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.run.rglob("manifest.json")}
    done = finished.chain()
    assert done.stdout.count("nothing to do") == 5
    assert [line.split()[1] for line in done.stdout.splitlines()[-7:-1]] == ["skipped"] * 6
    assert before == {path: path.stat().st_mtime_ns for path in finished.run.rglob("manifest.json")}
    assert finished.record()["sft"]["seconds"] > 0, "the seconds of the making stay on record"


def test_zephyr_verify_finds_it_whole_and_its_datasets_row_by_row(copy: Place) -> None:
    text = copy.zephyr("verify", "runs/quick").stdout
    for name in ("binarize", "clean-ultrachat", "dpo", "reference-", "sft", "student", "tokens-"):
        assert f"/{name}" in text
    forged = copy.run / "binarize"
    manifests.edit(forged, lambda content: content["splits"]["train_prefs"].update(rows_digest="0" * 64))
    done = copy.zephyr("verify", "runs/quick", code=5)
    assert "binarize: error: runs/quick/binarize does not match its manifest" in done.stderr.replace(
        f"{copy.folder}/", ""
    )
    assert "train_prefs: " in done.stderr


@pytest.mark.slow
def test_both_models_have_answered_held_out_prompts_and_are_asked_anew_when_the_file_is_of_others(copy: Place) -> None:
    file = copy.run / "samples.jsonl"
    kept = file.read_text()
    rows = [json.loads(line) for line in kept.splitlines()]
    assert rows and all(set(row["answers"]) == set(row["stopped"]) == {"sft", "dpo"} for row in rows)
    assert all(row["prompt"].startswith("<|user|>") for row in rows)
    last = ("--from", "dpo")
    assert "answers of the models" not in copy.chain(*last).stderr, "they are of these models"
    file.write_text(kept.replace(rows[0]["made_of"], "0" * 64))
    assert "$ zephyr train measure runs/quick/sft runs/quick/dpo --pairs runs/quick/dpo" in copy.chain(*last).stderr
    assert file.read_text() == kept


def test_damaged_bytes_are_found_by_digest_and_their_steps_made_anew(copy: Place) -> None:
    file = next((copy.run / "binarize" / "data").glob("train_prefs-*"))
    whole = file.read_bytes()
    flip_byte(file)
    assert copy.states()["binarize"].startswith("damaged: data/train_prefs-")
    told = copy.chain("--from", "dpo", code=5).stderr
    assert "which dpo reads, is damaged: data/train_prefs-" in told and "--from binarize" in told
    reference = next((copy.folder / "runs" / "artefacts").glob("reference-*/reference.parquet"))
    flip_byte(reference)
    flip_byte(copy.run / "student" / "model.safetensors")
    done = copy.chain("--from", "binarize", "--json")
    assert "is damaged: data/train_prefs-00000-of-00001.parquet has changed: another sha256" in done.stderr
    assert "is damaged: reference.parquet has changed" in done.stderr
    assert "student is damaged: model.safetensors has changed" in done.stderr
    assert "$ zephyr train student --recipe quick.toml" in done.stderr
    assert "$ zephyr data binarize --recipe quick.toml --overwrite" in done.stderr
    outcomes = {name: entry["outcome"] for name, entry in json.loads(done.stdout)["steps"].items()}
    # The same pairs came out, so what was made of them is what it should be.
    rebuilt = dict.fromkeys(("binarize", "student", "reference"), "rebuilt")
    assert outcomes == {**rebuilt, "sft": "skipped", "dpo": "skipped"}
    assert file.read_bytes() == whole


@pytest.mark.slow
def test_lost_weights_are_trained_again(copy: Place, finished: Place) -> None:
    (copy.run / "sft" / "model" / "model.safetensors").unlink()
    flip_byte(copy.run / "student" / "model.safetensors")
    refused = copy.chain("--from", "sft", "--to", "sft", code=5).stderr
    assert "student, which sft reads, is damaged: model.safetensors has changed" in refused
    assert "zephyr run --recipe quick.toml --from student" in refused
    done = copy.chain("--from", "student", "--to", "sft")
    assert "student is damaged: model.safetensors has changed" in done.stderr
    assert "$ zephyr train student --recipe quick.toml" in done.stderr
    assert "sft is damaged: model/model.safetensors is missing" in done.stderr
    assert "$ zephyr train sft --recipe quick.toml --fresh" in done.stderr
    assert done.stdout.splitlines()[-2].split()[:2] == ["sft", "rebuilt"]
    assert copy.weights("sft") == finished.weights("sft")
    assert copy.states()["dpo"] == "whole", "the same weights came out: dpo is still made of them"


@pytest.mark.slow
def test_killed_in_dsft_the_same_command_continues(copy: Place, finished: Place) -> None:
    shutil.rmtree(copy.run / "sft")
    state = copy.run / "sft.state"
    copy.kill_when(["--from", "sft", "--to", "sft"], lambda: any(state.glob("checkpoint-*/complete.json")))
    assert copy.states()["sft"] == "stopped half-way"
    assert copy.record()["sft"]["state"] == "running"
    done = copy.chain("--from", "sft", "--to", "sft")  # at once: what the killed run left behind ends by itself
    assert "continuing the run" in done.stderr
    assert done.stdout.splitlines()[-2].split()[:2] == ["sft", "done"]
    assert copy.weights("sft") == finished.weights("sft")


@pytest.mark.slow
def test_other_options_are_the_users_to_decide_and_what_hangs_on_them_follows(copy: Place, finished: Place) -> None:
    copy.change_recipe("test_prompts = 2", "test_prompts = 6")
    refused = copy.chain(code=2)
    assert "made differently; these differ: test_prompts" in refused.stderr
    assert "binarize ended with exit code 2; not run: student, sft, reference, dpo" in refused.stderr
    assert "`zephyr run --recipe quick.toml --from binarize --fresh` rebuilds it" in refused.stderr
    kept = (copy.run / "recipe" / "quick.toml").read_text()
    assert "test_prompts = 2" in kept, "what is on disk was made with that"
    done = copy.chain("--from", "binarize", "--fresh", "--json")
    outcomes = {name: entry["outcome"] for name, entry in json.loads(done.stdout)["steps"].items()}
    skipped = {"student": "skipped", "sft": "skipped"}
    assert outcomes == {**skipped, "binarize": "rebuilt", "reference": "done", "dpo": "rebuilt"}
    assert "dpo was built from another binarize: rebuilding it with --fresh" in done.stderr
    assert "test_prompts = 6" in (copy.run / "recipe" / "quick.toml").read_text()
    assert copy.weights("dpo") != finished.weights("dpo")
    assert set(copy.states("--verify").values()) == {"whole"}


def test_a_damaged_model_of_other_options_is_the_users_to_decide(copy: Place) -> None:
    weights = copy.run / "dpo" / "model" / "model.safetensors"
    flip_byte(weights)
    damaged = weights.read_bytes()
    copy.change_recipe("learning_rate = 1e-3", "learning_rate = 2e-3")
    refused = copy.chain("--from", "dpo", code=2).stderr
    assert "made differently; these differ: learning_rate" in refused and "--from dpo --fresh" in refused
    assert weights.read_bytes() == damaged


@pytest.mark.slow
def test_a_run_comes_out_equal_and_a_changed_record_does_not(copy: Place) -> None:
    (copy.folder / "quick.toml").unlink()  # the run has kept what it needs
    done = copy.zephyr("reproduce", "runs/quick", "--to", "sft", ZEPHYR_SFT_EPOCHS="3", ZEPHYR_RUNS="elsewhere")
    lines = [line.split()[:2] for line in done.stdout.splitlines()[-4:]]
    assert lines == [[name, "equal"] for name in ("clean-ultrachat", "binarize", "student", "sft")]
    assert "installed versions differ" not in done.stderr
    again = copy.folder / "runs" / "quick.reproduced" / "quick"
    assert (again / "sft" / "model" / "model.safetensors").read_bytes() == copy.weights("sft")

    def forge(content: dict[str, Any]) -> None:
        content["splits"]["train_prefs"]["rows_digest"] = "0" * 64
        content["versions"] |= {"polars": "0.1", "zephyr code": "0" * 12}

    manifests.edit(copy.run / "binarize", forge)
    done = copy.zephyr("reproduce", "runs/quick", "--to", "binarize", code=1)
    assert done.stderr.count("nothing to do") + done.stdout.count("nothing to do") == 2, "of the same recipe and code"
    assert "polars 0.1 → " in done.stderr
    assert "train_prefs: 000000000000, now " in done.stdout
    assert "could explain it: version of polars: 0.1, now " in done.stdout
    assert "could explain it: version of zephyr code: 000000000000, now " in done.stdout
    assert "error: different: binarize" in done.stderr


def test_a_reproduction_by_another_state_of_zephyr_is_not_continued(copy: Place) -> None:
    words, again = ("reproduce", ".", "--to", "binarize"), copy.folder / "runs" / "quick.reproduced"
    (copy.run / "binarize" / "manifest.json").unlink()
    here = Place(copy.run)
    assert "not compared, because the run did not finish them: binarize" in here.zephyr(*words).stderr
    begun = again / "reproduction.json"
    assert json.loads(begun.read_text())["versions"]["zephyr code"] == this_code.digest()[:12]
    begun.write_text(begun.read_text().replace(this_code.digest()[:12], "0" * 12))
    refused = here.zephyr(*words, code=2).stderr
    assert "another state of zephyr" in refused and "--fresh removes it" in refused
    assert manifest.is_whole(again / "quick" / "clean-ultrachat"), "nothing is removed unasked"
    assert "nothing to do" not in here.zephyr(*words, "--fresh").stdout
    begun.unlink()
    assert "exists and is not a reproduction" in here.zephyr(*words, "--fresh", code=2).stderr
    assert manifest.is_whole(again / "quick" / "clean-ultrachat")


def test_what_no_run_made_cannot_be_made_again(empty: Place) -> None:
    (empty.folder / "runs" / "quick").mkdir(parents=True)
    assert "has no recipe/" in empty.zephyr("reproduce", "runs/quick", code=2).stderr
