"""The copy of a dataset that is published: its rows are the files as they are, its records name no path of here.

Card and manifest are written again, for the repository and for what is in the copy; the dataset itself is not changed.
"""

from pathlib import Path

import pyarrow as pa

from zephyr_core import manifest
from zephyr_core.public_names import PublicNames, refuse_paths
from zephyr_core.published_copy import PublishedCopy, bare
from zephyr_core.records import DatasetManifest, FileEntry
from zephyr_data.data_steps import reports_of
from zephyr_data.engine import card
from zephyr_data.engine.store import ROW_GROUP
from zephyr_data.sources.tables import column_names, count_rows, read_batches, write_again

CARD = "README.md"
NAMES = ("source", "file")  # columns of the audit and of rated rows that hold what the user named
SPLITS = "data/"  # files whose column `source` is one of the rows, not of the machine


def public(content: DatasetManifest) -> tuple[DatasetManifest, PublicNames]:
    """Return a manifest without its files and its own digest, and without paths of the machine; and their names."""
    record = bare(content)
    names = PublicNames(record)
    public_record: DatasetManifest = names.content(record)
    return public_record, names


def build(directory: Path, content: DatasetManifest, edition: card.Edition, copy: Path) -> dict[str, FileEntry]:
    """Fill an empty folder with the copy, and return what is in it; files that stay as they are become links.

    Raises:
        DataError: the copy would hold a path of this machine.
    """
    record, names = public(content)
    there = PublishedCopy(copy)
    for name, entry in content["files"].items():
        if name == CARD:
            continue
        if not name.startswith(SPLITS) and _renamed(directory / name, there.place(name), names):
            there.add(name)
        else:
            there.link(name, directory / name, entry)
    there.write(CARD, card.text(record, reports_of(record), _empty(copy, list(there.entries)), edition))
    entries = there.finish(record)
    for name in (CARD, manifest.NAME):
        refuse_paths(name, (copy / name).read_text(encoding="utf-8"), directory)
    return entries


def _renamed(table: Path, copy: Path, names: PublicNames) -> bool:
    """Write a table with other names in it, if it holds a path; return whether it does."""
    columns = [name for name in NAMES if name in column_names(table)]
    if not columns:
        return False
    values = {value for batch in read_batches(table, ROW_GROUP, columns) for row in batch for value in row.values()}
    texts = sorted(value for value in values if value is not None)
    others = {text: names.text(text) for text in texts}
    if all(text == other for text, other in others.items()):
        return False
    write_again(table, copy, ROW_GROUP, lambda batch: _with_names(batch, columns, others))
    return True


def _with_names(batch: pa.RecordBatch, columns: list[str], others: dict[str, str]) -> pa.RecordBatch:
    renamed = {name: pa.array([others.get(text) for text in batch[name].to_pylist()], pa.string()) for name in columns}
    arrays = [renamed.get(name, batch[name]) for name in batch.schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def _empty(copy: Path, names: list[str]) -> set[str]:
    """Return the names of the tables without rows: of an audit table its own, of others that of their folder."""
    rows: dict[str, int] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        table = Path(file).stem if folder == "audit" else folder
        rows[table] = rows.get(table, 0) + count_rows(copy / name)
    return {name for name, count in rows.items() if not count}
