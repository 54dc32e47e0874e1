"""The data package's branch of the exception tree.

UsageError
├── OptionError             an option's value is impossible
└── RunInProgress           another run writes to the same folder
EnvironmentLack
├── SourceUnreachable       a Hub source cannot be read from here
└── NoSpace                 the disk or folder cannot take the result
DataError
├── SourceError             a file cannot be read as dialogues
├── MixedShapes             rows of one file have different shapes
├── RuleError               a rule file is wrong
└── ContractBroken          a stored dataset does not match its manifest
"""

from zephyr_core.errors import DataError, EnvironmentLack, UsageError


class OptionError(UsageError):
    """An option has a value that cannot be carried out."""


class RunInProgress(UsageError):
    """Another run holds the output folder."""


class SourceUnreachable(EnvironmentLack):
    """A Hub source cannot be listed or fetched."""


class NoSpace(EnvironmentLack):
    """The output cannot be written: no space, or no permission."""


class SourceError(DataError):
    """A file cannot be read as dialogues."""


class MixedShapes(DataError):
    """One file holds rows of different shapes."""


class RuleError(DataError):
    """A rule file breaks its schema, or a rule contradicts its own examples."""


class ContractBroken(DataError):
    """A stored dataset does not match its manifest."""
