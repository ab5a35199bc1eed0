"""Runs one attack in a process of its own and prints what it did as one line of JSON (`Done`).

What it sends it prepares first. Then it makes `FOLDER/ready`, and begins when there is `FOLDER/go`.

It gives way to whatever else wants its core, so that what is late is the gateway and not the client that is measured.
"""

import argparse
import asyncio
import contextlib
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.attacks.catalogue import find_attack
from bench.attacks.target import Target
from bench.priority import give_way

READY = "ready"
GO = "go"
POLL_SECONDS = 0.02
MOST_WAIT_SECONDS = 30.0


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What an attack did: connections, bytes sent, and the responses that were read, by status."""

    opened: int
    sent_bytes: int
    responses: dict[str, int]

    def describe(self) -> str:
        """Return it as a phrase."""
        read = ", ".join(f"{count} x {status}" for status, count in sorted(self.responses.items()))
        return f"{self.opened} connections, {self.sent_bytes / 1e6:.1f} MB sent" + (f"; {read}" if read else "")


async def wait_for(path: Path, check: Callable[[], object]) -> None:
    """Wait until a file exists, and call `check` before each look at it; raises what that raises."""
    while True:
        check()
        if os.path.exists(path):  # noqa: PTH110, ASYNC240  a look takes microseconds
            return
        await asyncio.sleep(POLL_SECONDS)


def allow_many_files() -> None:
    """Raise the soft limit of file descriptors to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", default="")
    parser.add_argument("--limited-key", default="")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    give_way()
    allow_many_files()
    address = urlsplit(arguments.url)

    async def start() -> None:
        (arguments.folder / READY).touch()
        # Whoever started it may have ended meanwhile.
        async with asyncio.timeout(MOST_WAIT_SECONDS):
            await wait_for(arguments.folder / GO, lambda: None)

    async def run() -> Target:
        target = Target(
            address.hostname or "",
            address.port or 80,
            key=arguments.key,
            limited_key=arguments.limited_key,
            seconds=arguments.seconds,
            start=start,
        )
        await find_attack(arguments.name).act(target)
        return target

    target = uvloop.run(run())
    done = Done(opened=target.opened, sent_bytes=target.sent_bytes, responses=target.responses)
    sys.stdout.write(msgspec.json.encode(done).decode() + "\n")


if __name__ == "__main__":
    main()
