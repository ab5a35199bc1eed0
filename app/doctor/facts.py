"""Everything that the doctor observed of one pipeline, before any check.

`observe.py` and the `query_*` modules fill it; the `check_*` modules read it. None means: not observed.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from app.doctor.scrape import Scrape, growth
from otel.catalogue import self_telemetry
from otel.config.otlp import Signal

COUNTS_COLLECTIONS: Final = self_telemetry.SCRAPE_DURATION
"""Its count grows with each collection that was rendered: a later one has a higher count than the one that responded."""

COLLECTED_AS: Final[Mapping[Signal, str]] = {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}
"""What the Collector's own metrics call the items of a signal."""

STORES: Final[Mapping[Signal, str]] = {"traces": "tempo", "metrics": "prometheus", "logs": "loki"}
"""Where each signal ends."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """One server: whether anything responds at `url`. An empty URL is a server that was left out."""

    url: str
    status: int | None = None
    trouble: str = ""
    skew_seconds: float | None = None
    body: bytes = b""

    @property
    def responds(self) -> bool:
        """Whether there was any HTTP response."""
        return self.status is not None


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """The request that was sent to be followed. `status` is None where it got no response."""

    trace_id: str
    method: str
    path: str
    status: int | None
    response_trace_id: str = ""
    trouble: str = ""
    has_key: bool = False
    model: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        """What identifies its series of `fastapi_requests_total`."""
        return {"method": self.method, "path": self.path, "status_code": str(self.status)}


class OtlpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What an empty export of one signal got from the Collector."""

    address: str
    accepted: bool
    reason: str = ""

    @property
    def needs_token(self) -> bool:
        """401, 403 and their gRPC forms."""
        return any(word in self.reason for word in ("HTTP 401", "HTTP 403", "UNAUTHENTICATED", "PERMISSION_DENIED"))

    @property
    def has_no_pipeline(self) -> bool:
        """404 and its gRPC form: an OTLP receiver returns it for a signal without a pipeline."""
        return any(word in self.reason for word in ("HTTP 404", "UNIMPLEMENTED"))

    @property
    def is_silent(self) -> bool:
        """No server of the protocol responded."""
        return (not self.accepted and not self.reason.startswith(("HTTP ", "gRPC "))) or "UNAVAILABLE" in self.reason


class Target(msgspec.Struct, frozen=True):
    """One target that Prometheus scrapes."""

    job: str
    url: str
    health: str
    error: str


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What Prometheus holds of this gateway process since the marked request.

    `fresh_names`: sample names with a point newer than the request. `marked_value`: the marked request's counter.
    """

    instance: str | None
    fresh_names: frozenset[str]
    marked_value: float | None


class PrometheusFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What Prometheus reports about itself."""

    targets: tuple[Target, ...] | None = None
    otlp_receiver: bool | None = None
    translation_strategy: str | None = None
    rules: int | None = None
    rule_errors: tuple[str, ...] = ()
    alertmanagers: int | None = None
    head_series: int | None = None
    largest_names: tuple[tuple[str, int], ...] = ()
    jobs_by_name: Mapping[str, tuple[str, ...]] | None = None


class LogLine(msgspec.Struct, frozen=True):
    """The marked request's line in Loki, with the labels it was found under."""

    selector: str
    labels: Mapping[str, str]
    has_job: bool


class LinkEnd(msgspec.Struct, frozen=True, rename="camel"):
    """One end of a link between Grafana's data sources."""

    datasource_uid: str | None = None


class LinkSettings(msgspec.Struct, frozen=True, rename="camel"):
    """The links to other data sources in a data source's `jsonData`."""

    exemplar_trace_id_destinations: tuple[LinkEnd, ...] = ()
    derived_fields: tuple[LinkEnd, ...] = ()
    traces_to_logs_v2: LinkEnd = LinkEnd()
    traces_to_metrics: LinkEnd = LinkEnd()


class DataSource(msgspec.Struct, frozen=True, rename="camel"):
    """One data source of Grafana."""

    type: str
    uid: str
    json_data: LinkSettings = LinkSettings()


class ProviderResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What one configured provider returned for a GET of its list of models.

    `url` has no query and no user information. `key_variables` name the variables of its key and its secret headers, `unset_variables`
    those without a usable value in the doctor's environment; with `unset_proxy`, its proxy's variable, it was not queried.
    `models` are the upstream names that the configuration routes to, `listed` those in the response, None where it is not a list;
    `has_more`: there are further pages.
    """

    name: str
    url: str
    status: int | None
    trouble: str = ""
    key_variables: tuple[str, ...] = ()
    unset_variables: tuple[str, ...] = ()
    unset_proxy: str | None = None
    models: tuple[str, ...] = ()
    listed: frozenset[str] | None = None
    has_more: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything observed. `gateway_before` and `gateway_after` are `/metrics` before the request and at the end; the Collector's likewise.

    `otlp` is empty where OTLP is not used. `waited_seconds`: how long the marked request was followed.
    """

    servers: Mapping[str, Server]
    metrics: Server
    gateway_before: Scrape | None
    gateway_after: Scrape | None
    collector_before: Scrape | None
    collector_after: Scrape | None
    otlp: Mapping[Signal, OtlpResponse]
    otlp_needs_token: bool
    marked: Marked | None
    expected_value: float | None
    prometheus: PrometheusFacts
    stored: Stored | None
    line: LogLine | None
    trace_spans: int | None
    data_sources: tuple[DataSource, ...] | None
    max_skew_seconds: float
    waited_seconds: float = 0.0
    providers: tuple[ProviderResponse, ...] = ()

    @property
    def is_newer_than_the_request(self) -> bool:
        """Whether `gateway_after` was collected after `gateway_before`; the first collection of a gateway has no count."""
        return self.gateway_growth(f"{COUNTS_COLLECTIONS}_count") > 0

    def arrived(self, signal: Signal) -> bool:
        """Whether the signal of the marked request was seen in its store."""
        if signal == "traces":
            return bool(self.trace_spans)
        if signal == "logs":
            return self.line is not None
        return self.stored is not None and bool(self.stored.fresh_names)

    def gateway_growth(self, name: str, **labels: str) -> float:
        """By how much a metric of the gateway grew meanwhile."""
        return growth(self.gateway_before, self.gateway_after, name, **labels)

    def collector_growth(self, kind: str, signal: Signal, **labels: str) -> float:
        """By how much `otelcol_<kind>_<items>` grew meanwhile."""
        return growth(self.collector_before, self.collector_after, f"otelcol_{kind}_{COLLECTED_AS[signal]}", **labels)
