"""A finished run of a few rows, written by hand in the shapes of docs/dataset.md, pairs.md and training.md."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests import manifests

HOSTILE = (
    '<script>alert(1)</script></style></title>\u202e\x00<img src=https://example.org/x.png onerror=alert(1)> & "q"'
)
DIGEST = "0123456789abcdef" * 4


def write(folder: Path, *, until: str = "dpo") -> Path:
    """Write a run up to a step; return its folder."""
    steps = {"clean-ultrachat": _clean, "binarize": _pairs, "sft": _sft, "dpo": _dpo}
    for name, step in steps.items():
        (folder / name).mkdir(parents=True)
        step(folder / name)
        if name == until:
            break
    return folder


def parquet(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file)


def lines(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _split(rows: int) -> dict[str, Any]:
    return {"rows": rows, "rows_digest": DIGEST}


def _data(folder: Path, kind: str, counts: dict[str, Any], splits: dict[str, int], values: dict[str, Any]) -> None:
    content = {
        "kind": kind,
        "step": folder.name,
        "options": {"recipe": "tiny", "values": {"sources": [HOSTILE], "seed": 42, **values}, "origins": {}},
        "inputs": [{"source": HOSTILE, "file": "a.jsonl", "bytes": 7, "sha256": DIGEST, "lines": 3, "fault": None}],
        "bytes_read": 1234567,
        "rules": {"ultrachat": DIGEST},
        "counts": counts,
        "splits": {name: _split(rows) for name, rows in splits.items()},
        "dropped_digest": DIGEST,
        "versions": {"zephyr-toolkit": "0.1.0", "polars": "2.1.0"},
        "seconds": 0.99,
        "finished": "2026-11-24T21:24:43Z",
    }
    manifests.write(folder, **content)


def _dropped(stage: str, rule: str, matched: str | None) -> dict[str, Any]:
    place = {"source": "s", "file": "a.jsonl", "line": 4, "turn": 1}
    return {"row_key": DIGEST, "id": "x", **place, "stage": stage, "rule": rule, "matched": matched}


def _clean(folder: Path) -> None:
    rows = [_dropped("phrases", "as-an-ai", f"⟦{HOSTILE}⟧"), _dropped("language", "detected-fr", "Comment ça va ?")]
    parquet(folder / "audit" / "dropped.parquet", [*rows, _dropped("duplicates", "same-dialogue", DIGEST)])
    change = {"row_key": DIGEST, "turn": 1, "stage": "truecase", "rule": "name", "start": 0, "end": 6}
    parquet(
        folder / "audit" / "rewritten.parquet", [{**change, "before": "london <b>calls", "after": "London <b>calls"}]
    )
    dropped = {"phrases/as-an-ai": 1200, "language/detected-fr": 30, "duplicates/same-dialogue": 4}
    counts = {"rows_read": 5555, "kept_rows": 4321, "dropped": dropped, "cut_rows": 0, "rewritten_rows": 1}
    changed = {"rewritten_turns": 1, "rewritten_words": 1}
    _data(folder, "dialogues", counts | changed, {"train_sft": 4000, "test_sft": 321}, {})


def _pair(text: str) -> dict[str, Any]:
    said = {name: [{"content": f"{name} {text}", "role": "assistant"}] for name in ("chosen", "rejected")}
    scores = {"score_chosen": 4.75, "score_rejected": 1.5, "chosen_model": "m", "rejected_model": HOSTILE}
    return {"prompt": [{"content": text, "role": "user"}], **said, **scores}


def _pairs(folder: Path) -> None:
    parquet(folder / "audit" / "dropped.parquet", [_dropped("gates", "too-few-completions", None)])
    parquet(folder / "data" / "test_prefs-00000-of-00001.parquet", [_pair(HOSTILE), _pair("long " * 1000)])
    counts = {
        "rows_read": 99,
        "kept_rows": 77,
        "dropped": {"gates/too-few-completions": 22},
        "pairs": 77,
        "chosen_characters": 7700,
        "rejected_characters": 770,
        "longer_chosen_pairs": 70,
        "equally_long_pairs": 0,
        "tied_rows": 3,
        "margins": {"0.5": 40, "3.25": 37},
        "wins": {"m": 77},
        "losses": {HOSTILE: 77},
    }
    values = {"score": "mean", "rejected": "random", "ties": "draw"}
    _data(folder, "pairs", counts, {"train_prefs": 73, "test_prefs": 4}, values)


def _training(folder: Path, metrics: list[dict[str, Any]], inputs: dict[str, str], job: dict[str, Any]) -> None:
    plan = {
        "model": inputs["model"],
        "rows": {"rows": 88, "unit": "rows"},
        "batch": "8 = 1/GPU × 1 GPU × 8",
        "steps": 33,
        "steps_per_epoch": 11,
        "epochs": 3,
        "warmup_steps": 4,
        "learning_rate": 0.002,
        "schedule": "cosine",
        "shape": {"parameters": 501408},
        "tokens": {"mean_tokens": 172.9, "longest_tokens": 487, "packed_rows": 88, "packing_fill_share": 0.98},
    }
    common = {"options": {"max_length": 512, "learning_rate": 0.002}, "origins": {"learning_rate": "recipe tiny"}}
    told = {"backend": "single", "world": 1, "cpu": True, "numerics": "fp32", "steps": 33, "template_digest": DIGEST}
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "job.json").write_text(json.dumps(common | told | job))
    (folder / "model").mkdir()
    (folder / "model" / "model.safetensors").write_bytes(folder.name.encode())
    lines(folder / "metrics.jsonl", metrics)
    results = metrics[-1] if metrics else {}
    manifests.write(folder, "model", step=folder.name, inputs=inputs, results=results, versions={"torch": "2.13.0"})


def _sft(folder: Path) -> None:
    test = [{"step": s, "epoch": s / 11, "split": "test", "loss": 7.625 - s / 20} for s in (0, 11, 22, 33)]
    train = [{"step": s, "epoch": s / 11, "split": "train", "loss": 7.6 - s / 20} for s in range(1, 34)]
    _training(folder, [*train, *test], {"model": "a new student", "rows": "runs/tiny/clean-ultrachat"}, {})


def _dpo(folder: Path) -> None:
    first = {"step": 0, "epoch": 0, "split": "test", "loss": 0.6931, "accuracy": 1.0, "margin": 1e-6}
    train = [
        {"step": s, "epoch": s / 11, "split": "train", "loss": 0.6, "accuracy": 0.875, "margin": s / 100}
        for s in range(1, 34)
    ]
    last = {"step": 33, "epoch": 3.0, "split": "test", "loss": 0.5931, "accuracy": 0.75, "margin": -0.0321}
    inputs = {"model": "runs/tiny/sft", "rows": "runs/tiny/binarize"}
    _training(folder, [first, *train, last], inputs, {"layout": "shared", "reference_digest": DIGEST})
