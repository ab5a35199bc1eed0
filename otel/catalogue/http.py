"""The HTTP requests that the application served, by route template."""

from typing import Final

from otel.catalogue import labels, semconv
from otel.catalogue.spec import DURATION_BUCKETS_SECONDS, Category, Kind, Label, MetricSpec

REQUESTS: Final = "fastapi_requests_total"
RESPONSES: Final = "fastapi_responses_total"
REQUEST_DURATION: Final = "fastapi_requests_duration_seconds"
REQUESTS_IN_PROGRESS: Final = "fastapi_requests_in_progress"
EXCEPTIONS: Final = "fastapi_exceptions_total"
APP_INFO: Final = "fastapi_app_info"

FAMILIES: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=REQUESTS,
        instrument="http.server.request.count",
        kind=Kind.COUNTER,
        unit="{request}",
        help="HTTP requests that ended, by route template and status code; 499 is a client that left before the response.",
        labels=(labels.APP, labels.METHOD, labels.PATH, labels.STATUS_CODE),
        categories=(Category.SYSTEM,),
        updated_by="each finished HTTP request",
        queries=(
            "sum(rate(fastapi_requests_total[5m])) * 60",
            (
                '100 * (sum(rate(fastapi_requests_total{status_code=~"5.."}[5m])) or vector(0))'
                " / sum(rate(fastapi_requests_total[5m]))"
            ),
        ),
    ),
    MetricSpec(
        name=RESPONSES,
        instrument="http.server.response.count",
        kind=Kind.COUNTER,
        unit="{response}",
        help="HTTP responses, by route template and status code; the name that public Grafana dashboards query.",
        labels=(labels.APP, labels.METHOD, labels.PATH, labels.STATUS_CODE),
        categories=(Category.SYSTEM,),
        updated_by="each finished HTTP request",
        queries=("sum by (status_code) (rate(fastapi_responses_total[5m]))",),
        documented=False,
    ),
    MetricSpec(
        name=REQUEST_DURATION,
        instrument="http.server.request.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Time from the first byte of an HTTP request to the end of its response body, streams included.",
        labels=(labels.APP, labels.METHOD, labels.PATH),
        categories=(Category.SYSTEM, Category.PERFORMANCE),
        buckets=DURATION_BUCKETS_SECONDS,
        updated_by="the end of the response body",
        queries=("histogram_quantile(0.95, sum by (le, path) (rate(fastapi_requests_duration_seconds_bucket[5m])))",),
    ),
    MetricSpec(
        name=REQUESTS_IN_PROGRESS,
        instrument="http.server.active_requests",
        kind=Kind.UP_DOWN_COUNTER,
        unit="{request}",
        help="HTTP requests being served now.",
        labels=(labels.APP, labels.METHOD, labels.PATH),
        categories=(Category.SYSTEM,),
        updated_by="entry and exit of each HTTP request",
        queries=("sum(fastapi_requests_in_progress)",),
    ),
    MetricSpec(
        name=EXCEPTIONS,
        instrument="http.server.exception.count",
        kind=Kind.COUNTER,
        unit="{exception}",
        help="Exceptions that were unhandled or became a 5xx response.",
        labels=(
            labels.APP,
            labels.METHOD,
            labels.PATH,
            Label(semconv.EXCEPTION_TYPE, bound_by="exception classes of the code or other"),
        ),
        categories=(Category.SYSTEM,),
        updated_by="each unhandled or 5xx-mapped exception",
        queries=("sum by (exception_type) (rate(fastapi_exceptions_total[5m])) * 60",),
    ),
    MetricSpec(
        name=APP_INFO,
        instrument="gatewayz.app.info",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="Always 1; its labels name the application and its version.",
        labels=(labels.APP, Label(semconv.VERSION, bound_by="the running version")),
        categories=(Category.SYSTEM,),
        updated_by="always present",
        queries=("fastapi_app_info",),
    ),
)
