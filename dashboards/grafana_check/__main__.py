"""`make grafana-check`: prints what of a running Grafana works; the exit code is 1 where something does not."""

import asyncio
import math
import os
import sys
import time
from collections.abc import Mapping

from dashboards.grafana_check.check import check
from dashboards.grafana_check.client import Credentials, GrafanaClient, GrafanaError
from dashboards.grafana_check.findings import report

USAGE = (
    "usage: GRAFANA_URL=http://127.0.0.1:3000 [GRAFANA_TOKEN=glsa_... | GRAFANA_USER=admin:admin]"
    " [GRAFANA_MINUTES=60] python -m dashboards.grafana_check"
)


async def run(environ: Mapping[str, str], now_seconds: float) -> int:
    """Check the Grafana that the environment names; return the exit code."""
    url = environ.get("GRAFANA_URL", "").rstrip("/")
    minutes = _minutes(environ.get("GRAFANA_MINUTES") or "60")
    user = environ.get("GRAFANA_USER", "")
    if not url.startswith(("http://", "https://")) or minutes is None or (user and ":" not in user):
        sys.stderr.write(f"{USAGE}\n")
        return 2
    credentials = Credentials(token=environ.get("GRAFANA_TOKEN", ""), user=user)
    to_ms = int(now_seconds * 1000)
    try:
        async with GrafanaClient(url, credentials) as client:
            findings = await check(client, from_ms=to_ms - int(minutes * 60_000), to_ms=to_ms)
    except GrafanaError as error:
        sys.stderr.write(f"grafana-check: {error}\n")
        return 1
    lines, is_good = report(findings)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if is_good else 1


def _minutes(text: str) -> float | None:
    """Return a number of minutes; None where it is none."""
    try:
        minutes = float(text)
    except ValueError:
        return None
    return minutes if 0 < minutes < math.inf else None


if __name__ == "__main__":
    if "--help" in sys.argv:
        sys.stdout.write(f"{USAGE}\n\n{__doc__}\n")
        sys.exit(0)
    sys.exit(asyncio.run(run(os.environ, time.time())))
