"""The contract's golden examples: two people reading it get these values."""

import hashlib

import pytest

from zephyr_core.keys import draw, draws, json_key, row_key, rows_digest, text_key


@pytest.mark.parametrize(
    ("prompt", "key"),
    [  # published prompt_ids of ultrachat_200k
        (
            "how can i develop a habit of drawing daily",
            "086b3e24f29b8956a01059f79c56db35d118a06fb6b844b095737d042795cd43",
        ),
        ("Which books are still banned in Canada?", "aeccf551d9ba42fdf5f2044de43b8ce6e360fb523ace428317b81d804594e090"),
    ],
)
def test_prompt_id_is_the_published_one(prompt: str, key: str) -> None:
    assert text_key(prompt) == key


@pytest.mark.parametrize(
    ("texts", "canonical"),
    [
        ([], "[]"),
        (["Hi", "Hello!"], '["Hi","Hello!"]'),
        (["a b", 'quote " and \\'], '["a b","quote \\" and \\\\"]'),
        (["é", "你好 😀"], '["é","你好 😀"]'),
        (["line\nbreak\ttab\r"], '["line\\nbreak\\ttab\\r"]'),
        (["\x00\x1f\x7f"], '["\\u0000\\u001f\x7f"]'),
        (["e\u0301"], '["e\u0301"]'),  # no normalisation
        (["\u2028"], '["\u2028"]'),
        (["/"], '["/"]'),
        ([" lead", "trail "], '[" lead","trail "]'),
    ],
)
def test_row_key_is_the_digest_of_the_compact_json_list(texts: list[str], canonical: str) -> None:
    assert row_key(texts) == hashlib.sha256(canonical.encode()).hexdigest()


GOLDEN_DRAWS = [
    (42, "select", "a", 2),
    (42, "split", "a", 2),
    (42, "tie", "a", 3),
    (42, "rejected", "a", 3),
    (42, "order", "a", 1000),
    (43, "select", "a", 1000),
    (42, "select", "b", 1000),
    (42, "select", "", 7),
    (0, "select", "é", 7),
    (42, "select", "a", 2**64),
]


@pytest.mark.parametrize(("seed", "purpose", "key", "choices"), GOLDEN_DRAWS)
def test_draw_is_sha256_of_the_four_parts(seed: int, purpose: str, key: str, choices: int) -> None:
    by_hand = int(hashlib.sha256(f"{seed}|{purpose}|{key}|{choices}".encode()).hexdigest(), 16) % choices
    assert draw(seed, purpose, key, choices) == by_hand


def test_purposes_do_not_correlate_and_choices_are_even() -> None:
    keys = [str(number) for number in range(3000)]
    select, split = draws(42, "select", keys, 3), draws(42, "split", keys, 3)
    agreeing = sum(a == b for a, b in zip(select, split, strict=True))
    assert abs(agreeing - 1000) < 120  # 4.6 standard deviations
    assert all(abs(select.count(choice) - 1000) < 120 for choice in range(3))


def test_unknown_purpose_is_refused() -> None:
    with pytest.raises(ValueError, match="shuffle"):
        draw(42, "shuffle", "a", 2)


def test_rows_digest_ignores_order_and_counts_repeats() -> None:
    one, two = hashlib.sha256(b"1").digest(), hashlib.sha256(b"2").digest()
    assert (
        rows_digest([one, two]) == rows_digest([two, one]) == hashlib.sha256(min(one, two) + max(one, two)).hexdigest()
    )
    assert rows_digest([one]) != rows_digest([one, one])


def test_a_key_of_content_is_that_of_its_compact_json_in_the_order_given() -> None:
    assert json_key({"é": [1, None]}) == text_key('{"é":[1,null]}')
    assert json_key({"a": 1, "b": 2}) != json_key({"b": 2, "a": 1})
