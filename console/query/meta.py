"""What the page needs once."""

from typing import Final

import msgspec

from console.query.chart_query import MAX_VALUES
from console.query.paging import MAX_PAGE_ROWS
from console.query.shapes.meta import Limits, Meta
from console.query.times import to_seconds
from console.query.view import View
from console.query.windows import oldest_ns
from console.store.limits import Limits as StoreLimits

NOT_FOR: Final = (
    "This console keeps recent telemetry of a desk or a test in one file. It has no alerts and no long retention, and"
    " it is no record for billing: Prometheus, Loki, Tempo and Grafana of make stack are."
)
_NEWEST: Final = (
    "SELECT max(start_ns) FROM spans",
    "SELECT max(time_ns) FROM log_records",
    "SELECT max(received_s) * 1000000000 FROM resources",
)


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change while the console runs."""

    version: str
    started_ns: int
    limits: StoreLimits
    query_seconds: float
    grafana_url: str | None = None
    tempo_url: str | None = None
    otlp_url: str | None = None


def read_meta(view: View, about: About) -> Meta:
    """Return it."""
    oldest = [found for table in ("spans", "log_records", "resources") if (found := oldest_ns(view, table)) is not None]
    newest = [row[0] for sql in _NEWEST if (row := view.connection.execute(sql).fetchone())[0] is not None]
    return Meta(
        version=about.version,
        now=to_seconds(view.now_ns),
        started=to_seconds(about.started_ns),
        services=sorted({each.service_name for each in view.resources.values() if each.service_name is not None}),
        oldest=to_seconds(min(oldest)) if oldest else None,
        newest=to_seconds(max(newest)) if newest else None,
        limits=Limits(
            max_bytes=about.limits.max_bytes,
            max_age_seconds=float(about.limits.retention_seconds),
            page_rows=MAX_PAGE_ROWS,
            chart_values=MAX_VALUES,
            query_seconds=about.query_seconds,
        ),
        grafana_url=about.grafana_url,
        tempo_url=about.tempo_url,
        otlp_url=about.otlp_url,
        not_for=NOT_FOR,
    )
