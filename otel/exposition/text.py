"""TEXT: the metadata lines of Prometheus text format 0.0.4.

Comes in: a family. Goes out: HELP and TYPE. A counter is typed `counter` whatever its name ends
with: Prometheus stores samples under the name that is written, so a documented counter keeps its
bare name.
"""

from otel.exposition.family import Family

END = ""
"""What closes an exposition: nothing."""


def metadata(family: Family) -> str:
    """Return the lines before the samples of `family`."""
    text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {family.name} {text}\n# TYPE {family.name} {family.type}\n"
