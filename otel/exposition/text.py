"""The metadata lines of Prometheus text format 0.0.4.

A counter is typed `counter` whatever its name ends with: Prometheus stores samples under the
written name, so a documented counter needs no `_total`.
"""

from otel.exposition.family import Family

END = ""
"""An exposition has no end marker."""


def metadata(family: Family) -> str:
    """Return the lines before the samples of `family`."""
    text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {family.name} {text}\n# TYPE {family.name} {family.type}\n"
