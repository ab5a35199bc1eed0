"""The program of the child process in which `Offload` has large JSON decoded.

Input: pickled function names and arguments, then the bytes to work on. Output: pickled results. It
ends when its parent closes stdin or dies. It has no sockets, no files and no secrets; its memory is
bounded (`argv[2]`, bytes of address space), because what it decodes comes from outside.
"""

import importlib
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from app.gateway.capacity.memory_allocator import return_free_memory

LENGTH_BYTES: Final = 8
_NICENESS: Final = 5


def main() -> None:
    """Serve until stdin ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        # The parent decides: it may still have requests to finish when the whole group gets a stop signal.
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICENESS)
    return_free_memory()
    memory_bytes = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve(sys.stdin.buffer, sys.stdout.buffer)


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Serve one request after the other."""
    while (header := _read(requests)) is not None:
        module, name, arguments = pickle.loads(header)  # noqa: S301  written by the parent
        text = _read(requests)
        if text is None:
            return
        reply = _reply(getattr(importlib.import_module(module), name), text, arguments)
        del text
        try:
            replies.write(len(reply).to_bytes(LENGTH_BYTES, "big") + reply)
            replies.flush()
        except BrokenPipeError:
            os._exit(0)


def _reply(function: Callable[..., Any], text: bytes, arguments: tuple[Any, ...]) -> bytes:
    """Return the pickled result, or the parts of the exception: a constructor need not take what `args` holds."""
    try:
        return pickle.dumps(("result", function(text, *arguments)))
    except MemoryError:
        return pickle.dumps(("memory", None))
    except Exception as error:  # noqa: BLE001  raised again in the parent
        return pickle.dumps(("error", (type(error), error.args, error.__dict__)))


def _read(requests: BinaryIO) -> bytes | None:
    """Return the next block, or None where the stream ends."""
    length = requests.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    size = int.from_bytes(length, "big")
    block = requests.read(size)
    return block if len(block) == size else None
