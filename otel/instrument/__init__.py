"""What an application instruments itself with; `otel.Telemetry` puts it together.

    HTTP request -> asgi (template by routing) -> recorder
    LLM call -> llm -> recorder
    own counter, gauge, histogram -> own_metrics -> instruments
    scrape -> metrics_app -> exposition

`application_families` are the documented families that an application has which is no LLM gateway.
"""
