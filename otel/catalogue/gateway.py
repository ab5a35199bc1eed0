"""The gateway itself: anomalies, database, caches, limits, connections, event loop and jobs."""

from typing import Final

from otel.catalogue import semconv
from otel.catalogue.spec import Category, Kind, Label, MetricSpec

DETECTED_ANOMALIES: Final = "gatewayz_detected_anomalies"
QUERY_DURATION: Final = "database_query_duration_seconds"
CACHE_HITS: Final = "cache_hits_total"
CACHE_MISSES: Final = "cache_misses_total"
RATE_LIMITED_REQUESTS: Final = "rate_limited_requests"
CLIENT_CONNECTIONS: Final = "gatewayz_client_connections"
CLIENT_CONNECTIONS_CLOSED: Final = "gatewayz_client_connections_closed_total"
EVENT_LOOP_LAG: Final = "gatewayz_event_loop_lag_seconds"
JOB_LAST_SUCCESS: Final = "gatewayz_job_last_success_timestamp_seconds"
JOB_DURATION: Final = "gatewayz_job_last_duration_seconds"
JOB_LAG: Final = "gatewayz_job_lag_seconds"
JOB_FAILURES: Final = "gatewayz_job_failures_total"

QUERY_BUCKETS_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Database statements are three orders of magnitude shorter than calls to a model."""

_JOB_NAME = Label(semconv.JOB_NAME, bound_by="periodic jobs of the gateway")

ANOMALIES: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=DETECTED_ANOMALIES,
        instrument="gatewayz.anomaly.count",
        kind=Kind.COUNTER,
        unit="{anomaly}",
        help="Anomalies that began, by type.",
        labels=(Label(semconv.TYPE, values=semconv.ANOMALY_TYPES),),
        categories=(Category.SYSTEM,),
        starts_at_zero=True,
        updated_by="the anomaly detector, once per anomaly",
        queries=("sum by (type) (increase(gatewayz_detected_anomalies[1h]))",),
    ),
)

DOCUMENTED: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=QUERY_DURATION,
        instrument="db.client.operation.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of database statements, by operation.",
        labels=(Label(semconv.OPERATION, values=semconv.QUERY_OPERATIONS),),
        categories=(Category.PERFORMANCE,),
        buckets=QUERY_BUCKETS_SECONDS,
        updated_by="every statement",
        queries=(
            "1000 * histogram_quantile(0.95, sum by (operation, le) (rate(database_query_duration_seconds_bucket[5m])))",
        ),
    ),
    MetricSpec(
        name=CACHE_HITS,
        instrument="gatewayz.cache.hits",
        kind=Kind.COUNTER,
        unit="{lookup}",
        help="Cache lookups that found an entry.",
        labels=(Label(semconv.CACHE, values=semconv.CACHES),),
        categories=(Category.PERFORMANCE,),
        starts_at_zero=True,
        updated_by="every lookup",
        queries=(
            (
                "100 * sum(rate(cache_hits_total[5m]))"
                " / (sum(rate(cache_hits_total[5m])) + sum(rate(cache_misses_total[5m])))"
            ),
        ),
    ),
    MetricSpec(
        name=CACHE_MISSES,
        instrument="gatewayz.cache.misses",
        kind=Kind.COUNTER,
        unit="{lookup}",
        help="Cache lookups that found nothing.",
        labels=(Label(semconv.CACHE, values=semconv.CACHES),),
        categories=(Category.PERFORMANCE,),
        starts_at_zero=True,
        updated_by="every lookup",
        queries=("sum by (cache) (rate(cache_misses_total[5m]))",),
    ),
    MetricSpec(
        name=RATE_LIMITED_REQUESTS,
        instrument="gatewayz.requests.rate_limited",
        kind=Kind.COUNTER,
        unit="{request}",
        help="Requests refused with status 429, by the limit that was hit.",
        labels=(Label(semconv.LIMIT_TYPE, values=semconv.LIMIT_TYPES),),
        categories=(Category.PERFORMANCE,),
        starts_at_zero=True,
        updated_by="each response with status 429",
        queries=("sum by (limit_type) (rate(rate_limited_requests[5m])) * 60",),
    ),
)

FURTHER: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=CLIENT_CONNECTIONS,
        instrument="gatewayz.client_connections",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{connection}",
        help="Open connections of clients, idle ones included.",
        categories=(Category.SYSTEM,),
        updated_by="each connection that is accepted or ends",
        queries=("gatewayz_client_connections",),
        documented=False,
    ),
    MetricSpec(
        name=CLIENT_CONNECTIONS_CLOSED,
        instrument="gatewayz.client_connections.closed",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{connection}",
        help="Client connections that the gateway closed to stay within its limits: the idlest to admit a new one, a new one, one for lack "
        "of a file descriptor, one of too many with an incomplete request.",
        labels=(Label(semconv.REASON, values=semconv.CONNECTION_CLOSE_REASONS),),
        categories=(Category.SYSTEM,),
        updated_by="the limits of client connections",
        queries=("sum by (reason) (increase(gatewayz_client_connections_closed_total[5m])) > 0",),
        documented=False,
    ),
    MetricSpec(
        name=EVENT_LOOP_LAG,
        instrument="gatewayz.event_loop.lag",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="How late the event loop ran a timer that was due.",
        categories=(Category.SYSTEM, Category.PERFORMANCE),
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
        updated_by="the event-loop watch",
        queries=("histogram_quantile(0.99, sum by (le) (rate(gatewayz_event_loop_lag_seconds_bucket[5m])))",),
        documented=False,
    ),
    MetricSpec(
        name=JOB_LAST_SUCCESS,
        instrument="gatewayz.job.last_success",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="s",
        help="When the periodic job last succeeded, in seconds since the Unix epoch.",
        labels=(_JOB_NAME,),
        categories=(Category.SYSTEM,),
        updated_by="each successful run of the job",
        queries=("time() - gatewayz_job_last_success_timestamp_seconds",),
        documented=False,
    ),
    MetricSpec(
        name=JOB_DURATION,
        instrument="gatewayz.job.duration",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="s",
        help="How long the last run of the periodic job took, however it ended.",
        labels=(_JOB_NAME,),
        categories=(Category.SYSTEM, Category.PERFORMANCE),
        updated_by="each run of the job",
        queries=("topk(5, gatewayz_job_last_duration_seconds)",),
        documented=False,
    ),
    MetricSpec(
        name=JOB_LAG,
        instrument="gatewayz.job.lag",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="s",
        help="How late the last run of the periodic job began.",
        labels=(_JOB_NAME,),
        categories=(Category.SYSTEM, Category.PERFORMANCE),
        updated_by="each run of the job",
        queries=("topk(5, gatewayz_job_lag_seconds)",),
        documented=False,
    ),
    MetricSpec(
        name=JOB_FAILURES,
        instrument="gatewayz.job.failures",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{run}",
        help="Runs of the periodic job that raised, were cancelled because they took too long, or were cancelled from outside.",
        labels=(_JOB_NAME, Label(semconv.REASON, values=semconv.JOB_FAILURES)),
        categories=(Category.SYSTEM,),
        updated_by="each failed run of the job",
        queries=("sum by (job_name, reason) (increase(gatewayz_job_failures_total[15m])) > 0",),
        documented=False,
    ),
)
