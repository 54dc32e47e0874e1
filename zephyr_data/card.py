"""The dataset card: what is in the folder, where it came from, how to check and rebuild it."""

from typing import Any

import yaml

from zephyr_data.output import SPLITS


def dialogues_card(content: dict[str, Any]) -> str:
    """Return README.md of a cleaned dialogue set, with the metadata by which `datasets` opens splits and audit."""
    options, counts, version = content["options"], content["counts"], content["versions"]["zephyr-toolkit"]
    tables = ("dropped", "rewritten", "rules", "kept")
    splits = [{"split": name, "path": f"data/{name}-*"} for name in SPLITS]
    audits = [
        {"config_name": f"audit-{name}", "data_files": [{"split": "train", "path": f"audit/{name}.parquet"}]}
        for name in tables
    ]
    head = {"configs": [{"config_name": "default", "default": True, "data_files": splits}, *audits]}
    reasons = "\n".join(f"| {reason} | {rows:,} |" for reason, rows in counts["dropped"].items())
    rows = "\n".join(
        f"| {name} | {entry['rows']:,} | `{entry['rows_digest']}` |" for name, entry in content["splits"].items()
    )
    sources = "\n".join(
        f"- `{entry['file']}` of `{entry['source']}`: sha256 `{entry['sha256']}`" for entry in content["inputs"]
    )
    return f"""---
{yaml.safe_dump(head, sort_keys=False).strip()}
---

# Cleaned dialogues

Made by zephyr {version} with the recipe `{options["recipe"]}`: `zephyr data clean-ultrachat`.
Each row has `prompt`, `prompt_id` (sha256 of the prompt) and `messages`. The `gen` splits hold the dialogues of the
`sft` splits without the last answer.

| split | rows | rows_digest |
|---|---|---|
{rows}

## What was left out and changed

{counts["rows_read"]:,} rows read, {counts["kept_rows"]:,} kept. {counts["cut_rows"]:,} dialogues were cut short,
{counts["rewritten_rows"]:,} had the case of letters restored. Every dropped row is in `audit/dropped.parquet` with
its reason, every changed word in `audit/rewritten.parquet`, every rule's hits in `audit/rules.parquet`;
`audit/kept.parquet` leads from each kept row back to its source.

| dropped by | rows |
|---|---|
{reasons}

## Sources

{sources}

## Checking and rebuilding

`zephyr data verify DIR` checks every file, sum and digest; `manifest.json` holds all options. A digest depends on the
rows only: not on their order, the number of files, or the machine.
"""
