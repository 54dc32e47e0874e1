"""Numbers and texts as people read them."""

from zephyr_page.markup import real, safe, shorten


def test_numbers_and_texts_as_people_read_them() -> None:
    assert [real(value, 2) for value in (-0.001, -0.02, 1234.5, None, float("nan"))] == [
        "0.00",
        "−0.02",
        "1,234.50",
        "–",
        "NaN",
    ]
    assert shorten("a" * 9, 5) == "aaaa…" and shorten("abc", 3) == "abc"
    assert safe("\ud800<\u202e") == "\ufffd&lt;\ufffd" and safe(safe("<")) == "&lt;"
