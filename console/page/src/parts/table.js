// Tables: real ones, with a caption, headers, and rows that j and k reach.
import { h } from "preact";
import { UNKNOWN } from "../format.js";
import { open } from "../address.js";

/**
 * A table. A column is `{title, cell(row), hint, isFigure, isWide, isName, words, sort}`: figures are right-aligned, wide columns are left
 * out on phones, the name is the row's header, `sort` is the link that orders the rows by it, or true where they are. `link(row)` opens a row; its first cell holds the link that j, k and Enter use.
 */
export function Table({ caption, columns, rows, keyOf, link, class: name = "" }) {
  return h(
    "div",
    { class: `scroll ${name}`, tabIndex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      null,
      h("caption", { class: "hidden-text" }, caption),
      h("thead", null, h("tr", null, columns.map((column) => h(Header, { key: column.title, column })))),
      h("tbody", null, rows.map((row) => h(Row, { key: keyOf(row), row, columns, link }))),
    ),
  );
}

function Header({ column }) {
  const title = column.hint || undefined;
  const { sort } = column;
  if (sort === undefined) return h("th", { scope: "col", class: classOf(column), title }, column.title);
  if (sort === true) return h("th", { scope: "col", class: classOf(column), title, "aria-sort": "descending" }, column.title, h("span", { "aria-hidden": "true" }, " ↓"));
  return h("th", { scope: "col", class: classOf(column), title }, h("a", { href: sort, "aria-label": `Order by ${column.title.toLowerCase()}` }, column.title));
}

function classOf(column) {
  const names = [];
  if (column.isFigure) names.push("figure");
  if (column.isWide) names.push("wide");
  if (column.words) names.push("words");
  if (column.isTime) names.push("nowrap");
  return names.join(" ") || undefined;
}

function Row({ row, columns, link }) {
  const target = link?.(row);
  const onClick = (event) => {
    if (event.target.closest("a, button, input, summary") || window.getSelection()?.toString()) return;
    open(target);
    window.scrollTo(0, 0);
  };
  return h(
    "tr",
    target ? { class: "opens", onClick } : null,
    columns.map((column, index) => {
      const cell = h(Value, { value: column.cell(row) });
      const content = target && index === 0 ? h("a", { href: target, "data-row": "" }, cell) : cell;
      const props = { key: column.title, class: classOf(column), title: column.cellTitle?.(row) };
      return column.isName ? h("th", { scope: "row", ...props }, content) : h("td", props, content);
    }),
  );
}

/** A value; what is unknown is shown as such, quietly. */
export function Value({ value }) {
  if (value === null || value === undefined || value === UNKNOWN || value === "") return h("span", { class: "unknown" }, UNKNOWN);
  return value;
}

/** Something that does not apply to a row, which is not the same as unknown. */
export function None() {
  return h("span", { class: "quiet" }, h("span", { "aria-hidden": "true" }, "–"), h("span", { class: "hidden-text" }, "none"));
}
