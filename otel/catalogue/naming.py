"""The names under which families are exposed: the documented ones, with the prefixes that an application wants."""

from typing import Final

import msgspec

from otel.catalogue.spec import MetricSpec

_DOCUMENTED_HTTP: Final = "fastapi_"
_DOCUMENTED_OWN: Final = "gatewayz_"


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """The prefixes of one application.

    `http` replaces `fastapi` in the HTTP families. `own` replaces `gatewayz` in all others that have
    it, and where it is empty the underscore is dropped too: `telemetry_exported_total`.
    """

    http: str = "fastapi"
    own: str = "gatewayz"

    @property
    def namespace(self) -> str:
        """The first part of span attributes and logger names that no convention defines."""
        return self.own or "app"

    def family(self, documented: str) -> str:
        """Return the exposed name of a documented family."""
        return self._renamed(documented, documented)

    def spec(self, spec: MetricSpec) -> MetricSpec:
        """Return the family's entry under its exposed name, with queries that use it."""
        name = self.family(spec.name)
        if name == spec.name:
            return spec
        queries = tuple(query.replace(spec.name, name) for query in spec.queries)
        return msgspec.structs.replace(spec, name=name, queries=queries)

    def _renamed(self, documented: str, fallback: str) -> str:
        for documented_prefix, prefix in ((_DOCUMENTED_HTTP, self.http), (_DOCUMENTED_OWN, self.own)):
            if documented.startswith(documented_prefix):
                rest = documented.removeprefix(documented_prefix)
                return f"{prefix}_{rest}" if prefix else rest
        return fallback


DOCUMENTED: Final = Naming()
"""The documented names as they are: those of the gateway."""
