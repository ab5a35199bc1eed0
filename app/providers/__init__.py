"""The state of the providers: breakers, availability, health.

    attempt begins -> registry -> provider -> breaker, target_state -> permit, or skipped
    attempt ends   -> provider -> breaker, target_state, attempt_windows -> attempt_window
    probes         -> provider -> availability
    attempt_windows, availability -> health_score -> gauges;  provider_reading -> /health/ready

`ProviderStates` in `registry.py` is the way in; `jobs.py` runs probes and the breakers' clock.
"""
