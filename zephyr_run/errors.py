"""The branch of the exception tree for whole runs.

ZephyrError
└── StepFailed              a step's command ended with a code of its own, which is passed on
UsageError
└── RunInProgress           another `zephyr run` or `zephyr ablate` works in the same run directory
EnvironmentLack
└── NoPlace                 the run directory cannot be made or written
DataError
├── DamagedInput            what a step reads is not what its manifest names, and is not made anew in this run
└── NotReproduced           a run made again came out otherwise
"""

from zephyr_core.errors import DataError, EnvironmentLack, UsageError, ZephyrError


class StepFailed(ZephyrError):
    """A step's command failed; its exit code is the run's."""

    def __init__(self, message: str, hint: str | None = None, exit_code: int = 2) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


class RunInProgress(UsageError):
    """Another process holds the run directory."""


class NoPlace(EnvironmentLack):
    """A run directory cannot be made or written."""


class DamagedInput(DataError):
    """A step would read files that have changed since they were made."""


class NotReproduced(DataError):
    """Digests of a run made again are not those on record."""
