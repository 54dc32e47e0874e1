"""What the user names → the raw files behind it, and what else is there."""

import glob
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from zephyr_core import folder, hub, manifest, paths
from zephyr_core.errors import DataError, EnvironmentLack, Unreachable, UsageError
from zephyr_core.listing import ENDING, Listing, list_folder, list_matches, why_hidden
from zephyr_core.records import PassedOver
from zephyr_data.errors import SourceError
from zephyr_data.sources.arrays import is_array
from zephyr_data.sources.remarks import remarks
from zephyr_data.sources.tables import REBUILD

ARRAYS = ".json"  # an array, or else JSON Lines; read only if it is named, since a folder has others next to its data
SUFFIXES = {".jsonl": "plain", ".ndjson": "plain", ".jsonl.gz": "gzip", ".jsonl.zst": "zstd", ".parquet": "parquet"}
NAME_IT = "read only if it is named"
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
    kind: str  # plain | array | gzip | zstd | parquet | rated
    real_path: str | None = None  # where it is, if a link leads out of the source
    is_whole: bool = False  # whether it is read as one block, since its rows belong together

    @property
    def is_table(self) -> bool:
        """Return whether the file is Parquet, whose blocks are rows rather than lines of bytes."""
        return self.kind in ("parquet", "rated")


@dataclass
class SourceFiles:
    """The raw files of some sources, and the entries of these sources that are not read."""

    files: list[RawFile] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)

    def __iadd__(self, other: "SourceFiles") -> "SourceFiles":
        """Append those of another source."""
        self.files += other.files
        self.passed_over += other.passed_over
        return self


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


def local_files(source: str) -> SourceFiles:
    """Return the raw files of a file, folder, glob or shipped sample, sorted by name, and what else is there.

    A file or folder that has the name of a glob is that file or folder.

    Raises:
        UsageError: nothing is there.
        SourceError: a file has an unsupported suffix.
        EnvironmentLack: a file or a folder cannot be read.
    """
    where = str(sample_folder() / source.removeprefix(SAMPLES)) if source.startswith(SAMPLES) else source
    path = place_of(where)
    try:
        listing = _listing(path)
    except OSError as fault:
        raise EnvironmentLack(f"{fault.filename} cannot be listed: {fault.strerror}", "grant read permission") from None
    recorded = paths.readable(source)
    passed_over = _passed_over(recorded, listing.passed_over)
    if not listing.files:
        raise UsageError(
            "; ".join([f"no raw file at {source!r}", *remarks({}, {}, passed_over)]),
            f"give a {', '.join((*SUFFIXES, ARRAYS))} file, a folder, a glob or a Hub id",
        )
    real_paths = {name: paths.readable(str(path)) for name, path in listing.outside.items()}
    files = [
        RawFile(recorded, paths.readable(name), inner, _readable_kind(inner), real_paths.get(name))
        for name, inner in listing.files.items()
    ]
    return SourceFiles(files, passed_over)


def _listing(path: Path) -> Listing:
    if path.is_dir():
        return list_folder(path, lambda name: kind_of(Path(name)) is not None)
    if path.exists() or path.is_symlink() or not glob.has_magic(str(path)):
        entry = {path.name: path} if path.exists() or path.is_symlink() else {}
        listing = list_matches(path.parent, entry)
        listing.outside.clear()  # a file that was named may be anywhere
        return listing
    root = Path(glob.escape(str(path))).parent
    plain = next(parent for parent in path.parents if not glob.has_magic(str(parent)))
    matches = [Path(match) for match in glob.iglob(str(path), recursive=True)]  # noqa: PTH207  absolute patterns
    return list_matches(plain, {_below(root, match): match for match in matches})


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _passed_over(source: str, reasons: dict[str, str]) -> list[PassedOver]:
    named = {name: NAME_IT if why == ENDING and name.lower().endswith(ARRAYS) else why for name, why in reasons.items()}
    names = {name: (paths.readable(name), paths.readable(why)) for name, why in named.items()}
    return [{"source": source, "file": name, "why": why} for name, why in names.values()]


def rated_files(source: str) -> SourceFiles:
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
    return SourceFiles([RawFile(paths.readable(source), name, place / name, "rated") for name in names])


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


def hub_files(repository: str, revision: str) -> tuple[SourceFiles, str]:
    """Return the raw files of a Hub dataset, fetched if need be, what else it holds, and the commit of both.

    Raises:
        Unreachable: they cannot be fetched, or the dataset has no readable file.
        NoSpace: the disk cannot take the files.
    """
    reasons: dict[str, str] = {}

    def choose(names: list[str]) -> list[str]:
        reasons.update({name: why for name in names if (why := _why_not_read(name)) is not None})
        return [name for name in names if name not in reasons]

    snapshot = hub.fetch(repository, "dataset", revision, choose, instead=INSTEAD)
    if not snapshot.files:
        raise Unreachable(f"{repository} has no file that can be read", "give files of a local copy instead")
    source = f"{repository}@{snapshot.commit}"
    files = [RawFile(source, name, path, kind_of(path) or "plain") for name, path in snapshot.files.items()]
    return SourceFiles(files, _passed_over(source, reasons)), snapshot.commit


def cached_hub_file(source: str, name: str) -> RawFile | None:
    """Return a raw file of a recorded source ("repository@commit") from the Hub's cache, or None."""
    repository, _, commit = source.partition("@")
    path = hub.cached_file(repository, "dataset", commit, name) if commit else None
    return None if path is None else RawFile(source, name, path, kind_of(path) or "plain")


def _why_not_read(name: str) -> str | None:
    hidden = (why for part in Path(name).parts if (why := why_hidden(part)) is not None)
    return next(hidden, None if kind_of(Path(name)) else ENDING)


def _readable_kind(path: Path) -> str:
    kind = kind_of(path)
    if kind is None and path.suffix.lower() != ARRAYS:
        raise SourceError(f"{path} has an unsupported suffix", f"supported: {', '.join((*SUFFIXES, ARRAYS))}")
    try:
        with path.open("rb") as stream:
            return kind or ("array" if is_array(stream.read(2**12)) else "plain")
    except PermissionError:
        raise EnvironmentLack(f"{path} cannot be read: permission denied", "grant read permission") from None


def is_utf8(name: str) -> bool:
    """Return whether a name of the file system can be written to the audit."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def sample_folder() -> Path:
    """Return the folder of the embedded samples."""
    return paths.shipped("recipes") / "samples"
