"""Every board, one module each; what they share is in `parts.py`."""

from typing import Final

from dashboards.grafana.definitions.cost import COST
from dashboards.grafana.definitions.latency import LATENCY
from dashboards.grafana.definitions.logs_traces import LOGS_AND_TRACES
from dashboards.grafana.definitions.models import MODELS
from dashboards.grafana.definitions.on_call import ON_CALL
from dashboards.grafana.definitions.overview import OVERVIEW
from dashboards.grafana.definitions.pipeline import PIPELINE
from dashboards.grafana.definitions.providers import PROVIDERS
from dashboards.grafana.model import Dashboard

DASHBOARDS: Final[tuple[Dashboard, ...]] = (
    OVERVIEW,
    ON_CALL,
    PROVIDERS,
    MODELS,
    COST,
    LATENCY,
    LOGS_AND_TRACES,
    PIPELINE,
)
