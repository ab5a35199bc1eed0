"""The HTTP server: acceptor -> connections -> http_protocol -> http_exchange -> the ASGI application."""
