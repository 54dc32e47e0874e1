import json
from pathlib import Path

import pytest

from tests import manifests
from zephyr_core import manifest
from zephyr_core.errors import DataError
from zephyr_core.records import ReferenceManifest, StudentManifest


def test_written_last_with_the_digest_of_every_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_bytes(b"abc")
    assert not manifest.is_whole(tmp_path)
    manifest.write(tmp_path, {"kind": "test"})
    assert manifest.is_whole(tmp_path)
    digest, time = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", (tmp_path / "data" / "x").stat()
    assert manifest.read(tmp_path)["files"] == {"data/x": {"bytes": 3, "sha256": digest, "mtime_ns": time.st_mtime_ns}}
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


@pytest.mark.parametrize(
    ("text", "message"), [(None, "not a finished dataset"), ("{", "not valid JSON"), ('{"format": 99}', "format 99")]
)
def test_no_manifest_is_no_dataset(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / manifest.NAME).write_text(text)
    with pytest.raises(DataError, match=message):
        manifest.read(tmp_path)


def test_a_manifest_of_a_kind_that_this_version_does_not_know_is_named(tmp_path: Path) -> None:
    manifest.write(tmp_path, {"kind": "test"})
    with pytest.raises(DataError, match=r"manifest.json: kind is 'test', not dialogues, pairs, model"):
        manifest.read_any(tmp_path)


@pytest.mark.parametrize("kind", manifests.CONTENT)
def test_a_manifest_is_read_by_its_kind_and_refused_as_another(tmp_path: Path, kind: str) -> None:
    manifests.write(tmp_path, kind)
    assert manifest.read_any(tmp_path)["kind"] == kind
    other = StudentManifest if kind != "student" else ReferenceManifest
    with pytest.raises(DataError, match="is damaged: "):
        manifest.read_as(tmp_path, other)


def test_a_manifest_nested_too_deeply_is_damaged(tmp_path: Path) -> None:
    (tmp_path / manifest.NAME).write_text(100_000 * "[")
    with pytest.raises(DataError, match="is not valid JSON: it is nested too deeply"):
        manifest.read(tmp_path)


def test_every_flipped_bit_of_a_manifest_is_seen(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("x")
    manifests.write(tmp_path, "reference", rows={"train": 5, "naïve": 0}, versions={"torch": "2.13.0"})
    file = tmp_path / manifest.NAME
    whole, content = file.read_bytes(), manifest.read_any(tmp_path)
    for place in range(len(whole)):
        for bit in range(8):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            try:
                assert manifest.read_any(tmp_path) == content, "white space that says nothing"
            except DataError:
                continue


def test_a_manifest_of_the_format_before_has_no_digest_of_itself(tmp_path: Path) -> None:
    manifests.write(tmp_path, "student")
    content = json.loads((tmp_path / manifest.NAME).read_text())
    del content["self_digest"]
    manifest.write_json(tmp_path / manifest.NAME, content)
    with pytest.raises(DataError, match="does not have the digest that it records"):
        manifest.read(tmp_path)
    manifest.write_json(tmp_path / manifest.NAME, content | {"format": 1})
    assert manifest.read(tmp_path)["kind"] == "student"


def test_a_json_file_can_be_read_by_people_and_leaves_nothing_else(tmp_path: Path) -> None:
    manifest.write_json(tmp_path / "x.json", {"name": "é", "rows": 2})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "name": "é",\n  "rows": 2\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
