"""Runs the gateway with a bound on its memory: `python -m bench.attacks.limited_gateway BYTES ARGUMENT…` runs `python -m app ARGUMENT…`.

The bound is RLIMIT_DATA: what a process may write and does not share. RLIMIT_AS would count what threads reserve and never touch
(libraries, stacks, arenas), a gigabyte by itself. It holds for each process; the sum with its children is watched from outside.
"""

import resource
import runpy
import sys


def main() -> None:
    most_bytes = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))
    sys.argv = ["app", *sys.argv[2:]]
    runpy.run_module("app", run_name="__main__")


if __name__ == "__main__":
    main()
