from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from otel import Counter, Telemetry

telemetry = Telemetry.from_environ(
    service="shop",
    metrics=[Counter("shop_orders_total", labels={"method": ("card", "cash")}, help="Orders taken.")],
)


async def order(request: Request) -> JSONResponse:
    with telemetry.tracer.start_as_current_span("charge"):
        telemetry.add("shop_orders_total", method=request.query_params["method"])
    return JSONResponse({"order": request.path_params["order_id"]})


routes = [
    Mount("/shop", routes=[Route("/orders/{order_id:int}", order, methods=["POST"])]),
    Mount("/", app=telemetry.metrics_app()),
]
app = telemetry.instrument_asgi(Starlette(routes=routes, lifespan=telemetry.lifespan))
