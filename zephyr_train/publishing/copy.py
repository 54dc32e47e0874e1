"""The copy of a run that is published: the model at the top, where the Hub's readers look, its records in `run/`.

Weights and tokenizer are the files as they are. Records name no path of the machine.
"""

import json
from pathlib import Path
from typing import Any

from zephyr_core import kinds
from zephyr_core.public_names import PublicNames, refuse_paths
from zephyr_core.published_copy import PublishedCopy, bare
from zephyr_core.reading import json_file
from zephyr_core.records import FileEntry, ModelManifest
from zephyr_train.publishing import card
from zephyr_train.publishing.origins import Origins

CARD = "README.md"
MODEL, ADAPTER, RUN = "model/", "adapter/", "run/"
RECORDS = ("plan.json", "metrics.jsonl", "curves.svg")
NAMES_A_MODEL = "name_or_path"  # end of the keys in configs that may hold a path
AS_IT_IS = ("tokenizer.json",)  # its texts are tokens


def public(run: Path, content: ModelManifest) -> tuple[dict[str, Any], PublicNames]:
    """Return a run's manifest without its files, its own digest and paths of the machine; and their names."""
    record = bare(content)
    names = PublicNames(json_file(run / kinds.JOB), record)
    return names.content(record), names


def build(
    run: Path, content: ModelManifest, repository: str, licence: str, origins: Origins, copy: Path
) -> dict[str, FileEntry]:
    """Fill an empty folder with the copy, and return what is in it; files that stay as they are become links.

    Args:
        run: the run's folder, which is as its manifest says.
        content: its manifest.
        repository: where it is published.
        licence: as the Hub spells it.
        origins: with public names.
        copy: the empty folder.

    Raises:
        DataError: the copy would hold a path of this machine.
    """
    record, names = public(run, content)
    published = PublishedCopy(copy)
    for name, entry in content["files"].items():
        there = _place(name)
        if there is None:
            continue
        text = _rewritten(run / name, names, origins)
        if text is None:
            published.link(there, run / name, entry)
        else:
            published.write(there, text)
    own = (run / MODEL / CARD).read_text(encoding="utf-8")
    published.write(CARD, card.text(names.text(own), repository, licence, origins))
    entries = published.finish(record)
    for path in (copy / name for name in entries):
        if path.suffix in (".json", ".jsonl", ".md", ".svg") and path.name not in AS_IT_IS:
            refuse_paths(path.name, path.read_text(encoding="utf-8"), run)
    return entries


def _place(name: str) -> str | None:
    """Return where a file of a run is in the copy; None if it is not published."""
    if name == MODEL + CARD:
        return None
    if name.startswith(MODEL):
        return name.removeprefix(MODEL)
    return name if name.startswith(ADAPTER) else RUN + name if name in RECORDS else None


def _rewritten(path: Path, names: PublicNames, origins: Origins) -> str | None:
    """Return the text of a JSON file without paths of the machine; None if it stays as it is."""
    if path.suffix != ".json" or path.name in AS_IT_IS:
        return None
    content = json_file(path)
    if path.name in RECORDS:
        other = names.content(content)
    else:
        named = {key: value for key, value in content.items() if key.endswith(NAMES_A_MODEL)}
        other = content | {key: _model(value, names, origins) for key, value in named.items()}
    return None if other == content else json.dumps(other, indent=2, ensure_ascii=False) + "\n"


def _model(value: Any, names: PublicNames, origins: Origins) -> Any:
    name = names.content(value)
    return value if name == value else origins.base_model or name
