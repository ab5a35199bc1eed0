"""How the process of a command ends; docs/gateway.md explains each to operators."""

from typing import Final

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
"""The command could not start or do its work, or a second signal ended it at once."""

EXIT_USAGE: Final = 2
EXIT_LOST: Final = 3
"""It served and stopped in order, and ledger rows or telemetry were lost at the end."""
