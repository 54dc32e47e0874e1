"""The root of the exception tree, and the one table of exit codes.

exit  means
0     done: what was asked happened
1     a comparison found a difference
2     usage: the command, a flag or a recipe asks for something impossible
3     partly done: a result is on disk, and what it lacks is listed
4     the environment lacks something: network, disk, permission, package, a reader of stdout
5     the data breaks its contract
70    a fault of zephyr; the trace is in the log file that the message names
130   stopped by ctrl-c; the same command continues
143   stopped by SIGTERM; the same command continues

ZephyrError                 2
├── UsageError              2
│   ├── RecipeError         a recipe, or a value in it, does not resolve
│   ├── OptionError         an option's value is impossible, unknown or renamed
│   ├── RunInProgress       another process writes to the same folder
│   └── WrongFolder         a folder is of another kind than the command takes
├── Different               1
├── PartlyDone              3
├── EnvironmentLack         4
│   ├── Unreachable         something on the Hub cannot be listed or fetched from here
│   └── NoSpace             a folder cannot be written: no space, or no permission
├── DataError               5
└── InternalError           70

Each package adds its own branches in its errors.py. docs/cli.md shows the table of exit codes.
"""

from typing import Final

DONE: Final = 0
DIFFERENT: Final = 1
USAGE: Final = 2
PARTLY_DONE: Final = 3
ENVIRONMENT: Final = 4
DATA: Final = 5
INTERNAL: Final = 70
INTERRUPTED: Final = 130
TERMINATED: Final = 143


def first_line(fault: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return (str(fault).strip() or type(fault).__name__).splitlines()[0]


class ZephyrError(Exception):
    """A failure that the reader can fix; `hint` says how."""

    exit_code: int = USAGE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[type, tuple[str, str | None]]:
        """Keep the hint when the error comes from a worker process."""
        return type(self), (str(self), self.hint)


class UsageError(ZephyrError):
    """The command as typed cannot be carried out."""


class RecipeError(UsageError):
    """A recipe or an option value does not resolve."""


class OptionError(UsageError):
    """An option has a value that cannot be carried out."""


class RunInProgress(UsageError):
    """Another process holds the folder that this one would write to."""


class WrongFolder(UsageError):
    """A folder is not of the kind that the command takes; the hint names what is meant."""


class Different(ZephyrError):
    """A comparison was made and found a difference."""

    exit_code = DIFFERENT


class PartlyDone(ZephyrError):
    """The result is whole as far as it goes, and the message lists what it lacks."""

    exit_code = PARTLY_DONE


class EnvironmentLack(ZephyrError):
    """The machine lacks something that the command needs."""

    exit_code = ENVIRONMENT


class Unreachable(EnvironmentLack):
    """A dataset or model on the Hub cannot be listed or fetched from here."""


class NoSpace(EnvironmentLack):
    """A folder cannot be written: no space, or no permission."""


class DataError(ZephyrError):
    """Input or stored data breaks the contract."""

    exit_code = DATA


class InternalError(ZephyrError):
    """Something that zephyr should never do."""

    exit_code = INTERNAL
