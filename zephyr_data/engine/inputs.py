"""The raw files of a run: their blocks, what was learned by reading them, and whether they stayed as they were."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from zephyr_core import manifest
from zephyr_core.records import DatasetManifest, InputEntry
from zephyr_data.engine.workers import BlockDone
from zephyr_data.errors import ONE_SHAPE, MixedShapes, SourceError
from zephyr_data.sources.blocks import CHANGED, Block, FileRead, read_blocks, take
from zephyr_data.sources.files import RawFile, place_of
from zephyr_data.sources.signatures import NO_ROW, fault_without_rows


class Inputs:
    """The raw files of a run, and what was learned by reading them."""

    def __init__(self, files: list[RawFile], limit: int | None) -> None:
        self.files, self.limit = files, limit
        self._states = {file: _state(file.path) for file in files}
        self._read = dict[RawFile, FileRead]()
        self._shapes = dict[RawFile, str]()
        self._rows, self._objects = Counter[RawFile](), Counter[RawFile]()
        self._stored_ends = dict[RawFile, int]()  # bytes read of each file so far

    @property
    def bytes_read(self) -> int:
        """Return the stored bytes read so far."""
        return sum(self._stored_ends.values())

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks of all files in order."""
        items = (item for file in self.files for item in read_blocks(file))
        for item in items if self.limit is None else take(items, self.limit):
            if isinstance(item, Block):
                yield item
            else:
                self._read[item.file] = item

    def add(self, done: BlockDone) -> None:
        """Count a block's rows.

        Raises:
            MixedShapes: it has another shape than earlier blocks of its file; the message names its first line.
        """
        file = done.block.file
        self._stored_ends[file] = done.block.stored_end
        self._rows[file] += done.rows
        self._objects[file] += done.objects
        first = self._shapes.setdefault(file, done.shape) if done.shape else done.shape
        if first != done.shape:
            raise MixedShapes(
                f"{file.path}: rows from line {done.block.first_line} on hold {done.shape!r}, earlier ones {first!r}",
                ONE_SHAPE,
            )

    def record(self) -> list[InputEntry]:
        """Return what the manifest records about the inputs.

        Raises:
            SourceError: a file is not as it was when the reading began.
        """
        entries = [self._entry(file) for file in self.files]
        changed = next((file for file in self.files if _state(file.path) != self._states[file]), None)
        if changed is not None:
            raise SourceError(f"{changed.path} changed while it was read", CHANGED)
        return entries

    def _entry(self, file: RawFile) -> InputEntry:
        read, fault, note = self._read.get(file), None, None
        if read is not None:
            fault = read.fault or self._fault(file)
            note = read.note or (None if self._rows[file] else NO_ROW)
        return {
            "source": file.source,
            "file": file.name,
            "bytes": self._states[file][0],
            "sha256": read.sha256 if read else manifest.file_digest(file.path),
            "lines": read.lines if read else None,  # None: --limit ended it early
            "fault": fault or _earlier_fault(file),
            "note": note,
            "real_path": file.real_path,
        }

    def _fault(self, file: RawFile) -> str | None:
        """Return what is wrong with a file that has lines, but none that can be read."""
        is_fault = self._rows[file] and not self._objects[file]
        return fault_without_rows(file.path, file.kind) if is_fault else None


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_ino, status.st_mtime_ns


def _earlier_fault(file: RawFile) -> str | None:
    """Return what was missing from the inputs of the dataset that stored rows come from."""
    if file.kind != "rated":
        return None
    missing = missing_parts(manifest.read_as(place_of(file.source), DatasetManifest)["inputs"])
    return f"lacks what {'; '.join(missing)}" if missing else None


def missing_parts(inputs: list[InputEntry]) -> list[str]:
    """Return a line for each recorded input of which rows may be missing."""
    return [f"{item['file']} of {item['source']} {item['fault']}" for item in inputs if item["fault"]]
