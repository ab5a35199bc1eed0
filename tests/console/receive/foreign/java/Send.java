// The stock OpenTelemetry SDK for Java, with its OTLP exporters (protobuf over HTTP). OTEL_EXPORTER_OTLP_ENDPOINT names the receiver.
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.KeyValue;
import io.opentelemetry.api.common.Value;
import io.opentelemetry.api.logs.Severity;
import io.opentelemetry.api.metrics.Meter;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.logs.OtlpHttpLogRecordExporter;
import io.opentelemetry.exporter.otlp.http.metrics.OtlpHttpMetricExporter;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.sdk.logs.SdkLoggerProvider;
import io.opentelemetry.sdk.logs.export.SimpleLogRecordProcessor;
import io.opentelemetry.sdk.metrics.Aggregation;
import io.opentelemetry.sdk.metrics.InstrumentSelector;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.metrics.View;
import io.opentelemetry.sdk.metrics.export.AggregationTemporalitySelector;
import io.opentelemetry.sdk.metrics.export.PeriodicMetricReader;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;

public class Send {
  public static void main(String[] arguments) {
    String endpoint = System.getenv("OTEL_EXPORTER_OTLP_ENDPOINT");
    Resource resource =
        Resource.create(
            Attributes.builder()
                .put("service.name", "java-shop")
                .put("service.version", "3")
                .put(AttributeKey.stringArrayKey("host.tags"), List.of("a", "b"))
                .build());
    SdkTracerProvider tracers =
        SdkTracerProvider.builder()
            .setResource(resource)
            .addSpanProcessor(
                SimpleSpanProcessor.create(OtlpHttpSpanExporter.builder().setEndpoint(endpoint + "/v1/traces").setCompression("gzip").build()))
            .build();
    Tracer tracer = tracers.get("shop.cart", "1.5");
    Span earlier = tracer.spanBuilder("earlier").startSpan();
    earlier.end();
    Span server =
        tracer.spanBuilder("POST /cart")
            .setSpanKind(SpanKind.SERVER)
            .addLink(earlier.getSpanContext(), Attributes.of(AttributeKey.stringKey("why"), "retry"))
            .setAttribute(AttributeKey.longArrayKey("items"), List.of(1L, 2L))
            .setAttribute(AttributeKey.doubleArrayKey("prices"), List.of(1.5, 2.25))
            .setAttribute("big", Long.MAX_VALUE)
            .setAttribute("flag", true)
            .setAttribute("text", "ä")
            .startSpan();
    Context inServer = Context.root().with(server);
    Span client =
        tracer.spanBuilder("charge").setParent(inServer).setSpanKind(SpanKind.CLIENT).setAttribute("gen_ai.system", "openai").startSpan();
    client.addEvent("card.refused", Attributes.of(AttributeKey.longArrayKey("tries"), List.of(1L, 2L)));
    client.setStatus(StatusCode.ERROR, "card refused");

    SdkLoggerProvider loggers =
        SdkLoggerProvider.builder()
            .setResource(resource)
            .addLogRecordProcessor(
                SimpleLogRecordProcessor.create(OtlpHttpLogRecordExporter.builder().setEndpoint(endpoint + "/v1/logs").build()))
            .build();
    loggers
        .get("shop.cart")
        .logRecordBuilder()
        .setContext(inServer.with(client))
        .setSeverity(Severity.WARN)
        .setSeverityText("WARN")
        .setBody(Value.of(KeyValue.of("card", Value.of(KeyValue.of("kind", Value.of("debit")), KeyValue.of("tries", Value.of(Value.of(1), Value.of(2)))))))
        .emit();
    client.end();
    server.end();
    for (boolean growing : new boolean[] {true, false}) {
      OtlpHttpMetricExporter exporter =
          OtlpHttpMetricExporter.builder()
              .setEndpoint(endpoint + "/v1/metrics")
              .setAggregationTemporalitySelector(
                  growing ? AggregationTemporalitySelector.alwaysCumulative() : AggregationTemporalitySelector.deltaPreferred())
              .build();
      SdkMeterProvider meters =
          SdkMeterProvider.builder()
              .setResource(resource)
              .registerMetricReader(PeriodicMetricReader.builder(exporter).setInterval(Duration.ofHours(1)).build())
              .registerView(
                  InstrumentSelector.builder().setName("*.sizes").build(),
                  View.builder().setAggregation(Aggregation.base2ExponentialBucketHistogram()).build())
              .build();
      String prefix = growing ? "cumulative" : "delta";
      Meter meter = meters.get("shop");
      var orders = meter.counterBuilder(prefix + ".orders").build();
      var level = meter.upDownCounterBuilder(prefix + ".level").build();
      var seconds = meter.histogramBuilder(prefix + ".seconds").setUnit("s").setExplicitBucketBoundariesAdvice(List.of(0.1, 1.0)).build();
      var sizes = meter.histogramBuilder(prefix + ".sizes").setUnit("By").build();
      for (int round = 0; round < 2; round++) {
        orders.add(2, Attributes.of(AttributeKey.stringKey("kind"), "a"));
        level.add(-1);
        seconds.record(0.5);
        for (double size : new double[] {1, 2, 4, 0}) {
          sizes.record(size);
        }
        meters.forceFlush().join(10, TimeUnit.SECONDS);
      }
      meters.shutdown().join(10, TimeUnit.SECONDS);
    }
    tracers.shutdown().join(10, TimeUnit.SECONDS);
    loggers.shutdown().join(10, TimeUnit.SECONDS);
  }
}
