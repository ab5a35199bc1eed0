"""Label names and values of series, from the attributes that they and their resources have."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from console.query.shapes.base import Labels
from console.store.rows import Program

RESOURCE_PREFIX: Final = "resource."
RESOURCE_LABELS: Final = ("service.name", "service.instance.id", "service.version")
"""Those that every series can be grouped by, as `resource.service.name` and so on."""

_encode: Final = msgspec.json.encode


def label_text(value: Any) -> str:
    """Return an attribute's value as a label value: texts as they are, all others as JSON."""
    return value if isinstance(value, str) else _encode(value).decode()


def resource_labels(resource: Program | None) -> Labels:
    """Return the labels that a resource gives its series, under `resource.`."""
    named = () if resource is None else (resource.service_name, resource.service_instance, resource.service_version)
    return {
        f"{RESOURCE_PREFIX}{name}": value
        for name, value in zip(RESOURCE_LABELS, named, strict=False)
        if value is not None
    }


def attribute_labels(attributes: Mapping[str, Any]) -> Labels:
    """Return the labels that the attributes of a series give it."""
    return {name: value if isinstance(value, str) else label_text(value) for name, value in attributes.items()}


class Match(NamedTuple):
    """A condition on one label; a label that a series lacks is empty, as in Prometheus."""

    label: str
    value: str
    is_equal: bool

    def holds(self, labels: Labels) -> bool:
        """Return whether the labels satisfy it."""
        return (labels.get(self.label, "") == self.value) is self.is_equal


def parse_match(text: str) -> Match:
    """Read `label=value` or `label!=value`; raises ValueError for anything else."""
    label, equals, value = text.partition("=")
    is_equal = not label.endswith("!")
    label = label if is_equal else label[:-1]
    if not equals or not label:
        raise ValueError(f"match={text!r} is neither label=value nor label!=value")
    return Match(label, value, is_equal)


EVERY_LABEL: Final = "*"


def group_of(labels: Labels, by: Sequence[str]) -> Labels:
    """Return the labels of the group that a series belongs to: `sum by (...)`; `*` leaves every series alone."""
    if EVERY_LABEL in by:
        return labels
    return {name: labels.get(name, "") for name in by}
