"""`make screenshots` takes the pictures of docs/console.md from a demo: every screen, light and dark, at a desk and on a phone.

The demo runs for about two minutes before the first picture, so that charts have something to show, and at
the recorded pace, so that the browser and the gateway do not slow each other down. `pngquant` makes the
pictures a third as large; where it is not installed they are taken as they are.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any, Final

from tests.console.page.watched_page import DESK, PHONE, watched_page
from tests.harness.polling import wait_for
from tests.servers.chromium import running_chromium

ROOT: Final = Path(__file__).parents[3]
IMAGES: Final = ROOT / "docs" / "images"
SECONDS: Final = 130
SCREENS: Final = {
    "now": "",
    "failures": "?screen=failures",
    "requests": "?screen=requests",
    "request": "?screen=trace&id={trace}&span={span}",
    "metrics": "?screen=metrics&name=model_inference_duration_seconds&range=5m&by=provider",
    "cost": "?screen=cost",
    "pipeline": "?screen=pipeline",
    "tail": "?screen=tail",
}
VIEWS: Final = {"desk": DESK, "phone": PHONE}
THEMES: Final = ("light", "dark")
_START_SECONDS: Final = 180.0
_PAGE: Final = re.compile(r"(http://\S+?)/?\s+the console")


def name_of(screen: str, view: str, theme: str) -> str:
    """Return the file name of a picture."""
    return f"console-{screen}-{view}-{theme}.png"


def take_all(base_url: str, folder: Path) -> None:
    """Take the pictures of a running console that has shown failures."""
    failing = wait_for(
        lambda: _failing(base_url), "a request that two providers failed", timeout_seconds=_START_SECONDS
    )
    with running_chromium() as browser:
        for view, size in VIEWS.items():
            for theme in THEMES:
                with watched_page(browser, base_url, size=size, theme=theme) as watched:
                    for screen, query in SCREENS.items():
                        watched.open(query.format(**failing))
                        if screen == "tail":
                            watched.page.locator("main tbody tr").nth(12).wait_for()
                        watched.page.screenshot(path=folder / name_of(screen, view, theme))


def _shrink(folder: Path) -> None:
    """Write the pictures with a palette."""
    program = shutil.which("pngquant")
    if program is not None:
        pictures = sorted(folder.glob("console-*.png"))
        subprocess.run([program, "--force", "--ext", ".png", "--speed", "1", "--strip", *pictures], check=True)


def _failing(base_url: str) -> dict[str, Any]:
    """Return the ids of a trace whose first attempt failed and whose second succeeded; nothing where there is none yet."""
    for row in _get(base_url, "requests?call_status=success&limit=200")["rows"]:
        if (row["attempts"] or 0) > 1 and row["has_trace"]:
            trace = _get(base_url, f"traces/{row['trace_id']}")
            failed = [one for one in trace["attempts"] if one["status"] == "error"]
            if failed and trace["logs"]:
                return {"trace": row["trace_id"], "span": failed[0]["span_id"]}
    return {}


def _get(base_url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{base_url}/api/{path}", timeout=30) as response:  # noqa: S310  the console on loopback
        return json.load(response)


def main() -> int:
    """Run the demo, take the pictures, end the demo."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryFile("w+") as output:
        environ = {**os.environ, "PORT": "0", "CONSOLE_PORT": "0", "SPEED": "1", "PYTHONUNBUFFERED": "1"}
        demo = subprocess.Popen([sys.executable, "-m", "demo"], cwd=ROOT, env=environ, stdout=output, text=True)

        def text() -> str:
            output.seek(0)
            return output.read()

        try:
            found = wait_for(lambda: _PAGE.search(text()), text, timeout_seconds=_START_SECONDS)
            assert found
            base_url = found[1].rstrip("/")
            wait_for(lambda: _elapsed(base_url) > SECONDS, timeout_seconds=SECONDS + _START_SECONDS)
            take_all(base_url, IMAGES)
            _shrink(IMAGES)
        finally:
            demo.terminate()
            demo.wait(60)
    return 0


def _elapsed(base_url: str) -> float:
    """Return for how long the console has held telemetry."""
    meta = _get(base_url, "meta")
    return 0.0 if meta["oldest"] is None else float(meta["now"] - meta["oldest"])


if __name__ == "__main__":
    sys.exit(main())
