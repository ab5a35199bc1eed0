"""The prices of a target. The docstring of each key is its documentation."""

import msgspec


class PriceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices in US dollars per million tokens, and per request."""

    input_usd_per_million: float | None = None
    """The provider's price of input tokens; 0.0 where they are free."""
    cached_input_usd_per_million: float | None = None
    """The price of input tokens that the provider read from its cache; by default that of all input."""
    cache_write_usd_per_million: float | None = None
    """The price of input tokens that the provider wrote into its cache; by default that of all input."""
    cache_write_1h_usd_per_million: float | None = None
    """The price of cache writes that the provider stores for an hour; by default that of all cache writes."""
    output_usd_per_million: float | None = None
    """The provider's price of output tokens; 0.0 where they are free."""
    reasoning_usd_per_million: float | None = None
    """The price of output tokens that are hidden reasoning; by default that of all output."""
    audio_input_usd_per_million: float | None = None
    """The price of audio input tokens; by default that of all input."""
    audio_output_usd_per_million: float | None = None
    """The price of audio output tokens; by default that of all output."""
    usd_per_request: float | None = None
    """The price of each request, beside its tokens; by default none."""


class PriceTierConfig(PriceConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices of requests with a long input; a price that is left out is the target's."""

    above_input_tokens: int
    """The prices apply to all tokens of a request whose input has more tokens than this."""
