"""Start a child whose signals do what they do by default, also where `nohup` or a background job of a shell ignores them here."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_NUMBERS = (signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)


@contextmanager
def default_signals() -> Iterator[None]:
    """Ignore none of the signals while the block starts a child, which inherits what is ignored. On the main thread.

    Not by `preexec_fn`: it runs Python in a fork of a process that has threads, and a lock that one of them holds (gRPC's, an allocator's)
    stays held there, while this process waits for the fork.
    """
    ignored = [number for number in _NUMBERS if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
