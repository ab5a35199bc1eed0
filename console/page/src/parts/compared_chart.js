// A chart with the values of the time of the same length before, on the same axis.
import { h } from "preact";
import { apiUrl, useApi } from "../api.js";
import { withBefore } from "../compare.js";
import { instant } from "../format.js";
import { Chart } from "./chart.js";

/** `query` is that of the chart, `range` its range. */
export function ComparedChart({ chart, query, range, ...rest }) {
  const to = chart.times.at(-1) - range.seconds;
  const window = chart.function === "value" ? undefined : chart.range_seconds;
  const earlier = { ...query, range: undefined, from: (to - range.seconds).toFixed(3), to: to.toFixed(3), step: chart.step_seconds, window, exemplars: false };
  const { data, error } = useApi(apiUrl("metrics/range", earlier));
  if (error && !data) return h("div", null, h("p", { class: "stale", role: "status" }, `The time before is not shown: ${error.message}`), h(Chart, { chart, ...rest }));
  return h("div", null, h(Chart, { chart: data ? withBefore(chart, data) : chart, ...rest }), data ? h("p", { class: "quiet small" }, words(data, range)) : null);
}

function words(earlier, range) {
  const first = earlier.series.map((series) => series.values.findIndex((value) => value !== null));
  const since = Math.min(...first);
  const held = earlier.series.length === 0 ? " The console holds nothing of it." : since > 0 ? ` The console holds it from ${instant(earlier.times[since]).slice(0, 19)} UTC on: its mean is of a part.` : "";
  return `Dotted: the same ${range.isMoving ? "" : "length "}before, from ${instant(earlier.times[0]).slice(0, 19)} to ${instant(earlier.times.at(-1)).slice(0, 19)} UTC. Series that have no value now are left out.${held}`;
}
