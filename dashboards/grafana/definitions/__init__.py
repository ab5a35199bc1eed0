"""Every dashboard, one module each."""

from typing import Final

from dashboards.grafana.definitions.gateway_overview import GATEWAY_OVERVIEW
from dashboards.grafana.model import Dashboard

DASHBOARDS: Final[tuple[Dashboard, ...]] = (GATEWAY_OVERVIEW,)
