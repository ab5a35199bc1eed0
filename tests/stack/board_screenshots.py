"""The second part of `make screenshots`: the pictures of docs/boards.md, from a demo in front of the real servers.

The demo plays an outage for ten minutes, so that charts have a course and the board On call has something to show.
Each board is drawn in a window of 1280 x 800 pixels, light and dark, and once in its whole height.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from compose.native.build import build, cache_folder, say_on_stderr
from compose.native.ports import LOOPBACK, free_ports
from compose.native.programs import SERVERS
from compose.native.servers import Choices
from compose.native.stack import Stack, running_stack
from dashboards.pictures.answers import Servers, board_answers, range_until
from dashboards.pictures.page import build as build_page
from dashboards.pictures.page import html
from tests.dashboards.drawn_board import drawn_board
from tests.servers.chromium import running_chromium
from tests.stack.test_boards import ARRIVAL_SECONDS, RANGE_SECONDS, documents

ROOT: Final = Path(__file__).parents[2]
IMAGES: Final = ROOT / "docs" / "images"
SECONDS: Final = 620
THEMES: Final = ("light", "dark")
DEMO: Final = {"SCENARIO": "outage", "SPEED": "1", "OTEL_METRIC_EXPORT_INTERVAL": "5000"}
_END_SECONDS: Final = 90.0


def name_of(uid: str, view: str) -> str:
    """Return the file name of a picture; `view` is a theme, or `whole`."""
    return f"board-{uid.removeprefix('gatewayz-')}-{view}.png"


def take_all(answers: dict[str, dict[str, Any]], folder: Path) -> None:
    """Draw each board and write its pictures."""
    page_parts = build_page()
    with running_chromium() as browser:
        for uid, board in answers.items():
            for theme in THEMES:
                with drawn_board(browser, html(page_parts, board, theme), theme) as page:
                    page.screenshot(path=folder / name_of(uid, theme))
                    if theme == "light":
                        page.screenshot(path=folder / name_of(uid, "whole"), full_page=True)
    _shrink(folder)


def _shrink(folder: Path) -> None:
    """Write the pictures with a palette, where `pngquant` is installed."""
    program = shutil.which("pngquant")
    if program is not None:
        pictures = sorted(folder.glob("board-*.png"))
        subprocess.run([program, "--force", "--ext", ".png", "--speed", "1", "--strip", *pictures], check=True)


async def _answers() -> dict[str, dict[str, Any]]:
    """Return what the boards have to show at the end of the demo."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    binaries = build(SERVERS, cache_folder(), say_on_stderr)
    choices = Choices(gateway_address=f"{LOOPBACK}:{port}")
    with tempfile.TemporaryDirectory() as folder:
        async with running_stack(binaries, Path(folder), free_ports(), choices) as stack, _running_demo(stack, port):
            await asyncio.sleep(SECONDS)
            servers = Servers(prometheus=stack.url("prometheus"), loki=stack.url("loki"), tempo=stack.url("tempo"))
            shown = range_until(time.time() - ARRIVAL_SECONDS, RANGE_SECONDS)
            return {uid: await board_answers(servers, document, shown) for uid, document in documents().items()}


@asynccontextmanager
async def _running_demo(stack: Stack, port: int) -> AsyncIterator[None]:
    """Run the demo against the stack's Collector until the end of the block."""
    environ = {**os.environ, **DEMO, "PORT": str(port), "OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("otelcol")}
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "demo", cwd=ROOT, env=environ, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        demo.terminate()
        await asyncio.wait_for(demo.wait(), _END_SECONDS)


def main() -> int:
    """Run the stack and the demo, and take the pictures."""
    IMAGES.mkdir(exist_ok=True)
    take_all(asyncio.run(_answers()), IMAGES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
