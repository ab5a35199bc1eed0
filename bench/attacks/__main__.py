"""Attacks a gateway, and holds what that costs it and another key against bounds.

    python -m bench.attacks [--seconds 2] [--only NAME]... [--nginx] [--list] [--json FILE]

A real gateway with a bound of 1 GiB of memory (RLIMIT_DATA, and the resident memory of it and its children is watched) runs on a
core of its own. Attackers, providers, a pinger and a client of another key are processes on the other cores; the attackers and
their provider give way to what is measured. The exit code is 1 where a bound does not hold: without a key 300 MB over idle, with
one key 512 MB; GET /health/live within 100 ms; the p99 of another key at most 3 times what it is alone, and none of its calls fails.
With --nginx a plain reverse proxy stands in the gateway's place: the baseline.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.attacks.attack import Attack
from bench.attacks.catalogue import ATTACKS, find_attack
from bench.attacks.environment import LIMIT_BYTES, start_site
from bench.attacks.plain_proxy import find_nginx
from bench.attacks.report import HEADER, LEGEND, MIB, Row
from bench.attacks.run import AttackRun
from bench.cores import available_cores, on_cores, split_cores
from demo.process import ChildFailedError


async def run(attacks: Sequence[Attack], seconds: float, *, verbose: bool, nginx: str | None) -> list[Row]:
    """Run attacks one after the other, on `nginx` where its path is given; raises `ChildFailedError`."""
    cores = split_cores(available_cores())
    print(f"{cores.describe()}; load average {os.getloadavg()[0]:.1f}; RLIMIT_DATA {LIMIT_BYTES // MIB} MiB")
    print(f"{LEGEND}\n\n{HEADER}", flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="gatewayz-attacks-") as name, on_cores(cores.load):
        async with start_site(Path(name), cores, nginx=nginx) as site:
            attacking = AttackRun(site, seconds)
            try:
                for attack in attacks:
                    row = await attacking.attack(attack)
                    rows.append(row)
                    print(row.line() + (f"\n{'':17} {row.did}" if verbose else ""), flush=True)
            finally:
                await attacking.stop()
    return rows


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.attacks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each attack lasts")
    parser.add_argument("--only", action="append", metavar="NAME", help="this attack alone; may be repeated")
    parser.add_argument("--nginx", action="store_true", help="attack nginx in the gateway's place: the baseline")
    parser.add_argument("--list", action="store_true", help="print the attacks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows")
    parser.add_argument("--verbose", action="store_true", help="print what each attacker sent and got")
    arguments = parser.parse_args()
    if unknown := set(arguments.only or ()) - {each.name for each in ATTACKS}:
        parser.error(f"--only: no attack {', '.join(sorted(unknown))}; --list prints them")
    return arguments


def main() -> int:
    arguments = _parse()
    if arguments.list:
        for each in ATTACKS:
            print(f"{each.name:17} {each.who:7} {each.what}")
        return 0
    nginx = find_nginx() if arguments.nginx else None
    if arguments.nginx and nginx is None:
        print("attacks: --nginx needs nginx: apt-get install nginx-light", file=sys.stderr)
        return 2
    attacks = [find_attack(name) for name in arguments.only] if arguments.only else ATTACKS
    try:
        rows = asyncio.run(run(attacks, arguments.seconds, verbose=arguments.verbose, nginx=nginx))
    except KeyboardInterrupt:
        return 130
    except ChildFailedError as error:
        print(f"attacks: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows)) + b"\n")
    failed = [row.name for row in rows if row.failures]
    print(
        f"{len(rows) - len(failed)} of {len(rows)} attacks stayed within the bounds"
        + (f"; not: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
