"""How long a server has waited for a core: what others took of its time."""

from pathlib import Path


class CoreWait:
    """The main thread of a process; call it for the seconds since its start (proc(5), schedstat), 0 where the system does not tell."""

    def __init__(self, pid: int) -> None:
        self._path = f"/proc/{pid}/schedstat"

    def __call__(self) -> float:
        """Return the seconds."""
        try:
            return int(Path(self._path).read_text().split()[1]) / 1e9
        except (OSError, IndexError):
            return 0.0


def no_wait() -> float:
    """Stand for a server that is not watched."""
    return 0.0
