"""A block of raw lines → a table of rated rows: a prompt and the answers to it, each with its ratings.

prompt       instruction (text), else prompt (text or messages), else messages (up to the last user turn)
answers      completions, else candidates, else responses: a list of objects with `response` and, where known,
             model · overall_score and annotations (raw UltraFeedback) · score or ratings (a generic table)

Other published shapes are turned into this one (`rated_shapes`, `given_pairs`, `gathered`).
Plain rows are read a column at a time (`rated_columns`), the others one by one (`rated_rows`), with the same result.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.json

from zephyr_core.errors import DataError
from zephyr_core.reading import table_faults
from zephyr_data import schemas
from zephyr_data.errors import ONE_SHAPE, MixedShapes, SourceError
from zephyr_data.sources import given_pairs, rated_shapes
from zephyr_data.sources.blocks import Block, read_blocks, take
from zephyr_data.sources.carried import with_carried
from zephyr_data.sources.files import AGAIN, RawFile
from zephyr_data.sources.gathered import gather
from zephyr_data.sources.published import side_of_file
from zephyr_data.sources.rated_columns import CARRIED, USED, read_columns
from zephyr_data.sources.rated_rows import ANSWERS, PROMPTS, Row, read_json, read_row
from zephyr_data.sources.rated_shapes import ONE_ANSWER
from zephyr_data.sources.scales import DEFAULT, Scales, refuse_other_scale
from zephyr_data.sources.tables import count_rows

RAW_FILE = "leave out --scale, or give it with the raw file"
PEEK_BYTES = 2**16  # of a file, to see its shape
FEW = 64  # lines that are read one by one when Arrow rejects them together
DEEPEST = 12  # levels of nested types; raw UltraFeedback has six, and deeper ones could exhaust the stack
_READ = [name for name in schemas.RATED if name not in schemas.RATED_FILLED]
_ROW = {name: schemas.RATED[name] for name in _READ if name not in ("source", "file")} | {"shape": pl.String()}

Line = tuple[int, bytes, bool]  # number, text, whether it is cut short


def parse_rated(block: Block, scales: Scales = DEFAULT) -> tuple[pl.DataFrame, str | None]:
    """Return the block's rows as a table of rated rows, faults marked, and their shape.

    Columns out: schemas.RATED; those of RATED_FILLED are null

    Raises:
        MixedShapes: the block has rows of different shapes.
        SourceError: the file begins with a row that has no prompt or no answers, or its ratings have another scale.
    """
    if block.file.kind == "rated":
        if scales != DEFAULT:
            raise SourceError(f"{block.file.path}: these ratings were read before, on their scale", RAW_FILE)
        stored = [name for name in _READ if name in block.columns()]  # older datasets have no sides
        return with_unfilled(block.table(stored)), "rated"
    parts = _read_parquet(block, scales) if block.file.kind == "parquet" else _read_lines(block, scales)
    table = pl.concat([part for part in parts if part.height] or [pl.DataFrame(schema=_ROW)]).sort("line")
    shape = _one_shape(block, table)
    if shape is None and block.first_line == 1:
        _refuse_foreign(block)
    refuse_other_scale(block, table, scales)
    if shape is not None and shape.endswith(ONE_ANSWER):
        table = gather(table)
    of_file = pl.when(pl.col("sides").is_not_null()).then(pl.lit(side_of_file(block.file.name), dtype=pl.String))
    place = {"source": pl.lit(block.file.source), "file": pl.lit(block.file.name)}
    return with_unfilled(table.with_columns(published=pl.coalesce("published", of_file), **place)), shape


def belongs_together(file: RawFile) -> bool:
    """Return whether rows of a file belong together, since each holds one of the answers to its prompt."""
    try:
        return str(parse_rated(_first_rows(file))[1]).endswith(ONE_ANSWER)
    except (DataError, OSError, StopIteration):  # reading it says so
        return False


def _first_rows(file: RawFile) -> Block:
    """Return a block of a file's first rows; StopIteration if there are none."""
    if file.is_table:  # its digest, which read_blocks needs, takes long
        rows = min(FEW, count_rows(file.path, error=SourceError, hint=AGAIN))
        return Block(file, "", 1, rows, 0, rows, 0)
    return next(item for item in take(read_blocks(file, PEEK_BYTES), FEW) if isinstance(item, Block))


def with_unfilled(table: pl.DataFrame) -> pl.DataFrame:
    """Return stored or read rows as schemas.RATED, with null in the columns that are missing or that stages fill."""
    missing = [name for name in schemas.RATED if name in schemas.RATED_FILLED or name not in table.columns]
    empty = [pl.lit(None, dtype=schemas.RATED[name]).alias(name) for name in missing]
    return table.with_columns(empty).select(pl.col(name).cast(dtype) for name, dtype in schemas.RATED.items())


def _read_parquet(block: Block, scales: Scales) -> Iterator[pl.DataFrame]:
    present = block.columns()
    shapes = [shapes for shapes in (given_pairs, rated_shapes) if not set(present).isdisjoint(shapes.ANSWERS)]
    names = [name for name in present if name in USED or any(name in shape.COLUMNS for shape in shapes)]
    if not names:
        _refuse_foreign(block)
    frame = with_carried(block.table(names), CARRIED).with_row_index("number", offset=block.first_line)
    numbers = frame["number"].cast(pl.Int64)
    result = read_columns(frame.drop("number"), scales, has_all_keys=True)
    if result is not None:
        rows, plain, shape = result
        yield _as_read(rows, numbers.filter(plain), shape)
        frame, numbers = frame.filter(~plain), numbers.filter(~plain)
    with table_faults(block.file.path, error=SourceError, hint=AGAIN):
        raws = frame.drop("number").iter_rows(named=True)
        objects = ((number, raw, None, b"") for number, raw in zip(numbers, raws, strict=True))
        others = _one_by_one(objects, scales)
    yield others


def _read_lines(block: Block, scales: Scales) -> Iterator[pl.DataFrame]:
    objects: list[Line] = []
    others: list[Line] = []
    for line in block.lines():
        (objects if _is_object(line) else others).append(line)
    yield _one_by_one(map(_object, others), scales)
    yield from _together(objects, scales)


def _together(lines: list[Line], scales: Scales) -> Iterator[pl.DataFrame]:
    """Yield the rows of lines with one object each; if Arrow rejects some, the others give the same rows."""
    frame = _frame(lines)
    if frame is None and len(lines) > FEW:
        half = len(lines) // 2
        yield from _together(lines[:half], scales)
        yield from _together(lines[half:], scales)
        return
    result = None if frame is None else read_columns(frame, scales, has_all_keys=False)
    if result is None:
        yield _one_by_one(map(_object, lines), scales)
        return
    rows, plain, shape = result
    yield _as_read(rows, pl.Series([line[0] for line in lines], dtype=pl.Int64).filter(plain), shape)
    others = (_object(line) for line, is_plain in zip(lines, plain, strict=True) if not is_plain)
    yield _one_by_one(others, scales)


def _is_object(line: Line) -> bool:
    try:
        return not line[2] and isinstance(orjson.loads(line[1]), dict)
    except orjson.JSONDecodeError:
        return False


def _frame(lines: list[Line]) -> pl.DataFrame | None:
    """Return the used columns with types that Arrow infers from all lines, or None if types mix or a key repeats.

    Unused columns are read too, since no object may repeat a key.
    """
    data = b"".join(line[1] + b"\n" for line in lines)
    whole = pyarrow.json.ReadOptions(use_threads=False, block_size=min(len(data) + 1, 2**31 - 1))
    try:
        table = pyarrow.json.read_json(pa.BufferReader(data), read_options=whole)
        columns = table.select([name for name in USED if name in table.column_names])
        columns.validate(full=True)  # lists of empty objects come out wrong
    except pa.ArrowInvalid:
        return None
    if table.num_rows != len(lines) or not all(_is_sound(field.type) for field in columns.schema):
        return None
    return pl.DataFrame(pl.from_arrow(columns))


def _is_sound(dtype: pa.DataType, depth: int = DEEPEST) -> bool:
    """Return whether a type has few levels, none of them an object without keys."""
    inner = [dtype.field(place).type for place in range(dtype.num_fields)]
    return depth > 0 and (bool(inner) or not pa.types.is_struct(dtype)) and all(_is_sound(t, depth - 1) for t in inner)


def _as_read(rows: pl.DataFrame, numbers: pl.Series, shape: str) -> pl.DataFrame:
    numbered = rows.with_columns(numbers.alias("line"), shape=pl.lit(shape))
    nothing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in _ROW.items() if name not in numbered.columns]
    return numbered.with_columns(nothing).select(pl.col(name).cast(dtype) for name, dtype in _ROW.items())


def _object(line: Line) -> tuple[int, Row, str | None, bytes]:
    """Return number, object, fault and the line itself."""
    number, text, is_cut_short = line
    raw, fault = ({}, "cut-short") if is_cut_short else read_json(text)
    return number, raw, fault, text


def _one_by_one(objects: Iterable[tuple[int, Row, str | None, bytes]], scales: Scales) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for number, raw, fault, line in objects:
        rows.append({"line": number, **read_row(raw, fault, line, scales)})
    return pl.DataFrame(rows, schema=_ROW, orient="row")


def _one_shape(block: Block, table: pl.DataFrame) -> str | None:
    """Return the shape of the rows that have one."""
    shaped = table.select("line", "shape").drop_nulls()
    if shaped.is_empty():
        return None
    first = str(shaped["shape"][0])
    for line, other in shaped.filter(pl.col("shape") != first).head(1).rows():
        raise MixedShapes(
            f"{block.file.path}, line {line}: the row holds {other!r}, earlier ones {first!r}",
            ONE_SHAPE,
        )
    return first


def _refuse_foreign(block: Block) -> None:
    """Raise unless the columns exist, even if null or of a wrong type."""
    if block.file.kind == "parquet":
        names, line = block.columns(), 1
        answer_names = [name for name in names if name in ANSWERS][:1]
        raw: Row = block.table(answer_names).row(0, named=True) if answer_names else {}
    else:
        objects = ((number, raw) for number, raw, fault, _ in map(_object, block.lines()) if fault is None)
        line, raw = next(objects, (0, {}))
        names = list(raw)
        if not line:
            return
    answers = next((raw[name] for name in ANSWERS if name in raw), None)
    first = answers[0] if isinstance(answers, list) and answers else None
    is_foreign = isinstance(first, dict) and "response" not in first
    if set(names) & set(PROMPTS) and set(names) & set(ANSWERS) and not is_foreign:
        return
    if set(names) & set(given_pairs.ANSWERS) or rated_shapes.has_columns(names):
        return
    columns = ", ".join(map(repr, names)) or "no column"
    raise SourceError(
        f"{block.file.path}, line {line}: no pair and no prompt with answers; found {columns}",
        f"a prompt is read from {', '.join(PROMPTS)}, answers from {', '.join(ANSWERS)}, each with its `response`; "
        f"ratings also from {rated_shapes.KNOWN}; pairs from {given_pairs.KNOWN}",
    )
