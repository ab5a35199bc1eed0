"""The bounded set of series: which names and label sets `/metrics` may ever show, from the catalogue and the configuration alone."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from app.config.schema import AppConfig
from app.version import VERSION
from demo.traffic.counters import Series
from otel.catalogue import CATALOGUE
from otel.catalogue.inference import CANCELLED_CALLS
from otel.catalogue.semconv import OTHER
from otel.catalogue.spec import Kind, MetricSpec
from tests.harness.exposition import read_exposition

OPENMETRICS: Final = "application/openmetrics-text;version=1.0.0"
TEXT: Final = "text/plain;version=0.0.4"

_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER"}
_PATHS: Final = {"/v1/chat/completions", "/v1/embeddings", "/v1/models", "/v1/models/{model}", "unmatched"}
_STATUSES: Final = {
    "200",
    "204",
    "400",
    "401",
    "403",
    "404",
    "405",
    "409",
    "413",
    "415",
    "422",
    "429",
    "499",
    "502",
    "503",
    "504",
}
_EXCEPTIONS: Final = {"UpstreamFailedError", "UpstreamTimeoutError", "OverloadedError", "StoreUnavailableError"}
_JOBS: Final = {
    "anomalies",
    "budgets",
    "business",
    "circuit_breakers",
    "cost_rollup",
    "lease",
    "ledger_retention",
    "model_probes",
    "model_usage",
    "provider_probes",
}
_EXEMPLAR: Final = {"trace_id": re.compile("[0-9a-f]{32}"), "span_id": re.compile("[0-9a-f]{16}")}


class SeriesBounds:
    """Knows every series that may be."""

    def __init__(self, config: AppConfig) -> None:
        self._routes = {(route.provider, model.name) for model in config.models for route in model.routes}
        self._cached = {model.name for model in config.models if model.cache_ttl_seconds}
        self._values: Mapping[str, set[str]] = {
            "app_name": {config.telemetry.app_name},
            "method": _METHODS,
            "path": _PATHS,
            "status_code": _STATUSES,
            "exception_type": _EXCEPTIONS,
            "version": {VERSION},
            "provider": {provider for provider, _ in self._routes},
            "model": {model for _, model in self._routes},
            "plan": {plan.name for plan in config.plans},
            "job_name": _JOBS,
            "metric": {spec.name for spec in CATALOGUE},
        }
        operations = {
            model.name: "embeddings" if model.operation == "embeddings" else "chat" for model in config.models
        }
        self._span_names = {f"{method} {path}" for method in _METHODS for path in _PATHS}
        self._span_names |= {f"{operation} {name}" for name, operation in operations.items()}
        self._specs = {name: spec for spec in CATALOGUE for name in _sample_names(spec)}

    def unexpected(self, series: Iterable[Series]) -> list[Series]:
        """Return the series that must not exist."""
        return [each for each in series if not self._is_allowed(each)]

    def counts(self, sample_name: str) -> bool:
        """Whether samples of that name can only grow."""
        return sample_name in self._specs and self._specs[sample_name].kind.prometheus_type != "gauge"

    def stray_values(self, label: str, values: Iterable[str]) -> set[str]:
        """Return the values that a log field or span attribute of this closed set must not have."""
        return set(values) - self._values[label]

    def stray_span_names(self, names: Iterable[str]) -> set[str]:
        """Return the names that no span may have."""
        return set(names) - self._span_names

    def _is_allowed(self, series: Series) -> bool:
        name, pairs = series
        spec = self._specs.get(name)
        labels = dict(pairs)
        if spec is None:
            return False
        if name == f"{spec.name}_bucket" and spec.kind is Kind.HISTOGRAM:
            bound = labels.pop("le", "")
            if not bound or float(bound) not in {*spec.buckets, float("inf")}:
                return False
        if set(labels) != set(spec.label_keys) or len(pairs) != len(dict(pairs)):
            return False
        # A client may leave before any provider was asked, or within a cached response.
        if name == CANCELLED_CALLS and labels["provider"] == OTHER:
            if labels["phase"] != "before_first_byte" and labels["model"] not in self._cached:
                return False
            del labels["provider"]
        elif {"provider", "model"} <= set(labels) and (labels["provider"], labels["model"]) not in self._routes:
            return False
        bounds = {label.key: set(label.values) or self._values[label.key] for label in spec.labels}
        return all(value in bounds[key] for key, value in labels.items())


def _sample_names(spec: MetricSpec) -> list[str]:
    return (
        [f"{spec.name}_{part}" for part in ("bucket", "sum", "count")] if spec.kind is Kind.HISTOGRAM else [spec.name]
    )


def read_text(exposition: str) -> dict[Series, float]:
    """Read text 0.0.4 with a strict reader and with the official parser; raises ValueError where either fails or they disagree."""
    samples = read_exposition(exposition)
    official = sum(len(family.samples) for family in parse_text(exposition))
    if official != len(samples):
        raise ValueError(f"{official} samples by the official parser, {len(samples)} by ours")
    return samples


def read_openmetrics(exposition: str) -> dict[Series, float]:
    """Read OpenMetrics with the official parser; raises ValueError, also for an exemplar that holds more than ids."""
    samples: dict[Series, float] = {}
    for family in parse_openmetrics(exposition):
        for sample in family.samples:
            samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
            for key, value in (sample.exemplar.labels if sample.exemplar else {}).items():
                if key not in _EXEMPLAR or _EXEMPLAR[key].fullmatch(value) is None:
                    raise ValueError(f"an exemplar of {sample.name} with {key}={value!r}")
    return samples
