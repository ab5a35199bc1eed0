"""What threads have freed serves every thread, in a process of its own: the C library's settings cannot be taken back."""

import subprocess
import sys
import textwrap

import pytest

MIB = 1024 * 1024
THREADS = 8
PROGRAM = """
    import ctypes, sys, threading
    from app.gateway.capacity.memory_allocator import return_free_memory

    PAGE_BYTES = 4096
    if sys.argv[1] == "set":
        return_free_memory()
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p

    def resident_bytes():
        return int(open("/proc/self/statm").read().split()[1]) * PAGE_BYTES

    def use():
        # As a database's pages, in blocks that are too small to be the system's.
        blocks = [libc.malloc(4096) for _ in range(1024)]
        for block in blocks:
            ctypes.memset(block, 1, 4096)
        for block in blocks:
            libc.free(ctypes.c_void_p(block))
        used.wait()
        end.wait()

    end = threading.Event()
    grown = []
    for _ in range(int(sys.argv[2])):
        used = threading.Barrier(2)
        threading.Thread(target=use).start()
        used.wait()
        grown.append(resident_bytes())
    end.set()
    print(grown[-1] - grown[0])
"""


def grown_bytes(how):
    """Return by how much a process grows while each of several threads uses 4 MiB after the others have freed theirs."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), how, str(THREADS)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_threads_share_what_was_freed():
    assert grown_bytes("set") < 4 * MIB
    assert grown_bytes("unset") > 12 * MIB
