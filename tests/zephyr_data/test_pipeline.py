"""The whole command: the dataset it writes, equality, interruption, and what breaks."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.conftest import dialogue, zephyr
from tests.system import Running
from tests.zephyr_data.damage import relist, reseal
from tests.zephyr_data.sample_files import BIG_FILES, SMALL_BLOCKS, digests, sample_lines
from zephyr_core import manifest
from zephyr_core.errors import DataError, NoSpace, RunInProgress, UsageError
from zephyr_core.folder import older_of
from zephyr_core.keys import text_key
from zephyr_data import schemas
from zephyr_data.engine.store import verify
from zephyr_data.engine.work import Work
from zephyr_data.errors import ContractBroken, SourceError

Clean = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def test_layout_columns_and_order(clean: Clean, tmp_path: Path) -> None:
    content = clean()
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {"data", "audit", "README.md", "manifest.json"}
    assert not (tmp_path / "out.partial").exists()
    for split, entry in content["splits"].items():
        (shard,) = (out / "data").glob(f"{split}-00000-of-00001.parquet")
        assert pq.read_schema(shard).remove_metadata() == schemas.SFT
        assert pq.read_metadata(shard).num_rows == entry["rows"]
    for name, schema in (
        ("dropped", schemas.DROPPED),
        ("rewritten", schemas.REWRITTEN),
        ("spared", schemas.SPARED),
        ("rules", schemas.RULES),
        ("kept", schemas.KEPT),
    ):
        assert pq.read_schema(out / "audit" / f"{name}.parquet").remove_metadata() == schema


def test_opened_with_datasets_as_the_published_set(
    clean: Clean, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import List, Value, load_dataset

    content = clean()
    loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train_sft", "test_sft", "train_gen", "test_gen"]
    messages = List({"content": Value("string"), "role": Value("string")})
    for name, split in loaded.items():
        assert dict(split.features) == {"prompt": Value("string"), "prompt_id": Value("string"), "messages": messages}
        assert list(split.features) == ["prompt", "prompt_id", "messages"]
        assert len(split) == content["splits"][name]["rows"]
    dropped = load_dataset(str(tmp_path / "out"), "audit-dropped", split="train", cache_dir=str(tmp_path / "cache"))
    assert len(dropped) == sum(content["counts"]["dropped"].values())


def test_rows_are_what_the_contract_says(clean: Clean, tmp_path: Path) -> None:
    clean()
    read = {
        name: pl.read_parquet(tmp_path / "out" / "data" / f"{name}-*.parquet")
        for name in ("train_sft", "train_gen", "test_sft", "test_gen")
    }
    for row in pl.concat([read["train_sft"], read["test_sft"]]).rows(named=True):
        assert row["prompt_id"] == text_key(row["prompt"])
        assert row["messages"][0] == {"content": row["prompt"], "role": "user"}
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"] * (len(row["messages"]) // 2)
    for side in ("train", "test"):
        sft, gen = read[f"{side}_sft"], read[f"{side}_gen"]
        assert gen["messages"].to_list() == [messages[:-1] for messages in sft["messages"].to_list()]
        assert gen.drop("messages").equals(sft.drop("messages"))


def test_same_rows_same_result(write: Write, clean: Clean, tmp_path: Path) -> None:
    import gzip

    lines = sample_lines()
    plain = digests(clean(write(lines)))
    shuffled = random.Random(1).sample(lines, len(lines))
    assert digests(clean(write(shuffled, "s.jsonl"), out="shuffled")) == plain
    third = len(lines) // 3
    parts = [write(part, f"parts/{number}.jsonl") for number, part in enumerate((lines[:third], lines[third:]))]
    assert digests(clean(*parts, out="parts-out", shard_rows=17, workers=2)) == plain
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert digests(clean(packed, out="packed")) == plain
    assert len(list((tmp_path / "parts-out" / "data").glob("train_sft-*-of-*.parquet"))) > 5


@pytest.mark.parametrize("threads", ["1", "2"])
def test_threads_and_hash_seed_do_not_matter(tmp_path: Path, clean: Clean, threads: str) -> None:
    plain = digests(clean())
    done = zephyr(
        *("data", "clean-ultrachat", "samples:ultrachat", "--recipe", "tiny", "--out", tmp_path / "o", "--json"),
        POLARS_MAX_THREADS=threads,
        PYTHONHASHSEED=threads,
    )
    assert done.returncode == 0, done.stderr
    assert digests(json.loads(done.stdout)) == plain


def test_a_finished_block_lets_its_data_go(tmp_path: Path) -> None:
    import gzip

    from zephyr_data.cleaning.ultrachat import CLEANING
    from zephyr_data.engine.workers import BlockJob, run_blocks
    from zephyr_data.options import CleanOptions
    from zephyr_data.sources.blocks import Block, read_blocks
    from zephyr_data.sources.files import RawFile

    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(sample_lines()).encode()))
    file = RawFile("s", path.name, path, "gzip")
    blocks = [item for item in read_blocks(file, block_bytes=20_000) if isinstance(item, Block)]
    assert len(blocks) > 1 and all(block.data for block in blocks)
    for _ in ("worked", "found done"):
        done = list(run_blocks(blocks, BlockJob(CLEANING, CleanOptions(), tmp_path), 1))
        assert [item.block.data for item in done] == [None] * len(blocks)
        assert sum(item.rows for item in done) == len(sample_lines())


def test_many_blocks_give_what_one_gives(write: Write, clean: Clean, monkeypatch: pytest.MonkeyPatch) -> None:
    from zephyr_data.sources.blocks import read_blocks

    path = write(sample_lines())
    plain = digests(clean(path))
    monkeypatch.setattr("zephyr_data.engine.inputs.read_blocks", lambda file: read_blocks(file, block_bytes=20_000))
    assert digests(clean(path, out="many")) == plain


def test_limit_reads_the_first_rows(write: Write, clean: Clean) -> None:
    content = clean(write(sample_lines()), limit=50)
    assert content["counts"]["rows_read"] == 50
    assert content["inputs"][0]["lines"] is None


def test_again_is_a_no_op_and_otherwise_is_refused(write: Write, clean: Clean, tmp_path: Path) -> None:
    path = write(sample_lines())
    first = clean(path)
    mtime = (tmp_path / "out" / manifest.NAME).stat().st_mtime_ns
    assert clean(path) == first
    assert (tmp_path / "out" / manifest.NAME).stat().st_mtime_ns == mtime
    with pytest.raises(UsageError, match="these differ: seed"):
        clean(path, seed=7)
    path.write_bytes(path.read_bytes() + dialogue("What is a plum?", "A plum is a fruit.").encode())
    with pytest.raises(UsageError, match="the inputs"):
        clean(path)
    assert clean(path, overwrite=True)["counts"]["rows_read"] == first["counts"]["rows_read"] + 1


def test_keep_dropped_stores_raw_rows(write: Write, clean: Clean, tmp_path: Path) -> None:
    lines = [
        dialogue("What is a plum?", "A plum is a fruit."),
        dialogue("Which?", "As an AI model, I say plums. it is so.", row_id="x"),
        '{"messages": "odd"}',
        "no JSON",
        dialogue("what is a plum", "a plum is a fruit"),
    ]
    content = clean(write(lines), keep_dropped=True)
    rows = pl.read_parquet(tmp_path / "out" / "dropped_rows" / "dropped.parquet")
    assert len(rows) == sum(content["counts"]["dropped"].values()) == 4
    assert all(row["raw"] == lines[row["line"] - 1] for row in rows.rows(named=True))
    assert verify(tmp_path / "out")["counts"] == content["counts"]


def test_a_limited_run_notices_other_inputs(write: Write, clean: Clean) -> None:
    lines = sample_lines()
    clean(write(lines), limit=50)
    path = write(lines[::-1])
    with pytest.raises(UsageError, match="the inputs"):
        clean(path, limit=50)


def test_a_run_stopped_between_the_two_renames_gives_the_old_dataset_back(
    write: Write, clean: Clean, tmp_path: Path
) -> None:
    path = write(sample_lines())
    clean(path)
    work = Work(tmp_path / "out")
    work.out.rename(older_of(work.out))
    with work.lock():
        work.settle()
    verify(tmp_path / "out")


def test_a_row_dropped_later_is_not_counted_as_rewritten(write: Write, clean: Clean, tmp_path: Path) -> None:
    twice = [dialogue("What is a plum?", f"A plum is a fruit. it grows on a tree{end}") for end in (".", "!")]
    content = clean(write(twice))
    assert (content["counts"]["rewritten_rows"], content["counts"]["kept_rows"]) == (1, 1)
    assert pl.read_parquet(tmp_path / "out" / "audit" / "rewritten.parquet").height == 1


# ---- interruption -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Return what a step makes of its big file, by one process that is left alone."""

    @cache
    def made(step: str) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("undisturbed")
        fresh = zephyr("data", step, BIG_FILES[step](folder / "big.jsonl"), "--json", "--out", folder / "out")
        assert fresh.returncode == 0, fresh.stderr
        return digests(json.loads(fresh.stdout))

    return made


@pytest.mark.long
@pytest.mark.parametrize(
    ("step", "workers"),
    [pytest.param("clean-ultrachat", 1, marks=pytest.mark.slow), ("clean-ultrachat", 2), ("binarize", 2)],
)
def test_kill_9_leaves_no_dataset_and_the_next_run_continues(
    tmp_path: Path, step: str, workers: int, undisturbed: Callable[[str], dict[str, Any]]
) -> None:
    out, blocks = tmp_path / "out", tmp_path / "out.partial" / "blocks"
    words = ["data", step, BIG_FILES[step](tmp_path / "big.jsonl"), "--workers", workers, "--json", "--out"]
    running = Running(*words, out, code=SMALL_BLOCKS)
    running.reach(lambda: len(list(blocks.glob("*.parquet"))) >= 3)
    assert running.end(by=signal.SIGKILL) == 137, "the run ended before it could be killed"
    assert not out.exists()
    with pytest.raises(DataError, match="not a finished dataset"):
        verify(tmp_path / "out.partial")
    time.sleep(1.5)  # workers notice that their parent is gone
    stamps = {path.name: path.stat().st_mtime_ns for path in blocks.glob("*.parquet")}
    again = zephyr(*words, out, code=SMALL_BLOCKS)
    assert again.returncode == 0, again.stderr
    assert f"continuing: {len(stamps)} blocks are done" in again.stderr
    assert digests(json.loads(again.stdout)) == undisturbed(step)


def test_a_stopped_run_with_other_options_starts_over(
    write: Write, clean: Clean, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(sample_lines())
    stop_at = monkeypatch.context()
    with stop_at as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("zephyr_data.engine.pipeline.manifest.write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        clean(path)
    assert not (tmp_path / "out").exists()
    clean(path, languages=("en", "de"))
    assert "starting over: languages changed" in capsys.readouterr().err


def test_a_change_of_size_alone_reuses_the_blocks(
    write: Write, clean: Clean, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(sample_lines())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("zephyr_data.engine.pipeline.manifest.write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        clean(path)
    clean(path, size=50, test_share=0.1)
    assert "continuing: 1 blocks are done" in capsys.readouterr().err


def test_a_second_run_into_one_folder_is_refused(write: Write, clean: Clean, tmp_path: Path) -> None:
    path = write(sample_lines())
    with Work(tmp_path / "out").lock(), pytest.raises(RunInProgress, match="another run"):
        clean(path)


def test_a_foreign_folder_and_a_file_in_the_way_are_refused(write: Write, clean: Clean, tmp_path: Path) -> None:
    path = write(sample_lines())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds other files"):
        clean(path, out="mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        clean(path, out="file")


def test_a_link_to_a_folder_elsewhere_stays_one(write: Write, clean: Clean, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "set")
    path = write(sample_lines())
    for overwrite in (False, True):
        clean(path, overwrite=overwrite)
        assert (tmp_path / "out").is_symlink()
        assert [entry.name for entry in (tmp_path / "disk").iterdir()] == ["set"]
        assert manifest.is_whole(tmp_path / "disk" / "set")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder(write: Write, clean: Clean, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(NoSpace, match="permission denied"):
        clean(write(sample_lines()), out="locked/out")


def test_a_full_disk_says_so_and_a_later_run_continues(
    tmp_path: Path, write: Write, clean: Clean, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    tmpfs = ["mount", "-t", "tmpfs", "-o", "size=368k", "tmpfs", mount]
    if os.geteuid() or subprocess.run(tmpfs, capture_output=True, check=False).returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    try:
        path = write(sample_lines())
        with pytest.raises(NoSpace, match="are free"):
            clean(path, out="small/out")
        monkeypatch.setattr("zephyr_data.make.WORK_SHARE", 0.0)
        with pytest.raises(NoSpace, match="no space left while writing") as caught:
            clean(path, out="small/out")
        assert caught.value.exit_code == 4
        assert not (mount / "out").exists()
        subprocess.run(["mount", "-o", "remount,size=50m", mount], check=True)
        clean(path, out="small/out")
        assert "continuing: 1 blocks are done" in capsys.readouterr().err
        verify(mount / "out")
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


def test_nothing_kept_is_an_error_without_a_dataset(write: Write, clean: Clean, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing was kept"):
        clean(write(["prose", "and more"]))
    assert not (tmp_path / "out").exists()
    with pytest.raises(SourceError, match="hold no row"):
        clean(write([], "empty.jsonl"))


# ---- verify -------------------------------------------------------------------------------------


def test_verify_finds_each_kind_of_damage(clean: Clean, tmp_path: Path) -> None:
    clean()
    out = tmp_path / "out"
    verify(out)
    shard = next((out / "data").glob("train_sft-*"))

    def broken(damage: Callable[[Path], object], message: str) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(out, copy)
        damage(copy)
        with pytest.raises(ContractBroken, match=message):
            verify(copy)
        shutil.rmtree(copy)

    broken(lambda copy: (copy / "data" / shard.name).unlink(), "is missing")
    broken(lambda copy: (copy / "data" / shard.name).write_bytes(shard.read_bytes()[:-9]), "bytes, not")
    broken(lambda copy: (copy / "data" / shard.name).write_bytes(b"x" + shard.read_bytes()[1:]), "another sha256")
    broken(lambda copy: (copy / "data" / "extra.parquet").write_bytes(b"x"), "not in the manifest")

    broken(lambda copy: reseal(copy, lambda content: content["counts"].update(rows_read=1)), "rows read, but")

    def forge(copy: Path) -> None:  # rows exchanged and every file digest made to fit
        rows = pl.read_parquet(copy / "data" / shard.name)
        pq.write_table(rows.with_columns(prompt=pl.lit("x")).to_arrow().cast(schemas.SFT), copy / "data" / shard.name)
        relist(copy)

    broken(forge, "do not give the digest")
