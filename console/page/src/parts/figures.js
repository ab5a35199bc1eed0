// Large figures with their names, and lists of facts.
import { h } from "preact";
import { UNKNOWN } from "../format.js";
import { Value } from "./table.js";

/** `items`: `{title, value, notes, hint, isBroken}`; empty notes are left out. */
export function Totals({ items, label }) {
  return h(
    "dl",
    { class: "totals", "aria-label": label },
    items.map((item) =>
      h(
        "div",
        { key: item.title, class: "total", title: item.hint || undefined },
        h("dt", null, item.title),
        h(
          "dd",
          { class: item.value === UNKNOWN ? "unknown" : item.isBroken ? "broken" : undefined },
          item.value,
          (item.notes ?? []).filter(Boolean).map((note) => h("div", { key: note, class: "note" }, note)),
        ),
      ),
    ),
  );
}

/** `items`: pairs of name and value; those whose value is undefined do not apply and are left out. */
export function Facts({ items }) {
  return h(
    "dl",
    { class: "facts" },
    items
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, h(Value, { value })))),
  );
}

/** A share as a thin bar below a number. */
export function ShareBar({ share }) {
  const width = `${Math.max(0, Math.min(1, share ?? 0)) * 100}%`;
  return h("span", { class: "share", "aria-hidden": "true" }, h("span", { style: { width } }));
}
