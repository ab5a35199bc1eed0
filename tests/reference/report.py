"""Prints what was found as a table: one line for each query in each form, and the counts."""

from typing import Final

from tests.reference.findings import Finding, Findings

EXPECTED: Final = {
    ("PromQL", "as written"): (51, 55),
    ("PromQL", "corrected"): (55, 55),
    ("LogQL", "as written"): (4, 4),
    ("alert", "as written"): (6, 6),
    ("panel", "as written"): (5, 5),
    ("variable", "as written"): (2, 2),
}
"""How many of how many have a value that was checked; four PromQL queries do not parse as they are written."""


def counts(findings: Findings) -> dict[tuple[str, str], tuple[int, int]]:
    """Return how many of how many are good, by part and form."""
    found = {}
    for part, form in EXPECTED:
        own = [each for each in findings.findings if (each.part, each.form) == (part, form)]
        found[part, form] = (sum(each.is_good for each in own), len(own))
    return found


def is_good(findings: Findings) -> bool:
    """Whether the counts are as expected, and nothing else is wrong."""
    return (
        counts(findings) == EXPECTED and not findings.problems and not any(each.problems for each in findings.findings)
    )


def table(findings: Findings) -> list[str]:
    """Return the lines."""
    lines = []
    for (part, form), (good, of) in counts(findings).items():
        lines.append(f"{part} {form}: {good} of {of} with the expected value")
        own = [each for each in findings.findings if (each.part, each.form) == (part, form)]
        lines += [line for number, each in enumerate(own, 1) for line in _lines(number, each)]
    lines += [f"DIFFERENT: {problem}" for problem in findings.problems]
    return [*lines, *summary(findings)]


def summary(findings: Findings) -> list[str]:
    """Return one line for each part, and the verdict."""
    lines = [f"{part:8} {form:10} {good} of {of}" for (part, form), (good, of) in counts(findings).items()]
    return [*lines, "the reference holds" if is_good(findings) else "the reference does NOT hold"]


def _lines(number: int, finding: Finding) -> list[str]:
    query = " ".join(finding.query.split())
    result = f"does not parse: {finding.refusal}" if finding.refusal else f"= {finding.value}"
    return [
        f"  {number:2} {finding.name}: {query}",
        f"     {result}",
        *(f"     DIFFERENT: {problem}" for problem in finding.problems),
    ]
