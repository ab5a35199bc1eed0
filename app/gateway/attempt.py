"""Accounting of one attempt: its events, its outcome and its usage. `failover.py` makes attempts, `exchange.py` performs them.

Input: what happens to the attempt, as it happens. Output: `AttemptStarted` and exactly one
`AttemptFinished`, to telemetry and to the permit it was made under, and the attempt's usage to the
call. It does no I/O.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from app.gateway.attempt_log import log_failed_attempt
from app.gateway.exposure import exposure_nanousd
from app.gateway.fault import fault_of
from app.gateway.models import Route
from app.gateway.openai.counted_usage import counted_usage, log_disbelieved
from app.gateway.openai.failures import CallerFaultError, UpstreamFailure
from app.gateway.openai.plausible_usage import Delivered
from app.gateway.openai.request import CallRequest
from app.gateway.openai.usage import ReportedUsage
from app.gateway.overhead import OverheadTimer
from app.gateway.ports import AttemptPermit, Clock
from app.gateway.quota_headers import Quotas
from otel.events import AttemptFinished, AttemptStarted, AttemptStatus, CancelPhase, ErrorKind, RequestScope
from otel.events.usage import NO_USAGE, Usage

_TIMED_OUT: Final = frozenset({"connect_timeout", "first_byte_timeout", "whole_answer_timeout"})
# The provider had the request and was still working when its time was over.
_WORKED_IN_VAIN: Final = frozenset(
    {"first_byte_timeout", "whole_answer_timeout", "idle_timeout", "total_timeout", "slow_client", "stream_broken"}
)
# It may be at work still. One that broke off by itself is not.
_ABANDONED: Final = _WORKED_IN_VAIN - {"stream_broken"}
_SUCCESSES: Final = range(200, 300)


class Attempt:
    """One attempt; used by the request's task."""

    def __init__(
        self,
        scope: RequestScope,
        request: CallRequest,
        route: Route,
        permit: AttemptPermit,
        *,
        number: int,
        clock: Clock,
        timer: OverheadTimer,
    ) -> None:
        self.route = route
        self.timer = timer
        self._permit = permit
        self.usage: Usage = NO_USAGE
        self.response_id: str | None = None
        self.response_model: str | None = None
        self.finish_reason: str | None = None
        self.is_stream = request.stream
        self._content_type: str | None = None
        self.first_token_seconds: float | None = None
        self._request = request
        self._clock = clock
        self._waited_seconds = 0.0
        self._longest_gap_seconds: float | None = None
        self._http_status: int | None = None
        self._response_seconds: float | None = None
        self._request_sent = False
        self._response_began = False
        self._usage_counted = False
        self._is_whole = False
        self._finished = False
        self._request_scope = scope
        self._scope = scope.start_attempt(
            AttemptStarted(
                provider=route.provider.name,
                model=request.model,
                upstream_model=route.upstream_model,
                operation=request.operation,
                stream=request.stream,
                number=number,
                server_address=route.provider.server_address,
                server_port=route.provider.server_port,
            )
        )
        self.started_seconds = clock.monotonic()

    @property
    def headers(self) -> Mapping[str, str]:
        """The trace context for the provider."""
        return self._scope.headers

    def request_sent(self) -> None:
        """The body of the request is on its way: from now on the provider may bill it."""
        self._request_sent = True

    def response_began(self) -> None:
        """A part of a response arrived: the provider has worked, even if the attempt fails."""
        self._response_began = True

    def responded(self, http_status: int, content_type: str | None) -> None:
        """The head of the response arrived; `content_type` is the value of its field."""
        self._http_status = http_status
        self._content_type = content_type
        self._response_seconds = self._clock.monotonic() - self.started_seconds

    def report_quotas(self, quotas: Quotas) -> None:
        """The provider has reported what is left of the quotas of the gateway's account."""
        self._permit.report_quotas(quotas)

    def produced_token(self) -> None:
        """Content of a stream arrived: how long the gateway waited for it since the last is a gap."""
        waited_seconds = self.timer.provider_seconds
        if self.first_token_seconds is None:
            self.first_token_seconds = self._clock.monotonic() - self.started_seconds
            self._permit.content_arrived()
        else:
            gap_seconds = waited_seconds - self._waited_seconds
            if self._longest_gap_seconds is None or gap_seconds > self._longest_gap_seconds:
                self._longest_gap_seconds = gap_seconds
        self._waited_seconds = waited_seconds

    def count_usage(
        self,
        reported: ReportedUsage | None,
        output_units: int,
        choices: int = 1,
        uncounted_units: int = 0,
        *,
        is_whole: bool = False,
    ) -> None:
        """Price what the attempt used; a count that the provider does not report, or that cannot be, is estimated.

        `output_units`: the length of the text that was delivered, in so many `choices`;
        `uncounted_units` of it came after the last count. `is_whole`: nothing more can come.
        """
        self._is_whole = is_whole
        self._usage_counted = True
        request, route = self._request, self.route
        seconds = self._clock.monotonic() - self.started_seconds
        delivered = Delivered(output_units, choices, seconds, uncounted_units)
        self.usage = counted_usage(reported, request, route.price, delivered, trusts_cost=route.trusts_cost)
        if self.usage.disbelieved:
            with self._request_scope.current():
                log_disbelieved(route.provider.name, request.model, reported, self.usage)
        if self.usage.unpriced_tokens:
            with self._request_scope.current():
                route.unpriced.write(route.provider.name, request.model, route.upstream_model)

    def succeed(self) -> None:
        """End it with success."""
        self._finish("success")

    def fail(self, failure: UpstreamFailure | CallerFaultError) -> None:
        """End it with an error."""
        is_first_end = not self._finished
        if failure.kind in _TIMED_OUT:
            self._response_seconds = self._clock.monotonic() - self.started_seconds
        is_stale = isinstance(failure, UpstreamFailure) and failure.connection_was_reused
        self._finish("error", error_kind=failure.kind, connection_was_stale=is_stale)
        if is_first_end:
            seconds = self._clock.monotonic() - self.started_seconds
            log_failed_attempt(
                self._request.model,
                self.route,
                failure,
                self._http_status,
                self._content_type,
                duration_seconds=seconds,
            )

    def cancel(self, phase: CancelPhase) -> None:
        """End it because its caller no longer waits."""
        self._finish("cancelled", cancel_phase=phase)

    def _finish(
        self,
        status: AttemptStatus,
        *,
        error_kind: ErrorKind | None = None,
        connection_was_stale: bool = False,
        cancel_phase: CancelPhase | None = None,
    ) -> None:
        """Emit the completion."""
        if self._finished:
            return
        self._finished = True
        is_billed = self._is_billed(status, error_kind)
        if not self._usage_counted and is_billed:
            self.count_usage(None, 0)
        if is_billed and not self._is_whole and (status == "cancelled" or error_kind in _ABANDONED):
            exposure = exposure_nanousd(self.usage, self._request, self.route.price)
            self.usage = msgspec.structs.replace(self.usage, exposure_nanousd=exposure)
        event = AttemptFinished(
            status=status,
            duration_seconds=self._clock.monotonic() - self.started_seconds,
            error_kind=error_kind,
            fault=None if error_kind is None else fault_of(error_kind).domain,
            connection_was_stale=connection_was_stale,
            cancel_phase=cancel_phase,
            http_status=self._http_status,
            response_seconds=self._response_seconds,
            first_token_seconds=self.first_token_seconds,
            longest_gap_seconds=self._longest_gap_seconds,
            pool_wait_seconds=self.timer.take_pool_seconds(),
            usage=self.usage,
            response_id=self.response_id,
            response_model=self.response_model,
            finish_reason=self.finish_reason,
        )
        self._scope.finish(event)
        self._permit.attempt_finished(self._request.model, event)

    def _is_billed(self, status: AttemptStatus, error_kind: ErrorKind | None) -> bool:
        """Whether the provider is assumed to bill the prompt of an attempt that reported no usage.

        A refusal costs nothing, nor does a request that never went out; the table is in
        docs/gateway.md.
        """
        if not self._request_sent or (self._http_status is not None and self._http_status not in _SUCCESSES):
            return False
        return status == "cancelled" or error_kind in _WORKED_IN_VAIN or self._response_began
