"""A record says which state of the code made it."""

from pathlib import Path

import pytest

import zephyr_core
from zephyr_core import this_code


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages, of which one is zephyr's."""
    for name in ("zephyr_data/rules/words.py", "zephyr_data/rules/words.toml", "other/words.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    monkeypatch.setattr(this_code, "PACKAGES", tmp_path)
    return tmp_path


def digest() -> str:
    this_code._digest.cache_clear()
    try:
        return this_code.digest()
    finally:
        this_code._digest.cache_clear()


@pytest.mark.parametrize(
    ("name", "is_code"),
    [("zephyr_data/rules/words.py", True), ("zephyr_data/rules/words.toml", False), ("other/words.py", False)],
)
def test_a_changed_python_file_of_zephyr_is_another_code(packages: Path, name: str, is_code: bool) -> None:
    before = digest()
    (packages / name).write_text("2\n")
    assert (digest() != before) == is_code


def test_a_file_under_another_name_is_another_code(packages: Path) -> None:
    before = digest()
    (packages / "zephyr_data/rules/words.py").rename(packages / "zephyr_data/rules/others.py")
    assert digest() != before


def test_a_record_holds_version_and_code() -> None:
    assert this_code.versions() == {"zephyr-toolkit": zephyr_core.__version__, "zephyr code": this_code.digest()[:12]}


def test_a_record_names_only_packages_that_are_installed() -> None:
    versions = this_code.versions("pytest", "no-such-package")
    assert versions == {**this_code.versions(), "pytest": pytest.__version__}
