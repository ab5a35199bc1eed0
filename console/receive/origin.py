"""Resources and scopes of a request, each read once.

Sources: `opentelemetry/proto/resource/v1/resource.proto` and `common/v1/common.proto`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from console.receive.attributes import attributes_of, encoded_sorted
from console.receive.promoted import text
from console.store.records import Origin, ResourceRecord, ScopeRecord
from console.store.values import Value, encode_sorted


def origins(groups: Iterable[Any], scoped_field: str) -> Iterator[tuple[Origin, Any]]:
    """Yield each scope's message with its origin; `scoped_field` names the list of them in a group."""
    for group in groups:
        attributes = attributes_of(group.resource.attributes)
        resource = ResourceRecord(
            _name(attributes.get("service.name")),
            _name(attributes.get("service.version")),
            _name(attributes.get("service.instance.id")),
            encode_sorted(attributes),
            group.schema_url,
        )
        for scoped in getattr(group, scoped_field):
            scope = scoped.scope
            origin = ScopeRecord(scope.name, scope.version, encoded_sorted(scope.attributes), scoped.schema_url)
            yield Origin(resource, origin), scoped


def _name(value: Value) -> str | None:
    """Return a name; one that is no text, such as a process id, as its JSON."""
    return None if value is None else text(value if isinstance(value, str) else encode_sorted(value))
