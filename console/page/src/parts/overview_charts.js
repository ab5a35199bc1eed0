// The two charts below the state: attempts by outcome, and how long providers take. Left out where the families are not there.
import { h } from "preact";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { Chart } from "./chart.js";

const RANGE = 3600;
const ATTEMPTS = apiUrl("metrics/range", { name: "model_inference_requests_total", fn: "rate", by: "status", range: RANGE, exemplars: false });
const LATENCY = apiUrl("metrics/range", { name: "provider_response_time_seconds", fn: "quantile", q: 0.95, by: "provider", range: RANGE });

export function OverviewCharts() {
  const { isPaused } = useConsole();
  const attempts = useApi(ATTEMPTS, { isLive: !isPaused });
  const latency = useApi(LATENCY, { isLive: !isPaused });
  const annotations = useApi(apiUrl("annotations", { range: RANGE }), { isLive: !isPaused });
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
