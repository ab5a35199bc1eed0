"""Maps names from events to the closed sets of label values, so that no client can create a series.

A name outside its set becomes `other`, `unmatched` or `_OTHER`.
"""

import builtins
from collections.abc import Container
from itertools import product

import msgspec

from otel.catalogue import semconv
from otel.catalogue.spec import MetricSpec

_BUILTIN_EXCEPTIONS = frozenset(
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
)
_ERROR_KINDS = frozenset(semconv.ERROR_KINDS)


class LabelBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The closed sets of one application.

    `routes` are the (provider, model) pairs that the configuration can call. `paths` are the route
    templates. `exception_types` are the class names of its own errors; builtin exceptions are
    always allowed.
    """

    app_name: str
    routes: tuple[tuple[str, str], ...] = ()
    paths: Container[str] = frozenset()
    exception_types: Container[str] = frozenset()
    providers: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()

    @classmethod
    def from_routes(
        cls,
        app_name: str,
        routes: tuple[tuple[str, str], ...],
        *,
        paths: Container[str] = frozenset(),
        exception_types: Container[str] = frozenset(),
    ) -> "LabelBounds":
        """Derive the sets of providers and models from the pairs."""
        return cls(
            app_name=app_name,
            routes=routes,
            paths=paths,
            exception_types=exception_types,
            providers=frozenset(provider for provider, _ in routes),
            models=frozenset(model for _, model in routes),
        )

    def provider(self, name: str | None) -> str:
        """Return the provider's label value."""
        return name if name is not None and name in self.providers else semconv.OTHER

    def model(self, name: str) -> str:
        """Return the model's label value."""
        return name if name in self.models else semconv.OTHER

    def path(self, template: str) -> str:
        """Return the route's label value."""
        return template if template in self.paths else semconv.UNMATCHED

    def method(self, verb: str) -> str:
        """Return the verb's label value."""
        return verb if verb in semconv.KNOWN_METHODS else semconv.OTHER_METHOD

    def status_code(self, code: int) -> str:
        """Return the status code as text; 500 for a number that HTTP does not define."""
        return str(code) if 100 <= code <= 599 else "500"  # noqa: PLR2004  the range that HTTP defines

    def exception_type(self, name: str) -> str:
        """Return the exception class's label value."""
        return name if name in self.exception_types or name in _BUILTIN_EXCEPTIONS else semconv.OTHER

    def error_kind(self, kind: str | None) -> str:
        """Return the label value of a failure's kind; applications may report kinds of their own."""
        return kind if kind in _ERROR_KINDS else semconv.OTHER


def known_label_sets(spec: MetricSpec, bounds: LabelBounds) -> list[dict[str, str]]:
    """Return every label set of `spec` that is known before the first event."""
    axes: list[list[dict[str, str]]] = []
    keys = set(spec.label_keys)
    if {semconv.PROVIDER, semconv.MODEL} <= keys:
        axes.append([{semconv.PROVIDER: provider, semconv.MODEL: model} for provider, model in bounds.routes])
    elif semconv.PROVIDER in keys:
        axes.append([{semconv.PROVIDER: provider} for provider in sorted(bounds.providers)])
    elif semconv.MODEL in keys:
        axes.append([{semconv.MODEL: model} for model in sorted(bounds.models)])
    axes.extend([{label.key: value} for value in label.values] for label in spec.labels if label.values)
    merged: list[dict[str, str]] = []
    for combination in product(*axes):
        labels: dict[str, str] = {}
        for part in combination:
            labels |= part
        merged.append(labels)
    return merged
