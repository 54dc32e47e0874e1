import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import cli
from tests.conftest import runner
from zephyr_data.cleaning.ultrachat import CLEANING
from zephyr_data.pairing.binarize import BINARIZING


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def refuses(self, code: int, *words: str) -> bool:
        """Whether it ended with that code and an error that has these words, not with a trace."""
        has_error = "error: " in self.err and "Traceback" not in self.err
        return self.code == code and has_error and all(word in self.err for word in words)


Command = Callable[..., Ended]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run the command line in this process, from tmp_path."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["zephyr", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code is None or isinstance(end.value.code, int)
        return Ended(end.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def whole_dialogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished dataset of the sample dialogues; copy it before you damage it."""
    folder = tmp_path_factory.mktemp("dialogues")
    runner(CLEANING, folder, "whole")()
    return folder / "whole"


@pytest.fixture(scope="session")
def whole_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished dataset of the sample pairs; copy it before you damage it."""
    folder = tmp_path_factory.mktemp("pairs")
    runner(BINARIZING, folder, "whole")()
    return folder / "whole"
