"""The data package's branch of the exception tree.

DataError
├── SourceError             a file cannot be read as dialogues
├── MixedShapes             rows of one file have different shapes
├── RuleError               a rule file is wrong
└── ContractBroken          a stored dataset does not match its manifest
"""

from zephyr_core.errors import DataError


class SourceError(DataError):
    """A file cannot be read as dialogues."""


ONE_SHAPE = "split the file, one shape per file; one run can take both"  # what to do about MixedShapes


class MixedShapes(DataError):
    """One file holds rows of different shapes."""


class RuleError(DataError):
    """A rule file breaks its schema, or a rule contradicts its own examples."""


class ContractBroken(DataError):
    """A stored dataset does not match its manifest."""
