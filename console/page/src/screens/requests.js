// The request log: one row per request, filtered by every field that the gateway promotes.
import { h } from "preact";
import { linkTo, linkWith } from "../address.js";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { clock, count, duration, instant, isKnown, usd } from "../format.js";
import { Sources, basisWords } from "../parts/basis.js";
import { Between, Chips, Choose, Search } from "../parts/filters.js";
import { Head } from "../parts/head.js";
import { Pager } from "../parts/pager.js";
import { Empty, Loaded } from "../parts/states.js";
import { None, Table } from "../parts/table.js";
import { rangeWords, timeRange } from "../time_range.js";
import { facetValues } from "./facets.js";

const FIRST = { outcome: "Outcome", provider: "Provider", model: "Model", error_kind: "Error kind", status: "Status" };
const MORE = {
  key_id: "Key",
  plan: "Plan",
  call_status: "Call",
  operation: "Operation",
  cost_source: "Cost source",
  limit_type: "Limit",
  method: "Method",
  path: "Path",
  service: "Service",
};
const MOST_KEY_CHARS = 12;
const FLAGS = { stream: "Streamed", cached: "Cached" };
const BOUNDS = ["latency_min", "latency_max", "tokens_min", "tokens_max", "cost_min", "cost_max"];
export const REQUEST_FILTERS = ["q", ...Object.keys(FIRST), ...Object.keys(MORE), ...Object.keys(FLAGS), ...BOUNDS];

export function requestFilters(address) {
  return Object.fromEntries(REQUEST_FILTERS.map((name) => [name, address.get(name)]));
}

export function Requests({ address }) {
  const { isPaused } = useConsole();
  const range = timeRange(address);
  const cursor = address.get("cursor");
  const query = { ...range.query, ...requestFilters(address) };
  const result = useApi(apiUrl("requests", { ...query, cursor }), { isLive: range.isMoving && !isPaused && !cursor });
  const csv = apiUrl("requests.csv", { ...query, bom: true });
  return h(
    "div",
    null,
    h(Head, {
      title: "Requests",
      about: rangeWords(range),
      withRange: true,
      aside: h("a", { class: "button", href: csv, download: "requests.csv" }, "CSV"),
    }),
    h(Filters, { address }),
    h(Chips, { names: REQUEST_FILTERS, words: { q: "text" } }),
    h(Loaded, { result, what: "requests" }, (page) => h(Page, { page, cursor })),
  );
}

function Filters({ address }) {
  const facets = useApi(apiUrl("facets", { field: [...Object.keys(FIRST), ...Object.keys(MORE)] }));
  const choose = ([name, title]) => h(Choose, { key: name, name, title, values: facetValues(facets, name) });
  const isMoreSet = [...Object.keys(MORE), ...Object.keys(FLAGS), ...BOUNDS].some((name) => address.has(name));
  return h(
    "div",
    null,
    h("div", { class: "filters" }, h(Search, { title: "Text or trace id", placeholder: "words of the line, all must occur" }), Object.entries(FIRST).map(choose)),
    h(
      "details",
      { class: "happened", open: isMoreSet },
      h("summary", null, "More filters"),
      h(
        "div",
        { class: "filters" },
        h(Between, { name: "latency", title: "Duration", unit: "ms", scale: 1000 }),
        h(Between, { name: "tokens", title: "Tokens", unit: "in + out" }),
        h(Between, { name: "cost", title: "Cost", unit: "USD" }),
        Object.entries(MORE).map(choose),
        Object.entries(FLAGS).map(([name, title]) => h(Choose, { key: name, name, title, values: ["true", "false"], words: (value) => (value === "true" ? "yes" : "no") })),
      ),
    ),
  );
}

function Page({ page, cursor }) {
  if (page.rows.length === 0 && page.next_cursor !== null) {
    return h("div", null, h(Empty, { title: "Nothing among the newest rows matches" }, "The search stopped after many rows and can go on from there."), h(Pager, { cursor, page }));
  }
  if (page.rows.length === 0) {
    if (cursor) return h(Empty, { title: "No older requests" }, h("a", { href: linkWith({ cursor: undefined }) }, "Back to the newest"));
    return h(Empty, { title: "No request matches" }, [
      "Choose a longer range or remove a filter. If nothing was ever here, check that the gateway's OTLP endpoint is this console and that logs are exported.",
      ["These are the requests of a gateway. Those of other programs are among ", h("a", { href: linkTo("traces") }, "traces"), " and ", h("a", { href: linkTo("logs") }, "logs"), "."],
    ]);
  }
  return h(
    "div",
    null,
    h(Table, { caption: "Requests, the newest first", columns: requestColumns(page.basis), rows: page.rows, keyOf: (row) => row.id, link: requestLink }),
    h(Pager, { cursor, page }),
    h(Sources, { basis: page.basis, window: page.window }),
  );
}

export function requestLink(row) {
  return row.trace_id ? linkTo("trace", { id: row.trace_id }) : undefined;
}

export function requestColumns(basis = {}) {
  const hint = (name) => basisWords(basis[name] ?? basis[`rows.${name}`] ?? basis.rows);
  return [
    { title: "Ended (UTC)", hint: hint("at"), isTime: true, isName: true, cell: (row) => h(Time, { at: row.at }), cellTitle: (row) => instant(row.at) },
    { title: "Status", cell: (row) => h(Outcome, { row }) },
    { title: "Model", words: true, cell: (row) => row.model ?? h("span", { class: "quiet" }, row.path) },
    { title: "Provider", isWide: true, cell: (row) => row.provider ?? (row.cached ? h("span", { class: "quiet" }, "cache") : h(None)) },
    { title: "Duration", hint: hint("duration_seconds"), isFigure: true, cell: (row) => duration(row.duration_seconds) },
    { title: "Overhead", hint: hint("overhead_seconds"), isFigure: true, isWide: true, cell: (row) => (isKnown(row.overhead_seconds) ? duration(row.overhead_seconds) : h(None)) },
    { title: "Attempts", isFigure: true, isWide: true, cell: (row) => (isKnown(row.attempts) ? count(row.attempts) : h(None)) },
    { title: "Tokens in / out", hint: hint("input_tokens"), isFigure: true, isWide: true, cell: (row) => h(Tokens, { row }) },
    { title: "Cost", hint: hint("cost_usd"), isFigure: true, isWide: true, cell: (row) => h(Cost, { row }) },
    { title: "Key", isWide: true, cell: (row) => (row.key_id ? h("span", { title: `${row.key_id} ${row.plan ?? ""}` }, shortened(row.key_id)) : h(None)) },
    { title: "Trace", isWide: true, cell: (row) => (row.trace_id ? h("span", { class: "mono" }, row.trace_id.slice(0, 8)) : h(None)) },
  ];
}

function Time({ at }) {
  const text = clock(at, { withMilliseconds: true });
  return h("span", null, text.slice(0, -4), h("span", { class: "wide" }, text.slice(-4)));
}

function shortened(text) {
  return text.length > MOST_KEY_CHARS ? `${text.slice(0, MOST_KEY_CHARS - 1)}…` : text;
}

function Outcome({ row }) {
  const isBroken = row.outcome === "error";
  const why = row.error_kind ?? row.limit_type ?? row.cancel_phase;
  return h(
    "span",
    { class: isBroken ? "broken" : undefined },
    row.status === null ? "unknown" : String(row.status),
    " ",
    row.outcome ?? "",
    why ? h("span", { class: "why" }, ` ${why}`) : null,
  );
}

function Tokens({ row }) {
  if (!isKnown(row.input_tokens) && !isKnown(row.output_tokens)) return row.model ? "unknown" : h(None);
  return h("span", null, `${count(row.input_tokens)} / ${count(row.output_tokens)}`, row.usage_estimated ? h("span", { class: "quiet", title: "estimated by the gateway" }, " ~") : null);
}

function Cost({ row }) {
  if (!isKnown(row.cost_usd)) return row.model ? "unknown" : h(None);
  return h("span", null, usd(row.cost_usd), row.cost_source && row.cost_source !== "priced" ? h("span", { class: "quiet" }, ` ${row.cost_source}`) : null);
}
