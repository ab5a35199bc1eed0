// The two charts below the state: attempts by outcome, and how long providers take. Left out where the families are not there.
import { h } from "preact";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { Chart } from "./chart.js";

/** The last hour, or less where the console has held telemetry for less; few lengths, so that the address rarely changes. */
const RANGES = [300, 900, 1800, 3600];
const ATTEMPTS = { name: "model_inference_requests_total", fn: "rate", by: "status", exemplars: false };
const LATENCY = { name: "provider_response_time_seconds", fn: "quantile", q: 0.95, by: "provider" };

export function OverviewCharts() {
  const { isPaused, meta } = useConsole();
  const held = meta && meta.oldest !== null ? meta.now - meta.oldest : 0;
  const range = RANGES.find((one) => held <= one) ?? RANGES.at(-1);
  const attempts = useApi(apiUrl("metrics/range", { ...ATTEMPTS, range }), { isLive: !isPaused });
  const latency = useApi(apiUrl("metrics/range", { ...LATENCY, range }), { isLive: !isPaused });
  const annotations = useApi(apiUrl("annotations", { range }), { isLive: !isPaused });
  const marks = annotations.data?.annotations ?? [];
  return h(
    "div",
    { class: "columns section" },
    hasSeries(attempts) ? h(Chart, { chart: attempts.data, annotations: marks, title: "Attempts per second by outcome", height: 190 }) : null,
    hasSeries(latency) ? h(Chart, { chart: latency.data, annotations: marks, title: "Time to the first byte, p95 by provider", height: 190 }) : null,
  );
}

function hasSeries(result) {
  return result.data !== null && result.data.series.length > 0;
}
