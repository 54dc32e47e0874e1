"""The dataset card: what is in the folder, where it came from, how to check and rebuild it."""

import yaml

from zephyr_core.records import DatasetContent

AUDITS = ("dropped", "rewritten", "rules", "kept")


def text(content: DatasetContent) -> str:
    """Return README.md of a dataset, with the metadata by which `datasets` opens splits, audit and further tables."""
    options, counts, version = content["options"], content["counts"], content["versions"]["zephyr-toolkit"]
    title, about, changed = {"dialogues": _dialogues, "pairs": _pairs}[content["kind"]](content)
    reasons = "\n".join(f"| {reason} | {rows:,} |" for reason, rows in counts["dropped"].items())
    rows = "\n".join(
        f"| {name} | {entry['rows']:,} | `{entry['rows_digest']}` |" for name, entry in content["splits"].items()
    )
    sources = "\n".join(
        f"- `{entry['file']}` of `{entry['source']}`: sha256 `{entry['sha256']}`" for entry in content["inputs"]
    )
    return f"""---
{yaml.safe_dump(_metadata(content), sort_keys=False).strip()}
---

# {title}

Made by zephyr {version} with the recipe `{options["recipe"]}`: `zephyr data {content["step"]}`.
{about}

| split | rows | rows_digest |
|---|---|---|
{rows}

## What was left out and changed

{counts["rows_read"]:,} rows read, {counts["kept_rows"]:,} kept. {changed}
Every dropped row is in `audit/dropped.parquet` with its reason, every change in `audit/rewritten.parquet`, every
rule's hits in `audit/rules.parquet`; `audit/kept.parquet` leads from each kept row back to its source.

| dropped by | rows |
|---|---|
{reasons}

## Sources

{sources}

## Checking and rebuilding

`zephyr data verify DIR` checks every file, sum and digest; `manifest.json` holds all options. A digest depends on the
rows only: not on their order, the number of files, or the machine.
"""


def _metadata(content: DatasetContent) -> dict[str, object]:
    splits = [{"split": name, "path": f"data/{name}-*"} for name in content["splits"]]
    others = {f"audit-{name}": f"audit/{name}.parquet" for name in AUDITS}
    others |= {name: f"{name}/*.parquet" for name in content["tables"]}
    configs = [
        {"config_name": name, "data_files": [{"split": "train", "path": files}]} for name, files in others.items()
    ]
    return {"configs": [{"config_name": "default", "default": True, "data_files": splits}, *configs]}


def _dialogues(content: DatasetContent) -> tuple[str, str, str]:
    counts = content["counts"]
    about = (
        "Each row has `prompt`, `prompt_id` (sha256 of the prompt) and `messages`. The `gen` splits hold the\n"
        "dialogues of the `sft` splits without the last answer."
    )
    changed = (
        f"{counts['cut_rows']:,} dialogues were cut short,\n"
        f"{counts['rewritten_rows']:,} had the case of letters restored."
    )
    return "Cleaned dialogues", about, changed


def _pairs(content: DatasetContent) -> tuple[str, str, str]:
    values, counts = content["options"]["values"], content["counts"]
    about = (
        f"Score `{values['score']}`, rejected `{values['rejected']}`, ties for the best `{values['ties']}`, "
        f"seed {values['seed']}.\n"
        "The `prefs` splits hold the pairs; `sft` and `gen` hold one row for each rated row, with the best answer,\n"
        "`gen` without it. `rated/` holds every row that was read with all its answers and ratings;\n"
        "`zephyr data binarize DIR` makes other pairs of it."
    )
    changed = (
        f"They give {counts['pairs']:,} pairs. {counts['tied_rows']:,} rows had several\n"
        f"best answers; {counts['repaired_scores']:,} scores were repaired."
    )
    return "Preference pairs", about, changed
