"""A fault found before weights load: a name to look up, what was seen, and what to do about it."""

from dataclasses import dataclass
from typing import ClassVar

from zephyr_core.errors import DATA, ENVIRONMENT, USAGE


@dataclass(frozen=True)
class Fault:
    """One thing that would waste the run. `name` is kebab-case and names the fault, never the wish: `double-bos`."""

    exit_code: ClassVar[int] = DATA  # rows, model or template are at fault

    name: str
    message: str
    hint: str

    def __str__(self) -> str:
        """Return the fault as one line, its name first."""
        return f"{self.name}: {self.message}"


class OptionFault(Fault):
    """A fault of an option, or of a path that was given."""

    exit_code = USAGE


class Lack(Fault):
    """Something that this machine lacks."""

    exit_code = ENVIRONMENT


def keys_line(keys: list[str], most: int = 3) -> str:
    """Return the first few row keys as text, and the number of the others."""
    line = ", ".join(key[:16] for key in keys[:most])
    return line if len(keys) <= most else f"{line} and {len(keys) - most} more"
