"""The dataset card: what is in the folder, where it came from, its licence, how to use, check and rebuild it."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from zephyr_core import credits, typed
from zephyr_core.records import DatasetContent
from zephyr_data.engine.inputs import missing_parts
from zephyr_data.engine.step import Reports
from zephyr_data.options import StepOptions
from zephyr_data.steps import SECTIONS

AUDITS = ("dropped", "rewritten", "spared", "rules", "kept")


@dataclass(frozen=True)
class Edition:
    """Where the card is read: in the dataset's own folder, or on the Hub under a licence."""

    repository: str = "."
    licence: str | None = None


def text(
    content: DatasetContent, reports: Reports[Any], empty: Container[str] = (), edition: Edition = Edition()
) -> str:
    """Return a dataset's README.md, with the metadata that lets `datasets` open splits, audit and further tables.

    `empty` names the tables without rows. Of those, and of splits without rows, `datasets` would refuse to open any.
    """
    counts, version = content["counts"], content["versions"]["zephyr-toolkit"]
    reasons = "\n".join(f"| {reason} | {rows:,} |" for reason, rows in counts["dropped"].items())
    rows = "\n".join(
        f"| {name} | {entry['rows']:,} | `{entry['rows_digest']}` |" for name, entry in content["splits"].items()
    )
    files = "\n".join(
        f"- `{entry['file']}` of `{entry['source']}`: sha256 `{entry['sha256']}`" for entry in content["inputs"]
    )
    rules = "\n".join(f"- `{name}`: sha256 `{digest}`" for name, digest in content["rules"].items())
    return f"""---
{yaml.safe_dump(_metadata(content, reports, empty, edition), sort_keys=False).strip()}
---

# {reports.title}

Made by zephyr {version} with

```
{command(content)}
```

{reports.about(content)}

| split | rows | rows_digest |
|---|---|---|
{rows}

## Use

{_use(content, edition)}

## What was left out and changed

{counts["rows_read"]:,} rows read, {counts["kept_rows"]:,} kept. {reports.changed(content)}
Every dropped row is in `audit/dropped.parquet` with its reason, every change in `audit/rewritten.parquet`, every
rule's hits in `audit/rules.parquet`, those that an exemption or an option spared in `audit/spared.parquet`;
`audit/kept.parquet` leads from each kept row back to its source.

| dropped by | rows |
|---|---|
{reasons}

Rule files:

{rules or "none"}

## Sources, licence and attribution

{_licence(edition)}

{chr(10).join(f"- {credits.line(name)}" for name in source_names(content))}

Files read:

{files}

## Known limits

{chr(10).join(f"- {line}" for line in _limits(content))}

## Checking and rebuilding

`zephyr data verify DIR` checks every file, sum and digest; `manifest.json` holds all options. A digest depends on the
rows only: not on their order, the number of files, or the machine.

## Citation

{credits.CITATION}
"""


def source_names(content: DatasetContent) -> list[str]:
    """Return the names of the sources that files were read from, a Hub dataset's with its commit."""
    return list(dict.fromkeys(entry["source"] for entry in content["inputs"]))


def command(content: DatasetContent) -> str:
    """Return the command that made the dataset."""
    options = content["options"]
    kind = SECTIONS.get(content["step"], StepOptions)
    return typed.command(
        f"zephyr data {content['step']}", kind, options["recipe"], options["values"], options["origins"]
    )


def _metadata(
    content: DatasetContent, reports: Reports[Any], empty: Container[str], edition: Edition
) -> dict[str, object]:
    splits = [{"split": name, "path": f"data/{name}-*"} for name, entry in content["splits"].items() if entry["rows"]]
    others = {f"audit-{name}": f"audit/{name}.parquet" for name in AUDITS if name not in empty}
    others |= {name: f"{name}/*.parquet" for name in content.get("tables", []) if name not in empty}
    configs = [
        {"config_name": name, "data_files": [{"split": "train", "path": files}]} for name, files in others.items()
    ]
    on_hub = [repository for name in source_names(content) if (repository := credits.on_hub(name))]
    return {
        "pretty_name": reports.title,
        **({"license": edition.licence} if edition.licence else {}),
        **({"source_datasets": on_hub} if on_hub else {}),
        "task_categories": ["text-generation"],
        "tags": ["zephyr", content["step"], content["kind"]],
        "configs": [{"config_name": "default", "default": True, "data_files": splits}, *configs],
    }


def _use(content: DatasetContent, edition: Edition) -> str:
    split = next((name for name, entry in content["splits"].items() if entry["rows"]), "train")
    example = f"""```python
from datasets import load_dataset

rows = load_dataset("{edition.repository}", split="{split}")
print(len(rows), rows[0])
```"""
    if edition.repository == ".":
        return f"In this folder:\n\n{example}"
    train = "sft" if content["kind"] == "dialogues" else "dpo"
    return f"""{example}

As a whole folder, with audit and manifest, checked against its digests, and trained on:

```
zephyr data pull {edition.repository} copy
zephyr train {train} --data copy
```"""


def _licence(edition: Edition) -> str:
    if edition.licence is None:
        return "This dataset has no licence yet; `zephyr data publish` asks for one. What it was made of:"
    if edition.licence == credits.UNKNOWN:
        return "**The licence is not known**: whoever published this did not state one. What it was made of:"
    return f"Published under the licence `{edition.licence}`. What it was made of:"


def _limits(content: DatasetContent) -> Iterator[str]:
    limit = content["options"]["values"].get("limit")
    if limit is not None:
        yield f"only the first {limit:,} rows of the sources were read (`--limit`)"
    yield from missing_parts(content["inputs"])
    yield "rules are patterns: each misses some wordings and hits some rows wrongly; the audit shows every hit"
    yield "form, language and wording are checked; whether an answer is true, safe or fair is not"
