"""Digests of rows: the fast way gives what the plain one gives."""

from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zephyr_core.keys import canonical_json, row_key, rows_digest
from zephyr_data import schemas
from zephyr_data.engine.store import packed_rows_digest, row_digests, table_digests
from zephyr_data.json_digests import list_keys, message_digests

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NUMBER = st.one_of(
    st.none(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, -0.0, 8.25, 1e16, 1e-7])
)
MESSAGES = st.lists(st.fixed_dictionaries({"content": TEXT, "role": TEXT}), max_size=3)
PAIR = st.fixed_dictionaries(
    {
        "prompt": MESSAGES,
        "chosen": MESSAGES,
        "rejected": MESSAGES,
        "prompt_id": TEXT,
        "score_chosen": NUMBER,
        "score_rejected": NUMBER,
        "margin": NUMBER,
        "source": st.none() | TEXT,
        "chosen_model": st.none() | TEXT,
        "rejected_model": st.none() | TEXT,
        "candidates": st.lists(
            st.fixed_dictionaries({"response": st.none() | TEXT, "model": st.none() | TEXT, "score": NUMBER}),
            max_size=2,
        ),
        "messages": MESSAGES,
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PAIR, max_size=4))
def test_digests_of_a_table_are_those_of_its_rows(rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, schema=schemas.PAIRS)
    assert table_digests(table) == row_digests(table.to_pylist())


def test_every_character_is_written_as_the_contract_says() -> None:
    import hashlib

    points = [*range(0x20, 0xD800, 7), *range(0x300), 0x2028, 0x2029, 0xFEFF, 0xFFFF, 0x1F600, 0x10FFFF]
    rows = [{"prompt": f"a{chr(point)}b", "prompt_id": "x", "messages": []} for point in points]
    table = pa.Table.from_pylist(rows, schema=schemas.SFT)
    assert table_digests(table) == [hashlib.sha256(canonical_json(row)).digest() for row in rows]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.none() | st.lists(TEXT, max_size=4), max_size=5))
def test_keys_of_lists_are_row_keys(rows: list[list[str] | None]) -> None:
    keys = list_keys(pl.Series(rows, dtype=pl.List(pl.String)))
    assert keys == [None if texts is None else row_key(texts) for texts in rows]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_slices_and_chunks(rows: int) -> None:
    whole = pa.Table.from_pylist(
        [{"prompt": str(n), "prompt_id": "x", "messages": []} for n in range(5)], schema=schemas.SFT
    )
    part = pa.concat_tables([whole.slice(1, rows), whole.slice(0, 1)])
    assert table_digests(part) == row_digests(part.to_pylist())
    assert table_digests(pl.DataFrame(part.to_pylist(), schema=pl.DataFrame(whole).schema).to_arrow()) == table_digests(
        part
    )


@settings(max_examples=50)
@given(st.lists(st.lists(st.text(max_size=20) | st.just('","content":"[{,{'), min_size=1, max_size=5), max_size=5))
def test_rows_without_their_last_message_have_the_digests_of_rows_encoded_anew(dialogues: list[list[str]]) -> None:
    def rows(without: int) -> list[dict[str, Any]]:
        parts = [turns[: len(turns) - without] for turns in dialogues]
        return [
            {
                "prompt": turns[0],
                "prompt_id": "p",
                "messages": [
                    {"content": text, "role": ("user", "assistant")[place % 2]} for place, text in enumerate(part)
                ],
            }
            for turns, part in zip(dialogues, parts, strict=True)
        ]

    frame = pl.DataFrame(
        rows(0),
        schema={
            "prompt": pl.String,
            "prompt_id": pl.String,
            "messages": pl.List(pl.Struct({"content": pl.String, "role": pl.String})),
        },
        orient="row",
    )
    assert message_digests(frame) == (row_digests(rows(0)), row_digests(rows(1)))


@given(st.lists(st.binary(min_size=30, max_size=30), max_size=20))
def test_packed_digests_give_the_digest_of_the_list(beginnings: list[bytes]) -> None:
    digests = [digest + end for digest in beginnings for end in (b"\0\0", b"\0\1", b"\xff\0")]
    assert packed_rows_digest(bytearray(b"".join(digests))) == rows_digest(digests)
