// The head of a screen: its title, one line about it, and the choice of a range.
import { h } from "preact";
import { linkWith } from "../address.js";
import { endsWords } from "../format.js";
import { RANGES, timeRange } from "../time_range.js";

export function Head({ title, about, aside, withRange = false }) {
  return h(
    "div",
    { class: "head" },
    h("h1", null, title),
    about ? h("p", { class: "quiet" }, about) : null,
    h("div", { class: "aside" }, aside, withRange ? h(RangeChoice) : null),
  );
}

function RangeChoice() {
  const range = timeRange();
  return h(
    "div",
    { class: "pair" },
    range.isMoving ? null : h("span", { class: "small" }, endsWords(range)),
    h(
      "div",
      { class: "choices", role: "group", "aria-label": "Range" },
      Object.keys(RANGES).map((name) =>
        h("a", { key: name, href: linkWith({ range: name, from: undefined, to: undefined, cursor: undefined }), "aria-current": name === range.name ? "true" : undefined }, name),
      ),
    ),
  );
}
