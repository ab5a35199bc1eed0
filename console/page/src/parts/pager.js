// Links to older rows and back to the newest.
import { h } from "preact";
import { linkWith } from "../address.js";

export function Pager({ cursor, next }) {
  return h(
    "p",
    { class: "pager" },
    cursor ? h("a", { class: "button", href: linkWith({ cursor: undefined }) }, "Newest") : null,
    next ? h("a", { class: "button", href: linkWith({ cursor: next }), rel: "next" }, "Older") : h("span", { class: "quiet" }, "These are the oldest of the range."),
  );
}
