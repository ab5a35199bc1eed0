"""Write `docs/reference-corrections.md` from `tests/reference/reference.toml`; `--check` only compares."""

import sys
from collections.abc import Iterable
from pathlib import Path

from tests.reference.entries import PromQuery, Reference, read_reference

PAGE = Path(__file__).parents[2] / "docs" / "reference-corrections.md"

INTRODUCTION = """\
# Corrections to the original document

Generated from `tests/reference/reference.toml` by `python -m tests.checks.corrections_page`.

The metrics, queries, alert rules and dashboard of this project come from one original document. Every documented name
and label is kept, and every documented query that parses returns a result unchanged. This page lists what is different,
and why. `make reference-check` runs all {queries} PromQL and {logs} LogQL queries, as written and corrected, on the
native servers, and compares each result with the counts of the program that sent the traffic.
"""


def page(reference: Reference) -> str:
    """Return the text of the page."""
    queries = reference.prom_queries
    parsing = [each for each in queries if each.corrected and not each.does_not_parse]
    sections = (
        INTRODUCTION.format(queries=len(queries), logs=len(reference.logql)),
        _section("Does not parse", [each for each in queries if each.does_not_parse]),
        _section("Parses, and computes something else", parsing),
        _others(reference),
        _alerts(reference),
    )
    return "\n".join(sections)


def _section(title: str, entries: Iterable[PromQuery]) -> str:
    rows = dict.fromkeys(
        f"| `{_line(each.query)}` | {each.does_not_parse or each.why} | `{each.corrected}` |" for each in entries
    )
    return "\n".join((f"## {title}", "", "| documented | wrong | use |", "|---|---|---|", *rows, ""))


def _others(reference: Reference) -> str:
    rows = [f"| {each.documented} | {each.why} | {each.corrected} |" for each in reference.others]
    return "\n".join(("## Not PromQL", "", "| documented | wrong | use |", "|---|---|---|", *rows, ""))


def _alerts(reference: Reference) -> str:
    rows = [f"| {each.name} | {each.rule} | {each.why} | {each.rule_in_use} |" for each in reference.alerts]
    head = (
        "## Alert rules",
        "",
        "| alert | documented rule | what was wrong with it | rule in use |",
        "|---|---|---|---|",
    )
    return "\n".join((*head, *rows, ""))


def _line(query: str) -> str:
    return query.replace("\n", "")


def main() -> int:
    """Write or compare the page; return the exit code."""
    text = page(read_reference())
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.stderr.write(
            "docs/reference-corrections.md: not what tests/reference/reference.toml says;"
            " run python -m tests.checks.corrections_page\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
