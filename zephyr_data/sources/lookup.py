"""The raw row behind an audited one, while its source is still there."""

from zephyr_core.errors import UsageError
from zephyr_core.records import InputEntry
from zephyr_data.errors import SourceError
from zephyr_data.sources.blocks import Block, read_blocks
from zephyr_data.sources.files import AGAIN, RawFile, cached_hub_file, local_files
from zephyr_data.sources.tables import as_json, read_rows


def raw_line(source: str, name: str, line: int, inputs: list[InputEntry]) -> str | None:
    """Return the raw text of a line (a Parquet row as JSON), or None if the file is gone or its size has changed."""
    recorded = next((entry for entry in inputs if (entry["source"], entry["file"]) == (source, name)), None)
    file = _find(source, name)
    if file is None or recorded is None or file.path.stat().st_size != recorded["bytes"]:
        return None
    if file.kind == "parquet":
        rows = read_rows(file.path, line - 1, 1, error=SourceError, hint=AGAIN)
        return next(iter(as_json(rows, file.path, error=SourceError)), None)
    for item in read_blocks(file):
        if isinstance(item, Block) and item.first_line <= line < item.first_line + item.rows:
            return item.read().split(b"\n")[line - item.first_line].decode("utf-8", "replace")
    return None


def _find(source: str, name: str) -> RawFile | None:
    fetched = cached_hub_file(source, name)
    if fetched is not None:
        return fetched
    try:
        return next((file for file in local_files(source).files if file.name == name), None)
    except (UsageError, SourceError):
        return None
