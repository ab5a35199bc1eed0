// A ring of shares, and a legend with each one's value and share.
import { h } from "preact";
import { seriesColours } from "../fields.js";
import { format } from "../units.js";

export function PieChart({ panel, items, size }) {
  const { defaults } = panel.fieldConfig;
  const sorted = [...items].sort((one, other) => other.value - one.value);
  const colours = seriesColours(panel, sorted);
  const total = sorted.reduce((sum, { value }) => sum + value, 0);
  const side = Math.min(size.height, size.width * 0.42);
  const radius = side / 2 - 12;
  const length = 2 * Math.PI * radius;
  let before = 0;
  const slices = sorted.map((item, index) => {
    const share = total ? item.value / total : 0;
    const slice = h("circle", { key: item.name, cx: side / 2, cy: side / 2, r: radius, fill: "none", stroke: colours[index], "stroke-width": 20, "stroke-dasharray": `${share * length} ${length}`, "stroke-dashoffset": -before * length, transform: `rotate(-90 ${side / 2} ${side / 2})` });
    before += share;
    return slice;
  });
  return h(
    "div",
    { class: "pie" },
    h("svg", { width: side, height: side }, slices),
    h(
      "table",
      null,
      h("thead", null, h("tr", null, h("th"), h("th", { class: "figure" }, "Value"), h("th", { class: "figure" }, "Percent"))),
      h(
        "tbody",
        null,
        sorted.map((item, index) =>
          h(
            "tr",
            { key: item.name, "data-series": item.name },
            h("td", null, h("span", { class: "swatch", style: { background: colours[index] } }), item.name),
            h("td", { class: "figure" }, format(item.value, defaults.unit, { decimals: defaults.decimals })),
            h("td", { class: "figure" }, `${total ? Math.round((item.value / total) * 100) : 0}%`),
          ),
        ),
      ),
    ),
  );
}
