"""No path of the machine is published: paths become names, and everything else stays."""

from pathlib import Path

import pytest

from zephyr_core.errors import DataError
from zephyr_core.public_names import PublicNames, refuse_paths


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/home/ann/raw/", "raw"),
        ("~/raw/*.jsonl", "*.jsonl"),
        ("~ann/raw", "raw"),
        ("../raw", "raw"),
        ("..", "folder"),
        ("~", "folder"),
        ("rows/../../raw", "raw"),
        ("/home/ann/my raw rows", "my raw rows"),
        ("@/home/ann/rows.txt", "@rows.txt"),
        ("file /home/ann/a b.toml", "file a b.toml"),
        ("epochs = 1 (file /home/ann/mine.toml)", "epochs = 1 (file mine.toml)"),
        ("weight files of /srv/models/x", "weight files of x"),
        ("rows/mine.jsonl", "rows/mine.jsonl"),
        ("stingning/ultrachat@0123", "stingning/ultrachat@0123"),
        ("8 = 1/GPU × 1 GPU × 8", "8 = 1/GPU × 1 GPU × 8"),
        ("</s> and and/or, https://huggingface.co/lab", "</s> and and/or, https://huggingface.co/lab"),
    ],
)
def test_a_path_of_the_machine_becomes_a_name_and_nothing_else_does(text: str, public: str) -> None:
    assert PublicNames([text]).text(text) == public


def test_a_path_has_one_name_wherever_it_is_and_two_paths_have_two() -> None:
    record = {
        "a": "/x/raw",
        "b": ["/y/raw", "/x/raw", 3, None],
        "rules": {"/x/my rules.toml": "0"},
        "said": "of /y/raw, /y/rawer and /y/raw/in.",
    }
    assert PublicNames(record).content(record) == {
        "a": "raw",
        "b": ["raw-2", "raw", 3, None],
        "rules": {"my rules.toml": "0"},
        "said": "of raw-2, rawer and in.",
    }


def test_a_path_that_was_overlooked_stops_the_publication(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"README\.md would publish /.*, a path of this machine"):
        refuse_paths("README.md", f"rows of {tmp_path}/raw", tmp_path)
    refuse_paths("README.md", f"rows of lab{tmp_path} and {tmp_path}-other", tmp_path)
