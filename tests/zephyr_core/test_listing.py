"""Any tree of files, folders and links is listed whole: each entry is read once, or named with the reason."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zephyr_core.listing import ENDING, HIDDEN, NOWHERE, OF_SPARK, UPWARD, list_folder, why_hidden

NAMES = ["a.x", "b.x", "c.txt", "sub", "deep", ".hidden", "_temporary", "_own.x", "two words.x", "-d.x", "ü.x", "[1].x"]
NAMES += ["n\nl.x", os.fsdecode(b"\xff.x")]
TARGETS = [".", "..", "sub", "deep", "sub/deep", "a.x", "../a.x", "gone", "../../other", "../../other/far", "self"]
ENTRIES = st.recursive(
    st.just("file") | st.sampled_from(TARGETS).map(lambda target: ("link", target)),
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=14,
)


def make(folder: Path, entries: dict[str, object]) -> None:
    folder.mkdir()
    for name, entry in entries.items():
        if isinstance(entry, dict):
            make(folder / name, entry)
        elif isinstance(entry, tuple):
            (folder / name).symlink_to(entry[1])
        else:
            (folder / name).write_text("x")


def is_wanted(name: str) -> bool:
    return name.endswith(".x")


def reachable(root: Path) -> set[str]:
    """The real paths of the wanted files that a walk through all links meets, in the simplest way."""
    files, folders, pending = set[str](), set[str](), [str(root)]
    while pending:
        folder = os.path.realpath(pending.pop())
        if folder in folders or (f"{os.path.realpath(root)}/".startswith(f"{folder}/") and folders):
            continue
        folders.add(folder)
        for path in Path(folder).iterdir():
            if why_hidden(path.name) is None and path.is_dir():
                pending.append(str(path))
            elif why_hidden(path.name) is None and path.is_file() and is_wanted(path.name):
                files.add(os.path.realpath(path))
    return files


@settings(max_examples=150, deadline=None)
@given(
    tree=st.dictionaries(st.sampled_from(NAMES), ENTRIES, max_size=6),
    other=st.dictionaries(st.sampled_from(NAMES), ENTRIES, max_size=3),
)
def test_any_tree(tree: dict[str, object], other: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as place:
        make(Path(place) / "other", other)
        root = Path(place) / "root"
        make(root, tree)
        listing = list_folder(root, is_wanted)
        real_paths = [os.path.realpath(path) for path in listing.files.values()]
        assert len(real_paths) == len(set(real_paths)) and set(real_paths) == reachable(root)
        assert listing.outside.keys() == {
            name for name, path in listing.files.items() if not path.resolve().is_relative_to(root.resolve())
        }
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if why_hidden(name) is None]
            below = os.path.relpath(folder, root) + "/" if folder != str(root) else ""
            for name in files:
                assert (f"{below}{name}" in listing.files) != (f"{below}{name}" in listing.passed_over)


def test_the_reasons(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(tmp_path / "other", {"far.x": "file"})
    make(
        root,
        {
            "a.x": "file",
            "b.json": "file",
            ".git": {"c.x": "file"},
            "_temporary": {"half.x": "file"},
            "_SUCCESS": "file",
            "gone.x": ("link", "nowhere"),
            "loop.x": ("link", "loop.x"),
            "again.x": ("link", "a.x"),
            "up": ("link", ".."),
            "self": ("link", "."),
            "out": ("link", "../other"),
            "out2": ("link", "../other"),
            "sub": {"d.x": "file"},
            "to_sub": ("link", "sub"),
        },
    )
    os.mkfifo(root / "pipe.x")
    listing = list_folder(root, is_wanted)
    assert list(listing.files) == ["a.x", "out/far.x", "sub/d.x"]
    assert listing.outside == {"out/far.x": tmp_path / "other" / "far.x"}
    assert listing.passed_over == {
        "b.json": ENDING,
        ".git/": HIDDEN,
        "_temporary/": OF_SPARK,
        "_SUCCESS": OF_SPARK,
        "gone.x": NOWHERE,
        "loop.x": NOWHERE,
        "again.x": "the same file as a.x",
        "up/": UPWARD,
        "self/": UPWARD,
        "out2/": "the same folder as out/",
        "pipe.x": "neither a file nor a folder",
        "to_sub/": "the same folder as sub/",
    }


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    if os.access(tmp_path / "closed", os.R_OK):
        pytest.skip("root may read anything")
    with pytest.raises(PermissionError):
        list_folder(tmp_path, is_wanted)
