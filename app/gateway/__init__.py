"""The gateway domain: calls, failover, limits and prices; it knows neither Litestar nor OpenTelemetry.

    request -> in_flight, rate_limit -> openai/request_reading -> budgets -> call -> response_cache
            -> failover -> exchange (attempt: its account) -> provider_client -> connector -> provider
    whole response    -> openai/completion             -> client
    streamed response -> openai/chunks -> stream_relay -> client
    failure           -> openai/refusal_kind or transport_failure -> fault (whose) -> failover, app/providers
    end of an attempt -> openai/counted_usage (applies the price), exposure -> telemetry, app/providers
    end of a call     -> telemetry, ledger, rate_limit, budgets

`Gateway` in `gateway.py` is the way in; `ports.py` is what it needs from the outside.
"""
