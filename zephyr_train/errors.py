"""The training package's branch of the exception tree.

UsageError
├── OptionError             an option's value is impossible, unknown or renamed
├── ForeignRun              the output folder, checkpoint or artefact belongs to another run
└── RunInProgress           another run writes to the same folder
EnvironmentLack
├── PackageLack             a package that the run needs is not installed
├── ModelUnreachable        a model or dataset cannot be fetched from here
└── NoSpace                 the disk or folder cannot take the result
DataError
├── RowsUnfit               the rows are not what this step trains on
├── PreflightFailed         faults found before weights load; all of them in one message
├── ReferenceBroken         reference log-probs are incomplete, or of other weights or rows
└── InvariantBroken         training did what it must never do: the run stops, or its result is refused
"""

from zephyr_core.errors import DataError, EnvironmentLack, UsageError


class OptionError(UsageError):
    """An option has a value that cannot be carried out."""


class ForeignRun(UsageError):
    """A folder holds the work of another run."""


class RunInProgress(UsageError):
    """Another run holds the output folder."""


class PackageLack(EnvironmentLack):
    """A package that the run needs is missing."""


class ModelUnreachable(EnvironmentLack):
    """A model or dataset cannot be found or fetched."""


class NoSpace(EnvironmentLack):
    """The output cannot be written: no space, or no permission."""


class RowsUnfit(DataError):
    """Rows lack a column, or hold something else than this step trains on."""


class PreflightFailed(DataError):
    """What preflight found, one fault a line."""


class ReferenceBroken(DataError):
    """Reference log-probs cannot be used."""


class InvariantBroken(DataError):
    """A law of training was broken."""
