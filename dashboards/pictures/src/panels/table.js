// A table with Grafana's sizes: rows of 36 pixels, and columns without a width share what is left, 150 pixels at least.
import { h } from "preact";

const LEAST_WIDTH = 150;

export function Table({ columns, items, size }) {
  const set = columns.reduce((sum, { width }) => sum + (width ?? 0), 0);
  const open = columns.filter(({ width }) => width === undefined).length;
  const share = Math.max(LEAST_WIDTH, (size.width - set) / Math.max(1, open));
  const widths = columns.map(({ width }) => width ?? share);
  const total = widths.reduce((sum, width) => sum + width, 0);
  return h(
    "div",
    { class: "cells", style: { maxHeight: `${size.height}px` }, "data-overflow": Math.max(0, Math.round(total - size.width)) },
    h(
      "table",
      { style: { width: `${total}px` } },
      h("colgroup", null, widths.map((width, index) => h("col", { key: index, style: { width: `${width}px` } }))),
      h("thead", null, h("tr", null, columns.map(({ title, isFigure }) => h("th", { key: title, class: isFigure ? "figure" : "" }, title)))),
      h(
        "tbody",
        null,
        items.map((row, number) =>
          h("tr", { key: number, "data-series": number }, row.map((text, index) => h("td", { key: index, class: `${columns[index].isFigure ? "figure" : ""} ${columns[index].isLink || columns[index].title === "Trace ID" ? "link" : ""}` }, text))),
        ),
      ),
    ),
  );
}
