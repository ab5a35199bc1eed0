from fastapi import FastAPI

from otel import Counter, Telemetry

telemetry = Telemetry.from_environ(
    service="shop",
    version="1.4.0",
    metrics=[Counter("shop_orders_total", labels={"method": ("card", "cash")}, help="Orders taken.")],
)
api = FastAPI(lifespan=telemetry.lifespan)


@api.post("/orders/{order_id}")
async def order(order_id: int, method: str) -> dict[str, int]:
    with telemetry.tracer.start_as_current_span("charge"):
        telemetry.add("shop_orders_total", method=method)
    return {"order": order_id}


app = telemetry.instrument_asgi(api, serve_metrics=True)
