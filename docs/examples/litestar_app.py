from litestar import Controller, Litestar, post
from litestar.params import FromPath, FromQuery

from otel import Counter, Telemetry

telemetry = Telemetry.from_environ(
    service="shop",
    metrics=[Counter("shop_orders_total", labels={"method": ("card", "cash")}, help="Orders taken.")],
)


class Orders(Controller):
    path = "/orders"

    @post("/{order_id:int}")
    async def order(self, order_id: FromPath[int], method: FromQuery[str]) -> dict[str, int]:
        with telemetry.tracer.start_as_current_span("charge"):
            telemetry.add("shop_orders_total", method=method)
        return {"order": order_id}


app = telemetry.instrument_asgi(
    Litestar([Orders], lifespan=[telemetry.lifespan], openapi_config=None), serve_metrics=True
)
