"""Records the LLM calls of any application: the documented metrics, a client span, one log line for each call.

    with telemetry.llm.call("openai", "gpt-4o-mini") as call:
        response = await client.chat.completions.create(..., extra_headers=call.headers)
        call.usage(response.usage.prompt_tokens, response.usage.completion_tokens, cost_usd="0.00042")

It moves `model_inference_*`, `tokens_used_total`, `credits_used_total`, `provider_response_time_seconds`
and the cost by provider. Providers and models that were not declared are recorded as `other`.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Token
from decimal import Decimal
from http import HTTPStatus
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, cast

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from otel.events import AttemptFinished, AttemptScope, AttemptStarted, AttemptStatus, ErrorKind, Recorder
from otel.events.usage import NANO, NO_USAGE, Usage
from otel.labels import LabelBounds
from otel.logs.writer import FieldValue, LogWriter
from otel.recording.recorder import TelemetryAttempt

Money: TypeAlias = Decimal | float | int | str
Operation: TypeAlias = Literal["chat", "embeddings"]

_LEVELS: Final[Mapping[AttemptStatus, str]] = {"success": "info", "cancelled": "info", "error": "error"}
_CANCELLED: Final = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt)
_BY_STATUS: Final[Mapping[int, ErrorKind]] = {
    HTTPStatus.UNAUTHORIZED: "upstream_auth",
    HTTPStatus.PAYMENT_REQUIRED: "upstream_quota",
    HTTPStatus.FORBIDDEN: "upstream_auth",
    HTTPStatus.NOT_FOUND: "model_unavailable",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limited",
}


class LlmRecorder:
    """Opens and records calls. Safe from any thread; a call belongs to one task."""

    def __init__(
        self,
        recorder: Recorder,
        logs: LogWriter | None,
        bounds: LabelBounds,
        *,
        clock: Callable[[], float],
        unix_ns: Callable[[], int],
        logger: str,
    ) -> None:
        self._recorder = recorder
        self._logs = logs
        self._bounds = bounds
        self._clock = clock
        self._unix_ns = unix_ns
        self._logger = logger

    def call(
        self,
        provider: str,
        model: str,
        *,
        operation: Operation = "chat",
        stream: bool = False,
        upstream_model: str | None = None,
        server_address: str = "",
        server_port: int = 443,
    ) -> "LlmCall":
        """Return one call to record, a context manager: it ends with the block, an exception makes it an error.

        `upstream_model` is the provider's own name of the model where it differs.
        """
        started = AttemptStarted(
            provider=provider,
            model=model,
            upstream_model=upstream_model or model,
            operation=operation,
            stream=stream,
            number=1,
            server_address=server_address,
            server_port=server_port,
        )
        return LlmCall(self._recorder.start_attempt(started), started, self._clock, self._log)

    def record(
        self,
        provider: str,
        model: str,
        *,
        duration_seconds: float,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cost_usd: Money = 0,
        charged_usd: Money = 0,
        estimated: bool = False,
        operation: Operation = "chat",
        stream: bool = False,
        first_token_seconds: float | None = None,
        error: str | None = None,
    ) -> None:
        """Record a call that ended just now, after `duration_seconds`; with an `error` it failed."""
        started = AttemptStarted(
            provider=provider,
            model=model,
            upstream_model=model,
            operation=operation,
            stream=stream,
            number=1,
            server_address="",
            server_port=0,
            started_unix_ns=self._unix_ns() - round(duration_seconds * NANO),
        )
        attempt = self._recorder.start_attempt(started)
        finished = AttemptFinished(
            status="success" if error is None else "error",
            duration_seconds=duration_seconds,
            error_kind=None if error is None else cast("ErrorKind", error),
            response_seconds=first_token_seconds if error is None and stream else _unless(error, duration_seconds),
            first_token_seconds=first_token_seconds,
            usage=_usage(input_tokens, output_tokens, cost_usd, charged_usd, estimated=estimated),
        )
        attempt.finish(finished)
        self._log(attempt, started, finished)

    def _log(self, attempt: AttemptScope, started: AttemptStarted, finished: AttemptFinished) -> None:
        """Write the call's line; its values are bounded or numbers, so it needs no redaction."""
        if self._logs is None:
            return
        provider, model = self._bounds.provider(started.provider), self._bounds.model(started.model)
        fields: dict[str, FieldValue] = {
            "operation": started.operation,
            "provider": provider,
            "model": model,
            "status": finished.status,
            "error_kind": finished.error_kind,
            "stream": started.stream,
            "duration_ms": round(finished.duration_seconds * 1000, 3),
            "first_token_ms": _milliseconds(finished.first_token_seconds),
            "input_tokens": finished.usage.input_tokens,
            "output_tokens": finished.usage.output_tokens,
            "usage_estimated": finished.usage.estimated or None,
            "cost_usd": finished.usage.cost_nanousd / NANO,
        }
        message = f"{started.operation} {provider} {model} {finished.status}"
        context = attempt.context if isinstance(attempt, TelemetryAttempt) else None
        self._logs.emit(_LEVELS[finished.status], self._logger, message, fields, context=context, trusted=True)


class LlmCall:
    """One call. Its span is current inside the block, so that what the client library records is below it."""

    def __init__(
        self,
        attempt: AttemptScope,
        started: AttemptStarted,
        clock: Callable[[], float],
        log: Callable[[AttemptScope, AttemptStarted, AttemptFinished], None],
    ) -> None:
        self._attempt = attempt
        self._started = started
        self._clock = clock
        self._log = log
        self._started_seconds = clock()
        self._first_token_seconds: float | None = None
        self._response_seconds: float | None = None
        self._usage = NO_USAGE
        self._error_kind: ErrorKind | None = None
        self._token: Token[Context] | None = None
        self._finished = False

    @property
    def headers(self) -> Mapping[str, str]:
        """The trace context to send to the provider."""
        return self._attempt.headers

    def responded(self) -> None:
        """Mark the first byte of the provider's response; by default it is the first token, or the end of the call."""
        if self._response_seconds is None:
            self._response_seconds = self._seconds()

    def first_token(self) -> None:
        """Mark the first streamed chunk with content; later calls change nothing."""
        self.responded()
        if self._first_token_seconds is None:
            self._first_token_seconds = self._seconds()

    def usage(
        self,
        input_tokens: int,
        output_tokens: int = 0,
        *,
        cost_usd: Money = 0,
        charged_usd: Money = 0,
        estimated: bool = False,
    ) -> None:
        """Set the tokens of the call, what the provider charges for them, and what you charge your caller."""
        self._usage = _usage(input_tokens, output_tokens, cost_usd, charged_usd, estimated=estimated)

    def failed(self, kind: str) -> None:
        """Make the call an error without an exception; `kind` is one of a few words of the code, never a message."""
        self._error_kind = cast("ErrorKind", kind)

    def __enter__(self) -> Self:
        if isinstance(self._attempt, TelemetryAttempt):
            self._token = otel_context.attach(self._attempt.context)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        attempt = self._attempt
        if self._token is not None and isinstance(attempt, TelemetryAttempt):
            # A generator may be closed by another task, whose context never held the span.
            if otel_context.get_current() is attempt.context:
                otel_context.detach(self._token)
            self._token = None
        if self._finished:
            return
        self._finished = True
        finished = self._end(exc)
        attempt.finish(finished)
        self._log(attempt, self._started, finished)

    def _end(self, exc: BaseException | None) -> AttemptFinished:
        seconds = self._seconds()
        status: AttemptStatus = "success"
        kind = self._error_kind
        if isinstance(exc, _CANCELLED):
            status, kind = "cancelled", None
        elif exc is not None or kind is not None:
            status, kind = "error", kind or _error_kind(exc)
        response_seconds = self._response_seconds
        if response_seconds is None and (status == "success" or isinstance(exc, TimeoutError)):
            response_seconds = seconds
        phase = "before_first_byte" if self._response_seconds is None else "after_first_byte"
        return AttemptFinished(
            status=status,
            duration_seconds=seconds,
            error_kind=kind,
            cancel_phase=cast("Literal['before_first_byte', 'after_first_byte']", phase)
            if status == "cancelled"
            else None,
            response_seconds=response_seconds,
            first_token_seconds=self._first_token_seconds,
            usage=self._usage,
        )

    def _seconds(self) -> float:
        return self._clock() - self._started_seconds


def _usage(input_tokens: int, output_tokens: int, cost_usd: Money, charged_usd: Money, *, estimated: bool) -> Usage:
    return Usage(
        input_tokens=max(0, input_tokens),
        output_tokens=max(0, output_tokens),
        estimated=estimated,
        cost_nanousd=_nano(cost_usd),
        credits_nanousd=_nano(charged_usd),
    )


def _nano(usd: Money) -> int:
    """Return US dollars as whole nano-dollars, exact for text and `Decimal`; less than 0 is no cost."""
    return max(0, round(Decimal(str(usd)) * NANO))


def _error_kind(error: BaseException | None) -> ErrorKind:
    """Return the kind of an exception: by its HTTP status where the client library gives one, else by its class."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        by_class: ErrorKind = "upstream_5xx" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "upstream_4xx"
        return _BY_STATUS.get(status, by_class)
    if isinstance(error, TimeoutError):
        return "total_timeout"
    if isinstance(error, OSError):
        return "connect_error"
    return cast("ErrorKind", type(error).__name__)


def _unless(error: str | None, seconds: float) -> float | None:
    return seconds if error is None else None


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
