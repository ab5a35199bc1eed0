"""Check that relative links of every committed Markdown file lead to a file, and their anchors to a heading of it.

Links to other hosts are not followed.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(\s*<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def markdown_files() -> list[Path]:
    """Return the committed Markdown files, and new ones that are not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(path for name in listed.split("\0") if name and (path := ROOT / name).exists())


def anchors(text: str) -> set[str]:
    """Return the anchors of a page, as GitHub makes them from its headings."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while (numbered := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(numbered)
    return found


def links(text: str) -> Iterator[str]:
    """Yield the target of each link outside code that does not lead to another host."""
    for target in _LINK.findall(_CODE.sub("", _FENCE.sub("", text))):
        if not _ELSEWHERE.match(target):
            yield target


def problem_of(page: Path, target: str) -> str:
    """Return what is wrong with a link of `page`, nothing where it leads somewhere."""
    name, _, anchor = unquote(target).partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.is_relative_to(ROOT) or not path.exists():
        return "no such file"
    if anchor and path.suffix == ".md" and anchor not in anchors(path.read_text(encoding="utf-8")):
        return "no such heading"
    return ""


def problems() -> list[str]:
    """Return one line for each link that leads nowhere."""
    return [
        f"{page.relative_to(ROOT).as_posix()}: {target}: {problem}"
        for page in markdown_files()
        for target in links(page.read_text(encoding="utf-8"))
        if (problem := problem_of(page, target))
    ]


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or 0)
