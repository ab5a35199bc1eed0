"""Metrics under the names of OpenTelemetry's semantic conventions, beside the documented families; off by default.

Names, attributes, units and buckets are those of release 1.44.0 for HTTP and databases, and of 1.41.1
for GenAI, the last release that has it: its development goes on in a repository of its own.
"""

from collections.abc import Mapping
from typing import Final

from otel.catalogue import gateway, http, inference, labels, semconv
from otel.catalogue.spec import Kind, Label, MetricSpec

HTTP: Final = "http"
DATABASE: Final = "database"
GEN_AI: Final = "gen_ai_latest_experimental"
OPT_INS: Final = (HTTP, DATABASE, GEN_AI)
"""The values of `OTEL_SEMCONV_STABILITY_OPT_IN` that add families."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

SERVER_DURATION: Final = "http_server_request_duration_seconds"
ACTIVE_REQUESTS: Final = "http_server_active_requests"
HTTP_CLIENT_DURATION: Final = "http_client_request_duration_seconds"
QUERY_DURATION: Final = "db_client_operation_duration_seconds"
OPERATION_DURATION: Final = "gen_ai_client_operation_duration_seconds"
TOKEN_USAGE: Final = "gen_ai_client_token_usage"  # noqa: S105  a metric name
TIME_TO_FIRST_CHUNK: Final = "gen_ai_client_operation_time_to_first_chunk_seconds"

REQUEST_METHOD: Final = "http.request.method"
SCHEME: Final = "url.scheme"
ROUTE: Final = "http.route"
RESPONSE_STATUS: Final = "http.response.status_code"
PROTOCOL_VERSION: Final = "network.protocol.version"
ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
DB_SYSTEM: Final = "db.system.name"
DB_OPERATION: Final = "db.operation.name"
GEN_AI_OPERATION: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER: Final = "gen_ai.provider.name"
GEN_AI_MODEL: Final = "gen_ai.request.model"
GEN_AI_TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  an attribute key

SCHEMES: Final = ("http", "https")
PROTOCOL_VERSIONS: Final = ("1.0", "1.1", "2", "3")

_HTTP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_DATABASE_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
_GEN_AI_BUCKETS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKEN_BUCKETS: Final = tuple(4.0**exponent for exponent in range(14))

_METHOD = Label(REQUEST_METHOD, bound_by=labels.METHOD.bound_by)
_SCHEME = Label(SCHEME, values=SCHEMES)
_STATUS = Label(RESPONSE_STATUS, bound_by=labels.STATUS_CODE.bound_by)
_ERROR = Label(ERROR_TYPE, bound_by="error kinds, exception classes and status codes; absent without an error")
_SERVER = (
    Label(SERVER_ADDRESS, bound_by="hosts of the configured providers"),
    Label(SERVER_PORT, bound_by="their ports"),
)
_GEN_AI = (
    Label(GEN_AI_OPERATION, bound_by="operations of the gateway"),
    Label(GEN_AI_PROVIDER, bound_by=labels.PROVIDER.bound_by),
    Label(GEN_AI_MODEL, bound_by=labels.MODEL.bound_by),
    *_SERVER,
)

CONVENTIONS: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=SERVER_DURATION,
        instrument="http.server.request.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of HTTP requests, to the end of the response body.",
        labels=(
            _METHOD,
            _SCHEME,
            Label(ROUTE, bound_by="route templates; absent where no route matched"),
            _STATUS,
            Label(PROTOCOL_VERSION, values=PROTOCOL_VERSIONS),
            _ERROR,
        ),
        buckets=_HTTP_BUCKETS,
        updated_by="the end of the response body",
        documented=False,
        convention=HTTP,
    ),
    MetricSpec(
        name=ACTIVE_REQUESTS,
        instrument="http.server.active_requests",
        kind=Kind.UP_DOWN_COUNTER,
        unit="{request}",
        help="HTTP requests being served now.",
        labels=(_METHOD, _SCHEME),
        updated_by="entry and exit of each HTTP request",
        documented=False,
        convention=HTTP,
    ),
    MetricSpec(
        name=HTTP_CLIENT_DURATION,
        instrument="http.client.request.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of HTTP requests to providers, to the end of the response.",
        labels=(_METHOD, *_SERVER, _STATUS, _ERROR),
        buckets=_HTTP_BUCKETS,
        updated_by="each upstream attempt that ends, unless its client left",
        documented=False,
        convention=HTTP,
    ),
    MetricSpec(
        name=QUERY_DURATION,
        instrument="db.client.operation.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of database statements.",
        labels=(
            Label(DB_SYSTEM, bound_by="supported databases"),
            Label(DB_OPERATION, values=tuple(each.upper() for each in semconv.QUERY_OPERATIONS)),
            Label(ERROR_TYPE, bound_by="exception classes of the driver; absent without an error"),
        ),
        buckets=_DATABASE_BUCKETS,
        updated_by="every statement",
        documented=False,
        convention=DATABASE,
    ),
    MetricSpec(
        name=OPERATION_DURATION,
        instrument="gen_ai.client.operation.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of upstream attempts, to the end of the stream.",
        labels=(*_GEN_AI, _ERROR),
        buckets=_GEN_AI_BUCKETS,
        updated_by="each upstream attempt that ends, unless its client left",
        documented=False,
        convention=GEN_AI,
    ),
    MetricSpec(
        name=TOKEN_USAGE,
        instrument="gen_ai.client.token.usage",
        kind=Kind.HISTOGRAM,
        unit="{token}",
        help="Tokens of each upstream attempt, as reported or else as estimated.",
        labels=(*_GEN_AI, Label(GEN_AI_TOKEN_TYPE, values=semconv.TOKEN_TYPES)),
        buckets=_TOKEN_BUCKETS,
        updated_by="the end of each upstream attempt that used tokens",
        documented=False,
        convention=GEN_AI,
    ),
    MetricSpec(
        name=TIME_TO_FIRST_CHUNK,
        instrument="gen_ai.client.operation.time_to_first_chunk",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Time from sending a streamed attempt to its first chunk with content.",
        labels=_GEN_AI,
        buckets=_GEN_AI_BUCKETS,
        updated_by="the end of each streamed attempt that sent content",
        documented=False,
        convention=GEN_AI,
    ),
)
"""Every family of the conventions that has an instrument here."""


EQUAL_TO: Final[Mapping[str, str]] = {
    SERVER_DURATION: f"count: `{http.REQUESTS}`; sum: that of `{http.REQUEST_DURATION}`",
    ACTIVE_REQUESTS: f"`{http.REQUESTS_IN_PROGRESS}`",
    HTTP_CLIENT_DURATION: f"count: `{inference.REQUESTS}`",
    QUERY_DURATION: f"count and sum: those of `{gateway.QUERY_DURATION}`",
    OPERATION_DURATION: f"count: `{inference.REQUESTS}`; sum without `error_type`: that of `{inference.DURATION}`",
    TOKEN_USAGE: f"sum: `{inference.TOKENS}`",
    TIME_TO_FIRST_CHUNK: f"count and sum: those of `{inference.TIME_TO_FIRST_TOKEN}`",
}
"""Which documented family has the same values."""


def scheme(text: str) -> str:
    """Return the value of `url.scheme`; a proxy's header may have set it to anything."""
    return text if text in SCHEMES else SCHEMES[0]


def of_application(*, with_llm: bool) -> tuple[MetricSpec, ...]:
    """Return the families of an application that is not this project's gateway.

    Its HTTP clients and databases have instrumentations of their own.
    """
    names = {SERVER_DURATION, ACTIVE_REQUESTS}
    return tuple(spec for spec in CONVENTIONS if spec.name in names or (with_llm and spec.convention == GEN_AI))
