"""Has the C library give memory back, and use it again in every thread.

By default glibc keeps free blocks of up to 32 MB once it has seen some of them, and growing a body
among others leaves holes: the process stays as large as it was under the heaviest load. It also has an
arena per thread, and keeps in each what its thread has freed: every thread of a database connection
stays as large as its heaviest statement, one after the other.
"""

import contextlib
import ctypes
from typing import Final

LARGE_BLOCK_BYTES: Final = 512 * 1024

# glibc's malloc.h; setting the threshold of mmap ends the adjustment of both thresholds.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_KEPT_FREE_BYTES: Final = 8 * 1024 * 1024


def return_free_memory() -> None:
    """Set it for this process, before it has other threads; does nothing where the C library has no such setting."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
        # What is smaller comes and goes with every request: that much of it stays.
        mallopt(_TRIM_THRESHOLD, _KEPT_FREE_BYTES)
        # Threads hold the interpreter's lock for most of what they allocate: they rarely wait for each other here.
        mallopt(_ARENA_MAX, 1)
