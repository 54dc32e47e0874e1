"""A block of raw lines → a table of dialogues.

The fast path hands the whole block to Arrow's JSON reader with the types of the schema, which is strict (polars'
own reader turns numbers and objects into text and silently replaces lone surrogates). A block that it rejects is read
again line by line, and each bad line becomes a row with its fault.
"""

import io
import json
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.json

from zephyr_data import schemas
from zephyr_data.errors import SourceError
from zephyr_data.json_digests import list_keys
from zephyr_data.sources.blocks import BOM, Block
from zephyr_data.sources.files import AGAIN
from zephyr_data.sources.lines import excerpt, read_object
from zephyr_data.sources.shapes import RAW, SHAPES, refuse_mixed, to_turns
from zephyr_data.sources.tables import column_names, read_rows

_TURN = pa.struct([(name, pa.string()) for name in ("role", "content", "from", "value")])
_ARROW = pa.schema(
    [
        ("id", pa.string()),
        ("prompt_id", pa.string()),
        ("data", pa.list_(pa.string())),
        ("messages", pa.list_(_TURN)),
        ("conversations", pa.list_(_TURN)),
    ]
)


def parse(block: Block) -> tuple[pl.DataFrame, str | None]:
    """Return the block's rows as a table of dialogues, faults marked, and their shape.

    Columns out: schemas.DIALOGUES

    Raises:
        MixedShapes: the block has rows of different shapes, or a row of two shapes.
        SourceError: the file begins with rows that hold no dialogue column.
    """
    raw = _read_parquet(block) if block.file.kind == "parquet" else _read_lines(block)
    shape = find_shape(raw)
    if shape is None and block.first_line == 1:
        _refuse_shapeless(raw, block)
    refuse_mixed(raw, shape or SHAPES[0], str(block.file.path))
    return _locate(to_turns(raw, shape or SHAPES[0]), raw["line"], block), shape


def find_shape(raw: pl.DataFrame) -> str | None:
    """Return the shape of the first row that has one, or None if no row has one."""
    present = [pl.col(name).is_not_null() for name in SHAPES]
    first = raw.filter(pl.any_horizontal(present)).head(1).select(present)
    return next((name for name in SHAPES if first.height and first[name][0]), None)


def raw_texts(block: Block, lines: pl.Series) -> pl.Series:
    """Return the raw text of those lines, which are the block's rows; for Parquet, the rows as JSON."""
    if block.file.is_table:
        rows = read_rows(block.file.path, block.offset, block.length, error=SourceError, hint=AGAIN)
        texts = [json.dumps(row, ensure_ascii=False, default=str) for row in rows.iter_rows(named=True)]
        return pl.Series(texts, dtype=pl.String)
    texts = [line.decode("utf-8", "replace") for line in block.read().split(b"\n")]
    return pl.Series([texts[line - block.first_line] for line in lines], dtype=pl.String)


def _refuse_shapeless(raw: pl.DataFrame, block: Block) -> None:
    objects = raw.filter(pl.col("fault").is_null())
    if objects.is_empty() or block.file.kind == "parquet":  # Parquet columns were checked
        return
    line = block.read().removeprefix(BOM).split(b"\n")[int(objects["line"][0]) - 1]
    keys = list(json.loads(line))
    if set(keys) & set(SHAPES):
        return  # the column exists but is null
    raise SourceError(
        f"{block.file.path}, line {objects['line'][0]}: no dialogue column; found {', '.join(map(repr, keys))}",
        f"a dialogue is read from {', '.join(SHAPES)}",
    )


def _locate(table: pl.DataFrame, lines: pl.Series, block: Block) -> pl.DataFrame:
    empty = [
        pl.lit(None, dtype=schemas.DIALOGUES["hits"]).alias("hits"),
        pl.lit(None, dtype=schemas.DIALOGUES["edits"]).alias("edits"),
    ]
    located = table.with_columns(
        lines.alias("line"),
        *empty,
        source=pl.lit(block.file.source),
        file=pl.lit(block.file.name),
        row_key=pl.Series(list_keys(table["turns"]), dtype=pl.String),
    )
    return located.select(pl.col(name).cast(dtype) for name, dtype in schemas.DIALOGUES.items())


def _read_lines(block: Block) -> pl.DataFrame:
    data = block.read()
    if block.offset == 0:
        data = data.removeprefix(BOM)
    lines = pl.int_range(block.first_line, block.first_line + block.rows, eager=True)
    table = None if block.is_cut_short else _read_fast(data, block.rows)
    if table is not None:
        nothing = pl.lit(None, dtype=pl.String)
        return table.with_columns(lines.alias("line"), fault=nothing, matched=nothing)
    return _read_slowly(block)


def _read_fast(data: bytes, rows: int) -> pl.DataFrame | None:
    """Return the rows, or None when any line is not one JSON object of the schema's types."""
    objects = data.count(b"\n{") + data.startswith(b"{")
    if objects != rows:  # Arrow's reader crashes on a bare `null`, so it only sees lines that open an object
        return None
    table = _arrow(data, rows)
    return None if table is None else pl.DataFrame(pl.from_arrow(table)).with_columns(pl.col("id").cast(pl.String))


def _arrow(data: bytes, rows: int) -> pa.Table | None:
    """Return the `rows` objects as a table of the schema's types, or None if Arrow rejects any of them."""
    for id_type in (pa.string(), pa.int64()):
        schema = _ARROW.set(0, pa.field("id", id_type))
        options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        whole = pyarrow.json.ReadOptions(use_threads=False, block_size=min(len(data) + 1, 2**31 - 1))
        try:
            table = pyarrow.json.read_json(io.BytesIO(data), read_options=whole, parse_options=options)
            table.validate(full=True)  # UTF-8, which the reader does not check
        except pa.ArrowInvalid as fault:
            if "Column(/id)" in str(fault):
                continue
            return None
        return table if table.num_rows == rows else None
    return None


def _read_slowly(block: Block) -> pl.DataFrame:
    rows = [{"line": number, **_read_line(line, cut)} for number, line, cut in block.lines()]
    schema = {**RAW, "fault": pl.String(), "matched": pl.String(), "line": pl.Int64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _read_line(line: bytes, is_cut_short: bool) -> dict[str, Any]:
    """Return the schema's columns of one line, or its fault and the text that shows it.

    Arrow decides, as it does for whole blocks, so a line is treated the same whatever its neighbours; the standard
    library names the fault.
    """
    begins = excerpt(line)
    if is_cut_short:
        return {"fault": "cut-short", "matched": begins}
    accepted = _arrow(line, 1) if line.startswith(b"{") else None
    if accepted is not None:
        row = accepted.to_pylist()[0]
        return {**row, "id": None if row["id"] is None else str(row["id"])}
    row, fault = read_object(line)
    return {"fault": fault, "matched": begins} if fault else _typed_row(row, begins)


def _typed_row(row: dict[str, Any], begins: str) -> dict[str, Any]:
    fields = {name: row.get(name) for name in RAW}
    if type(fields["id"]) is int:
        fields["id"] = str(fields["id"])
    if not all(_fits(name, value) for name, value in fields.items()):
        row_id = fields["id"] if isinstance(fields["id"], str) else None
        return {"id": row_id, "fault": "wrong-type", "matched": begins}
    try:
        orjson.dumps(fields)
    except orjson.JSONEncodeError:
        return {"fault": "lone-surrogate", "matched": begins}
    for name in ("messages", "conversations"):
        turns = fields[name]
        if turns is not None:
            fields[name] = [{key: turn.get(key) for key in _TURN_KEYS} if turn else None for turn in turns]
    return fields


_TURN_KEYS = ("role", "content", "from", "value")


def _fits(name: str, value: Any) -> bool:
    if value is None:
        return True
    if name in ("id", "prompt_id"):
        return isinstance(value, str)
    if not isinstance(value, list):
        return False
    if name == "data":
        return all(text is None or isinstance(text, str) for text in value)
    return all(turn is None or _is_turn(turn) for turn in value)


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and all(turn.get(key) is None or isinstance(turn[key], str) for key in _TURN_KEYS)


def _read_parquet(block: Block) -> pl.DataFrame:
    path = block.file.path
    names = column_names(path, error=SourceError, hint=AGAIN)
    columns = [name for name in names if name in RAW]
    if not set(columns) & set(SHAPES):
        raise SourceError(
            f"{path} has no dialogue column; found {', '.join(names)}",
            f"a dialogue is read from {', '.join(SHAPES)}",
        )
    frame = read_rows(path, block.offset, block.length, columns, error=SourceError, hint=AGAIN)
    try:
        typed = frame.select(_as_raw(frame, name) for name in RAW)
    except pl.exceptions.PolarsError as fault:
        raise SourceError(f"{path}: a column has a different type: {fault}", "see docs/dataset.md, Sources") from None
    nothing = pl.lit(None, dtype=pl.String)
    lines = pl.int_range(block.first_line, block.first_line + frame.height, eager=True)
    return typed.with_columns(lines.alias("line"), fault=nothing, matched=nothing)


def _as_raw(frame: pl.DataFrame, name: str) -> pl.Expr:
    dtype = RAW[name]
    if name not in frame.columns:
        return pl.lit(None, dtype=dtype).alias(name)
    if name in ("messages", "conversations"):
        column_type = frame.schema[name]
        inner = column_type.inner if isinstance(column_type, pl.List) else None
        if not isinstance(inner, pl.Struct):
            raise pl.exceptions.SchemaError(f"{name} is {frame.schema[name]}, not a list of objects")
        present = {field.name for field in inner.fields}
        element = pl.element().struct
        fields = [
            (element.field(key) if key in present else pl.lit(None)).cast(pl.String, strict=True).alias(key)
            for key in _TURN_KEYS
        ]
        return pl.col(name).list.eval(pl.struct(fields))
    if frame.schema[name] != dtype and name in SHAPES:
        raise pl.exceptions.SchemaError(f"{name} is {frame.schema[name]}, not {dtype}")
    return pl.col(name).cast(dtype)
