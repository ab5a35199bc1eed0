// Logs: the lines of any OpenTelemetry program.
import { h } from "preact";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { Sources } from "../parts/basis.js";
import { Chips, Choose, Search } from "../parts/filters.js";
import { Head } from "../parts/head.js";
import { LogTable } from "../parts/log_table.js";
import { Pager } from "../parts/pager.js";
import { Empty, Loaded, SenderCode } from "../parts/states.js";
import { rangeWords, timeRange } from "../time_range.js";
import { facetValues } from "./facets.js";

const FILTERS = ["q", "severity", "logger", "service"];

export function Logs({ address }) {
  const { isPaused, meta } = useConsole();
  const range = timeRange(address);
  const cursor = address.get("cursor");
  const filters = Object.fromEntries(FILTERS.map((name) => [name, address.get(name)]));
  const result = useApi(apiUrl("logs", { ...range.query, ...filters, cursor }), { isLive: range.isMoving && !isPaused && !cursor });
  const facets = useApi(apiUrl("facets", { field: "logger" }));
  return h(
    "div",
    null,
    h(Head, { title: "Logs", about: `log records of every program, ${rangeWords(range)}`, withRange: true }),
    h(
      "div",
      { class: "filters" },
      h(Search, { title: "Text or trace id", placeholder: "words of the line, all must occur" }),
      h(Choose, { name: "severity", title: "Severity", values: ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"], words: (name) => `${name} and above` }),
      h(Choose, { name: "logger", title: "Logger", values: facetValues(facets, "logger") }),
      h(Choose, { name: "service", title: "Service", values: meta?.services ?? [] }),
    ),
    h(Chips, { names: FILTERS, words: { q: "text" } }),
    h(Loaded, { result, what: "log records" }, (page) => h(Page, { page, cursor })),
  );
}

function Page({ page, cursor }) {
  if (page.rows.length === 0 && page.next_cursor !== null) {
    return h("div", null, h(Empty, { title: "Nothing among the newest rows matches" }, "The search stopped after many rows and can go on from there."), h(Pager, { cursor, page }));
  }
  if (page.rows.length === 0) {
    return h(Empty, { title: "No log record matches", code: h(SenderCode) }, "Choose a longer range or remove a filter. To send log records here, set the program's OTLP endpoint:");
  }
  return h(
    "div",
    null,
    h(LogTable, { rows: page.rows, caption: "Log records, the newest first" }),
    h(Pager, { cursor, page }),
    h(Sources, { basis: page.basis, window: page.window }),
  );
}
