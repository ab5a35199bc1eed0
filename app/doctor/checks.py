"""All checks, in the order in which telemetry flows."""

from typing import Final

from app.doctor.check_alerting import ALERTING_CHECKS
from app.doctor.check_collector import COLLECTOR_CHECKS
from app.doctor.check_export import EXPORT_CHECKS
from app.doctor.check_gateway import GATEWAY_CHECKS
from app.doctor.check_prometheus import PROMETHEUS_CHECKS
from app.doctor.check_stores import CLOCK_CHECKS, LOKI_CHECKS, TEMPO_CHECKS
from app.doctor.facts import Facts
from app.doctor.findings import Check

CHECKS: Final[tuple[Check[Facts], ...]] = (
    *GATEWAY_CHECKS,
    *EXPORT_CHECKS,
    *COLLECTOR_CHECKS,
    *PROMETHEUS_CHECKS,
    *LOKI_CHECKS,
    *TEMPO_CHECKS,
    *CLOCK_CHECKS,
    *ALERTING_CHECKS,
)
