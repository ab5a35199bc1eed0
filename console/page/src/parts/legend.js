// The legend of a chart, which is also its table: each series with its latest, smallest, mean and largest value.
import { h } from "preact";
import { UNKNOWN, change, clock, withUnit } from "../format.js";
import { COLOURS, colourName } from "../theme.js";

/** The labels of a series as its name. A quantile that all series of a chart share is in the chart's title. */
export function seriesName(series, quantiles = []) {
  const pairs = Object.entries(series.labels).filter(([name]) => name !== "quantile" || quantiles.length > 1);
  if (pairs.length === 0) return "all series";
  if (pairs.length === 1) return pairs[0][1] || `no ${pairs[0][0]}`;
  return pairs.map(([name, value]) => `${name}=${value}`).join(" ");
}

function meanOf(values) {
  const known = (values ?? []).filter((value) => value !== null);
  return known.length ? known.reduce((total, value) => total + value, 0) / known.length : null;
}

export function Legend({ chart, hovered, title }) {
  const at = hovered === null || hovered >= chart.times.length ? null : hovered;
  const isCompared = chart.series.some((series) => series.before);
  const text = (value) => (value === null || value === undefined ? UNKNOWN : withUnit(value, chart.unit));
  return h(
    "div",
    { class: "legend scroll", tabIndex: 0, role: "region", "aria-label": `Values: ${title}` },
    h(
      "table",
      null,
      h("caption", { class: "hidden-text" }, `Values: ${title}`),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          h("th", { scope: "col" }, "series"),
          h("th", { scope: "col", class: "figure" }, at === null ? "latest" : clock(chart.times[at])),
          h("th", { scope: "col", class: "figure wide" }, "min"),
          h("th", { scope: "col", class: "figure wide" }, "mean"),
          h("th", { scope: "col", class: "figure" }, "max"),
          isCompared ? h("th", { scope: "col", class: "figure" }, "mean before") : null,
          isCompared ? h("th", { scope: "col", class: "figure", title: "of the mean" }, "change") : null,
        ),
      ),
      h(
        "tbody",
        null,
        chart.series.map((series, index) => {
          const known = series.values.filter((value) => value !== null);
          return h(
            "tr",
            { key: seriesName(series, chart.quantiles) },
            h("th", { scope: "row" }, h("span", { class: `key ${colourName(series, index)}${index >= COLOURS ? " dashed" : ""}`, "aria-hidden": "true" }), seriesName(series, chart.quantiles)),
            h("td", { class: "figure" }, text(at === null ? known.at(-1) : series.values[at])),
            h("td", { class: "figure wide" }, text(known.length ? Math.min(...known) : null)),
            h("td", { class: "figure wide" }, text(meanOf(series.values))),
            h("td", { class: "figure" }, text(known.length ? Math.max(...known) : null)),
            isCompared ? h("td", { class: "figure" }, text(meanOf(series.before))) : null,
            isCompared ? h("td", { class: "figure" }, change(meanOf(series.values), meanOf(series.before))) : null,
          );
        }),
      ),
    ),
  );
}
