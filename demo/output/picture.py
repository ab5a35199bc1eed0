"""`... | python -m demo.output.picture > docs/images/demo.svg` draws the printed lines of a demo run as SVG.

Keys in the lines are hidden. Long lines are cut. The same text gives the same picture.
"""

import re
import sys
from collections.abc import Iterable
from html import escape
from typing import Final

_COLUMNS: Final = 132
_LINE_PIXELS: Final = 18
_MARGIN_PIXELS: Final = 16
_CHARACTER_PIXELS: Final = 7.23
_KEY: Final = re.compile(r"\bgwz_[\w-]+")
_STYLE: Final = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px;white-space:pre"


def picture(lines: Iterable[str]) -> str:
    """Return the SVG document of some lines."""
    shown = [_shown(line) for line in lines]
    width = round(2 * _MARGIN_PIXELS + _COLUMNS * _CHARACTER_PIXELS)
    height = 2 * _MARGIN_PIXELS + _LINE_PIXELS * len(shown)
    rows = [
        f'<text x="{_MARGIN_PIXELS}" y="{_MARGIN_PIXELS + _LINE_PIXELS * number - 5}" fill="#d8dee9"'
        f' xml:space="preserve">{escape(line)}</text>'
        for number, line in enumerate(shown, 1)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" style="{_STYLE}">',
            f'<rect width="{width}" height="{height}" rx="8" fill="#1e222a"/>',
            *rows,
            "</svg>\n",
        ]
    )


def _shown(line: str) -> str:
    line = _KEY.sub("gwz_...", line.rstrip())
    return line if len(line) <= _COLUMNS else line[: _COLUMNS - 1] + "\u2026"


if __name__ == "__main__":
    sys.stdout.write(picture(sys.stdin.read().splitlines()))
