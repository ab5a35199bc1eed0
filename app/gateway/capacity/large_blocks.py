"""Has the C library give large blocks back to the system as soon as they are free.

By default glibc keeps blocks of up to 32 MB once it has seen some of them, and growing a body among
others leaves holes: the process stays as large as it was under the heaviest load.
"""

import contextlib
import ctypes
from typing import Final

LARGE_BLOCK_BYTES: Final = 512 * 1024

# glibc's malloc.h, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD; setting the first ends its adjustment of both.
_MMAP_THRESHOLD: Final = -3
_TRIM_THRESHOLD: Final = -1
_KEPT_FREE_BYTES: Final = 8 * 1024 * 1024


def return_large_blocks() -> None:
    """Set it for this process; does nothing where the C library has no such setting."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
        # What is smaller comes and goes with every request: that much of it stays.
        mallopt(_TRIM_THRESHOLD, _KEPT_FREE_BYTES)
