"""The dataset card: what is in the folder, where it came from, how to check and rebuild it."""

from collections.abc import Container
from typing import Any

import yaml

from zephyr_core.records import DatasetContent
from zephyr_data.engine.step import Reports

AUDITS = ("dropped", "rewritten", "spared", "rules", "kept")


def text(content: DatasetContent, reports: Reports[Any], empty: Container[str] = ()) -> str:
    """Return a dataset's README.md, with the metadata that lets `datasets` open splits, audit and further tables.

    `empty` names the tables without rows. Of those, and of splits without rows, `datasets` would refuse to open any.
    """
    options, counts, version = content["options"], content["counts"], content["versions"]["zephyr-toolkit"]
    reasons = "\n".join(f"| {reason} | {rows:,} |" for reason, rows in counts["dropped"].items())
    rows = "\n".join(
        f"| {name} | {entry['rows']:,} | `{entry['rows_digest']}` |" for name, entry in content["splits"].items()
    )
    sources = "\n".join(
        f"- `{entry['file']}` of `{entry['source']}`: sha256 `{entry['sha256']}`" for entry in content["inputs"]
    )
    return f"""---
{yaml.safe_dump(_metadata(content, empty), sort_keys=False).strip()}
---

# {reports.title}

Made by zephyr {version} with the recipe `{options["recipe"]}`: `zephyr data {content["step"]}`.
{reports.about(content)}

| split | rows | rows_digest |
|---|---|---|
{rows}

## What was left out and changed

{counts["rows_read"]:,} rows read, {counts["kept_rows"]:,} kept. {reports.changed(content)}
Every dropped row is in `audit/dropped.parquet` with its reason, every change in `audit/rewritten.parquet`, every
rule's hits in `audit/rules.parquet`, those that an exemption or an option spared in `audit/spared.parquet`;
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


def _metadata(content: DatasetContent, empty: Container[str]) -> dict[str, object]:
    splits = [{"split": name, "path": f"data/{name}-*"} for name, entry in content["splits"].items() if entry["rows"]]
    others = {f"audit-{name}": f"audit/{name}.parquet" for name in AUDITS if name not in empty}
    others |= {name: f"{name}/*.parquet" for name in content["tables"] if name not in empty}
    configs = [
        {"config_name": name, "data_files": [{"split": "train", "path": files}]} for name, files in others.items()
    ]
    return {"configs": [{"config_name": "default", "default": True, "data_files": splits}, *configs]}
