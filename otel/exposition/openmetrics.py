"""The metadata lines of OpenMetrics 1.0.0, and which families may carry exemplars there.

A counter whose name lacks `_total` is typed `unknown`, because OpenMetrics has no other way to keep
its sample name. Sample names are therefore always those of text 0.0.4.
"""

from collections.abc import Container

from otel.exposition.family import Family, FamilyType

END = "# EOF\n"
"""The end marker, also of an empty exposition."""

_TOTAL = "_total"


def has_counter_name(family: Family, names: Container[str]) -> bool:
    """Whether OpenMetrics can type it as a counter: it is `x_total`, and `x` is not in `names`."""
    stem = family.name.removesuffix(_TOTAL)
    return family.type is FamilyType.COUNTER and stem not in {"", family.name} and stem not in names


def carries_exemplars(family: Family, names: Container[str]) -> bool:
    """Whether OpenMetrics allows exemplars on the family's samples: buckets and `_total` only."""
    return family.type is FamilyType.HISTOGRAM or has_counter_name(family, names)


def metadata(family: Family, names: Container[str]) -> str:
    """Return the lines before the samples of `family`.

    `names` are all families of the exposition.
    """
    name, type_ = family.name, str(family.type)
    if family.type is FamilyType.COUNTER:
        is_counter = has_counter_name(family, names)
        name, type_ = (name.removesuffix(_TOTAL), type_) if is_counter else (name, "unknown")
    text = family.help.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    unit = f"# UNIT {name} {family.unit}\n" if family.unit and name.endswith(f"_{family.unit}") else ""
    return f"# HELP {name} {text}\n# TYPE {name} {type_}\n{unit}"
