"""Whole columns of rated rows, read at once where their types are those of raw or published UltraFeedback.

Nothing is decided differently from `rated_rows`: a row is read here only if it is plain, that is, has one prompt,
answers that all have a response, and ratings that are absent or on their scale. All others are left to `rated_rows`.
"""

from collections.abc import Iterator

import polars as pl

from zephyr_core.keys import text_key
from zephyr_core.texts import VISIBLE
from zephyr_data import schemas
from zephyr_data.json_digests import list_keys
from zephyr_data.sources.carried import IDENTITY
from zephyr_data.sources.rated_rows import ABSENT, ANSWERS, PROMPTS
from zephyr_data.sources.scales import Scale, Scales

CARRIED = (*IDENTITY, "source")
USED = (*CARRIED, *PROMPTS, *ANSWERS)
EXACT_DIGITS = 15  # of a decimal, which becomes the same double whoever divides
_TEXT = (pl.String, pl.Null)
_SHORT_NUMBER = r"^[0-9]{1,3}(?:\.[0-9]{1,6})?$"  # every number parser reads it the same

Numbers = tuple[pl.Expr, pl.Expr]  # the number or null, and whether it is plain


class _OtherType(TypeError):
    """A used column has a type that only the slow reader knows."""


def read_columns(
    frame: pl.DataFrame, scales: Scales, *, has_all_keys: bool
) -> tuple[pl.DataFrame, pl.Series, str] | None:
    """Return the plain rows, which rows they are, and their shape; None if no row can be read this way.

    Columns out: id, prompt_source, turns, completions, row_key, prompt_id

    Args:
        frame: the rows; only the `USED` columns are read.
        scales: which numbers are plain.
        has_all_keys: whether null is a value, as in Parquet, rather than possibly an absent key, as in JSON.
    """
    prompt, answers = (_only(frame, names) for names in (PROMPTS, ANSWERS))
    if prompt is None or answers is None:
        return None
    try:
        completion, is_plain_answer = _completion(_fields(frame, answers), scales, has_all_keys=has_all_keys)
        columns = {
            "id": pl.coalesce(*(_carried(frame.schema, name) for name in IDENTITY)),
            "prompt_source": _carried(frame.schema, "source"),
            "turns": _turns(frame, prompt),
        }
    except _OtherType:
        return None
    text, listed = pl.col(prompt), pl.col(answers)
    is_sound = text.str.contains(VISIBLE) & ~text.str.contains("\0", literal=True) & (listed.list.len() > 0)
    is_plain = is_sound & listed.list.eval(is_plain_answer).list.all()
    plain = frame.select(is_plain.fill_null(False)).to_series()
    rows = frame.filter(plain).select(completions=listed.list.eval(completion), **columns)
    return _with_keys(rows), plain, f"{prompt} + {answers}"


def _only(frame: pl.DataFrame, names: tuple[str, ...]) -> str | None:
    """Return the only one of these columns that holds anything, else None."""
    columns = [name for name in names if name in frame.columns and frame[name].null_count() < frame.height]
    return columns[0] if len(columns) == 1 else None


def _with_keys(rows: pl.DataFrame) -> pl.DataFrame:
    texts = rows.select(pl.concat_list("turns", pl.col("completions").list.eval(pl.element().struct.field("response"))))
    return rows.with_columns(
        row_key=pl.Series(list_keys(texts.to_series()), dtype=pl.String),
        prompt_id=pl.Series(map(text_key, rows["turns"].list.first()), dtype=pl.String),
    )


def _fields(frame: pl.DataFrame, answers: str) -> pl.Schema:
    """Return the types of the fields of an answer."""
    dtype = frame.schema[answers]
    if not isinstance(dtype, pl.List) or not isinstance(dtype.inner, pl.Struct):
        raise _OtherType
    return pl.Schema(dtype.inner.to_schema())


def _turns(frame: pl.DataFrame, prompt: str) -> pl.Expr:
    if frame.schema[prompt] != pl.String:
        raise _OtherType
    return pl.concat_list(prompt)


def _carried(schema: pl.Schema, name: str, of: pl.Expr | None = None) -> pl.Expr:
    """Return a column or a field that is carried along; in JSON, a type other than these may be a guess."""
    dtype = schema.get(name, pl.Null())
    if dtype not in _TEXT and not dtype.is_signed_integer():
        raise _OtherType
    if name not in schema:
        return pl.lit(None, dtype=pl.String)
    return (pl.col(name) if of is None else of.struct.field(name)).cast(pl.String)


def _completion(fields: pl.Schema, scales: Scales, *, has_all_keys: bool) -> tuple[pl.Expr, pl.Expr]:
    """Return an answer as schemas.COMPLETION, and whether it is plain."""
    answer = pl.element()
    if fields.get("response") != pl.String:
        raise _OtherType
    response = answer.struct.field("response")
    overall, score = (
        _number(fields.get(name, pl.Null()), answer.struct.field(name) if name in fields else pl.lit(None), scale)
        for name, scale in (("overall_score", scales.overall), ("score", scales.others))
    )
    ratings = [*_ratings(fields, "annotations", scales.annotations, has_all_keys)]
    ratings += _ratings(fields, "ratings", scales.others, has_all_keys)
    ratings.sort(key=lambda rating: rating[0])
    rating = pl.lit([], dtype=pl.List(schemas.RATING))
    if ratings:
        pairs = (pl.struct(aspect=pl.lit(aspect), rating=value) for aspect, (value, _) in ratings)
        # turning an array into a list takes no time, unlike `concat_list`
        rating = pl.concat_arr(*pairs).arr.to_list().list.filter(pl.element().struct.field("rating").is_not_null())
    completion = pl.struct(
        response=response,
        model=_carried(fields, "model", answer),
        ratings=rating,
        overall=overall[0],
        given=score[0],
        unreadable=pl.lit(None, dtype=pl.String),
    )
    is_sound = response.is_not_null() & ~response.str.contains("\0", literal=True)
    plain = [is_sound, overall[1], score[1], *(plain for _, (_, plain) in ratings)]
    return completion, pl.all_horizontal(plain).fill_null(False)


def _ratings(fields: pl.Schema, name: str, scale: Scale, has_all_keys: bool) -> Iterator[tuple[str, Numbers]]:
    """Yield aspect and rating of {aspect: rating} and of {aspect: {"Rating": rating}}."""
    dtype = fields.get(name, pl.Null())
    if dtype == pl.Null:
        return
    if not isinstance(dtype, pl.Struct):
        raise _OtherType
    for aspect, rating_type in pl.Schema(dtype.to_schema()).items():
        value = pl.element().struct.field(name).struct.field(aspect)
        if not isinstance(rating_type, pl.Struct):
            yield aspect, _number(rating_type, value, scale)
            continue
        inner = pl.Schema(rating_type.to_schema())
        keys = [key for key in ("Rating", "rating") if key in inner]
        if not keys or (len(keys) > 1 and not has_all_keys):
            raise _OtherType
        rating = value.struct.field(keys[0])
        number, is_plain = _number(inner[keys[0]], rating, scale)
        yield aspect, (number, is_plain & (value.is_null() | rating.is_not_null() | pl.lit(has_all_keys)))


def _number(dtype: pl.DataType, value: pl.Expr, scale: Scale) -> Numbers:
    if dtype == pl.Null:
        return pl.lit(None, dtype=pl.Float64), pl.lit(True)
    if dtype == pl.String:
        number = pl.when(value.str.contains(_SHORT_NUMBER)).then(value).cast(pl.Float64, strict=False)
        is_absent = value.is_null() | value.str.to_lowercase().is_in(ABSENT)
    elif dtype.is_numeric() and not (isinstance(dtype, pl.Decimal) and dtype.precision > EXACT_DIGITS):
        number = value.cast(pl.Float64).fill_nan(None)
        is_absent = number.is_null()
    else:
        raise _OtherType
    # the column reader takes an integer -0 among fractions for -0.0, the row reader for 0
    is_odd_zero = (number == 0) & (1 / number < 0)
    return number, is_absent | (number.is_between(*scale) & ~is_odd_zero).fill_null(False)
