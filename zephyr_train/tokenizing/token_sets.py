"""Token rows as an artefact on disk: built once for given rows, chat format and limits, then reused.

    tokens-<16 hex>/train.arrow, test.arrow                  token rows by key (columns: token_rows.token_schema)
                    train-packed.arrow, test-packed.arrow    packed rows, if dialogues are packed
                    changed.parquet                          split and a line for each changed row (Tally.changed_table)
                    tokenizer.json, chat_template.jinja, …   the tokenizer as it was used
                    manifest.json                            written last

The Arrow files are streams that `datasets.Dataset.from_file` maps into memory.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from zephyr_core import manifest, this_code
from zephyr_core.console import say
from zephyr_core.errors import DataError
from zephyr_core.faults import Fault
from zephyr_core.folder import build_once, damage
from zephyr_core.keys import json_key
from zephyr_core.records import TokensManifest, TokenSplit
from zephyr_core.template import Chat
from zephyr_train.reader import Source
from zephyr_train.tokenizing.keyed_rows import BATCH_ROWS, batches_by_key
from zephyr_train.tokenizing.packing import packed_batches, packed_schema
from zephyr_train.tokenizing.tally import Tally
from zephyr_train.tokenizing.token_rows import Limits, token_schema
from zephyr_train.tokenizing.tokens import token_batches

FORMAT = 2  # version of the files and of tokenization; sets of another version are not found
_SAY_EVERY = 10 * BATCH_ROWS


@dataclass(frozen=True)
class TokenSet:
    """A complete token set."""

    path: Path
    digest: str
    manifest: TokensManifest

    @property
    def train_file(self) -> Path:
        """Return the Arrow stream of the train split's token rows, unpacked."""
        return self.path / "train.arrow"

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Return split → the counts of its rows (Tally) and of packing, if it was packed (packing.packed_batches)."""
        return {split: entry["counts"] | entry.get("packing", {}) for split, entry in self.manifest["splits"].items()}

    @property
    def faults(self) -> list[Fault]:
        """Return the faults found in the rows.

        A set with faults is kept, so that the check runs only once; no run may use it.
        """
        return [Fault(**fault) for fault in self.manifest["faults"]]


def token_set_digest(source: Source, chat: Chat, limits: Limits) -> str:
    """Return the hex sha256 of everything that the token rows depend on."""
    return json_key(_made_of(source, chat, limits))


def token_set(source: Source, chat: Chat, limits: Limits, folder: Path) -> TokenSet:
    """Return the token rows of a source: found in `folder`, or built there.

    Raises:
        NoSpace: the folder cannot be written.
        RowsUnfit: the rows of the source cannot be read.
    """
    digest = token_set_digest(source, chat, limits)

    def build(place: Path) -> None:
        splits, faults = _write_splits(source, chat, limits, place)
        chat.tokenizer.save_pretrained(place)
        made_of = _made_of(source, chat, limits)
        record = {"kind": "tokens", "digest": digest, "made_of": made_of, "source": source.name, "chat": chat.record()}
        versions = this_code.installed("tokenizers", "transformers", "pyarrow")
        dropped = {"dropped_when_read": dict(source.dropped)}
        manifest.write(place, {**record, "splits": splits, **dropped, "faults": faults, "versions": versions})

    path = build_once(folder / f"tokens-{digest[:16]}", build, damaged=lambda place: _damage(place, digest))
    return TokenSet(path, digest, manifest.read_as(path, TokensManifest))


def _damage(folder: Path, digest: str) -> str | None:
    what = damage(folder, digest=digest)
    if what is None:
        try:
            manifest.read_as(folder, TokensManifest)
        except DataError:
            what = f"{manifest.NAME} is damaged"
    return what


def _made_of(source: Source, chat: Chat, limits: Limits) -> dict[str, object]:
    return {
        "format": FORMAT,
        "source": source.digest,
        "kind": source.kind,
        "tokenizer": chat.tokenizer_digest,
        "template": chat.digest,
        "eos": chat.eos,
        "pad": str(chat.tokenizer.pad_token),
        "limits": asdict(limits),
        **({"day": chat.day} if chat.day else {}),
    }


def _write_splits(
    source: Source, chat: Chat, limits: Limits, partial: Path
) -> tuple[dict[str, TokenSplit], list[dict[str, str]]]:
    """Write the files of each split; return the counts by split, and the faults of all splits."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    splits: dict[str, TokenSplit] = {}
    faults: list[dict[str, str]] = []
    changed = []
    for split in ("train", "test"):
        if split not in source.files:
            continue
        tally = _write_tokens(source, split, chat, limits, partial / f"{split}.arrow")
        splits[split] = {"rows": tally.counts["kept_rows"], "counts": tally.all_counts()}
        if limits.packed:
            splits[split]["packing"] = _write_packed(partial, split, limits.max_length)
            say(f"tokens: {split}, packed into {splits[split]['packing']['packed_rows']:,} rows")
        split_faults = [replace(fault, message=f"{split}: {fault.message}") for fault in tally.faults(limits)]
        faults.extend(asdict(fault) for fault in split_faults)
        rows = tally.changed_table()
        changed.append(rows.add_column(0, "split", pa.array([split] * rows.num_rows, pa.string())))
    pq.write_table(pa.concat_tables(changed), partial / "changed.parquet")
    return splits, faults


def _write_tokens(source: Source, split: str, chat: Chat, limits: Limits, path: Path) -> Tally:
    import pyarrow as pa

    table, tally = source.table(split), Tally(source.kind)
    batches = batches_by_key(table, source.kind)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, token_schema(source.kind)) as writer:
        for batch in token_batches(chat, source.kind, batches, limits, tally):
            writer.write_batch(batch)
            read = tally.counts["read_rows"]
            if not read % _SAY_EVERY or read == table.num_rows:
                say(f"tokens: {split}, {read:,} of {table.num_rows:,} rows")
    return tally


def _write_packed(partial: Path, split: str, max_length: int) -> dict[str, int]:
    """Pack a split's token rows, which stay on disk meanwhile, and write the result; return the counts."""
    import pyarrow as pa

    with pa.memory_map(str(partial / f"{split}.arrow")) as stream:
        batches, counts = packed_batches(pa.ipc.open_stream(stream).read_all(), max_length)
        path = partial / f"{split}-packed.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, packed_schema()) as writer:
            for batch in batches:
                writer.write_batch(batch)
    return counts
