// One bar for each series: name, bar between the least and the most, value. What does not fit is reached by scrolling.
import { h } from "preact";
import { shown } from "../fields.js";

const GAP = 6;
const LEAST_HEIGHT = 16;
const NAME_ABOVE_FROM = 40;

export function BarGauge({ panel, items, range, size }) {
  const { defaults } = panel.fieldConfig;
  const height = Math.max(LEAST_HEIGHT, (size.height - (items.length - 1) * GAP) / items.length);
  const isAbove = height > NAME_ABOVE_FROM;
  const least = defaults.min ?? Math.min(...items.map(({ value }) => value));
  const most = defaults.max ?? Math.max(...items.map(({ value }) => value));
  return h(
    "div",
    { class: `bars ${isAbove ? "above" : "beside"}`, style: { rowGap: `${GAP}px`, gridAutoRows: `${Math.min(height, 64)}px` } },
    items.map((item) => {
      const { text, colour } = shown(item.value, defaults, range.end);
      const share = Math.max(0, Math.min(1, (item.value - least) / (most - least || 1)));
      return h(
        "div",
        { class: "bar-row", key: item.name, "data-series": item.name },
        h("span", { class: "bar-name" }, item.name),
        h("span", { class: "bar-track" }, h("span", { class: "bar-fill", style: { width: `${share * 100}%`, background: colour } })),
        h("span", { class: "bar-value", style: { color: colour } }, text),
      );
    }),
  );
}
