// A chart of time series: lines by uPlot, annotations and exemplars as marks over them, and the same numbers as a table.
import { h } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { linkTo, linkWith, open } from "../address.js";
import { clock, instant, withUnit } from "../format.js";
import { basisTitle } from "./basis.js";
import { Legend, seriesName } from "./legend.js";
import { createPlot } from "./plot.js";
import { THEME_CHANGED } from "../theme.js";

const MOST_EXEMPLARS = 60;

/** `chart` is the interface's `Chart`; `annotations` its `Annotation`s. A range that is brushed becomes the screen's range. */
export function Chart({ chart, annotations = [], title, isStacked = false, height = 240 }) {
  const holder = useRef(null);
  const plot = useRef(null);
  const [hovered, setHovered] = useState(null);
  const data = useMemo(() => linesOf(chart, isStacked), [chart, isStacked]);
  const exemplars = useMemo(() => shownExemplars(chart), [chart]);
  const shape = `${chart.series.length} ${compared(chart).length} ${chart.unit} ${isStacked} ${height} ${chart.function}`;
  const latest = useRef(null);
  latest.current = { chart, exemplars, annotations };

  useEffect(() => {
    const draw = () => {
      plot.current?.destroy();
      plot.current = createPlot({
        holder: holder.current,
        data,
        chart,
        isStacked,
        height,
        read: () => latest.current,
        onHover: setHovered,
        onBrush: (from, to) => open(linkWith({ from: from.toFixed(3), to: to.toFixed(3), range: undefined })),
        onExemplar: (exemplar) => open(linkTo("trace", { id: exemplar.trace_id, span: exemplar.span_id })),
      });
    };
    draw();
    window.addEventListener(THEME_CHANGED, draw);
    const observer = new ResizeObserver(() => plot.current?.fit());
    observer.observe(holder.current);
    return () => {
      observer.disconnect();
      window.removeEventListener(THEME_CHANGED, draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.update(data), [data, annotations]);

  return h(
    "figure",
    { class: "chart" },
    h(
      "figcaption",
      null,
      h("h2", { class: "chart-title" }, title),
      h("span", { class: "quiet small" }, basisTitle(chart.basis.series)),
    ),
    h("div", { class: "plot", ref: holder, role: "img", "aria-label": summary(chart, title) }),
    h(Legend, { chart, hovered, title }),
    h(Happened, { annotations, exemplars, unit: baseUnit(chart) }),
  );
}

/** The series that have values of the time before, which are drawn behind all others. */
export function compared(chart) {
  return chart.series.filter((series) => series.before);
}

/** What uPlot draws: seconds, then a row of values for each series; stacked ones hold the sums from below. */
export function linesOf(chart, isStacked) {
  if (!isStacked) return [chart.times, ...chart.series.map((series) => series.values), ...compared(chart).map((series) => series.before)];
  const below = chart.times.map(() => null);
  const rows = chart.series.map((series) =>
    series.values.map((value, index) => {
      if (value !== null) below[index] = (below[index] ?? 0) + value;
      return below[index];
    }),
  );
  return [chart.times, ...rows];
}

function shownExemplars(chart) {
  const step = Math.max(1, Math.ceil(chart.exemplars.length / MOST_EXEMPLARS));
  const from = chart.times[0];
  const to = chart.times.at(-1);
  return chart.exemplars.filter((exemplar, index) => index % step === 0 && exemplar.at >= from && exemplar.at <= to);
}

/** The unit of one measurement, which an exemplar has whatever is drawn. */
function baseUnit(chart) {
  return chart.unit.replace(/\/s$/, "");
}

function summary(chart, title) {
  const parts = chart.series.slice(0, 5).map((series) => {
    const known = series.values.filter((value) => value !== null);
    return `${seriesName(series, chart.quantiles)} now ${known.length ? withUnit(known.at(-1), chart.unit) : "unknown"}`;
  });
  const more = chart.series.length > 5 ? `, and ${chart.series.length - 5} more` : "";
  const time = chart.times.length ? ` from ${instant(chart.times[0])} to ${instant(chart.times.at(-1))}` : "";
  return `${title}${time}: ${parts.join(", ") || "no data"}${more}. The table below has the numbers.`;
}

/** The marks of the chart as a list of links. */
function Happened({ annotations, exemplars, unit }) {
  if (annotations.length + exemplars.length === 0) return null;
  const name = [
    annotations.length ? `${annotations.length} annotation${annotations.length > 1 ? "s" : ""}` : "",
    exemplars.length ? `${exemplars.length} exemplar${exemplars.length > 1 ? "s" : ""}` : "",
  ];
  return h(
    "details",
    { class: "happened" },
    h("summary", null, name.filter(Boolean).join(", ")),
    h(
      "ul",
      null,
      annotations.map((one) =>
        h("li", { key: `a${one.at}${one.title}` }, `${clock(one.at)} `, one.trace_id ? h("a", { href: linkTo("trace", { id: one.trace_id }) }, one.title) : one.title),
      ),
      exemplars.map((one) =>
        h("li", { key: `e${one.at}${one.trace_id}` }, `${clock(one.at)} `, h("a", { href: linkTo("trace", { id: one.trace_id, span: one.span_id }) }, withUnit(one.value, unit)), ` ${Object.values(one.labels).join(" ")}`),
      ),
    ),
  );
}
