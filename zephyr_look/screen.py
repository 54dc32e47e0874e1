"""Text for people on stdout: coloured and paged on a terminal, plain and unwrapped in a pipe."""

import io
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from zephyr_core.console import print_whole

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_LESS = "FRX"  # ends by itself if all fits, shows colours, leaves the text on the screen


@dataclass(frozen=True)
class Screen:
    """How wide lines may be (None: they are not wrapped), and whether they are coloured."""

    width: int | None
    colour: bool

    @classmethod
    def of_stdout(cls) -> "Screen":
        """Return what stdout is: a terminal, with colour unless NO_COLOR is set, or a pipe or file."""
        if not sys.stdout.isatty():
            return cls(None, False)
        is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        return cls(shutil.get_terminal_size().columns, not is_plain)

    def lines(self, text: "Text", indent: int = 0) -> str:
        """Return a text as lines, wrapped to the width, each indented."""
        parts = text.split("\n", allow_blank=True) if self.width is None else self._wrapped(text, indent)
        with self._console.capture() as written:
            for part in parts:
                self._console.print(" " * indent, part, sep="", end="\n", soft_wrap=True)
        return "\n".join(line.rstrip() for line in written.get().splitlines())

    def _wrapped(self, text: "Text", indent: int) -> "Iterable[Text]":
        return text.wrap(self._console, max(20, (self.width or 0) - indent), no_wrap=False)

    @cached_property
    def _console(self) -> "Console":
        from rich.console import Console

        nowhere = io.StringIO()
        if not self.colour:
            return Console(file=nowhere, force_terminal=False, width=10**6, highlight=False)
        return Console(file=nowhere, force_terminal=True, color_system="standard", width=10**6, highlight=False)


def page(texts: Iterable[str]) -> None:
    """Print texts, through $PAGER (default `less`) if stdin and stdout are a terminal; the reader may leave it early.

    Raises:
        EnvironmentLack: stdout takes no more.
    """
    command = shlex.split(os.environ.get("PAGER", "less"))
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or not command or not shutil.which(command[0]):
        for text in texts:
            print_whole(text)
        return
    environment = {"LESS": _LESS, **os.environ}
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment) as reader:
        assert reader.stdin is not None  # noqa: S101  it is a pipe
        with suppress(BrokenPipeError), reader.stdin as pipe:
            for text in texts:
                pipe.write(f"{text}\n")
