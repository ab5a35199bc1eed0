"""The picture of a demo run: every line, without keys, as well-formed SVG."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from demo.output.picture import picture

ROOT = Path(__file__).parents[2]


def texts(svg: str) -> list[str]:
    root = ET.fromstring(svg)  # noqa: S314  our own text
    return [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_has_each_line_without_keys_and_within_its_width():
    drawn = texts(picture(["  a <b> & c", "curl -H 'Bearer gwz_abc-D_9'", "x" * 500]))
    assert drawn[:2] == ["  a <b> & c", "curl -H 'Bearer gwz_...'"]
    assert len(drawn[2]) == 132
    assert drawn[2].endswith("\u2026")


def test_the_same_lines_give_the_same_picture():
    assert picture(["a", "b"]) == picture(["a", "b"])


def test_the_readme_shows_a_picture_that_the_documented_command_draws_of_a_run_without_differences():
    assert "](docs/images/demo.svg)" in (ROOT / "README.md").read_text()
    assert "-m demo.output.picture > docs/images/demo.svg" in (ROOT / "CONTRIBUTING.md").read_text()
    shown = (ROOT / "docs" / "images" / "demo.svg").read_text()
    lines = texts(shown)
    assert any("lines compared, no difference" in line for line in lines)
    command = [sys.executable, "-m", "demo.output.picture"]
    drawn = subprocess.run(command, cwd=ROOT, input="\n".join(lines), capture_output=True, text=True, check=True).stdout
    assert drawn == shown
