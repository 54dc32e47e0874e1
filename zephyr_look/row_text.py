"""A row as text that people read."""

from typing import Any

from rich.text import Text

from zephyr_look.safe_text import visible
from zephyr_look.screen import Screen

_STYLES = {"system": "magenta", "user": "cyan", "assistant": "green", "chosen": "green", "rejected": "red"}
_INDENT = 2


def row_text(row: dict[str, Any], screen: Screen) -> str:
    """Return where a row is and what it holds, every text whole."""
    parts = [heading(row, screen)]
    for message in row["messages"] or ():
        parts += _part(message["role"], message["content"], screen)
    for side in ("chosen", "rejected"):
        for message in row[f"{side}_messages"] or ():
            role = () if message["role"] == "assistant" else (message["role"],)
            details = (row[f"{side}_model"], _score(row[f"score_{side}"]), *role)
            parts += _part(side, message["content"], screen, *details)
    for answer in row["answers"] or ():
        parts += _part("answer", answer["response"], screen, answer["model"], _score(answer["score"]))
    return "\n".join(parts)


def heading(row: dict[str, Any], screen: Screen) -> str:
    """Return where a row is, in one line."""
    name = next((row[name] for name in ("prompt_id", "key") if row[name]), "")
    details = [f"{row['file']}:{row['row']}", row["split"], name, row["source"]]
    if row["margin"] is not None:
        details.append(f"margin {row['margin']:g}")
    if row["unfit"]:
        details.append(f"cannot be trained on: {row['unfit']}")
    if row["silent"]:
        details.append(f"no loss on turns {', '.join(map(str, row['silent']))}")
    return screen.lines(Text("── " + "  ".join(visible(detail) for detail in details if detail), style="bold"))


def _part(role: str, content: str | None, screen: Screen, *details: str | None) -> list[str]:
    title = "  ".join([role, *(visible(detail) for detail in details if detail)])
    style = _STYLES.get(role, "yellow")
    text = Text("(nothing)", style="dim") if content is None else Text(visible(content).expandtabs(4))
    return [screen.lines(Text(title, style=f"bold {style}"), _INDENT), screen.lines(text, 2 * _INDENT)]


def _score(score: float | None) -> str | None:
    return None if score is None else f"score {score:g}"
