"""Waits until the marked request is in every store that it can reach, or until the deadline.

A signal that cannot arrive is not waited for: its store does not respond, the gateway does not push
it, or it is refused on the way.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from app.doctor.check_prometheus import SCRAPE_JOB, documented_on
from app.doctor.facts import COLLECTED_AS, STORES, LogLine, Marked, Server, Stored
from app.doctor.query_collector import query_collector_metrics
from app.doctor.query_gateway import query_metrics
from app.doctor.query_prometheus import IDENTITY, PrometheusApi, query_stored, query_targets
from app.doctor.query_stores import query_line, query_trace
from app.doctor.scrape import Scrape, growth
from app.doctor.settings import SIGNALS, Settings
from app.doctor.web import Web
from otel.catalogue import http, self_telemetry
from otel.config.otlp import Signal

_FAMILIES: Final = (
    http.REQUESTS,
    IDENTITY,
    self_telemetry.EXPORTED,
    self_telemetry.RETRIES,
    self_telemetry.DROPPED,
)
"""The families that are read in every round."""

_LOG_EVERY_SECONDS: Final = 5.0
_NAMES_GRACE_SECONDS: Final = 3.0
"""A push is stored in batches: how much later than its first samples its last may come."""

_COMMIT_GRACE_SECONDS: Final = 3.0
"""Prometheus reports a target as up before it commits what it scraped: how much later its samples may be found."""

_HOPELESS_RETRIES: Final = 4
_COLLECTOR_LOSSES: Final = ("send_failed", "enqueue_failed")
_SILENT_COLLECTOR_SECONDS: Final = 4.0
"""The missing Collector is the finding then, whatever else would come."""

_DISCOVERY_SECONDS: Final = 6.0
"""How long after its start Prometheus may take to know its targets."""

_WHAT: Final[Mapping[Signal, str]] = {
    "traces": "the trace in Tempo",
    "metrics": "the sample in Prometheus",
    "logs": "the line in Loki",
}


class Followed(msgspec.Struct, kw_only=True):
    """What was found so far. `expected_value` is the marked request's counter on `/metrics`; `waited_seconds` is how long it was followed."""

    expected_value: float | None = None
    stored: Stored | None = None
    line: LogLine | None = None
    trace_spans: int | None = None
    waited_seconds: float = 0.0


class Follower:
    """Follows one request.

    `before` and `collector` are the metrics of the gateway and the Collector before it. `clock` is monotonic and `unix_seconds` the wall
    clock, both in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        web: Web,
        servers: Mapping[str, Server],
        before: Scrape | None,
        collector: Scrape | None,
        *,
        log: Callable[[str], None],
        clock: Callable[[], float],
        unix_seconds: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._web = web
        self._servers = servers
        self._before = before
        self._collector = collector
        self._log = log
        self._clock = clock
        self._unix_seconds = unix_seconds
        self._found = Followed()
        self._responded_at = clock()
        self._names_since: float | None = None
        self._target_known_at: float | None = None

    async def follow(self, marked: Marked, deadline: float, *, collector_is_silent: bool) -> Followed:
        """Return what was found by the deadline.

        That is sooner where a Collector is expected and is silent. Where none is expected the gateway's next push is waited for.
        """
        self._responded_at = self._clock()
        if collector_is_silent:
            deadline = min(deadline, self._responded_at + _SILENT_COLLECTOR_SECONDS)
        pending = {signal for signal in SIGNALS if self._servers[STORES[signal]].responds}
        unstored = set(SIGNALS) - pending
        log_at = self._clock()
        if not self._servers["prometheus"].responds:
            self._target_known_at = self._responded_at
        while pending or unstored or self._target_known_at is None:
            _, scrape = await query_metrics(self._web, self._settings, _FAMILIES)
            collector = await query_collector_metrics(self._web, self._settings.addresses["collector_metrics"])
            pending = {signal for signal in pending if self._can_come(signal, scrape, collector)}
            rounds = await asyncio.gather(*(self._query(signal, marked, scrape) for signal in sorted(pending)))
            pending -= {signal for signal, found in zip(sorted(pending), rounds, strict=True) if found}
            unstored = {signal for signal in unstored if self._may_be_accepted(signal, scrape, collector)}
            if self._target_known_at is None and await self._target_is_up():
                self._target_known_at = self._clock()
            now = self._clock()
            self._found.waited_seconds = now - self._responded_at
            if now >= deadline:
                break
            if (pending or unstored) and now >= log_at:
                log_at = now + _LOG_EVERY_SECONDS
                waited_for = ", ".join(_WHAT[signal] for signal in SIGNALS if signal in pending)
                waited_for = waited_for or f"the export of {', '.join(sorted(unstored))}"
                self._log(f"waiting for {waited_for}; at most {deadline - now:.0f} s more")
            await asyncio.sleep(self._settings.poll_seconds)
        return self._found

    def gateway_unix_seconds(self) -> float:
        """The time on the gateway's clock, as far as a whole-second `Date` shows."""
        skew = self._servers["gateway"].skew_seconds or 0.0
        return self._unix_seconds() + (skew if abs(skew) > self._settings.max_skew_seconds else 0.0)

    def _can_come(self, signal: Signal, scrape: Scrape | None, collector: Scrape | None) -> bool:
        items = COLLECTED_AS[signal]
        if any(
            growth(self._collector, collector, f"otelcol_exporter_{kind}_{items}") > 0 for kind in _COLLECTOR_LOSSES
        ):
            return False
        if scrape is None:
            return signal != "metrics"
        if not scrape.matching(self_telemetry.EXPORTED, signal=signal):
            # Prometheus may store what it scrapes instead of what is pushed.
            found = self._found.stored
            return signal == "metrics" and (found is None or found.instance is not None or self._scrape_may_come())
        rejected, retries, exported = (
            growth(self._before, scrape, name, signal=signal, **labels)
            for name, labels in (
                (self_telemetry.DROPPED, {"reason": "rejected"}),
                (self_telemetry.RETRIES, {}),
                (self_telemetry.EXPORTED, {}),
            )
        )
        return exported > 0 or (not rejected and retries < _HOPELESS_RETRIES)

    def _may_be_accepted(self, signal: Signal, scrape: Scrape | None, collector: Scrape | None) -> bool:
        """Whether the export of a signal that cannot be looked up in its store is still to be waited for."""
        if scrape is None or not scrape.matching(self_telemetry.EXPORTED, signal=signal):
            return False
        exported = growth(self._before, scrape, self_telemetry.EXPORTED, signal=signal)
        return exported <= 0 and self._can_come(signal, scrape, collector)

    async def _query(self, signal: Signal, marked: Marked, scrape: Scrape | None) -> bool:
        """Query a store once; return whether there is nothing more to wait for."""
        url = self._settings.addresses[STORES[signal]]
        if signal == "traces":
            self._found.trace_spans = await query_trace(self._web, url, marked.trace_id)
            return self._found.trace_spans is not None
        if signal == "logs":
            self._found.line = await query_line(self._web, url, marked.trace_id, self._unix_seconds())
            return self._found.line is not None
        return scrape is not None and await self._query_prometheus(url, marked, scrape)

    async def _query_prometheus(self, url: str, marked: Marked, scrape: Scrape) -> bool:
        then = None if self._before is None else self._before.total(http.REQUESTS, **marked.labels)
        value = scrape.total(http.REQUESTS, **marked.labels)
        if value is not None and value > (then or 0.0):
            self._found.expected_value = value if self._found.expected_value is None else self._found.expected_value
        age_seconds = int(self._clock() - self._responded_at)
        if age_seconds < 1:
            return False  # a sample of the second before the request would count as fresh
        api = PrometheusApi(self._web, url)
        stored = await query_stored(
            api,
            scrape,
            marked,
            instance=None if self._found.line is None else self._found.line.labels.get("service_instance_id"),
            unix_seconds=self.gateway_unix_seconds(),
            age_seconds=age_seconds,
        )
        self._found.stored = stored
        if not stored.fresh_names:
            return False
        if not documented_on(self._before or scrape) - stored.fresh_names:
            expected = self._found.expected_value
            return expected is not None and (stored.marked_value or 0.0) >= expected
        self._names_since = self._clock() if self._names_since is None else self._names_since
        return self._clock() - self._names_since >= _NAMES_GRACE_SECONDS

    def _scrape_may_come(self) -> bool:
        """Whether Prometheus does not know its targets yet, or has scraped the gateway so lately that it may still be storing it."""
        return self._target_known_at is None or self._clock() - self._target_known_at < _COMMIT_GRACE_SECONDS

    async def _target_is_up(self) -> bool:
        targets = await query_targets(PrometheusApi(self._web, self._settings.addresses["prometheus"]))
        of_gateway = [target for target in targets or () if target.job == SCRAPE_JOB]
        if not of_gateway:
            return self._clock() - self._responded_at >= _DISCOVERY_SECONDS
        return all(target.health == "up" for target in of_gateway)
