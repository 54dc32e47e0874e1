"""The command line as typed: exit codes, streams, help, and that every command and option is documented."""

import json
import subprocess
from pathlib import Path

import pytest
import typer

import cli
from tests.conftest import ROOT, zephyr

TINY = ("data", "clean-ultrachat", "--recipe", "tiny")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "out"
    done = zephyr(*TINY, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "rows read" in done.stdout and "starting" in done.stderr
    return out


def test_result_on_stdout_progress_on_stderr(tmp_path: Path) -> None:
    done = zephyr(*TINY, "--out", tmp_path / "o", "--json")
    assert json.loads(done.stdout)["counts"]["kept_rows"] > 100
    assert done.stderr.splitlines()[0] == "starting"
    assert "fewer than the size of 230,975: all are kept" in done.stderr


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = zephyr(*TINY, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    for said in (
        "would write runs/tiny/clean-ultrachat",
        "mark phrases → rewrite phrases → rewrite truecase",
        "prompt string",
        "projected to about",
    ):
        assert said in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_dry_run_projects_a_large_file_from_places_all_over_it(tmp_path: Path) -> None:
    good = json.dumps({"id": "1", "data": ["How do I boil an egg?", "Put it into boiling water. " * 40]}) + "\n"
    bad = json.dumps({"id": "1", "data": ["Which one?", "As an AI model, I say: " + "plums are good. " * 64]}) + "\n"
    (tmp_path / "x.jsonl").write_text(good * 22_000 + bad * 22_000)
    plan = json.loads(zephyr("data", "clean-ultrachat", tmp_path / "x.jsonl", "--dry-run", "--json").stdout)
    assert abs(plan["projected_rows"] - 44_000) < 2_000
    assert 0.4 < plan["sample"]["kept_rows"] / plan["sample"]["rows_read"] < 0.6


def test_audit_lists_rules_and_examples_with_the_match_marked(dataset: Path) -> None:
    printed = zephyr("data", "audit", dataset).stdout
    assert (
        "hit rows" in printed
        and "phrases/as-an-ai" in printed
        and "⟦" in printed
        and "truecase/sentence-start" in printed
    )


def test_why_tells_the_story_of_dropped_and_kept_rows(dataset: Path) -> None:
    dropped = zephyr("data", "why", dataset, "b-0035").stdout
    assert "dropped by phrases/" in dropped and "raw row at dialogues-b.jsonl:35" in dropped
    kept = zephyr("data", "why", dataset, "dialogues-a.jsonl:2").stdout
    assert "kept: " in kept and "prompt_id" in kept and "raw row" in kept
    nothing = zephyr("data", "why", dataset, "nobody")
    assert (nothing.returncode, nothing.stdout) == (2, "") and "has no row 'nobody'" in nothing.stderr


def test_verify(dataset: Path, tmp_path: Path) -> None:
    assert "is whole" in zephyr("data", "verify", dataset).stdout
    absent = zephyr("data", "verify", tmp_path)
    assert absent.returncode == 5 and absent.stderr.startswith("error: ") and "\nhint:  " in absent.stderr


def test_the_recipe_s_directory_is_the_default(tmp_path: Path) -> None:
    assert zephyr(*TINY, cwd=tmp_path).returncode == 0
    assert "runs/tiny/clean-ultrachat is whole" in zephyr("data", "verify", "--recipe", "tiny", cwd=tmp_path).stdout
    assert "hit rows" in zephyr("data", "audit", "--recipe", "tiny", cwd=tmp_path).stdout
    assert "dropped by" in zephyr("data", "why", "b-0035", "--recipe", "tiny", cwd=tmp_path).stdout
    absent = zephyr("data", "audit", cwd=tmp_path)
    assert absent.returncode == 5 and "runs/zephyr-7b-beta/clean-ultrachat is not a finished dataset" in absent.stderr


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "pairs"
    done = zephyr("data", "binarize", "--rejected", "random", "--recipe", "tiny", "--out", out)
    assert done.returncode == 0, done.stderr
    for told in ("rows read", "tied for the best", "margin: mean", "the longer answer was chosen", "model", "MB/s"):
        assert told in done.stdout
    return out


def test_binarize_as_typed(tmp_path: Path) -> None:
    done = zephyr("data", "binarize", "--rejected", "random", "--recipe", "tiny", cwd=tmp_path)
    assert done.returncode == 0 and "written to runs/tiny/binarize" in done.stdout
    again = zephyr("data", "binarize", "--rejected", "random", "--recipe", "tiny", "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["counts"]["pairs"] > 60
    other = zephyr("data", "binarize", "--rejected", "lowest", "--recipe", "tiny", cwd=tmp_path)
    assert other.returncode == 2 and "these differ: rejected" in other.stderr
    for command in ("verify", "audit"):
        assert zephyr("data", command, "--recipe", "tiny", "--step", "binarize", cwd=tmp_path).returncode == 0
    assert (
        "answers, by mean score"
        in zephyr("data", "why", "r-001", "--recipe", "tiny", "--step", "binarize", cwd=tmp_path).stdout
    )


def test_binarize_offline_with_the_default_recipe() -> None:
    done = zephyr("data", "binarize", HF_HUB_OFFLINE="1")
    assert done.returncode == 4
    assert "openbmb/UltraFeedback" in done.stderr and "--recipe tiny" in done.stderr and "FILE.jsonl" in done.stderr


def test_binarize_dry_run(tmp_path: Path) -> None:
    done = zephyr("data", "binarize", "--recipe", "tiny", "--dry-run", cwd=tmp_path)
    for said in (
        "fill score → mark gates → mark benchmark → fill policy",
        "prompt list<",
        "gates/identical-texts",
        "pairs ",
    ):
        assert said in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_why_tells_which_answer_was_chosen(pairs: Path) -> None:
    kept = zephyr("data", "why", pairs, "r-010").stdout
    assert "kept: " in kept and " chosen " in kept and " rejected " in kept and "raw row at rated.jsonl:10" in kept
    dropped = zephyr("data", "why", pairs, "r-090").stdout
    assert "dropped by benchmark/prompt-of-benchmark-source" in dropped and "answers, by mean score" in dropped
    assert "dropped by read/" in zephyr("data", "why", pairs, "rated.jsonl:97").stdout


def test_why_lists_every_pair_of_a_row_once(pairs: Path, tmp_path: Path) -> None:
    done = zephyr("data", "binarize", pairs, "--rejected", "all-pairs", "--score", "overall", "--out", tmp_path / "o")
    assert done.returncode == 0, done.stderr
    told = zephyr("data", "why", tmp_path / "o", "r-010").stdout
    assert told.count("kept: ") == 1 and told.count("train_prefs, row") + told.count("test_prefs, row") == 6
    assert "chosen and rejected" in told
    repaired = zephyr("data", "why", tmp_path / "o", "r-085").stdout
    assert "score/ten-for-one" in repaired and "(mean rating 1.0)" in repaired


def test_audit_shows_gates_with_examples(pairs: Path) -> None:
    printed = zephyr("data", "audit", pairs).stdout
    assert "gates/tied-best" in printed and "gates/no-lower-score: 2 rows" in printed and "answers at" in printed


def test_a_cut_input_is_shown_and_ends_with_3(tmp_path: Path) -> None:
    import gzip

    line = json.dumps({"prompt": "p", "responses": [{"response": "a", "score": 2}, {"response": "b", "score": 1}]})
    packed = gzip.compress(
        ("".join(f"{line}\n".replace('"p"', f'"{number * 7919}"') for number in range(9000))).encode()
    )
    (tmp_path / "x.jsonl.gz").write_bytes(packed[: len(packed) * 2 // 3])
    done = zephyr("data", "binarize", tmp_path / "x.jsonl.gz", "--out", tmp_path / "o", "--json")
    assert done.returncode == 3 and json.loads(done.stdout)["inputs"][0]["fault"]
    assert "lacks the rest of" in done.stderr and "--overwrite" in done.stderr


def test_h4_v1_says_what_it_implies(tmp_path: Path) -> None:
    done = zephyr("data", "binarize", "--recipe", "tiny", "--rejected", "h4-v1", "--out", tmp_path / "o")
    assert done.returncode == 0 and "h4-v1: overall score as read" in done.stderr
    wrong = zephyr("data", "binarize", "--recipe", "tiny", "--rejected", "h4-v1", "--ties", "draw", "--explain", "ties")
    assert wrong.returncode == 2 and "asks for 'draw'" in wrong.stderr
    right = zephyr("data", "binarize", "--recipe", "tiny", "--rejected", "h4-v1", "--explain", "score").stdout
    assert right == "binarize.score = 'overall'   (policy h4-v1)\n"


def test_explain_and_environment() -> None:
    assert zephyr(*TINY, "--explain", "seed").stdout == "clean-ultrachat.seed = 42   (default, ours)\n"
    said = zephyr(*TINY, "--explain", "seed", ZEPHYR_CLEAN_ULTRACHAT_SEED="7").stdout
    assert said == "clean-ultrachat.seed = 7   (environment ZEPHYR_CLEAN_ULTRACHAT_SEED)\n"
    assert zephyr(*TINY, "--seed", "9", "--explain", "seed").stdout == "clean-ultrachat.seed = 9   (flag --seed)\n"
    wrong = zephyr(*TINY, "--explain", "sede")
    assert wrong.returncode == 2 and "did you mean 'seed'?" in wrong.stderr


def test_the_default_recipe_offline_fails_at_once_and_names_the_ways_out() -> None:
    done = zephyr("data", "clean-ultrachat", HF_HUB_OFFLINE="1")
    assert done.returncode == 4
    assert "stingning/ultrachat" in done.stderr and "--recipe tiny" in done.stderr and "FILE.jsonl" in done.stderr


def test_recipe_list_show_diff() -> None:
    assert "tiny" in zephyr("recipe", "list").stdout
    shown = zephyr("recipe", "show", "tiny").stdout
    assert "sources" in shown and "# recipe tiny" in shown and "deviations" in shown and "decision 0005" in shown
    assert zephyr("recipe", "diff", "tiny", "zephyr-7b-beta").stdout.startswith(
        "clean-ultrachat.sources: ('samples:ultrachat', 'samples:world') → ('stingning/ultrachat',)\n"
        "binarize.sources: ('samples:ultrafeedback', 'samples:judged') → ('openbmb/UltraFeedback',)\n"
        "binarize.test_prompts: 80 → None\n"
        "student.source: 'new' → 'mistralai/Mistral-7B-v0.1'\n"
    )
    assert zephyr("recipe", "diff", "zephyr-7b-beta", "zephyr-7b-beta-2024").stdout == (
        "sft.loss_on: 'assistant' → 'all'\ndpo.epochs: 3 → 1\ndpo.schedule: 'linear' → 'cosine'\ndpo.beta: 0.1 → 0.01\n"
    )
    assert "resolve to the same" in zephyr("recipe", "diff", "tiny", "tiny").stdout
    assert zephyr("recipe", "show", "tony").returncode == 2


def test_rules_show_and_test() -> None:
    assert "as-an-ai (drop" in zephyr("rules", "show").stdout
    tested = zephyr("rules", "test", "--labelled", ROOT / "tests" / "labelled" / "phrases-heldout.jsonl").stdout
    assert "252 labelled rows: precision" in tested


def test_version_and_usage_errors() -> None:
    assert zephyr("--version").stdout.startswith("zephyr 0.")
    assert zephyr("data", "clean-ultrachat", "--sede", "1").returncode == 2


def commands(
    group: typer.main.TyperGroup | None = None, path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], typer.core.TyperCommand]]:
    group = group or typer.main.get_command(cli.app)
    found = []
    for name, command in group.commands.items():
        found += commands(command, (*path, name)) if hasattr(command, "commands") else [((*path, name), command)]
    return found


@pytest.mark.parametrize(
    ("path", "command"), commands(), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_and_option_has_help_and_stands_in_the_reference(
    path: tuple[str, ...], command: typer.core.TyperCommand
) -> None:
    assert command.help
    reference = (ROOT / "docs" / "cli.md").read_text()
    assert f"## zephyr {' '.join(path)}\n" in reference
    for parameter in command.params:
        if parameter.name not in ("help",):
            assert getattr(parameter, "help", None) or parameter.param_type_name == "argument", parameter.name


def test_the_reference_is_up_to_date() -> None:
    import sys

    made = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_cli.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.mark.parametrize("command", ["audit", "verify"])
def test_a_step_that_makes_no_dataset_is_a_usage_error(command: str) -> None:
    done = zephyr("data", command, "--recipe", "tiny", "--step", "clean")
    assert done.returncode == 2 and "binarize" in done.stderr
