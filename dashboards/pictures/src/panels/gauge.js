// A value on an arc from the least to the most, coloured by threshold; the steps are marked along the arc.
import { h } from "preact";
import { named, shown } from "../fields.js";

const FROM = -210;
const SWEEP = 240;

export function Gauge({ panel, items, range, size }) {
  const { defaults } = panel.fieldConfig;
  const width = size.width / items.length;
  return h(
    "div",
    { class: "gauges" },
    items.map((item) => h(Arc, { key: item.name, name: items.length > 1 ? item.name : "", value: item.value, ...shown(item.value, defaults, range.end), defaults, width, height: size.height })),
  );
}

function Arc({ name, value, text, colour, defaults, width, height }) {
  const least = defaults.min ?? 0;
  const most = defaults.max ?? 100;
  const at = (each) => Math.max(0, Math.min(1, (each - least) / (most - least)));
  const radius = Math.min(width / 2 - 10, height / 1.55 - 8);
  const centre = { x: width / 2, y: radius + 10 };
  const steps = defaults.thresholds.steps.map((step, index, all) => [step, at(step.value ?? least), at(all[index + 1]?.value ?? most)]);
  return h(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, "data-series": name },
    h("path", { class: "unfilled", d: arc(centre, radius - 10, 0, 1), "stroke-width": 14 }),
    h("path", { d: arc(centre, radius - 10, 0, Math.max(0.004, at(value))), stroke: colour, fill: "none", "stroke-width": 14 }),
    steps.map(([step, from, to]) => h("path", { key: from, d: arc(centre, radius, from, to), stroke: named(step.color), fill: "none", "stroke-width": 3 })),
    h("text", { class: "gauge-value", x: centre.x, y: centre.y + radius * 0.12, "font-size": Math.min(32, radius * 0.5), fill: colour }, text),
    name ? h("text", { class: "gauge-name", x: centre.x, y: height - 4 }, name) : null,
  );
}

function arc({ x, y }, radius, from, to) {
  const point = (share) => {
    const angle = ((FROM + share * SWEEP) * Math.PI) / 180;
    return `${x + radius * Math.cos(angle)} ${y + radius * Math.sin(angle)}`;
  };
  return `M ${point(from)} A ${radius} ${radius} 0 ${(to - from) * SWEEP > 180 ? 1 : 0} 1 ${point(to)}`;
}
