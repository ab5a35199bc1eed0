// The stock OpenTelemetry SDK for Node.js, with its OTLP exporters: spans as protobuf, metrics and logs as JSON.
// OTEL_EXPORTER_OTLP_ENDPOINT names the receiver.
import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { AggregationTemporalityPreference, OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const resource = resourceFromAttributes({ "service.name": "node-shop", "service.version": "3", "host.tags": ["a", "b"] });

const tracers = new BasicTracerProvider({ resource, spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())] });
const tracer = tracers.getTracer("shop.cart", "1.5");
const earlier = tracer.startSpan("earlier");
earlier.end();
const server = tracer.startSpan("POST /cart", {
  kind: SpanKind.SERVER,
  links: [{ context: earlier.spanContext(), attributes: { why: "retry" } }],
  attributes: { items: [1, 2], prices: [1.5, 2.25], ratio: 0.5, big: 9007199254740991, flag: true, text: "ä" },
});
const inServer = trace.setSpan(context.active(), server);
const client = tracer.startSpan("charge", { kind: SpanKind.CLIENT, attributes: { "gen_ai.system": "openai" } }, inServer);
client.addEvent("card.refused", { tries: [1, 2] });
client.setStatus({ code: SpanStatusCode.ERROR, message: "card refused" });

const loggers = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor({ exporter: new OTLPLogExporter() })] });
loggers.getLogger("shop.cart").emit({
  severityNumber: SeverityNumber.WARN,
  severityText: "WARN",
  body: { card: { kind: "debit", tries: [1, 2] } },
  attributes: { nested: { deep: [true, "x"] }, blob: new Uint8Array([0, 1]) },
  context: trace.setSpan(inServer, client),
});
client.end();
server.end();

const meters = (prefix, temporalityPreference) => {
  const exporter = new OTLPMetricExporter({ temporalityPreference });
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const views = [{ instrumentName: "*.sizes", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }];
  const provider = new MeterProvider({ resource, readers: [reader], views });
  const meter = provider.getMeter("shop");
  const orders = meter.createCounter(`${prefix}.orders`);
  const level = meter.createUpDownCounter(`${prefix}.level`);
  const seconds = meter.createHistogram(`${prefix}.seconds`, { unit: "s", advice: { explicitBucketBoundaries: [0.1, 1] } });
  const sizes = meter.createHistogram(`${prefix}.sizes`, { unit: "By" });
  return { provider, reader, record: () => {
    orders.add(2, { kind: "a" });
    level.add(-1);
    seconds.record(0.5);
    for (const size of [1, 2, 4, 0]) sizes.record(size);
  } };
};
for (const [prefix, preference] of [["cumulative", AggregationTemporalityPreference.CUMULATIVE], ["delta", AggregationTemporalityPreference.DELTA]]) {
  const { provider, reader, record } = meters(prefix, preference);
  for (let round = 0; round < 2; round++) {
    record();
    await reader.forceFlush();
  }
  await provider.shutdown();
}
await tracers.shutdown();
await loggers.shutdown();
