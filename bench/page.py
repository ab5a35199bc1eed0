"""Puts a generated table into a page of the documentation."""

from pathlib import Path


def put_into(page: Path, name: str, text: str) -> None:
    """Replace what is between the page's comments `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

    Raises ValueError where one of them is missing.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = page.read_text(encoding="utf-8")
    if begin not in old or end not in old:
        raise ValueError(f"{page} lacks {begin} and {end}")
    page.write_text(f"{old.partition(begin)[0]}{begin}\n{text}\n{end}{old.partition(end)[2]}", encoding="utf-8")
