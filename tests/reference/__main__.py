"""`make reference-check`: runs the native stack on free ports, plays the traffic, checks every query, prints the table, ends everything.

SEED plays the same traffic again. Exit code 0: every value is as expected; 1: one is not, or the stack could not run.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

from compose.native.build import BuildError, build, cache_folder, say_on_stderr
from compose.native.ports import free_ports
from compose.native.process import ServerFailedError
from compose.native.programs import SERVERS
from compose.native.stack import running_stack
from demo.process import ChildFailedError
from tests.reference.check import check_reference
from tests.reference.findings import Findings
from tests.reference.report import is_good, table


def _say(text: str) -> None:
    print(f"reference-check: {text}", file=sys.stderr, flush=True)


async def _check(binaries: dict[str, Path], folder: Path, seed: int) -> Findings:
    _say("starting Prometheus, Loki, Tempo, Alertmanager and the Collector on free ports")
    async with running_stack(binaries, folder / "stack", free_ports()) as stack:
        played = folder / "played"
        played.mkdir()
        findings = await check_reference(stack, played, seed, _say)
        _say("ending the servers (Tempo takes 5 s)")
    return findings


def main() -> int:
    """Run the check; return the exit code."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    seed = int(os.environ.get("SEED") or 0) or random.SystemRandom().randrange(1, 1_000_000)
    _say(f"SEED={seed} plays the same again")
    try:
        binaries = build(SERVERS, cache_folder(), say_on_stderr)
        with tempfile.TemporaryDirectory(prefix="reference-") as folder:
            findings = asyncio.run(_check(binaries, Path(folder), seed))
    except (BuildError, ServerFailedError, ChildFailedError, AssertionError, ValueError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    print("\n".join(table(findings)))
    return 0 if is_good(findings) else 1


if __name__ == "__main__":
    sys.exit(main())
