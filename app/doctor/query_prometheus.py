"""Reads Prometheus's set-up and the samples that it holds of this gateway process.

Samples of the gateway are queried at the gateway's time, so that a wrong clock does not hide them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar

import msgspec

from app.doctor.facts import Marked, PrometheusFacts, Stored, Target
from app.doctor.scrape import Scrape
from app.doctor.web import NoResponse, Web
from otel.catalogue import http, process

T = TypeVar("T")

_STRATEGY: Final = re.compile(r"^\s*translation_strategy:\s*(\S+)", re.MULTILINE)
_LARGEST_NAMES: Final = 3
IDENTITY: Final = process.START_TIME
"""Two processes of one service hardly start in the same hundredth of a second: this finds the instance label of the gateway's."""


class _Row(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Vector(msgspec.Struct):
    result: list[_Row]


class _Rule(msgspec.Struct, rename="camel"):
    name: str
    health: str
    last_error: str = ""


class _Group(msgspec.Struct):
    rules: list[_Rule]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Alertmanagers(msgspec.Struct, rename="camel"):
    active_alertmanagers: list[Any]


class _Head(msgspec.Struct, rename={"series": "numSeries"}):
    series: int


class _Count(msgspec.Struct):
    name: str
    value: int


class _Tsdb(msgspec.Struct, rename="camel"):
    head_stats: _Head
    series_count_by_metric_name: list[_Count]


class _ActiveTarget(msgspec.Struct, rename="camel"):
    labels: dict[str, str]
    scrape_url: str
    health: str
    last_error: str


class _Targets(msgspec.Struct, rename="camel"):
    active_targets: list[_ActiveTarget]


class _ServerConfig(msgspec.Struct):
    yaml: str


class _Data(msgspec.Struct, Generic[T]):
    """The envelope of every response."""

    data: T


class PrometheusApi:
    """Prometheus' HTTP API; what cannot be read, or has another shape, is None."""

    def __init__(self, web: Web, url: str) -> None:
        self._web = web
        self._url = url

    async def get(self, path: str, shape: type[_Data[T]], **params: str) -> T | None:
        """Return `data` of a response."""
        reply = await self._web.get(f"{self._url}/api/v1/{path}", params=params)
        response = None if isinstance(reply, NoResponse) or reply.status != HTTPStatus.OK else reply.read(shape)
        return None if response is None else response.data

    async def query(self, expression: str, unix_seconds: float) -> list[tuple[dict[str, str], float]]:
        """Return an instant vector; empty where there is none."""
        data = await self.get("query", _Data[_Vector], query=expression, time=f"{unix_seconds:.3f}")
        return [] if data is None else [(row.metric, float(row.value[1])) for row in data.result]


async def query_setup(
    api: PrometheusApi, gateway: Scrape | None, unix_seconds: float, families: Iterable[str]
) -> PrometheusFacts:
    """Query its configuration, its own metrics, and the jobs under which it stores this gateway's families."""
    flags = await api.get("status/flags", _Data[dict[str, str]])
    config = await api.get("status/config", _Data[_ServerConfig])
    groups = await api.get("rules", _Data[_Groups])
    alertmanagers = await api.get("alertmanagers", _Data[_Alertmanagers])
    tsdb = await api.get("status/tsdb", _Data[_Tsdb])
    rules = None if groups is None else [rule for group in groups.groups for rule in group.rules]
    strategy = None if config is None else _STRATEGY.search(config.yaml)
    largest = () if tsdb is None else tsdb.series_count_by_metric_name[:_LARGEST_NAMES]
    return PrometheusFacts(
        targets=await query_targets(api),
        otlp_receiver=None if flags is None else flags.get("web.enable-otlp-receiver") == "true",
        translation_strategy=None if strategy is None else strategy[1].strip("\"'"),
        rules=None if rules is None else len(rules),
        rule_errors=tuple(f"{rule.name}: {rule.last_error}" for rule in rules or () if rule.health == "err"),
        alertmanagers=None if alertmanagers is None else len(alertmanagers.active_alertmanagers),
        head_series=None if tsdb is None else tsdb.head_stats.series,
        largest_names=tuple((each.name, each.value) for each in largest),
        jobs_by_name=await _query_jobs(api, gateway, unix_seconds, families),
    )


async def query_targets(api: PrometheusApi) -> tuple[Target, ...] | None:
    """Query the targets that it scrapes."""
    data = await api.get("targets", _Data[_Targets], state="active")
    if data is None:
        return None
    return tuple(
        Target(each.labels.get("job", ""), each.scrape_url, each.health, each.last_error)
        for each in data.active_targets
    )


async def _query_jobs(
    api: PrometheusApi, gateway: Scrape | None, unix_seconds: float, families: Iterable[str]
) -> Mapping[str, tuple[str, ...]]:
    """Query the jobs under which each family is stored: this process's where it is known, else any."""
    instances = set() if gateway is None else await _instances(api, gateway, unix_seconds)
    of_gateway = ",instance=~" + json.dumps("|".join(map(re.escape, sorted(instances)))) if instances else ""
    names = "|".join(name for family in families for name in (family, f"{family}_count"))
    jobs: dict[str, list[str]] = {}
    for labels, _ in await api.query(f'count by (__name__, job) ({{__name__=~"{names}"{of_gateway}}})', unix_seconds):
        jobs.setdefault(labels.get("__name__", ""), []).append(labels.get("job", ""))
    return {name: tuple(sorted(found)) for name, found in jobs.items()}


async def query_stored(
    api: PrometheusApi,
    gateway: Scrape,
    marked: Marked,
    *,
    instance: str | None,
    unix_seconds: float,
    age_seconds: float,
) -> Stored:
    """Query which families of this gateway process have a sample no older than `age_seconds`.

    `instance` is its instance label, where its log line names it; otherwise the process is found by the time of its start.
    """
    instance = await _instance(api, gateway, unix_seconds, instance)
    if instance is None:
        return Stored(instance=None, fresh_names=frozenset(), marked_value=None)
    which = f'instance="{instance}"'
    window = f"[{max(1, round(age_seconds))}s]"
    names = await api.query(f"count by (__name__) (last_over_time({{{which}}}{window}))", unix_seconds)
    labels = ",".join([which, *(f'{key}="{value}"' for key, value in marked.labels.items())])
    values = await api.query(f"max(last_over_time({http.REQUESTS}{{{labels}}}{window}))", unix_seconds)
    return Stored(
        instance=instance,
        fresh_names=frozenset(labels.get("__name__", "") for labels, _ in names),
        marked_value=values[0][1] if values else None,
    )


async def _instance(api: PrometheusApi, gateway: Scrape, unix_seconds: float, pushed_as: str | None) -> str | None:
    """Return the instance label of this gateway process; None where Prometheus has nothing of it."""
    instances = await _instances(api, gateway, unix_seconds)
    if pushed_as is not None:
        scraped = sorted(each for each in instances if ":" in each)
        return scraped[0] if scraped and pushed_as not in instances else pushed_as
    if not instances:
        # Where something drops or renames that family, there is an instance without it.
        rows = await api.query(f"{http.APP_INFO} unless on (instance) {IDENTITY}", unix_seconds)
        instances = {labels.get("instance", "") for labels, _ in rows}
    # If scraped samples are stored as well, there are two instances: the pushed one has an id, not an address.
    return min(instances, key=lambda each: (":" in each, each), default=None)


async def _instances(api: PrometheusApi, gateway: Scrape, unix_seconds: float) -> set[str]:
    """Return the instance labels under which a process that started when the gateway did is stored."""
    started = gateway.total(IDENTITY)
    rows = [] if started is None else await api.query(f"{IDENTITY} == {started!r}", unix_seconds)
    return {labels.get("instance", "") for labels, _ in rows}
