"""One consistent look at the store: a reader's connection, its resources and the time that counts as now."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from console.query.labels import attribute_labels, resource_labels
from console.query.shapes.base import Labels
from console.query.times import floor_to_ms
from console.store.read_traces import read_programs
from console.store.readers import ReaderConnection
from console.store.rows import Program


class View:
    """For one response; used in one thread, inside the read transaction of its connection."""

    def __init__(self, connection: ReaderConnection, now_ns: int) -> None:
        self.connection = connection
        self.now_ns = floor_to_ms(now_ns)
        """A whole millisecond."""
        self._resource_labels: dict[int, Labels] = {}

    @cached_property
    def resources(self) -> dict[int, Program]:
        """All resources by id."""
        return read_programs(self.connection)

    def labels(self, attributes: Mapping[str, Any], resource_id: int) -> Labels:
        """Return the labels of a series, those of its resource among them."""
        own = self._resource_labels.get(resource_id)
        if own is None:
            own = self._resource_labels[resource_id] = resource_labels(self.resources.get(resource_id))
        return own | attribute_labels(attributes)

    def service(self, resource_id: int) -> str | None:
        """Return the `service.name` of a resource."""
        resource = self.resources.get(resource_id)
        return None if resource is None else resource.service_name

    def resource_ids(self, services: tuple[str, ...]) -> list[int]:
        """Return the resources of these services."""
        return [each.id for each in self.resources.values() if each.service_name in services]
