"""One damaged byte of rows or of a finished run is never trained on or skipped over: the file is named."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import manifests
from tests.zephyr_train.conftest import World
from tests.zephyr_train.damaging import Change, cut, damaged, empty, flipped, gone
from tests.zephyr_train.row_shapes import PAIRS, published_pair, text_pair, trainer_pair, write_lines, write_parquet
from zephyr_train.errors import RowsUnfit
from zephyr_train.reader import open_data

DEEP = '{"chosen": ' + "[" * 100_000 + "]" * 100_000 + "}"


def dataset(folder: Path) -> Path:
    rows = [trainer_pair(f"prompt {number}", "yes", "no") for number in range(20)]
    for split in ("train_prefs", "test_prefs"):
        write_parquet(folder / "data" / f"{split}-00000-of-00001.parquet", rows)
    splits = {name: {"rows": 20, "rows_digest": name} for name in ("train_prefs", "test_prefs")}
    return manifests.write(folder, "pairs", splits=splits)


@pytest.mark.parametrize("split", ["train_prefs", "test_prefs"])
@pytest.mark.parametrize("change", [flipped, cut, empty, gone])
def test_no_digest_is_given_to_rows_that_are_not_the_manifests(tmp_path: Path, split: str, change: Change) -> None:
    tmp_path = tmp_path / "a {b}"
    digest = open_data(str(dataset(tmp_path)), "pairs").digest
    name = f"data/{split}-00000-of-00001.parquet"
    with damaged(tmp_path / name, change, unseen=True), pytest.raises(RowsUnfit, match=name) as fault:
        open_data(str(tmp_path), "pairs")
    assert fault.value.exit_code == 5
    assert f"zephyr data verify '{tmp_path}'" in str(fault.value.hint)
    assert "zephyr data binarize --overwrite" in str(fault.value.hint)
    assert open_data(str(tmp_path), "pairs").digest == digest


def test_rows_that_change_after_their_digest_was_taken_are_refused(tmp_path: Path) -> None:
    ours, one_file = dataset(tmp_path / "ours"), write_lines(tmp_path / "a.jsonl", [text_pair(*PAIRS[0])])
    published = write_parquet(tmp_path / "h4" / "train_prefs.parquet", [published_pair(*PAIRS[0])])
    for source, file in (
        (ours, ours / "data" / "train_prefs-00000-of-00001.parquet"),
        (one_file, one_file),
        (published.parent, published),
    ):
        rows = open_data(str(source), "pairs")
        file.write_bytes(file.read_bytes())
        with pytest.raises(RowsUnfit, match=f"{file.name} has changed while it was read"):
            rows.table("train")


def corrupt_gzip(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content * 50))
    packed[20:40] = b"\xff" * 20
    return bytes(packed)


GOOD = json.dumps(text_pair(*PAIRS[0])) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("deep.jsonl", GOOD + DEEP, "deep.jsonl, row 2 is nested too deeply"),
        ("deep.json", "[" * 100_000, "deep.json, a list, is nested too deeply"),
        ("nested.jsonl", GOOD + '{"chosen": ' + "[" * 900 + "]" * 900 + "}", "row 2: column 'chosen' has a different"),
        ("digits.jsonl", GOOD + '{"chosen": ' + "9" * 5_000 + "}", "row 2 is not JSON"),
        ("large.jsonl", GOOD + '{"chosen": ' + "9" * 30 + "}", "row 2: column 'chosen' has a different type"),
        ("surrogate.jsonl", GOOD + '{"chosen": "\\ud800"}', "row 2: column 'chosen' has a different type"),
        ("bytes.jsonl", GOOD.encode() + b'{"chosen": "\xff\xfe"}', "row 2 is not JSON"),
        ("corrupt.jsonl.gz", corrupt_gzip(GOOD.encode()), "corrupt.jsonl.gz cannot be read past row"),
        ("text.jsonl.gz", GOOD, "text.jsonl.gz cannot be read past row 0"),
        ("text.parquet", GOOD, "text.parquet cannot be read past row 0"),
        ("empty.parquet", "", "empty.parquet cannot be read past row 0"),
    ],
)
def test_a_file_that_no_library_reads_is_named_with_its_row(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RowsUnfit) as fault:
        open_data(str(tmp_path / name), "pairs").table("train")
    assert message in str(fault.value)


def test_columns_of_types_that_do_not_convert_are_named(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]}
    tables = {
        "listed.parquet": pa.table({**columns, "prompt_id": [[1]]}),
        "binary.parquet": pa.table({**columns, "prompt": [b"\xff\xfe"]}),
        "numbers.parquet": pa.table({**columns, "chosen": pa.array([[1, 2]])}),
    }
    for name, table in tables.items():
        pq.write_table(table, tmp_path / name)
        with pytest.raises(RowsUnfit, match=name):
            open_data(str(tmp_path / name), "pairs").table("train")


def test_every_flipped_byte_of_a_file_of_rows_is_read_or_named(tmp_path: Path) -> None:
    """Without a manifest the bytes are the rows: what still decodes has another digest."""
    rows = [published_pair(*pair) for pair in PAIRS]
    for file in (write_parquet(tmp_path / "a.parquet", rows), write_lines(tmp_path / "b.jsonl", rows)):
        content, digest = file.read_bytes(), open_data(str(file), "pairs").digest
        for at in range(0, len(content), max(1, len(content) // 150)):
            file.write_bytes(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
            source = open_data(str(file), "pairs")
            assert source.digest != digest
            try:
                source.table("train")
            except RowsUnfit as fault:
                assert file.name in str(fault) or "can be trained on" in str(fault)


# ---- as a user sees it --------------------------------------------------------------------------


def byte_that_still_decodes(file: Path) -> Change:
    """Return a change of one byte after which the Parquet file holds other rows."""
    rows, content = pq.read_table(file), file.read_bytes()
    for at in range(400, len(content)):
        other = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        try:
            table = pq.read_table(pa.BufferReader(other))
        except (pa.ArrowException, OSError):
            continue
        if table.schema == rows.schema and table.num_rows == rows.num_rows and table["messages"] != rows["messages"]:
            return lambda _: other
    raise AssertionError("no byte of the file changes its rows")


@pytest.mark.long
def test_a_flipped_byte_of_a_dataset_poisons_no_token_rows(world: World) -> None:
    """The review's F0: the rows of the flipped byte once took the name of the undamaged ones, for good."""
    artefacts = world.folder / "runs" / "artefacts"
    tokens = Path(json.loads((world.run("sft") / "job.json").read_text())["tokens"])
    digests, names = manifest_of(tokens)["files"], sorted(artefacts.iterdir())
    [file] = (world.run("clean-ultrachat") / "data").glob("train_sft*.parquet")
    command = ["train", "sft", "--out", world.folder / "poisoned"]
    with damaged(file, byte_that_still_decodes(file), unseen=True):
        for flags in ([], ["--dry-run"]):
            done = world.zephyr(*command, *flags, fails=True)
            assert done.returncode == 5
            assert f"data/{file.name} of " in done.stderr and "another sha256" in done.stderr
            assert "zephyr data verify" in done.stderr
        shutil.move(tokens, tokens.with_name("aside"))
        world.zephyr(*command, fails=True)
        assert sorted(artefacts.iterdir()) == sorted({*names, tokens.with_name("aside")} - {tokens})
    world.kill_when(command, (tokens / "manifest.json").is_file)
    shutil.rmtree(tokens.with_name("aside"))
    files = manifest_of(tokens)["files"]
    assert [entry["sha256"] for entry in files.values()] == [entry["sha256"] for entry in digests.values()]
    assert files.keys() == digests.keys()


def manifest_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


@pytest.mark.long
def test_a_damaged_finished_run_is_refused_by_its_command(world: World) -> None:
    weights = world.run("sft") / "model" / "model.safetensors"
    with damaged(weights, flipped):
        done = world.zephyr("train", "sft", fails=True)
    assert done.returncode == 5
    assert "is damaged: model/model.safetensors has changed" in done.stderr and "--fresh" in done.stderr
    assert "nothing to do" in world.zephyr("train", "sft").stdout
