"""The HTTP edge: Litestar routes for the gateway, its monitoring and its health."""
