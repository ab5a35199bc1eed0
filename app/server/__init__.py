"""The HTTP server under the application, and how it stops.

    listener -> acceptor -> connections (the bound) -> waiting_connections (lanes) -> http_protocol
    bytes    -> read_flow, turns (lanes) -> http_input -> http_head, http_framing -> http_exchange -> application (ASGI)
    response -> http_exchange -> write_flow, send_watch -> client;  a refused request -> http_refusal
    signal   -> stop_signals -> gateway_server: requests finish, or are ended after the grace

`GatewayServer` in `gateway_server.py` runs all of it.
"""
