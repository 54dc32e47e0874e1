"""The reference artefact: keyed by everything it hangs on, complete or refused, resumable by chunks."""

import dataclasses
import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import manifests
from tests.conftest import News
from tests.zephyr_train.damaging import Change, cut, damage_file, damaged, empty, flipped, gone
from tests.zephyr_train.jobs import job
from zephyr_core import manifest, sealed
from zephyr_train import reference
from zephyr_train.errors import ReferenceBroken
from zephyr_train.job import Job

ROWS = {"train": 300, "test": 3}


def tokens(folder: Path) -> Path:
    folder.mkdir()
    manifests.write(folder, "tokens", splits={split: {"rows": rows} for split, rows in ROWS.items()})
    return folder


def key(split: str, row: int) -> str:
    return f"{split}-{row}"


def scorer(calls: list[int], *, leave_out: int = 0, broken: bool = False) -> Callable[[Job], None]:
    """Return a stand-in for the forward passes: it does the chunks that are not there, all but `leave_out` of them."""

    def score(passes: Job) -> None:
        todo = list(reference.missing_chunks(passes.folder, ROWS, 0, 1))
        calls.append(len(todo))
        for split, start, stop in todo[: len(todo) - leave_out]:
            numbers = list(range(start, stop))
            values = [float("nan") if broken else -float(number) for number in numbers]
            table = pa.table(
                {
                    "split": [split] * len(numbers),
                    "row": numbers,
                    "key": [key(split, number) for number in numbers],
                    "chosen": values,
                    "rejected": values,
                }
            )
            temporary = passes.folder / "part.tmp"
            pq.write_table(table, temporary)
            sealed.seal(temporary, reference.part_file(passes.folder, (split, start, stop)))

    return score


@pytest.fixture
def pairs(tmp_path: Path) -> Job:
    return job(tmp_path / "run", tokens=str(tokens(tmp_path / "tokens")))


def ensure(pairs: Job, tmp_path: Path, score: Callable[[Job], None]) -> Job:
    return reference.ensure_reference(pairs, tmp_path / "artefacts", score)


def test_it_is_computed_once_and_found_by_other_beta_rate_epochs_and_seed(pairs: Job, tmp_path: Path) -> None:
    calls: list[int] = []
    first = ensure(pairs, tmp_path, scorer(calls))
    for change in ({"beta": 0.5}, {"learning_rate": 1e-6}, {"epochs": 1}, {"seed": 7}):
        other = dataclasses.replace(
            pairs, options=dataclasses.replace(pairs.options, **change), out=str(tmp_path / "other")
        )
        assert ensure(other, tmp_path, scorer(calls)).reference == first.reference
    assert calls == [3]  # 300 train rows are two chunks, 3 test rows one


def test_two_runs_that_need_it_at_once_compute_it_once(pairs: Job, tmp_path: Path) -> None:
    calls: list[int] = []

    def slow(passes: Job) -> None:
        time.sleep(0.5)
        scorer(calls)(passes)

    runs = [threading.Thread(target=ensure, args=(pairs, tmp_path, slow)) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert calls == [3]
    assert read(ensure(pairs, tmp_path, scorer(calls)), "test", 3)[0] == [0.0, -1.0, -2.0]


@pytest.mark.parametrize("changed", ["model_digest", "tokens_digest", "numerics"])
def test_other_weights_rows_or_arithmetic_are_another_reference(pairs: Job, changed: str) -> None:
    other = dataclasses.replace(pairs, **{changed: "bf16"})
    assert reference.reference_digest(other) != reference.reference_digest(pairs)


def test_a_stopped_pass_does_only_what_is_missing(pairs: Job, tmp_path: Path) -> None:
    calls: list[int] = []
    with pytest.raises(ReferenceBroken, match=r"300 of 303 pairs"):
        ensure(pairs, tmp_path, scorer(calls, leave_out=1))
    whole = ensure(pairs, tmp_path, scorer(calls))
    assert calls == [3, 1]
    chosen, _ = read(whole, "train", 300)
    assert chosen == [-float(row) for row in range(300)]


PARTS = [("train", 0, 256), ("train", 256, 300), ("test", 0, 3)]


@pytest.mark.parametrize("change", [flipped, cut, empty, gone])
def test_a_damaged_part_is_computed_again(pairs: Job, tmp_path: Path, change: Change) -> None:
    """What stands in the parts becomes the reference, under the name of undamaged log-probs."""
    calls: list[int] = []
    with pytest.raises(ReferenceBroken, match=r"300 of 303 pairs"):
        ensure(pairs, tmp_path, scorer(calls, leave_out=1))
    [partial] = (tmp_path / "artefacts").glob("*.partial")
    damage_file(reference.part_file(partial, PARTS[0]), change)
    damage_file(sealed._seal_of(reference.part_file(partial, PARTS[1])), change)
    whole = ensure(pairs, tmp_path, scorer(calls))
    assert calls == [3, 3]
    assert read(whole, "train", 300)[0] == [-float(row) for row in range(300)]


@pytest.mark.parametrize("name", [reference.FILE, manifest.NAME])
@pytest.mark.parametrize("change", [flipped, cut, empty])
def test_a_reference_killed_before_its_rename_is_compared_first(
    pairs: Job, tmp_path: Path, name: str, change: Change, news: News
) -> None:
    calls: list[int] = []
    folder = Path(str(ensure(pairs, tmp_path, scorer(calls)).reference))
    partial = folder.with_name(folder.name + ".partial")
    folder.rename(partial)
    ensure(pairs, tmp_path, scorer(calls))
    assert calls == [3] and not partial.exists(), "a whole one only gets its name"
    folder.rename(partial)
    damage_file(partial / name, change)
    whole = ensure(pairs, tmp_path, scorer(calls))
    assert calls == [3, 3] and not partial.exists()
    assert any(f"is damaged: {name}" in line for line in news())
    assert read(whole, "test", 3)[0] == [0.0, -1.0, -2.0]


@pytest.mark.parametrize("name", [reference.FILE, manifest.NAME])
@pytest.mark.parametrize("change", [flipped, cut, empty])
def test_a_damaged_reference_is_named_with_what_repairs_it(
    pairs: Job, tmp_path: Path, name: str, change: Change
) -> None:
    calls: list[int] = []
    folder = Path(str(ensure(pairs, tmp_path, scorer(calls)).reference))
    with damaged(folder / name, change, unseen=True), pytest.raises(ReferenceBroken, match=name) as fault:
        ensure(pairs, tmp_path, scorer(calls))
    assert str(folder) in str(fault.value) and "remove that folder" in str(fault.value.hint)
    ensure(pairs, tmp_path, scorer(calls))
    shutil.rmtree(folder)
    ensure(pairs, tmp_path, scorer(calls))
    assert calls == [3, 3]


def test_ranks_share_the_chunks_without_overlap(tmp_path: Path) -> None:
    shares = [list(reference.missing_chunks(tmp_path, ROWS, rank, 2)) for rank in range(2)]
    assert sorted(shares[0] + shares[1]) == sorted(reference.chunks(ROWS))
    assert sum(stop - start for share in shares for _, start, stop in share) == 303


def test_a_rank_that_comes_late_does_not_take_other_chunks(tmp_path: Path) -> None:
    first, *rest = list(reference.missing_chunks(tmp_path, ROWS, 0, 2))
    (tmp_path / "parts").mkdir()
    (tmp_path / "part.tmp").touch()
    sealed.seal(tmp_path / "part.tmp", reference.part_file(tmp_path, first))
    late = list(reference.missing_chunks(tmp_path, ROWS, 1, 2))
    assert sorted([first, *rest, *late]) == sorted(reference.chunks(ROWS))


def read(whole: Job, split: str, rows: int) -> tuple[list[float], list[float]]:
    keys = [key(split, row) for row in range(rows)]
    return reference.read_reference(Path(str(whole.reference)), whole.reference_digest, split, keys)


def test_a_log_prob_that_is_no_number_is_refused(pairs: Job, tmp_path: Path) -> None:
    with pytest.raises(ReferenceBroken, match="not a number"):
        ensure(pairs, tmp_path, scorer([], broken=True))


def test_a_row_without_log_probs_is_refused_not_zero(pairs: Job, tmp_path: Path) -> None:
    whole = ensure(pairs, tmp_path, scorer([]))
    with pytest.raises(ReferenceBroken, match="301 rows"):
        read(whole, "train", 301)
    keys = [key("train", row) for row in range(299)] + ["another"]
    with pytest.raises(ReferenceBroken):
        reference.read_reference(Path(str(whole.reference)), whole.reference_digest, "train", keys)


def test_a_changed_file_and_another_models_folder_are_refused(pairs: Job, tmp_path: Path) -> None:
    whole = ensure(pairs, tmp_path, scorer([]))
    folder = Path(str(whole.reference))
    with pytest.raises(ReferenceBroken, match="another model"):
        reference.check_reference(folder, "0" * 64)
    file = folder / reference.FILE
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ReferenceBroken, match=r"reference.parquet has .* bytes, not"):
        ensure(pairs, tmp_path, scorer([]))


def test_the_artefact_says_what_it_is_of(pairs: Job, tmp_path: Path) -> None:
    whole = ensure(pairs, tmp_path, scorer([]))
    content = json.loads((Path(str(whole.reference)) / manifest.NAME).read_text())
    assert (content["kind"], content["model"], content["tokens"], content["rows"]) == ("reference", "m", "t", ROWS)
    assert set(content["files"]) == {reference.FILE}
