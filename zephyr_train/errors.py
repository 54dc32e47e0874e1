"""The training package's branch of the exception tree.

UsageError
└── ForeignRun              the output folder, checkpoint or artefact belongs to another run
EnvironmentLack
├── PackageLack             a package that the run needs is not installed
└── ModelUnreachable        a model or dataset cannot be found or read
DataError
├── RowsUnfit               the rows are not what this step trains on
├── PreflightFailed         faults found before weights load; all of them in one message
├── ReferenceBroken         reference log-probs are incomplete, or of other weights or rows
└── InvariantBroken         training did what it must never do: the run stops, or its result is refused
"""

from typing import Final

from zephyr_core.errors import DataError, EnvironmentLack, Unreachable, UsageError

UNFIT: Final = "unfit-rows"


class ForeignRun(UsageError):
    """A folder holds the work of another run."""


class PackageLack(EnvironmentLack):
    """A package that the run needs is missing."""


class ModelUnreachable(Unreachable):
    """A model or dataset cannot be found or read."""


class RowsUnfit(DataError):
    """Rows lack a column, or are not what this step trains on; `name` is the fault's name."""

    def __init__(self, message: str, hint: str | None = None, name: str = UNFIT) -> None:
        super().__init__(message, hint)
        self.name = name

    def __reduce__(self) -> tuple[type, tuple[str, str | None, str]]:  # type: ignore[override]
        """Keep hint and name when a worker process sends the error."""
        return type(self), (str(self), self.hint, self.name)


class PreflightFailed(DataError):
    """The faults that preflight found, one per line."""


class ReferenceBroken(DataError):
    """Reference log-probs cannot be used."""


class InvariantBroken(DataError):
    """Training broke one of its invariants."""
