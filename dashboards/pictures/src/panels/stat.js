// Large values with their names, coloured by threshold, over the course of each.
import { h } from "preact";
import { shown } from "../fields.js";

const GAP = 6;
const GLYPH = 0.62;
const MOST_VALUE = 44;
const MOST_NAME = 16;

export function Stat({ panel, items, range, size }) {
  const { defaults } = panel.fieldConfig;
  const cells = items.map((item) => ({ ...item, ...shown(item.value, defaults, range.end) }));
  const isNamed = panel.options.textMode === "value_and_name";
  const grid = bestGrid(cells, size, isNamed);
  const style = { gridTemplateColumns: `repeat(${grid.columns}, 1fr)`, gridAutoRows: `${grid.height}px`, gap: `${GAP}px` };
  return h(
    "div",
    { class: "stats", style },
    cells.map((cell) =>
      h(
        "div",
        { class: "stat", key: cell.name, style: { background: cell.colour } },
        panel.options.graphMode === "area" && !cell.isInstant ? h(Course, { values: cell.values, width: grid.width, height: grid.height }) : null,
        isNamed ? h("div", { class: "stat-name", style: { fontSize: `${grid.name}px` } }, cell.name) : null,
        h("div", { class: "stat-value", style: { fontSize: `${grid.value}px` } }, cell.text),
      ),
    ),
  );
}

/** The number of columns with the largest text, and its sizes: all cells share them. */
function bestGrid(cells, size, isNamed) {
  const value = Math.max(...cells.map(({ text }) => text.length));
  const name = Math.max(...cells.map((cell) => cell.name.length));
  const sizes = cells.map((_, index) => {
    const columns = index + 1;
    const rows = Math.ceil(cells.length / columns);
    const width = (size.width - (columns - 1) * GAP) / columns;
    const height = (size.height - (rows - 1) * GAP) / rows;
    const forValue = Math.min(MOST_VALUE, height * (isNamed ? 0.5 : 0.7), (width - 12) / (value * GLYPH));
    const forName = Math.min(MOST_NAME, height * 0.3, (width - 12) / (name * GLYPH));
    return { columns, width, height, value: forValue, name: forName, least: Math.min(forValue, isNamed ? forName * 1.8 : Infinity) };
  });
  return sizes.reduce((best, each) => (each.least > best.least ? each : best));
}

/** The course of a value as an area along the bottom. */
function Course({ values, width, height }) {
  const known = values.filter((value) => value !== null);
  const low = Math.min(...known);
  const span = Math.max(...known) - low || 1;
  const points = values.flatMap((value, index) =>
    value === null ? [] : [`${(index / Math.max(1, values.length - 1)) * width},${height - 2 - ((value - low) / span) * height * 0.35}`],
  );
  const [first, end] = [points[0].split(",")[0], points.at(-1).split(",")[0]];
  return h("svg", { class: "course", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" }, h("polygon", { points: `${first},${height} ${points.join(" ")} ${end},${height}` }));
}
