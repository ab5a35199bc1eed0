"""Write `docs/metrics.md` from the catalogue; `--check` only compares.

The page has the tables of `GET /prometheus/metrics/docs`, with an introduction for readers of the repository.
"""

import sys
from pathlib import Path

from otel.catalogue import CATALOGUE
from otel.catalogue.conventions import CONVENTIONS
from otel.catalogue.spec import Kind, MetricSpec
from otel.exposition.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
INTRODUCTION = """\
# Metrics

Generated from `otel/catalogue/` by `python -m tests.checks.metrics_page`.

The catalogue has {families} families: {kinds}. {documented} of them are the documented metrics. A running gateway
serves the same reference at `GET /prometheus/metrics/docs`. [queries.md](queries.md) has queries by question, and
[alerts.md](alerts.md) the alerts that use these families.

In an application that uses `otel/` by itself, HTTP families keep their names and families called `gatewayz_*` here
have no prefix ([instrument-your-app.md](instrument-your-app.md#names)).
"""


def page() -> str:
    """Return the text of the page."""
    title, _, body = reference((*CATALOGUE, *CONVENTIONS)).partition("\n")
    if title != "# Metrics reference":
        raise ValueError(f"the reference begins with {title!r}, so its title cannot be replaced")
    introduction = INTRODUCTION.format(
        families=len(CATALOGUE), kinds=_kinds(CATALOGUE), documented=sum(spec.documented for spec in CATALOGUE)
    )
    body = body.replace("| this page |", "| the reference, like this page |")
    return f"{introduction}{body}"


def _kinds(specs: tuple[MetricSpec, ...]) -> str:
    histograms = sum(spec.kind is Kind.HISTOGRAM for spec in specs)
    counters = sum(spec.kind.prometheus_type == "counter" for spec in specs)
    return f"{counters} counters, {len(specs) - histograms - counters} gauges and {histograms} histograms"


def main() -> int:
    """Write or compare the page; return the exit code."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.stderr.write("docs/metrics.md: not what the catalogue says; run python -m tests.checks.metrics_page\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
