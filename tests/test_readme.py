"""The quick blocks of the README run as written (test_doc_blocks.py runs the others); every file it links to is there."""

import re
from pathlib import Path

from tests.conftest import ROOT
from tests.doc_blocks import blocks, run

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_quick_blocks_run_in_order(tmp_path: Path) -> None:
    commands = [line for block in blocks(ROOT / "README.md") if block.info == "sh" for line in block.lines]
    assert len(commands) >= 6
    run(commands, tmp_path)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_commands_named_elsewhere_in_it_exist() -> None:
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"`?zephyr ((?:data|rules|recipe) [a-z-]+)", README)):
        assert f"## zephyr {name}\n" in reference, name
