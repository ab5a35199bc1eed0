// Traces: the root spans of any OpenTelemetry program.
import { h } from "preact";
import { linkTo } from "../address.js";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { clock, duration, instant } from "../format.js";
import { Sources } from "../parts/basis.js";
import { Between, Chips, Choose, Search } from "../parts/filters.js";
import { Head } from "../parts/head.js";
import { Pager } from "../parts/pager.js";
import { Empty, Loaded, SenderCode } from "../parts/states.js";
import { Table } from "../parts/table.js";
import { rangeWords, timeRange } from "../time_range.js";

const FILTERS = ["name", "service", "status", "latency_min", "latency_max"];

export function Traces({ address }) {
  const { isPaused, meta } = useConsole();
  const range = timeRange(address);
  const cursor = address.get("cursor");
  const filters = Object.fromEntries(FILTERS.map((name) => [name, address.get(name)]));
  const result = useApi(apiUrl("traces", { ...range.query, ...filters, cursor }), { isLive: range.isMoving && !isPaused && !cursor });
  return h(
    "div",
    null,
    h(Head, { title: "Traces", about: `root spans of every program, ${rangeWords(range)}`, withRange: true }),
    h(
      "div",
      { class: "filters" },
      h(Search, { name: "name", title: "Span name or trace id", placeholder: "the whole name" }),
      h(Choose, { name: "service", title: "Service", values: meta?.services ?? [] }),
      h(Choose, { name: "status", title: "Status", values: ["error", "ok", "unset"] }),
      h(Between, { name: "latency", title: "Duration", unit: "ms", scale: 1000 }),
    ),
    h(Chips, { names: FILTERS }),
    h(Loaded, { result, what: "traces" }, (page) => h(Page, { page, cursor })),
  );
}

const COLUMNS = [
  { title: "Started (UTC)", isTime: true, cell: (row) => clock(row.at, { withMilliseconds: true }), cellTitle: (row) => instant(row.at) },
  { title: "Span", isName: true, words: true, cell: (row) => h("span", { class: row.status === "error" ? "broken" : undefined }, row.name, row.status === "error" ? h("span", { class: "detail broken" }, "error") : null) },
  { title: "Service", cell: (row) => row.service },
  { title: "Kind", isWide: true, cell: (row) => row.kind },
  { title: "Duration", isFigure: true, cell: (row) => duration(row.duration_seconds) },
  { title: "Trace", isWide: true, cell: (row) => h("span", { class: "mono" }, row.trace_id.slice(0, 8)) },
];

function Page({ page, cursor }) {
  if (page.rows.length === 0 && page.next_cursor !== null) {
    return h("div", null, h(Empty, { title: "Nothing among the newest rows matches" }, "The search stopped after many rows and can go on from there."), h(Pager, { cursor, page }));
  }
  if (page.rows.length === 0) {
    return h(Empty, { title: "No trace matches", code: h(SenderCode) }, "Choose a longer range or remove a filter. To send traces here, set the program's OTLP endpoint:");
  }
  return h(
    "div",
    null,
    h(Table, { caption: "Traces, the newest first", columns: COLUMNS, rows: page.rows, keyOf: (row) => row.id, link: (row) => linkTo("trace", { id: row.trace_id, span: row.span_id }) }),
    h(Pager, { cursor, page }),
    h(Sources, { basis: page.basis, window: page.window }),
  );
}
