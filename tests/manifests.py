"""Manifests for tests, with every key that zephyr writes; a test names those that it is about."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zephyr_core import manifest

DIGEST = "0123456789abcdef" * 4
DATASET: dict[str, Any] = {
    "step": "test",
    "options": {"recipe": "test", "values": {}, "origins": {}},
    "inputs": [],
    "bytes_read": 0,
    "rules": {},
    "tables": [],
    "counts": {"rows_read": 0, "kept_rows": 0, "dropped": {}},
    "splits": {},
    "dropped_digest": DIGEST,
    "versions": {},
    "seconds": 0.5,
    "finished": "2026-11-24T21:24:43Z",
}
MODEL: dict[str, Any] = {
    "step": "sft",
    "recipe": "test",
    "inputs": {"model": "start", "rows": "rows"},
    "plan": {},
    "verified": {"logps_difference": 0.0, "rows": 4},
    "results": {},
    "versions": {},
}
CONTENT: dict[str, dict[str, Any]] = {
    "dialogues": DATASET,
    "pairs": DATASET,
    "model": MODEL,
    "reference": {"digest": DIGEST, "rows": {}, "model": "m", "tokens": "t", "numerics": "fp32", "versions": {}},
    "tokens": {
        "digest": DIGEST,
        "made_of": {},
        "source": "rows",
        "chat": {},
        "splits": {},
        "dropped_when_read": {},
        "faults": [],
        "versions": {},
    },
    "student": {"options": {"values": {}}, "texts": {"rows": 0, "digest": DIGEST}, "vocabulary": 300, "versions": {}},
}


def write(folder: Path, kind: str, **changes: Any) -> Path:
    """Write the manifest of a folder of that kind; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest.write(folder, {"kind": kind, **CONTENT[kind], **changes})
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a manifest says, as zephyr would have written it."""
    content = json.loads((folder / manifest.NAME).read_text(encoding="utf-8"))
    change(content)
    manifest.write_json(folder / manifest.NAME, content | {"self_digest": manifest.self_digest(content)})
