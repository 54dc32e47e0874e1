"""Colours that can be read, in every scheme."""

import re

import pytest

from zephyr_page.style import CSS, DARK, LIGHT, alone


def _luminance(colour: tuple[float, ...]) -> float:
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(text: str) -> tuple[float, ...]:
    return tuple(int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_stands_out_from_what_lies_behind_it(scheme: int) -> None:
    block = CSS.split("@media print")[0].split("prefers-color-scheme: dark")[scheme]
    colours = {name: _rgb(value) for name, value in re.findall(r"--(\w+): (#[0-9a-f]{6})", block)}
    tint = tuple(0.2 * above + 0.8 * below for above, below in zip(colours["train"], colours["paper"], strict=True))
    pairs = [(text, colours["paper"]) for text in ("ink", "muted", "train", "test", "chosen", "rejected")]
    pairs += [
        ("ink", colours["soft"]),
        ("muted", colours["soft"]),
        ("ink", colours["mark"]),
        ("ink", tint),
        ("muted", tint),
    ]
    for text, behind in pairs:
        light, dark = sorted((_luminance(colours[text]), _luminance(behind)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, text)


def test_every_colour_of_a_rule_is_in_every_scheme() -> None:
    assert set(re.findall(r"var\(--(\w+)\)", CSS)) == set(LIGHT) == set(DARK)


def test_a_picture_alone_has_plain_colours_light_then_dark() -> None:
    light, dark = alone().split("@media (prefers-color-scheme: dark)")
    assert "var(" not in alone() and "url(" not in alone()
    assert f"svg .train {{ stroke: {LIGHT['train']}; }}" in light
    assert f"svg .train {{ stroke: {DARK['train']}; }}" in dark
