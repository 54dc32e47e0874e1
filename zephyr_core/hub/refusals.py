"""What is asked of the Hub, and what it or the network answers instead, as one of our errors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zephyr_core.disk import FORBIDDEN, is_full
from zephyr_core.errors import EnvironmentLack, NoSpace, Unreachable, first_line

Kind = Literal["dataset", "model"]

CACHE = "set HF_HUB_OFFLINE=1 to use what the Hub's cache holds"
AGAIN = "run the command again: complete files are kept, the rest is fetched"  # the client keeps no partial files
LATER = "run the command again in a few minutes"
LOG_IN = "run `hf auth login` or set HF_TOKEN, with a token that may write"


@dataclass(frozen=True)
class Request:
    """What is asked of the Hub; `instead` is what the caller can do without it, as the end of a hint."""

    repository: str
    kind: Kind
    revision: str
    instead: str = ""

    def __str__(self) -> str:
        return f"the Hub {self.kind} {self.repository}"

    @property
    def page(self) -> str:
        """Return the address of its page."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{'datasets/' if self.kind == 'dataset' else ''}{self.repository}"


def explained(fault: BaseException, request: Request, failure: str, hint: str) -> EnvironmentLack:
    """Return one of our errors: what the Hub answered when something was read, in one line, and what to do about it."""
    from huggingface_hub import errors

    while isinstance(fault, errors.LocalEntryNotFoundError) and fault.__cause__ is not None:
        fault = fault.__cause__  # "not in the cache either" hides what went wrong
    status = status_of(fault)
    missing = isinstance(fault, errors.RepositoryNotFoundError)  # GatedRepoError is one too; 401 may mean either
    if isinstance(fault, OSError) and (is_full(fault) or fault.errno in FORBIDDEN):
        return NoSpace(
            f"{failure}: {cache_folder()} cannot be written: {fault.strerror}",
            "free some space, or point HF_HOME to a folder that can be written",
        )
    if isinstance(fault, errors.RevisionNotFoundError):
        failure, hint = f"{request} has no revision {request.revision}", "give a branch, tag or commit of it"
    elif isinstance(fault, errors.GatedRepoError) or (status in (401, 403) and not missing):
        failure = f"{request} is gated: the Hub refuses access ({status})"
        hint = f"accept its terms at {request.page} and run `hf auth login`"
    elif missing:
        failure = f"{request} does not exist, or is private"
        hint = "check its name, run `hf auth login` if it is private"
    elif status == 429:
        failure = f"{failure}: the Hub limits the rate of requests (429)"
        hint = f"{LATER} (`hf auth login` raises the limit)"
    else:
        failure = f"{failure}: {first_line(fault)}"
    return Unreachable(failure, ", or ".join(filter(None, [hint, request.instead])))


def refused(fault: BaseException, request: Request, failure: str, unanswered: str) -> Unreachable:
    """Return one of our errors: what the Hub answered when something was written, and what to do about it.

    Args:
        fault: of the client.
        request: what was asked for.
        failure: what was not done.
        unanswered: the same, if it is not known whether it was done.
    """
    from huggingface_hub import errors

    while isinstance(fault, RuntimeError) and fault.__cause__ is not None:
        fault = fault.__cause__  # "Error while uploading", around what went wrong
    status = status_of(fault)
    hint = "run the command again: it continues"
    if isinstance(fault, errors.LocalTokenNotFoundError):
        failure, hint = "publishing needs a token of the Hub, and there is none", LOG_IN
    elif status == 401:
        failure, hint = f"{failure}: the Hub does not accept the token (401)", LOG_IN
    elif status == 403:
        failure, hint = f"{failure}: the token may not write to {request.repository} (403)", LOG_IN
    elif isinstance(fault, errors.RepositoryNotFoundError):
        failure, hint = f"{failure}: {request} is no longer there", "check its name"
    elif status == 412:
        failure = f"{failure}: the branch {request.revision} of {request} moved meanwhile"
        hint = "look at what was added there, then run the command again"
    elif status == 429:
        failure, hint = f"{failure}: the Hub limits the rate of requests (429)", f"{LATER}: it continues"
    else:
        what = failure if status is not None and status < 500 else unanswered
        failure = f"{what}: {first_line(fault)}"
    return Unreachable(failure, hint)


def status_of(fault: BaseException) -> int | None:
    """Return the HTTP status of a client's error; None if no answer came."""
    status: int | None = getattr(getattr(fault, "response", None), "status_code", None)
    return status


def cache_folder() -> Path:
    """Return the folder of the Hub's own cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).absolute()
