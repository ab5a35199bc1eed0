// One row for each series: its states over time, by the colours of their mappings or thresholds.
import { h } from "preact";
import { named, shown } from "../fields.js";
import { TimeAxis } from "../time_axis.js";

const AXIS = 18;
const LEGEND = 20;
const GLYPH = 6.2;
const ROW_SHARE = 0.85;

export function StateTimeline({ panel, items, range, size }) {
  const { defaults } = panel.fieldConfig;
  const left = Math.min(size.width * 0.4, Math.max(...items.map(({ name }) => name.length)) * GLYPH + 10);
  const area = size.height - AXIS - LEGEND;
  const height = area / items.length;
  const width = size.width - left;
  return h(
    "div",
    null,
    h(
      "svg",
      { width: size.width, height: size.height - LEGEND },
      items.map(({ name, values }, row) =>
        h(
          "g",
          { key: name, "data-series": name },
          h("text", { x: left - 6, y: (row + 0.5) * height + 4, "text-anchor": "end", style: { fontSize: `${Math.min(11, height)}px` } }, name),
          spans(values).map(({ value, from, to }) =>
            h("rect", { key: from, x: left + (from / values.length) * width, width: ((to - from) / values.length) * width, y: row * height + 1, height: height * ROW_SHARE - 1, fill: shown(value, defaults).colour, opacity: 0.8 }),
          ),
        ),
      ),
      h(TimeAxis, { range, left, width, y: area + 14 }),
    ),
    h("div", { class: "series-list" }, states(defaults).map(({ text, color }) => h("span", { key: text }, h("span", { class: "swatch", style: { background: named(color) } }), text))),
  );
}

/** Neighbours of the same value as one. */
function spans(values) {
  const found = [];
  values.forEach((value, index) => {
    if (value === null) return;
    const before = found.at(-1);
    if (before?.value === value && before.to === index) before.to = index + 1;
    else found.push({ value, from: index, to: index + 1 });
  });
  return found;
}

function states({ mappings, thresholds }) {
  if (mappings.length) return Object.values(mappings[0].options);
  return thresholds.steps.map(({ value, color }) => ({ text: value === null ? `< ${thresholds.steps[1]?.value ?? ""}` : `${value}+`, color }));
}
