"""HTML from text that may be hostile: whatever is not marked as markup is escaped; numbers as people read them."""

import html
import math
import unicodedata
from collections.abc import Iterable, Sequence

NO_VALUE = "–"
ALIGN = {"l": "t", "r": "n", "b": "bars"}  # text, numbers, bars
FEW_COLUMNS = 4  # that fit on any screen; a wider table can be focused and scrolled by keyboard
LONG = 48  # characters; a longer value takes the whole line
TEXT_LIMIT = 420  # characters of a text written by others
_MOVES_TEXT = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Html(str):
    """Markup that is used as it is."""

    __slots__ = ()


def safe(value: object) -> Html:
    """Return markup as it is, anything else escaped; unprintable and direction-changing characters as U+FFFD."""
    return value if isinstance(value, Html) else Html(html.escape("".join(map(_visible, str(value)))))


def join(parts: Iterable[object], between: str = "\n") -> Html:
    """Return the parts, each escaped unless it is markup."""
    return Html(between.join(map(safe, parts)))


def element(name: str, inside: object, **attributes: object) -> Html:
    """Return an element; `class_` and `data_x` become class and data-x."""
    text = "".join(f' {key.strip("_").replace("_", "-")}="{safe(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{text}>{safe(inside)}</{name}>")


def shorten(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return a text of at most `limit` characters, with an ellipsis where it was cut."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def digest(full: object, length: int = 12) -> Html:
    """Return the beginning of a digest, with the whole digest as its title."""
    if not full:
        return Html(NO_VALUE)
    return element("code", f"{str(full)[:length]}…", class_="digest", title=full)


def table(caption: str, head: Sequence[object], rows: Iterable[Sequence[object]], align: str = "") -> Html:
    """Return a table that scrolls on its own if too wide; `align` has a letter of ALIGN for each column."""
    classes = [ALIGN[align[at]] if at < len(align) else "t" for at in range(len(head))]
    top = join((element("th", cell, scope="col", class_=name) for cell, name in zip(head, classes, strict=True)), "")
    body = join((_row(cells, classes) for cells in rows), "\n")
    inside = join([element("caption", caption), Html(f"<thead><tr>{top}</tr></thead>"), element("tbody", body)])
    scrolls = {"tabindex": 0, "role": "region", "aria_label": caption} if len(head) > FEW_COLUMNS else {}
    return element("div", element("table", inside), class_="scroll", **scrolls)


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Return names with their values; those without a value are left out."""
    entries = [(name, value) for name, value in pairs if value not in (None, "")]
    inside = join(
        element("div", join([element("dt", name), element("dd", value)], ""), class_=_width(value))
        for name, value in entries
    )
    return element("dl", inside, class_="facts")


def section(title: str, anchor: str, parts: Iterable[object]) -> Html:
    """Return a section of the page under a second-level heading."""
    return element("section", join([element("h2", title), *parts]), id=anchor)


def note(text: object) -> Html:
    """Return a remark in small type."""
    return element("p", text, class_="note")


def folded(title: str, inside: object) -> Html:
    """Return content that is shown on demand, and always in print."""
    return element("details", join([element("summary", title), inside]))


def count(number: object) -> str:
    """Return a whole number with thousands separators; a dash if there is none."""
    return f"{number:,}" if isinstance(number, int) else NO_VALUE


def real(number: object, digits: int = 4) -> str:
    """Return a number with `digits` decimals and a true minus; NaN and infinity by name, a dash if there is none."""
    if not isinstance(number, int | float):
        return NO_VALUE
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "infinite"
    text = f"{number:,.{digits}f}"
    return text.replace("-", "−") if any(digit in text for digit in "123456789") else text.removeprefix("-")


def share(part: float, whole: float) -> str:
    """Return a share in per cent; a dash if the whole is 0."""
    return f"{part / whole:.1%}".replace("%", "\u00a0%") if whole else NO_VALUE


def _width(value: object) -> str:
    return "wide" if len(str(value)) > LONG and not isinstance(value, Html) else "fact"


def _row(cells: Sequence[object], classes: Sequence[str]) -> Html:
    first, *others = cells
    head = element("th", first, scope="row", class_=classes[0])
    return element(
        "tr", join([head, *(element("td", c, class_=n) for c, n in zip(others, classes[1:], strict=True))], "")
    )


def _visible(character: str) -> str:
    if character in "\n\t":
        return character
    return "\ufffd" if character in _MOVES_TEXT or unicodedata.category(character) in ("Cc", "Cs") else character
