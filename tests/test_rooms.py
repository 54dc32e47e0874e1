"""docs/architecture.md names rooms that exist, and every room of the packages stands in it."""

import re

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGES = ("zephyr_core", "zephyr_data", "zephyr_look", "zephyr_page", "zephyr_run", "zephyr_train")


def rooms(package: str) -> set[str]:
    """Return the names in the first column of the table of a package's section."""
    section = TEXT.split(f"`{package}/`\n", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return {name.rstrip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def there(package: str) -> set[str]:
    """Return the modules and folders of a package."""
    inside = (ROOT / package).iterdir()
    names = {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").exists()}
    return names - {"__init__", "shipped"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_is_named_and_every_named_room_is_there(package: str) -> None:
    named = {name for name in rooms(package) if not (ROOT / name).exists()}  # the data package's table has outer rooms
    assert named == there(package)


def test_files_named_in_the_docs_are_there() -> None:
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for document in documents:
        for name in re.findall(
            r"`((?:zephyr_\w+|tests|benchmarks|rules|recipes|docs)/[\w./-]+\.(?:py|toml|md))`", document.read_text()
        ):
            assert (ROOT / name).exists(), f"{document.name}: {name}"


def test_decisions_named_in_the_docs_are_there() -> None:
    decisions = {path.name[:4] for path in (ROOT / "docs" / "decisions").glob("*.md")}
    for document in (ROOT / "docs").glob("*.md"):
        assert set(re.findall(r"decisions? (0\d{3})", document.read_text())) <= decisions, document.name
