"""The root of the exception tree, and the exit codes that a command can end with.

ZephyrError                 exit 2
├── UsageError              exit 2   the command, a flag or a recipe asks for something impossible
│   └── RecipeError
├── PartlyDone              exit 3   a result is on disk, and something is missing from it
├── EnvironmentLack         exit 4   the machine lacks something: network, disk, permission, package
└── DataError               exit 5   the data breaks its contract
"""


class ZephyrError(Exception):
    """A failure that the reader can mend; `hint` says how."""

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[type, tuple[str, str | None]]:
        """Keep the hint on the way from a worker process."""
        return type(self), (str(self), self.hint)


class UsageError(ZephyrError):
    """The command as typed cannot be carried out."""


class RecipeError(UsageError):
    """A recipe or an option value does not resolve."""


class PartlyDone(ZephyrError):
    """The result is whole as far as it goes, and the message lists what it lacks."""

    exit_code = 3


class EnvironmentLack(ZephyrError):
    """The machine lacks something that the command needs."""

    exit_code = 4


class DataError(ZephyrError):
    """Input or stored data breaks the contract."""

    exit_code = 5
