// Buckets of a histogram over time: the darker a cell, the more fell into it.
import { h } from "preact";
import { colour } from "../../../../console/page/src/theme.js";
import { TimeAxis } from "../time_axis.js";
import { format } from "../units.js";

const LEFT = 52;
const TOP = 8;
const AXIS = 18;
const LEGEND = 20;
const LEAST_LABEL_PIXELS = 16;
const EXPONENT = 0.5;

export function Heatmap({ panel, items, range, size, times }) {
  const rows = bucketsOf(items);
  const most = Math.max(...rows.flatMap(({ counts }) => counts));
  const width = (size.width - LEFT) / times.length;
  const area = size.height - TOP - AXIS - LEGEND;
  const height = area / rows.length;
  const every = Math.ceil(LEAST_LABEL_PIXELS / height);
  const y = (index) => TOP + area - (index + 1) * height;
  const fill = colour("series-4");
  return h(
    "svg",
    { width: size.width, height: size.height },
    rows.flatMap(({ bound, counts }, row) =>
      counts.map((count, column) =>
        count > 0 ? h("rect", { key: `${bound} ${column}`, class: "cell", x: LEFT + column * width, y: y(row), width: width - 1, height: height - 1, fill, opacity: 0.12 + 0.88 * (count / most) ** EXPONENT }) : null,
      ),
    ),
    rows.map(({ bound }, row) =>
      row % every === 0 ? h("text", { key: bound, "data-series": bound, x: LEFT - 6, y: y(row) + 4, "text-anchor": "end" }, Number.isFinite(bound) ? format(bound, panel.options.yAxis.unit) : "+Inf") : null,
    ),
    h(TimeAxis, { range, left: LEFT, width: size.width - LEFT, y: TOP + area + 13 }),
    [0, 0.25, 0.5, 0.75, 1].map((share) => h("rect", { key: share, x: LEFT + 20 + share * 120, y: size.height - 14, width: 30, height: 8, fill, opacity: 0.12 + 0.88 * share ** EXPONENT })),
    h("text", { x: LEFT, y: size.height - 6 }, "0"),
    h("text", { x: LEFT + 178, y: size.height - 6 }, format(most, "short", { decimals: 0 })),
  );
}

/** Counts of each bucket by itself: Prometheus' buckets hold those below them too. */
function bucketsOf(items) {
  const sorted = items.map(({ labels, values }) => ({ bound: Number(labels.le.replace("+Inf", "Infinity")), values }));
  sorted.sort((one, other) => one.bound - other.bound);
  return sorted.map(({ bound, values }, index) => ({
    bound,
    counts: values.map((value, at) => Math.max(0, (value ?? 0) - (sorted[index - 1]?.values[at] ?? 0))),
  }));
}
