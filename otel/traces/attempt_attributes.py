"""The attributes of an ended attempt's span, by the GenAI semantic conventions."""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from otel.events import AttemptFinished
from otel.events.usage import NANO, Usage, has_details
from otel.traces.known_attributes import KnownCache

Attributes: TypeAlias = Mapping[str, str | int | float | bool | tuple[str, ...]]

_MAX_KNOWN: Final = 1_000
_MAX_KNOWN_CHARS: Final = 128
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+#=|~-]{0,127}")


class OwnKeys(NamedTuple):
    """Attribute keys outside the semantic conventions, which every application's spans may have."""

    attempt_number: str
    attempt_status: str
    cancelled: str
    cancel_phase: str
    cost_usd: str
    cost_source: str
    reported_cost_usd: str
    exposure_usd: str
    audio_input: str
    audio_output: str
    fault: str
    longest_gap: str
    pool_wait: str
    upstream_model: str
    usage_estimated: str

    @classmethod
    def below(cls, namespace: str) -> "OwnKeys":
        """Return the keys of a namespace."""
        return cls(
            attempt_number=f"{namespace}.attempt.number",
            attempt_status=f"{namespace}.attempt.status",
            cancelled=f"{namespace}.cancelled",
            cancel_phase=f"{namespace}.cancel_phase",
            cost_usd=f"{namespace}.cost_usd",
            cost_source=f"{namespace}.cost_source",
            reported_cost_usd=f"{namespace}.reported_cost_usd",
            exposure_usd=f"{namespace}.exposure_usd",
            audio_input=f"{namespace}.usage.audio.input_tokens",
            audio_output=f"{namespace}.usage.audio.output_tokens",
            fault=f"{namespace}.fault",
            longest_gap=f"{namespace}.longest_chunk_gap_seconds",
            pool_wait=f"{namespace}.pool_wait_seconds",
            upstream_model=f"{namespace}.upstream_model",
            usage_estimated=f"{namespace}.usage.estimated",
        )


class AttemptAttributes:
    """Makes the attributes. Safe from any thread. `redact` cleans the provider's identifiers."""

    def __init__(self, keys: OwnKeys, known: KnownCache, redact: Callable[[str], str]) -> None:
        self._keys = keys
        self._known = known
        self._redact = redact
        self._identifiers: dict[str, str | None] = {}

    def of(self, event: AttemptFinished) -> tuple[Attributes, Attributes]:
        """Return its attributes, in two parts with different keys."""
        response_model = self._known_identifier(event.response_model)
        finish_reason = self._known_identifier(event.finish_reason)
        usage = event.usage
        has_usage = bool(usage.input_tokens or usage.output_tokens)
        estimated, cost_source = (usage.estimated, usage.cost_source) if has_usage else (None, None)
        outcome = (event.status, event.error_kind, event.fault, event.cancel_phase, event.http_status)
        key = ("attempt", *outcome, response_model, finish_reason, estimated, cost_source)
        known = self._known.find(key)
        if known is None:
            optional = {
                self._keys.attempt_status: event.status,
                "error.type": event.error_kind,
                self._keys.fault: event.fault,
                self._keys.cancel_phase: event.cancel_phase,
                "http.response.status_code": event.http_status,
                "gen_ai.response.model": response_model,
                "gen_ai.response.finish_reasons": None if finish_reason is None else (finish_reason,),
                self._keys.usage_estimated: estimated,
                self._keys.cost_source: cost_source,
            }
            known = self._known.keep(key, {name: value for name, value in optional.items() if value is not None})
        return known, self._varying(event, usage, has_usage=has_usage)

    def _varying(self, event: AttemptFinished, usage: Usage, *, has_usage: bool) -> Attributes:
        """Return what differs from attempt to attempt."""
        attributes: dict[str, str | int | float] = {}
        response_id = self._identifier(event.response_id)
        if response_id is not None:
            attributes["gen_ai.response.id"] = response_id
        if event.first_token_seconds is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = event.first_token_seconds
        if event.longest_gap_seconds is not None:
            attributes[self._keys.longest_gap] = event.longest_gap_seconds
        if event.pool_wait_seconds is not None:
            attributes[self._keys.pool_wait] = event.pool_wait_seconds
        if has_usage:
            attributes["gen_ai.usage.input_tokens"] = usage.input_tokens
            attributes["gen_ai.usage.output_tokens"] = usage.output_tokens
            attributes[self._keys.cost_usd] = usage.cost_nanousd / NANO
            if has_details(usage):
                self._add_details(attributes, usage)
        return attributes

    def _add_details(self, attributes: dict[str, str | int | float], usage: Usage) -> None:
        """Add what most attempts do not have."""
        details = (
            ("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens),
            ("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens),
            ("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens),
            (self._keys.audio_input, usage.input_audio_tokens),
            (self._keys.audio_output, usage.output_audio_tokens),
        )
        attributes |= {key: tokens for key, tokens in details if tokens}
        if usage.reported_nanousd is not None:
            attributes[self._keys.reported_cost_usd] = usage.reported_nanousd / NANO
        if usage.exposure_nanousd:
            attributes[self._keys.exposure_usd] = usage.exposure_nanousd / NANO

    def _identifier(self, text: str | None) -> str | None:
        """Return a provider's text if it has the shape of an identifier, without secrets.

        Prose could quote a prompt.
        """
        return self._redact(text) if text is not None and _IDENTIFIER.fullmatch(text) else None

    def _known_identifier(self, text: str | None) -> str | None:
        """Return the same from a cache, for texts with few values, such as models and finish reasons."""
        if text is None:
            return None
        try:
            return self._identifiers[text]
        except KeyError:
            found = self._identifier(text)
        if len(text) <= _MAX_KNOWN_CHARS:
            if len(self._identifiers) >= _MAX_KNOWN:
                self._identifiers.clear()
            self._identifiers[text] = found
        return found
