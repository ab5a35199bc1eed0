"""Allows for requests that the traffic program did not send, such as a pasted curl command, a browser or the doctor.

The API key and the trace id identify them. Their counts come from the gateway's log and ledger. What these leave open,
such as whether a failed attempt had a response, is allowed for as a range.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from demo.gateway_config import CLOSED_PROVIDER, REAL_MODEL, DemoModel
from demo.traffic.counters import APP_NAME, KEY_LOOKUPS, Series, TrafficCounters, series
from otel.catalogue.semconv import ERROR_KINDS, OTHER

_LOGGER: Final = "gatewayz.request"
_UNREACHABLE: Final = frozenset({"connect_error", "connect_timeout"})
_COLUMNS: Final = (
    "key_id, trace_id, model, provider, status, error_kind, stream, cached, attempts, input_tokens, output_tokens,"
    " usage_estimated, cost_nanousd, credits_nanousd, first_token_ms, cost_source, reported_nanousd, exposure_nanousd,"
    " cached_tokens, reasoning_tokens"
)


class LoggedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a request's log line that say what it moved."""

    logger: str
    trace_id: str = ""
    method: str = ""
    path: str = ""
    status: int = 0
    exception_type: str | None = None
    limit_type: str | None = None
    key_id: str | None = None
    model: str | None = None
    provider: str | None = None
    cancel_phase: str | None = None


class LedgerCall(msgspec.Struct, frozen=True, array_like=True):
    """A row of the ledger, in the order of `_COLUMNS`."""

    key_id: str
    trace_id: str
    model: str
    provider: str | None
    status: str
    error_kind: str | None
    stream: bool
    cached: bool
    attempts: int
    input_tokens: int
    output_tokens: int
    usage_estimated: bool
    cost_nanousd: int
    credits_nanousd: int
    first_token_ms: int | None
    cost_source: str | None
    reported_nanousd: int | None
    exposure_nanousd: int
    cached_tokens: int
    reasoning_tokens: int


class Allowance:
    """What requests of unexpected clients moved: `least` for certain, and up to `spare` more. Attempts are counted by provider."""

    def __init__(self) -> None:
        self.requests = 0
        self.calls = 0
        self.least: Counter[Series] = Counter()
        self.spare: Counter[Series] = Counter()
        self.ledger: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.spare_attempts: Counter[str] = Counter()
        self.spare_abandoned: Counter[str] = Counter()

    def add_request(self, request: LoggedRequest) -> None:
        """Allow for what one HTTP request moved."""
        self.requests += 1
        route = {"app_name": APP_NAME, "method": request.method, "path": request.path}
        self.least[series("fastapi_requests_total", **route, status_code=str(request.status))] += 1
        self.least[series("fastapi_responses_total", **route, status_code=str(request.status))] += 1
        self.least[series("fastapi_requests_duration_seconds_count", **route)] += 1
        if request.exception_type is not None:
            self.least[series("fastapi_exceptions_total", **route, exception_type=request.exception_type)] += 1
        if request.limit_type is not None:
            self.least[series("rate_limited_requests", limit_type=request.limit_type)] += 1
        if request.cancel_phase is not None:
            labels = {"provider": request.provider or OTHER, "model": request.model or OTHER}
            self.least[series("gatewayz_cancelled_calls_total", **labels, phase=request.cancel_phase)] += 1
        # A key that was refused may have been looked up.
        lookups = self.least if request.key_id is not None else self.spare
        lookups[series(KEY_LOOKUPS, cache="api_key")] += 1

    def add_call(self, call: LedgerCall, model: DemoModel) -> None:
        """Allow for what one call moved."""
        self.calls += 1
        self.ledger[f"rows {call.status}"] += 1
        self.ledger["rows cached"] += call.cached
        self.ledger["attempts"] += call.attempts
        self.ledger["input tokens"] += call.input_tokens
        self.ledger["output tokens"] += call.output_tokens
        self.ledger["cost (nano-USD)"] += call.cost_nanousd
        self.ledger["credits (nano-USD)"] += call.credits_nanousd
        self.ledger["reported (nano-USD)"] += call.reported_nanousd or 0
        self.ledger["exposure (nano-USD)"] += call.exposure_nanousd
        self.ledger["cached tokens"] += call.cached_tokens
        self.ledger["reasoning tokens"] += call.reasoning_tokens
        for group in (f"of {call.model}", f"at {call.provider}", call.cost_source) if call.cost_nanousd else ():
            self.ledger[f"cost {group} (nano-USD)"] += call.cost_nanousd
        self.least[series("gatewayz_attempts_per_request_count", model=call.model)] += 1
        self.least[series("gatewayz_attempts_per_request_sum", model=call.model)] += call.attempts
        if call.cached:
            self.least[series("cache_hits_total", cache="response")] += 1
        elif model.cache_ttl_seconds:
            self.spare[series("cache_misses_total", cache="response")] += 1
        if call.provider is None or not call.attempts:
            return
        for provider in _failed_before(call, model):
            self._failed(provider, call)
        self._last(call.provider, call)

    def _failed(self, provider: str, call: LedgerCall) -> None:
        """Allow for an attempt that failed, so that another was made."""
        self.attempts[provider] += 1
        self.least[series("model_inference_requests_total", provider=provider, model=call.model, status="error")] += 1
        self._failures(provider, call, None)
        if provider != CLOSED_PROVIDER:
            self.spare[series("provider_response_time_seconds_count", provider=provider)] += 1
            self.spare_abandoned[provider] += 1
            self._usage(provider, call, self.spare)

    def _last(self, provider: str, call: LedgerCall) -> None:
        """Allow for the attempt that ended the call."""
        route = {"provider": provider, "model": call.model}
        is_sure = call.status == "success" or call.first_token_ms is not None
        (self.least if is_sure else self.spare)[series("provider_response_time_seconds_count", provider=provider)] += 1
        if call.status == "cancelled":
            self.spare_attempts[provider] += 1
            self.spare_abandoned[provider] += 1
        else:
            self.attempts[provider] += 1
            self.spare_abandoned[provider] += call.status == "error" and call.error_kind not in _UNREACHABLE
            self.least[series("model_inference_requests_total", **route, status=call.status)] += 1
            if call.status == "error":
                self._failures(provider, call, call.error_kind if call.attempts == 1 else None)
        has_content = call.stream and call.first_token_ms is not None
        self.least[series("gatewayz_time_to_first_token_seconds_count", **route)] += has_content
        if call.status == "success":
            self.least[series("model_inference_duration_seconds_count", **route)] += 1
            is_timed = has_content and call.output_tokens > 1
            self.least[series("gatewayz_output_tokens_per_second_count", **route)] += is_timed
        self._usage(provider, call, self.least if call.attempts == 1 else self.spare)

    def _failures(self, provider: str, call: LedgerCall, kind: str | None) -> None:
        """Allow for a failed attempt of a kind, or of any: of several attempts the ledger has one kind."""
        counts = self.spare if kind is None else self.least
        for error_kind in ERROR_KINDS if kind is None else (kind,):
            counts[
                series("gatewayz_attempt_failures_total", provider=provider, model=call.model, error_kind=error_kind)
            ] += 1

    def _usage(self, provider: str, call: LedgerCall, counts: Counter[Series]) -> None:
        """Allow for tokens and money; of several attempts it is not known which one they belong to."""
        route = {"provider": provider, "model": call.model}
        counts[series("tokens_used_total", **route, token_type="input")] += call.input_tokens
        counts[series("tokens_used_total", **route, token_type="output")] += call.output_tokens
        counts[series("gatewayz_cost_by_provider", provider=provider)] += call.cost_nanousd
        # The source of several attempts is that of the least certain one.
        for source in ("reported", "priced", "estimated") if counts is self.spare else (call.cost_source or "priced",):
            counts[series("gatewayz_cost_usd_total", **route, cost_source=source)] += call.cost_nanousd
        counts[series("gatewayz_exposure_usd_total", **route)] += call.exposure_nanousd
        for token_detail, count in (("cached", call.cached_tokens), ("reasoning", call.reasoning_tokens)):
            counts[series("gatewayz_tokens_detail_total", **route, token_detail=token_detail)] += count
        counts[series("credits_used_total", **route)] += call.credits_nanousd
        counts[series("gatewayz_estimated_usage_total", **route)] += call.usage_estimated


def _failed_before(call: LedgerCall, model: DemoModel) -> list[str]:
    """Return the providers of the attempts before the last, in failover order."""
    providers = [route.provider for route in model.routes]
    earlier = providers[: providers.index(call.provider or "")] if call.provider in providers else providers
    return (earlier + [call.provider or ""] * call.attempts)[: call.attempts - 1]


class UnexpectedClients:
    """Reads the log from where it was read last, and the ledger. `own_key_ids` are those of the traffic program."""

    def __init__(
        self, log_path: Path, database_path: Path, own_key_ids: Collection[str], models: Iterable[DemoModel]
    ) -> None:
        self._log_path = log_path
        self._database_path = database_path
        self._own_key_ids = frozenset(own_key_ids)
        self._models: Mapping[str, DemoModel] = {model.name: model for model in models}
        self._decoder = msgspec.json.Decoder(LoggedRequest)
        self._offset = 0
        self._requests: list[LoggedRequest] = []

    def read(self, counters: TrafficCounters) -> Allowance:
        """Return what unexpected clients have moved so far. In a thread: it reads files."""
        allowance = Allowance()
        self._read_log(counters)
        for request in self._requests:
            allowance.add_request(request)
        for call in self._calls():
            if not self._is_own(counters, call.key_id, call.trace_id, call.model) and call.model in self._models:
                allowance.add_call(call, self._models[call.model])
        return allowance

    def _is_own(self, counters: TrafficCounters, key_id: str | None, trace_id: str, model: str | None) -> bool:
        """Whether the traffic program sent it and knows how it ended: it drops calls to the real model when its user interrupts it.

        Of a request that it left before the head it has not seen the trace id; those are never for the real model.
        """
        return trace_id in counters.trace_ids or (key_id in self._own_key_ids and model != REAL_MODEL)

    def _read_log(self, counters: TrafficCounters) -> None:
        with self._log_path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                try:
                    request = self._decoder.decode(line)
                except msgspec.DecodeError:
                    continue  # no line of JSON
                own = self._is_own(counters, request.key_id, request.trace_id, request.model)
                if request.logger == _LOGGER and not own:
                    self._requests.append(request)

    def _calls(self) -> list[LedgerCall]:
        connection = sqlite3.connect(f"{self._database_path.as_uri()}?mode=ro", uri=True)
        try:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM ledger").fetchall()  # noqa: S608  constant names
        finally:
            connection.close()
        return msgspec.convert(rows, list[LedgerCall], strict=False)
