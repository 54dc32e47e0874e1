"""What the user names → the raw files behind it."""

import glob
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zephyr_core import folder, hub, manifest, paths
from zephyr_core.errors import DataError, EnvironmentLack, Unreachable, UsageError
from zephyr_data.errors import SourceError
from zephyr_data.sources.tables import REBUILD

SUFFIXES = {".jsonl": "plain", ".ndjson": "plain", ".jsonl.gz": "gzip", ".jsonl.zst": "zstd", ".parquet": "parquet"}
AGAIN = "fetch or write it again"
RATED = "rated"  # the folder of a dataset of pairs that holds all rows as read
SAMPLES = "samples:"  # a folder of the shipped recipes: "samples:ultrachat"
INSTEAD = "give local files (`zephyr data … FILE.jsonl`), or try the embedded samples with `--recipe tiny`"


@dataclass(frozen=True)
class RawFile:
    """A file to read; `name` is what the audit calls it, the same wherever the folder is."""

    source: str
    name: str
    path: Path
    kind: str  # plain | gzip | zstd | parquet | rated

    @property
    def is_table(self) -> bool:
        """Return whether the file is Parquet, whose blocks are rows rather than lines of bytes."""
        return self.kind in ("parquet", "rated")


def kind_of(path: Path) -> str | None:
    """Return the kind of a raw file by its suffix, or None if the suffix is not a known one."""
    return next((kind for suffix, kind in SUFFIXES.items() if path.name.lower().endswith(suffix)), None)


def is_local(source: str) -> bool:
    """Return whether `source` names local files rather than a dataset on the Hub."""
    return not hub.is_hub_id(source)


def place_of(source: str) -> Path:
    """Return the path that a local source names: the file or folder of that name, else with its `~` expanded.

    Raises:
        UsageError: it is empty, or there is no such home folder.
    """
    if not source.strip():
        raise UsageError(f"a source is {source!r}", "give a file, a folder, a glob or a Hub id")
    place = Path(source)
    return place if place.exists() else paths.expanded(source)


def local_files(source: str) -> list[RawFile]:
    """Return the raw files of a file, folder, glob or shipped sample, sorted by name.

    A file or folder that has the name of a glob is that file or folder.

    Raises:
        UsageError: nothing is there.
        SourceError: a file has an unsupported suffix, or a name that is not UTF-8.
    """
    where = str(sample_folder() / source.removeprefix(SAMPLES)) if source.startswith(SAMPLES) else source
    path = place_of(where)
    if path.is_dir():
        files, root = [inner for inner in path.rglob("*") if inner.is_file() and kind_of(inner)], path
        matches = [inner for inner in files if not any(part.startswith(".") for part in inner.relative_to(path).parts)]
    elif glob.has_magic(where) and not path.exists():
        matches = [Path(match) for match in glob.iglob(str(path), recursive=True) if Path(match).is_file()]  # noqa: PTH207  absolute patterns
        root = Path(glob.escape(where)).parent
    else:
        matches, root = ([path] if path.exists() else []), path.parent
    if not matches:
        raise UsageError(
            f"no raw file at {source!r}", f"give a {', '.join(SUFFIXES)} file, a folder, a glob or a Hub id"
        )
    return sorted((_raw_file(source, inner, root) for inner in matches), key=lambda file: file.name)


def rated_files(source: str) -> list[RawFile]:
    """Return the stored rated rows of a dataset directory of pairs, compared with its manifest.

    Raises:
        SourceError: it holds none.
        DataError: they are damaged.
    """
    place = place_of(source)
    recorded = (name for name in manifest.read(place)["files"] if name.startswith(f"{RATED}/"))
    names = sorted({*recorded, *(f"{RATED}/{path.name}" for path in (place / RATED).glob("*.parquet"))})
    if not names:
        raise SourceError(f"{source} holds no rated rows", "give raw rated rows, or a dataset that `binarize` made")
    fault = folder.damage(place, names=names)
    if fault:
        raise DataError(f"{place} is damaged: {fault}", REBUILD)
    return [RawFile(source, name, place / name, "rated") for name in names]


@contextmanager
def raw_faults(files: Iterable[RawFile]) -> Iterator[None]:
    """Turn the system's error about a raw file, which may vanish at any time, into one that says so.

    Raises:
        SourceError: a raw file cannot be read.
    """
    names = {str(file.path) for file in files}
    try:
        yield
    except OSError as fault:
        if fault.filename is None or str(fault.filename) not in names:
            raise
        hint = "restore it and run the command again: finished blocks are kept"
        raise SourceError(f"{fault.filename} cannot be read: {fault.strerror}", hint) from None


def hub_files(repository: str, revision: str) -> tuple[list[RawFile], str]:
    """Return the raw files of a Hub dataset, fetched if need be, and the commit that they belong to.

    Raises:
        Unreachable: they cannot be fetched, or the dataset has no readable file.
        NoSpace: the disk cannot take the files.
    """
    snapshot = hub.fetch(repository, "dataset", revision, _readable, instead=INSTEAD)
    if not snapshot.files:
        raise Unreachable(f"{repository} has no file that can be read", "give files of a local copy instead")
    source = f"{repository}@{snapshot.commit}"
    return [
        RawFile(source, name, path, kind_of(path) or "plain") for name, path in snapshot.files.items()
    ], snapshot.commit


def cached_hub_file(source: str, name: str) -> RawFile | None:
    """Return a raw file of a recorded source ("repository@commit") from the Hub's cache, or None."""
    repository, _, commit = source.partition("@")
    path = hub.cached_file(repository, "dataset", commit, name) if commit else None
    return None if path is None else RawFile(source, name, path, kind_of(path) or "plain")


def _readable(names: list[str]) -> list[str]:
    return [name for name in names if kind_of(Path(name))]


def _raw_file(source: str, path: Path, root: Path) -> RawFile:
    kind = kind_of(path)
    if kind is None:
        hint = f"supported: {', '.join(SUFFIXES)}"
        if path.suffix == ".json":
            hint += "; write one JSON object per line, for instance with `jq -c '.[]' FILE > FILE.jsonl`"
        raise SourceError(f"{path} has an unsupported suffix", hint)
    if not path.is_file():
        raise SourceError(f"{path} is not a file")
    try:
        with path.open("rb"):
            pass
    except PermissionError:
        raise EnvironmentLack(f"{path} cannot be read: permission denied", "grant read permission") from None
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    if not is_utf8(name):
        raise SourceError(f"{str(path)!r} has a name that is not UTF-8", "rename it")
    return RawFile(source, name, path, kind)


def is_utf8(name: str) -> bool:
    """Return whether a name of the file system can be written to the audit."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def sample_folder() -> Path:
    """Return the folder of the embedded samples."""
    return paths.shipped("recipes") / "samples"
