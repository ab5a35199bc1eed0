"""The page that draws a board: one HTML document without any request of its own. Node's esbuild bundles `src/`.

Raises `packages.page.NodeMissingError` where the console's packages cannot be installed.
"""

import json
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from packages.page import bundle, install

SOURCE: Final = Path(__file__).parent / "src" / "main.js"
NOTE: Final = "Drawn from the board's JSON and the servers' answers by this project's own renderer. Not Grafana."
"""On every picture."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The script and the style sheet of the page."""

    script: str
    style: str


def build() -> Bundle:
    """Bundle the page."""
    with tempfile.TemporaryDirectory(prefix="gatewayz-boards-") as temporary:
        output = Path(temporary) / "page.js"
        bundle(SOURCE, output, install())
        return Bundle(script=output.read_text("utf-8"), style=output.with_suffix(".css").read_text("utf-8"))


def html(built: Bundle, answers: dict[str, Any], theme: str) -> str:
    """Return the document that draws a board's answers; `theme` is `light` or `dark`."""
    # Text of telemetry must not end the script.
    board = json.dumps(answers | {"theme": theme, "note": NOTE}).replace("<", "\\u003c")
    script = built.script.replace("</script", "<\\/script")
    return (
        f'<!doctype html><meta charset="utf-8"><title>Board</title><style>{built.style}</style>'
        f'<div id="page"></div><script>window.board = {board};</script><script type="module">{script}</script>'
    )
