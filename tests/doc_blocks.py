"""The fenced blocks of the documents, and running those that are commands.

```` ```sh ````                 runs in `make test` in the README, in `make test-slow` elsewhere
```` ```sh slow ````            takes minutes, so it runs in `make test-slow`
```` ```sh no-run: REASON ````  runs nowhere, for that reason
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT
from tests.system import COMMAND

FILES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"^```(.*)\n((?:(?!```).*\n)*)^```$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands behind the opening fence, and the lines inside."""

    info: str
    lines: tuple[str, ...]

    @property
    def runs(self) -> bool:
        """Return whether some test runs it."""
        return self.info in ("sh", "sh slow")


def blocks(file: Path) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    found = _BLOCK.findall(file.read_text(encoding="utf-8"))
    return [Block(info, tuple(text.splitlines())) for info, text in found]


def run(commands: Iterable[str], folder: Path) -> None:
    """Run command lines one after the other in a folder; each must end with 0 and print something."""
    shim = folder / "bin" / "zephyr"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{COMMAND}" "$@"\n')
    shim.chmod(0o755)
    environment = {**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}"}
    for command in commands:
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert done.stdout, command
