"""Names the route template of a request before the framework routes it, for FastAPI, Starlette and Litestar.

    application -> find_routes -> Routes (starlette or litestar) -> template of each scope

No framework is imported: its objects are recognised by what they offer.
"""

from otel.instrument.routing.routes import MONITORING, BoundedNames, Routes, find_routes

__all__ = ["MONITORING", "BoundedNames", "Routes", "find_routes"]
