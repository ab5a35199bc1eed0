"""How a command that works on the database fails: with one line on stderr, and an exit code."""

from typing import TextIO

from app.errors import StoreUnavailableError


class CommandError(Exception):
    """Ends the command with a line on stderr and an exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def report_error(command: str, error: Exception, stderr: TextIO) -> int:
    """Print why the command failed and return its exit code: that of a `CommandError`, else 1."""
    if isinstance(error, CommandError):
        print(f"{command}: {error}", file=stderr)
        return error.exit_code
    reason = error.__cause__ if isinstance(error, StoreUnavailableError) else error
    print(f"{command}: {' '.join(str(getattr(reason, 'orig', None) or reason).split())}", file=stderr)
    return 1
