import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from zephyr_data.binarize import BINARIZING
from zephyr_data.run import Request, refuse_cut_inputs
from zephyr_data.run import run as run_step
from zephyr_data.ultrachat import CLEANING

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("ZEPHYR_SHARED", ROOT.parent / "shared")) / "data"


def dialogue(*turns: str, row_id: str = "0") -> str:
    return json.dumps({"id": row_id, "data": list(turns)}, ensure_ascii=False)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write lines to a file under tmp_path and return it."""

    def write_lines(lines: Iterable[str | bytes], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
        path.write_bytes(whole)
        return path

    return write_lines


@pytest.fixture
def clean(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run the command's entry point on files; returns the manifest. Further arguments are flags."""

    def run(
        *sources: Path | str, out: str = "out", workers: int = 1, overwrite: bool = False, **flags: Any
    ) -> dict[str, Any]:
        flags["sources"] = tuple(map(str, sources)) or None
        request = Request("zephyr-7b-beta" if sources else "tiny", flags, tmp_path / out, workers, overwrite=overwrite)
        content = run_step(CLEANING, request)[0]
        refuse_cut_inputs(content)
        return content

    return run


def zephyr(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a process of its own."""
    command = [sys.executable, "-c", "import cli; cli.main()", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def shared(name: str) -> Path:
    """Return a file of real rows, or skip the test where they are not at hand."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"real rows are not here: {path}")
    return path


@pytest.fixture
def binarize(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Make pairs of files with the command's entry point; returns the manifest. Further arguments are flags."""

    def make(
        *sources: Path | str, out: str = "pairs", workers: int = 1, overwrite: bool = False, **flags: Any
    ) -> dict[str, Any]:
        flags["sources"] = tuple(map(str, sources)) or None
        request = Request("zephyr-7b-beta" if sources else "tiny", flags, tmp_path / out, workers, overwrite=overwrite)
        content = run_step(BINARIZING, request)[0]
        refuse_cut_inputs(content)
        return content

    return make
