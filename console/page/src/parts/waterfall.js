// The waterfall: a row per span, its bar on the time axis of the trace, its events as ticks. A span opens to all it carries.
import { h } from "preact";
import { linkTo, linkWith } from "../address.js";
import { counted, duration } from "../format.js";
import { Attributes } from "./attributes.js";

const MOST_INDENT = 12;

export function Waterfall({ trace, selected }) {
  const whole = Math.max(trace.duration_seconds, 1e-9);
  return h(
    "div",
    { class: "scroll spans", tabIndex: 0, role: "region", "aria-label": "Waterfall" },
    h(
      "table",
      null,
      h("caption", { class: "hidden-text" }, "Spans of the trace in the order of the waterfall"),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          h("th", { scope: "col" }, "Span"),
          h("th", { scope: "col", class: "wide" }, "Service"),
          h("th", { scope: "col", class: "lane-cell" }, h("span", { class: "scale" }, h("span", null, "0"), h("span", { class: "wide" }, duration(whole / 2)), h("span", null, duration(whole)))),
          h("th", { scope: "col", class: "figure" }, "Duration"),
        ),
      ),
      h(
        "tbody",
        null,
        trace.spans.flatMap((span) => {
          const isOpen = span.span_id === selected;
          const rows = [h(SpanRow, { key: span.span_id, span, whole, isOpen })];
          if (isOpen) rows.push(h("tr", { key: `${span.span_id} detail`, class: "open-span" }, h("td", { colSpan: 4 }, h(SpanDetail, { span }))));
          return rows;
        }),
      ),
    ),
  );
}

function SpanRow({ span, whole, isOpen }) {
  const indent = { paddingLeft: `${10 + Math.min(span.depth, MOST_INDENT) * 14}px` };
  const isError = span.status === "error";
  const words = [span.parent_missing ? "its parent is not here" : null, isError ? `error${span.attributes["error.type"] ? `: ${span.attributes["error.type"]}` : ""}` : null].filter(Boolean);
  return h(
    "tr",
    null,
    h(
      "th",
      { scope: "row", style: indent },
      h(
        "a",
        { href: linkWith({ span: isOpen ? undefined : span.span_id }), class: isError ? "name broken" : "name", "aria-expanded": String(isOpen), "data-row": "", title: `${span.kind} span ${span.span_id}` },
        span.name || "(no name)",
      ),
      words.length ? h("span", { class: isError ? "detail broken" : "detail" }, words.join(" · ")) : null,
    ),
    h("td", { class: "wide quiet" }, span.service ?? "unknown"),
    h("td", { class: "lane-cell" }, h(Lane, { span, whole })),
    h("td", { class: "figure" }, duration(span.duration_seconds)),
  );
}

function Lane({ span, whole }) {
  const share = (seconds) => `${Math.max(0, Math.min(100, (seconds / whole) * 100))}%`;
  const kind = span.status === "error" ? "error" : span.kind === "client" ? "client" : "";
  return h(
    "div",
    { class: "lane", role: "img", "aria-label": `from ${duration(span.offset_seconds)} for ${duration(span.duration_seconds)}, ${counted(span.events.length, "event")}` },
    h("div", { class: `bar ${kind}`, style: { left: share(span.offset_seconds), width: share(span.duration_seconds) } }),
    span.events.map((event, index) => h("div", { key: index, class: "tick", title: `${event.name} at ${duration(event.offset_seconds)}`, style: { left: share(event.offset_seconds) } })),
  );
}

function SpanDetail({ span }) {
  return h(
    "div",
    null,
    span.status_message ? h("p", { class: "broken" }, span.status_message) : null,
    h(Part, { title: "Attributes" }, h(Attributes, { values: span.attributes })),
    span.events.length
      ? h(
          Part,
          { title: `Events (${span.events.length})` },
          span.events.map((event, index) => h("div", { key: index, class: "event" }, h("p", null, h("strong", null, event.name), ` at ${duration(event.offset_seconds)}`), h(Attributes, { values: event.attributes }))),
        )
      : null,
    span.links.length
      ? h(
          Part,
          { title: `Links (${span.links.length})` },
          span.links.map((link, index) => h("div", { key: index, class: "event" }, h("p", null, h("a", { href: linkTo("trace", { id: link.trace_id, span: link.span_id }), class: "mono" }, link.trace_id)), h(Attributes, { values: link.attributes }))),
        )
      : null,
    h(Part, { title: "Resource" }, h(Attributes, { values: span.resource })),
    h("p", { class: "quiet small" }, `Span ${span.span_id}, ${span.kind}, scope ${span.scope ?? "unknown"}${span.dropped ? `; the sender dropped ${span.dropped} attributes, events or links because of its limits` : ""}`),
  );
}

function Part({ title, children }) {
  return h("div", { class: "part" }, h("h3", null, title), children);
}
