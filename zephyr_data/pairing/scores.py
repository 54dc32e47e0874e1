"""Rated rows → one line per answer, and the score that answers are compared by (paper §4.1, second bullet)."""

import polars as pl

from zephyr_core.texts import VISIBLE
from zephyr_data import schemas
from zephyr_data.options import BinarizeOptions
from zephyr_data.sources.lines import SHOWN
from zephyr_data.stages.verbs import Stage, fill, verdict

NAME = "score"
TEN = 10.0  # an overall score of 1 was stored as 10 in raw UltraFeedback: 2,628 tens, some of them right
WRONG_UP_TO = 2.0  # mean rating up to which the published repair sets a ten to 1
RIGHT_ABOVE = 4.0  # above it the repair keeps a ten; between the two, answers were rated again, which cannot be redone


def answers(table: pl.DataFrame) -> pl.DataFrame:
    """Return one line per answer of the rows that have any, in file order.

    Columns in:  row, prompt_id, completions, scores
    Columns out: row, prompt_id, place, response, model, ratings, overall, given, unreadable, score, text (trimmed; ""
                 where nothing is visible), usable (has a text and a score)
    """
    whole = table.filter(pl.col("completions").list.len() > 0)
    count = pl.col("completions").list.len()
    unscored = pl.lit(None, pl.Float64).repeat_by(count)
    lines = whole.select(
        "row",
        "prompt_id",
        "completions",
        place=pl.int_ranges(count, dtype=pl.UInt32),
        score=pl.coalesce("scores", unscored),
    ).explode("completions", "place", "score")
    response = pl.col("response")
    text = pl.when(response.str.contains(VISIBLE)).then(response.str.strip_chars()).otherwise(pl.lit(""))
    return lines.unnest("completions").with_columns(
        text=text, usable=(text.str.len_bytes() > 0) & pl.col("score").is_not_null()
    )


def given_rows(table: pl.DataFrame) -> pl.Series:
    """Return the numbers of the rows that were given as pairs.

    Columns in:  row, sides
    """
    return table["row"].filter(table["sides"].is_not_null())


def in_canonical_order(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the lines sorted by row, response and model: the order of every draw, whatever the file's order."""
    return lines.sort("row", "response", "model", "score", "place", nulls_last=False)


def rated_answers(table: pl.DataFrame) -> pl.DataFrame:
    """Return `answers` with `mean`, the mean of the ratings present, or null if there are none.

    Ratings are summed in ascending order, so the sum does not depend on their order in the row.
    """
    mean = pl.col("ratings").list.eval(pl.element().struct.field("rating")).list.sort().list.mean()
    return answers(table).with_columns(mean=mean)


def repaired_overall() -> pl.Expr:
    """Return the overall score of rated answers, with any ten that means a one corrected."""
    wrong = (pl.col("overall") == TEN) & (pl.col("mean") <= WRONG_UP_TO)
    return pl.when(wrong).then(1.0).otherwise("overall")


def is_suspicious() -> pl.Expr:
    """Return whether an overall score is a ten that the ratings neither confirm nor refute."""
    mean = pl.col("mean")
    return ((pl.col("overall") == TEN) & (mean > WRONG_UP_TO) & (mean <= RIGHT_ABOVE)).fill_null(False)


def value_of(score: str, *, as_read: bool = False) -> pl.Expr:
    """Return the score of rated answers by name: mean, overall, or aspect:NAME.

    A generic table's only score serves as both mean and overall.
    """
    if score == "mean":
        return pl.coalesce("mean", "given")
    if score == "overall":
        return pl.coalesce("overall" if as_read else repaired_overall(), "given")
    rating = pl.element().struct
    is_aspect = rating.field("aspect") == score.removeprefix("aspect:")
    return pl.col("ratings").list.eval(rating.field("rating").filter(is_aspect)).list.sort().list.mean()


def _rated_apart(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the answers with different ratings of one aspect."""
    ratings = pl.col("ratings")
    aspects = ratings.list.eval(pl.element().struct.field("aspect")).list.n_unique()
    return lines.filter(ratings.list.n_unique() > aspects)


def _ratings_as_text() -> pl.Expr:
    rating = pl.element().struct
    texts = pl.col("ratings").list.eval(pl.format("{} {}", rating.field("aspect"), rating.field("rating")))
    return texts.list.join(", ").str.slice(0, SHOWN)


def score_answers(options: BinarizeOptions) -> Stage:
    """Return a stage that fills `scores`, one for each answer, null where there is none.

    For the overall score, a ten that the ratings refute is set to 1 and recorded; one they leave open drops the row
    (`--suspicious-tens`). With `--annotators agree`, an answer with different ratings of one aspect has no score.

    Columns in:  completions
    """
    as_read = options.suspicious_tens == "as-read"
    repairs = options.score == "overall" and not as_read

    def compute(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        lines = rated_answers(table).with_columns(score=value_of(options.score, as_read=as_read))
        apart = _rated_apart(lines) if options.annotators == "agree" else lines.head(0)
        if apart.height:
            lines = lines.join(
                apart.select("row", "place", apart=True), on=["row", "place"], how="left", maintain_order="left"
            ).with_columns(score=pl.when(pl.col("apart").is_null()).then("score"))
        filled = lines.group_by("row", maintain_order=True).agg(scores="score")
        place = pl.col("place").cast(pl.Int32)
        differ = verdict(apart, "annotators-differ", turn=place, matched=_ratings_as_text(), drops=False)
        if not repairs:
            return filled.with_columns(edits=pl.lit(None, dtype=schemas.RATED["edits"])), differ
        score_text = pl.format("{} (mean rating {})", "overall", "mean")
        edit = pl.struct(
            turn=place,
            stage=pl.lit(NAME),
            rule=pl.lit("ten-for-one"),
            start=pl.lit(None, dtype=pl.Int32),
            end=pl.lit(None, dtype=pl.Int32),
            before=score_text,
            after=pl.lit("1.0"),
        )
        changed = lines.filter((pl.col("overall") != repaired_overall()).fill_null(False))
        edits = changed.group_by("row", maintain_order=True).agg(edits=edit)
        suspects = verdict(
            lines.filter(is_suspicious()),
            "suspicious-ten",
            turn=place,
            matched=score_text,
            drops=options.suspicious_tens == "drop",
        )
        return filled.join(edits, on="row", how="left"), pl.concat([differ, suspects])

    return fill(NAME, "scores", compute)
