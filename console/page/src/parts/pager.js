// Links to older rows and back to the newest. A filter that matches little is applied piece by piece: the next piece is a link too.
import { h } from "preact";
import { linkWith } from "../address.js";
import { instant, isKnown } from "../format.js";

export function Pager({ cursor, page }) {
  const isCut = page.next_cursor !== null && isKnown(page.searched_to) && page.rows.length === 0;
  return h(
    "p",
    { class: "pager" },
    cursor ? h("a", { class: "button", href: linkWith({ cursor: undefined }) }, "Newest") : null,
    page.next_cursor ? h("a", { class: "button", href: linkWith({ cursor: page.next_cursor }), rel: "next" }, isCut ? "Search further" : "Older") : null,
    h("span", { class: "quiet" }, page.next_cursor === null ? "These are the oldest of the range." : isKnown(page.searched_to) ? `Searched back to ${instant(page.searched_to).slice(0, 19)} UTC.` : ""),
  );
}
