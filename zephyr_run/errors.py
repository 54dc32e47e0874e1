"""The branch of the exception tree for whole runs.

ZephyrError
└── StepFailed              a step's command failed; its exit code is passed on
DataError
└── DamagedInput            a step's input does not match its manifest, and this run does not rebuild it
"""

from zephyr_core.errors import DataError, ZephyrError


class StepFailed(ZephyrError):
    """A step's command failed; its exit code is the run's."""

    def __init__(self, message: str, hint: str | None = None, exit_code: int = 2) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


class DamagedInput(DataError):
    """A step would read files that have changed since they were made."""
