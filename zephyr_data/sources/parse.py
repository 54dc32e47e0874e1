"""A block of raw lines → a table of dialogues.

The fast path hands the whole block to Arrow's JSON reader with the types of the schema, which is strict (polars'
own reader turns numbers and objects into text and silently replaces lone surrogates). A block that it rejects is read
again line by line, and each bad line becomes a row with its fault. Parquet columns of other types are judged as JSON.
"""

import io
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.json

from zephyr_core.reading import table_faults
from zephyr_data import schemas
from zephyr_data.errors import SourceError
from zephyr_data.json_digests import list_keys
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.carried import IDENTITY, with_carried
from zephyr_data.sources.files import AGAIN
from zephyr_data.sources.foreign import hint
from zephyr_data.sources.lines import read_object
from zephyr_data.sources.object_rows import objects, read_objects
from zephyr_data.sources.shapes import EXCHANGES, LISTS, OF_OBJECTS, RAW, find_shape, refuse_mixed, to_turns
from zephyr_data.sources.tables import as_json
from zephyr_data.sources.typed_rows import TURN_KEYS, typed_row

_TURN = pa.struct([(name, pa.string()) for name in TURN_KEYS])
_ARROW = pa.schema([("data", pa.list_(pa.string())), *((name, pa.list_(_TURN)) for name in OF_OBJECTS)])
_ROW = {**RAW, "fault": pl.String(), "line": pl.Int64()}
_NOTHING = pl.lit(None, dtype=pl.String)
_TEXT = (pl.String, pl.Null)


def parse(block: Block) -> tuple[pl.DataFrame, str | None]:
    """Return the block's rows as a table of dialogues, faults marked, and their shape.

    Columns out: schemas.DIALOGUES

    Raises:
        MixedShapes: the block has rows of different shapes, or a row of two shapes.
        SourceError: the file begins with rows that hold no dialogue column.
    """
    raw = _read_parquet(block) if block.file.kind == "parquet" else _read_lines(block)
    shape = find_shape(raw)
    refuse_mixed(raw, shape or "data", str(block.file.path))
    if shape is not None:
        return _locate(to_turns(raw, shape), raw["line"], block), shape
    table, shape = read_objects(raw, block)
    if shape is None and block.first_line == 1:
        _refuse_shapeless(block)
    return _locate(table, raw["line"], block), shape


def raw_texts(block: Block, lines: pl.Series) -> pl.Series:
    """Return the raw text of those lines, which are the block's rows; for Parquet, the rows as JSON."""
    if block.file.is_table:
        return pl.Series(as_json(block.table(), block.file.path, error=SourceError), dtype=pl.String)
    texts = [line.decode("utf-8", "replace") for line in block.read().split(b"\n")]
    return pl.Series([texts[line - block.first_line] for line in lines], dtype=pl.String)


def _refuse_shapeless(block: Block) -> None:
    """Raise unless the first object has the columns of a shape, even if null."""
    is_parquet = block.file.kind == "parquet"
    names = block.columns() if is_parquet else []
    first = next(objects(block, set(names)), None)
    if first is None and not names:
        return
    line, row, _ = first or (1, dict.fromkeys(names), b"")
    if set(row) & set(LISTS) or any({each.prompt, each.answer} <= set(row) for each in EXCHANGES):
        return
    raise SourceError(
        f"{block.file.path}, line {line}: no dialogue column; found {', '.join(map(repr, row)) or 'none'}",
        hint(row, is_parquet),
    )


def _locate(table: pl.DataFrame, lines: pl.Series, block: Block) -> pl.DataFrame:
    located = table.with_columns(
        lines.alias("line"),
        **{name: pl.lit(None, dtype=schemas.DIALOGUES[name]) for name in ("hits", "spare_names")},
        source=pl.lit(block.file.source),
        file=pl.lit(block.file.name),
        row_key=pl.Series(list_keys(table["as_read"]), dtype=pl.String),
    )
    return located.select(pl.col(name).cast(dtype) for name, dtype in schemas.DIALOGUES.items())


def _numbers(block: Block, rows: int) -> pl.Series:
    return pl.int_range(block.first_line, block.first_line + rows, eager=True)


def _read_lines(block: Block) -> pl.DataFrame:
    data = block.read()
    lines = _numbers(block, block.rows)
    table = None if block.is_cut_short else _read_fast(data, block.rows)
    if table is not None:
        return table.with_columns(lines.alias("line"), fault=_NOTHING)
    rows = [{"line": number, **_read_line(line, cut)} for number, line, cut in block.lines()]
    return pl.DataFrame(rows, schema=_ROW, orient="row")


def _read_fast(data: bytes, rows: int) -> pl.DataFrame | None:
    """Return the rows, or None when any line is not one JSON object of the schema's types."""
    objects = data.count(b"\n{") + data.startswith(b"{")
    if objects != rows:  # Arrow's reader crashes on a bare `null`, so it only sees lines that open an object
        return None
    return _arrow(data, rows)


def _arrow(data: bytes, rows: int) -> pl.DataFrame | None:
    """Return the `rows` objects as a table of the schema's types, or None if Arrow rejects any of them."""
    types = {name: iter((pa.string(), pa.int64(), pa.float64())) for name in IDENTITY}
    schema = pa.schema([*((name, next(types[name])) for name in IDENTITY), *_ARROW])
    whole = pyarrow.json.ReadOptions(use_threads=False, block_size=min(len(data) + 1, 2**31 - 1))
    while True:
        options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        try:
            table = pyarrow.json.read_json(io.BytesIO(data), read_options=whole, parse_options=options)
            table.validate(full=True)  # UTF-8, which the reader does not check
        except pa.ArrowInvalid as fault:
            refused = next((name for name in IDENTITY if f"Column(/{name})" in str(fault)), None)
            other = next(types[refused], None) if refused else None
            if other is None:
                return None
            schema = schema.set(schema.get_field_index(refused), pa.field(refused, other))
            continue
        frame = pl.DataFrame(pl.from_arrow(table))
        ids = frame.select(name for name in IDENTITY if frame.schema[name] == pl.Float64)
        is_exact = ids.select(pl.all().abs().max() < 2**53).row(0) if ids.width else ()
        is_sound = table.num_rows == rows and False not in is_exact
        return with_carried(frame, IDENTITY) if is_sound else None


def _read_line(line: bytes, is_cut_short: bool) -> dict[str, Any]:
    """Return the schema's columns of one line, or its fault.

    Arrow decides, as it does for whole blocks, so a line is treated the same whatever its neighbours; the standard
    library names the fault.
    """
    if is_cut_short:
        return {"fault": "cut-short"}
    accepted = _arrow(line, 1) if line.startswith(b"{") else None
    if accepted is not None:
        return accepted.row(0, named=True)
    row, fault = read_object(line)
    return {"fault": fault} if fault else typed_row(row, line)


def _read_parquet(block: Block) -> pl.DataFrame:
    """Return the rows of the schema's types at once; those of other types one by one, as if they were JSON."""
    path = block.file.path
    names = block.columns()
    columns = [name for name in names if name in RAW]
    if not set(columns) & set(LISTS):
        return pl.DataFrame([{"line": line} for line in _numbers(block, block.length)], schema=_ROW, orient="row")
    frame = with_carried(block.table(columns), IDENTITY)
    lines = _numbers(block, frame.height)
    if all(_is_plain(name, frame.schema[name]) for name in columns):
        return frame.select(_as_raw(frame, name) for name in RAW).with_columns(lines.alias("line"), fault=_NOTHING)
    with table_faults(path, error=SourceError, hint=AGAIN):
        rows = [typed_row(row) for row in frame.iter_rows(named=True)]
    return pl.DataFrame(rows, schema=_ROW, orient="row").with_columns(lines.alias("line"))


def _is_plain(name: str, dtype: pl.DataType) -> bool:
    """Return whether a column of that type is read at once."""
    if dtype in (pl.Null, RAW[name]):
        return True
    fields = _fields(dtype)
    return name in OF_OBJECTS and bool(fields) and all(fields.get(key, pl.Null()) in _TEXT for key in TURN_KEYS)


def _fields(dtype: pl.DataType) -> pl.Schema:
    """Return the fields of the objects in a list; none for another type."""
    inner = dtype.inner if isinstance(dtype, pl.List) else None
    return pl.Schema(inner.to_schema() if isinstance(inner, pl.Struct) else {})


def _as_raw(frame: pl.DataFrame, name: str) -> pl.Expr:
    dtype = frame.schema.get(name, pl.Null())
    if not isinstance(dtype, pl.List) or dtype == RAW[name]:
        return (pl.col(name) if name in frame.columns else pl.lit(None)).cast(RAW[name]).alias(name)
    present = _fields(dtype)
    element = pl.element().struct
    fields = [(element.field(key) if key in present else pl.lit(None)).cast(pl.String).alias(key) for key in TURN_KEYS]
    return pl.col(name).list.eval(pl.struct(fields))
