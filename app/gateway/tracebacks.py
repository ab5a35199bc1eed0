"""Frees what an exception holds that was handled.

A traceback keeps the frames that the exception passed, with all their variables. One of these is
often the exception itself, under another name: then body, call and response wait for the garbage
collector, and a time of many failures makes the process grow.
"""


def drop_tracebacks(error: BaseException) -> None:
    """Drop the traceback of a handled exception and of those that it came from."""
    dropped: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in dropped:
            continue
        dropped.add(id(each))
        each.__traceback__ = None
        left += (each.__cause__, each.__context__)
