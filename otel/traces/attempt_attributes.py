"""The attributes of an ended attempt's span, by the GenAI semantic conventions."""

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Final, NamedTuple, TypeAlias

from otel.events import AttemptFinished
from otel.events.usage import NANO, Usage, has_details
from otel.traces.known_attributes import KnownAttributes, KnownCache, VaryingKeys

Attributes: TypeAlias = Mapping[str, str | int | float | bool | tuple[str, ...]]

_MAX_KNOWN_CHARS: Final = 256
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
        usual = (
            "gen_ai.response.id",
            "gen_ai.response.time_to_first_chunk",
            keys.longest_gap,
            keys.pool_wait,
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
            keys.cost_usd,
        )
        self._usual = VaryingKeys(*usual)
        self._detailed = VaryingKeys(
            *usual,
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.reasoning.output_tokens",
            keys.audio_input,
            keys.audio_output,
            keys.reported_cost_usd,
            keys.exposure_usd,
        )

    def of(self, event: AttemptFinished) -> tuple[KnownAttributes, VaryingKeys, tuple[str | int | float | None, ...]]:
        """Return its attributes: those that are known, and keys and values of the others."""
        usage = event.usage
        response_id = self._identifier(event.response_id)
        first_token, gap, pool_wait = event.first_token_seconds, event.longest_gap_seconds, event.pool_wait_seconds
        input_tokens, output_tokens = usage.input_tokens, usage.output_tokens
        has_usage = bool(input_tokens or output_tokens)
        key = (
            has_usage,
            event.status,
            event.error_kind,
            event.fault,
            event.cancel_phase,
            event.http_status,
            event.response_model,
            event.finish_reason,
            usage.estimated,
            usage.cost_source,
        )
        known = self._known.find(key) or self._known_attributes(key, event, has_usage=has_usage)
        if not has_usage:
            return known, self._usual, (response_id, first_token, gap, pool_wait, None, None, None)
        cost_usd = usage.cost_nanousd / NANO
        usual = (response_id, first_token, gap, pool_wait, input_tokens, output_tokens, cost_usd)
        if has_details(usage):
            return known, self._detailed, (*usual, *_details(usage))
        return known, self._usual, usual

    def _known_attributes(
        self, key: tuple[Hashable, ...], event: AttemptFinished, *, has_usage: bool
    ) -> KnownAttributes:
        """Return what many attempts share."""
        response_model, finish_reason = map(self._identifier, (event.response_model, event.finish_reason))
        optional = {
            self._keys.attempt_status: event.status,
            "error.type": event.error_kind,
            self._keys.fault: event.fault,
            self._keys.cancel_phase: event.cancel_phase,
            "http.response.status_code": event.http_status,
            "gen_ai.response.model": response_model,
            "gen_ai.response.finish_reasons": None if finish_reason is None else (finish_reason,),
            self._keys.usage_estimated: event.usage.estimated if has_usage else None,
            self._keys.cost_source: event.usage.cost_source if has_usage else None,
        }
        attributes = {name: value for name, value in optional.items() if value is not None}
        is_short = len(event.response_model or "") + len(event.finish_reason or "") <= _MAX_KNOWN_CHARS
        return self._known.keep(key, attributes) if is_short else KnownAttributes(attributes)

    def _identifier(self, text: str | None) -> str | None:
        """Return a provider's text if it has the shape of an identifier, without secrets.

        Prose could quote a prompt.
        """
        return self._redact(text) if text is not None and _IDENTIFIER.fullmatch(text) else None


def _details(usage: Usage) -> tuple[int | float | None, ...]:
    """Return what most attempts do not have."""
    return (
        usage.cached_tokens or None,
        usage.cache_write_tokens or None,
        usage.reasoning_tokens or None,
        usage.input_audio_tokens or None,
        usage.output_audio_tokens or None,
        None if usage.reported_nanousd is None else usage.reported_nanousd / NANO,
        usage.exposure_nanousd / NANO if usage.exposure_nanousd else None,
    )
