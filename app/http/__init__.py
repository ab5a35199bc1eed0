"""The HTTP edge: Litestar routes for the gateway, its monitoring and its health.

    request -> telemetry (otel) -> api_headers -> path_bound -> Litestar -> one of
        api_router -> completions -> request_input, content_coding -> gateway -> responses -> client
                   -> models
        monitoring -> exposure -> otel/exposition
        health -> shared_check;  index
    exception -> exception_handlers -> client

`app/application.py` puts them together.
"""
