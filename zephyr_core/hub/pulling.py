"""A published folder, copied from the Hub: whole and as its manifest says, or absent."""

import shutil
from collections.abc import Callable
from pathlib import Path

from zephyr_core import folder, manifest
from zephyr_core.console import say
from zephyr_core.disk import clear_disk_errors, is_full, require_space
from zephyr_core.errors import DataError, Unreachable, UsageError
from zephyr_core.hub.listing import Listing, listing
from zephyr_core.hub.refusals import AGAIN, Request, explained

Verify = Callable[[Path], object]  # raises DataError unless a folder is as its manifest says
OF_CLIENT = ".cache"  # where the client notes what it has fetched
ELSEWHERE = "give another folder after the repository"


def pull(request: Request, out: Path, verify: Verify) -> str:
    """Return the commit whose published folder is at `out`, fetched if it is not there yet.

    It is fetched under another name next to `out`; a stopped pull continues, and files that are there stay.

    Raises:
        Unreachable: no network, no such repository or revision, no access.
        UsageError: `out` holds something else.
        DataError: the repository does not hold what zephyr published, or not as its manifest says.
        NoSpace: the folder cannot be written.
    """
    from huggingface_hub import constants

    if constants.is_offline_mode():
        raise Unreachable("the Hub is switched off (HF_HUB_OFFLINE)", "set HF_HUB_OFFLINE=0 to pull")
    place = out.absolute()
    lock_file, partial = (place.with_name(f".{place.name}.{what}") for what in ("lock", "pulling"))
    with (
        clear_disk_errors(out, hint=ELSEWHERE, continues=True),
        folder.lock(lock_file, busy=f"another command is writing to {out}", hint="wait for it"),
    ):
        try:
            there = listing(request, "run the command again")
            if manifest.NAME not in there.files:
                raise DataError(
                    f"{request} at {there.commit} has no {manifest.NAME}: it is not something that zephyr published",
                    f"`zephyr train` reads other datasets too: give it {request.repository} itself",
                )
            if not _is_here(out, there):
                _fetch(request, there, partial)
                _check(request, there, partial, verify)
                folder.publish(partial, out)
        finally:
            lock_file.unlink(missing_ok=True)
    return there.commit


def _is_here(out: Path, there: Listing) -> bool:
    """Return whether the folder is the one to pull; False if there is none.

    Raises:
        UsageError: it is another one.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if out.is_dir() and there.files[manifest.NAME].is_equal(out / manifest.NAME) and folder.damage(out) is None:
        return True
    raise UsageError(f"{out} is there already, and is not the folder at commit {there.commit}", ELSEWHERE)


def _fetch(request: Request, there: Listing, partial: Path) -> None:
    """Fetch the manifest and the files that it names; those that are whole already stay."""
    _download(request, there, manifest.NAME, partial)
    names = list(manifest.read(partial)["files"])
    for name in names:
        if name not in there.files:
            what = f"{request} at {there.commit} lacks {name}, which its {manifest.NAME} names"
            raise DataError(what, "it has to be published again")
    for name in manifest.file_names(partial):
        if name not in names and name.split("/")[0] != OF_CLIENT:
            (partial / name).unlink()  # of another commit
    missing = [name for name in names if not there.files[name].is_equal(partial / name)]
    size = sum(there.files[name].size for name in missing)
    require_space(partial, size, ELSEWHERE, what=request.repository)
    say(f"{request.repository} at {there.commit}: {len(names)} files, {len(missing)} to fetch, {size / 1e9:.2f} GB")
    for number, name in enumerate(missing, start=1):
        say(f"fetching {number} of {len(missing)}: {name}, {there.files[name].size / 1e9:.2f} GB")
        _download(request, there, name, partial)


def _download(request: Request, there: Listing, name: str, partial: Path) -> None:
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(request.repository, name, repo_type=request.kind, revision=there.commit, local_dir=partial)
    except Exception as fault:  # the client raises its own errors, its HTTP library's and the socket's
        if is_full(fault) or isinstance(fault, PermissionError):
            raise
        raise explained(fault, request, f"{name} of {request} was not fetched", AGAIN) from fault


def _check(request: Request, there: Listing, partial: Path, verify: Verify) -> None:
    shutil.rmtree(partial / OF_CLIENT, ignore_errors=True)
    try:
        verify(partial)
    except DataError as fault:
        what = str(fault).replace(str(partial), "it")
        raise DataError(f"{request} at {there.commit} is damaged: {what}", "it has to be published again") from None
