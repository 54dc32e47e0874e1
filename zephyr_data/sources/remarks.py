"""What people are shown about the inputs besides their rows: files read through links, notes, entries passed over."""

from collections.abc import Iterable, Iterator, Mapping

from zephyr_core.records import PassedOver

SHOWN = 5


def remarks(real_paths: Mapping[str, str], notes: Mapping[str, str], passed_over: Iterable[PassedOver]) -> list[str]:
    """Return a line for each kind of remark, by the names of the files; the manifest holds them all."""
    return [
        *_line("read through links", [f"{name} → {path}" for name, path in real_paths.items()]),
        *_line("noticed", [f"{name} ({note})" for name, note in notes.items()]),
        *_line("not read", [f"{item['file']} ({item['why']})" for item in passed_over]),
    ]


def _line(name: str, items: list[str]) -> Iterator[str]:
    if items:
        others = [f"and {len(items) - SHOWN:,} more"] if len(items) > SHOWN else []
        yield f"{name}: {', '.join([*items[:SHOWN], *others])}"
