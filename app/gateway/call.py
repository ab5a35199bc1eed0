"""The account of one LLM call with all its attempts, from its admission to its completion.

Input: attempts and how the call ended. Output: exactly one `CallFinished` and one ledger row,
with the same numbers, in every outcome: used as a context manager, it turns whatever leaves the
block into an end. It does no I/O.
"""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import msgspec

from app.gateway.attempt import Attempt
from app.gateway.budgets.budgets import Reservation
from app.gateway.call_usage import total_usage
from app.gateway.cancellation import InterruptedCallError
from app.gateway.capacity.response_budget import ResponseBudget, ResponseShare
from app.gateway.models import Route
from app.gateway.openai.request import CallRequest
from app.gateway.overhead import OverheadTimer
from app.gateway.ports import AttemptPermit, Caller, Clock, Ledger, LedgerRow
from otel.events import CallFinished, CallStatus, CancelPhase, RequestScope
from otel.events.usage import Usage


class Call:
    """One call; used by the request's task. `delivering`: bytes of a response have gone to the client; `was_cut`: not all of them.

    It ends when the block around it is left: a response is a success once it is delivered.
    """

    def __init__(
        self,
        *,
        call_id: str,
        scope: RequestScope,
        caller: Caller,
        request: CallRequest,
        ledger: Ledger,
        clock: Clock,
        room: ResponseShare | None = None,
        timer: OverheadTimer | None = None,
        reservation: Reservation | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.call_id = call_id
        self.scope = scope
        self.caller = caller
        self.request = request
        self.reservation = reservation
        self._tags = tags or {}
        self.room = room or ResponseBudget().share(caller.key_id)
        self.timer = timer or OverheadTimer(clock.monotonic)
        self.delivering = False
        self.was_cut = False
        self._has_response = False
        self._is_cached = False
        self.provider: str | None = None
        self.attempts: list[Attempt] = []
        self._ledger = ledger
        self._clock = clock
        self._started_seconds = clock.monotonic()
        self._started_unix_ms = clock.unix_ms()
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._finished:
            return
        if self._has_response and exc is None:
            if self.was_cut:
                self.cancel()
            else:
                self._finish("success", cached=self._is_cached)
        elif isinstance(exc, InterruptedCallError) and exc.reason == "client_left":
            self.cancel()
        elif isinstance(exc, InterruptedCallError | asyncio.CancelledError):
            self.stop()
        else:
            # A defect of the gateway: the provider did nothing wrong.
            self._end_attempt()
            self._finish("error", error_kind="internal")

    def start_attempt(self, route: Route, permit: AttemptPermit) -> Attempt:
        """Begin the next attempt; its end, which this call makes certain, gives the permit back."""
        number = len(self.attempts) + 1
        attempt = Attempt(self.scope, self.request, route, permit, number=number, clock=self._clock, timer=self.timer)
        self.attempts.append(attempt)
        self.provider = route.provider.name
        return attempt

    def succeed(self) -> None:
        """The last attempt succeeded: the call is a success once the response is delivered."""
        self._has_response = True

    def hit_cache(self) -> None:
        """A cached response was found, which costs nothing and is charged nothing."""
        self._has_response = self._is_cached = True

    def fail(self, error_kind: str) -> None:
        """End it with an error; its attempts have ended."""
        self._finish("error", error_kind=error_kind)

    def stop(self) -> None:
        """End it because the gateway stops: an error for the caller, nothing for the provider."""
        self._end_attempt()
        self._finish("error", error_kind="shutdown")

    def cancel(self) -> None:
        """End it because the client left."""
        self._end_attempt()
        self._finish("cancelled", cancel_phase=self._phase)

    @property
    def usage(self) -> Usage:
        """The sum over the attempts."""
        attempts = self.attempts
        return attempts[0].usage if len(attempts) == 1 else total_usage([attempt.usage for attempt in attempts])

    @property
    def _phase(self) -> CancelPhase:
        return "after_first_byte" if self.delivering else "before_first_byte"

    def _end_attempt(self) -> None:
        """End the attempt that is in flight, if any."""
        if self.attempts:
            self.attempts[-1].cancel(self._phase)

    def _first_token_ms(self) -> int | None:
        """Milliseconds from the call's start to the first streamed content; None without any."""
        for attempt in self.attempts:
            if attempt.first_token_seconds is not None:
                seconds = attempt.started_seconds + attempt.first_token_seconds - self._started_seconds
                return round(seconds * 1_000)
        return None

    def _finish(
        self,
        status: CallStatus,
        *,
        cached: bool = False,
        error_kind: str | None = None,
        cancel_phase: CancelPhase | None = None,
    ) -> None:
        """Emit the completion."""
        if self._finished:
            return
        self._finished = True
        usage = self.usage
        duration_seconds = self._clock.monotonic() - self._started_seconds
        request = self.request
        self.scope.record(
            CallFinished(
                operation=request.operation,
                model=request.model,
                provider=self.provider,
                status=status,
                stream=request.stream,
                attempts=len(self.attempts),
                duration_seconds=duration_seconds,
                cached=cached,
                error_kind=error_kind,
                cancel_phase=cancel_phase,
                usage=usage,
                tags=self._tags or None,
            )
        )
        self._ledger.append(
            LedgerRow(
                call_id=self.call_id,
                started_unix_ms=self._started_unix_ms,
                trace_id=self.scope.trace_id,
                key_id=self.caller.key_id,
                plan=self.caller.plan,
                operation=request.operation,
                model=request.model,
                provider=self.provider,
                status=status,
                error_kind=error_kind,
                stream=request.stream,
                cached=cached,
                attempts=len(self.attempts),
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                usage_estimated=usage.estimated,
                cost_nanousd=usage.cost_nanousd,
                credits_nanousd=usage.credits_nanousd,
                duration_ms=round(duration_seconds * 1_000),
                first_token_ms=self._first_token_ms(),
                cached_tokens=usage.cached_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                input_audio_tokens=usage.input_audio_tokens,
                output_audio_tokens=usage.output_audio_tokens,
                cost_source=usage.cost_source,
                reported_nanousd=usage.reported_nanousd,
                unpriced_tokens=usage.unpriced_tokens,
                exposure_nanousd=usage.exposure_nanousd,
                tags=msgspec.json.encode(self._tags).decode() if self._tags else None,
            )
        )
