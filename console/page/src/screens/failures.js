// Failures: failed attempts that have provider, model and kind in common.
import { h } from "preact";
import { linkTo, linkWith } from "../address.js";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { ago, count, instant, isKnown } from "../format.js";
import { Sources, basisWords } from "../parts/basis.js";
import { Chips, Choose } from "../parts/filters.js";
import { Head } from "../parts/head.js";
import { Empty, Loaded } from "../parts/states.js";
import { None, Table } from "../parts/table.js";
import { rangeWords, timeRange } from "../time_range.js";
import { facetValues } from "./facets.js";

const FILTERS = ["provider", "model", "error_kind"];
const ORDERS = { count: "the most frequent", last_seen: "those seen last", first_seen: "those first seen last" };

export function Failures({ address }) {
  const { isPaused, meta } = useConsole();
  const range = timeRange(address);
  const sort = Object.hasOwn(ORDERS, address.get("sort")) ? address.get("sort") : undefined;
  const filters = Object.fromEntries(FILTERS.map((name) => [name, address.get(name)]));
  const result = useApi(apiUrl("failures", { ...range.query, ...filters, sort }), { isLive: range.isMoving && !isPaused });
  const facets = useApi(apiUrl("facets", { field: FILTERS }));
  return h(
    "div",
    null,
    h(Head, { title: "Failures", about: `failed attempts, ${rangeWords(range)}`, withRange: true }),
    h(
      "div",
      { class: "filters" },
      h(Choose, { name: "provider", title: "Provider", values: facetValues(facets, "provider") }),
      h(Choose, { name: "model", title: "Model", values: facetValues(facets, "model") }),
      h(Choose, { name: "error_kind", title: "Kind", values: facetValues(facets, "error_kind") }),
    ),
    h(Chips, { names: FILTERS }),
    h(Loaded, { result, what: "failures" }, (failures) => h(Groups, { failures, now: meta?.now })),
  );
}

function Groups({ failures, now }) {
  if (failures.groups.length === 0) {
    return h(Empty, { title: "No attempt failed in this range" }, "Choose a longer range or remove a filter. Requests that were refused by the gateway itself are under Requests.");
  }
  const hint = (name) => basisWords(failures.basis[name] ?? failures.basis[`groups.${name}`] ?? failures.basis.groups);
  const sort = (name) => (failures.order === name ? true : linkWith({ sort: name }));
  const columns = [
    { title: "Kind", isName: true, cell: (group) => group.error_kind ?? "no kind" },
    { title: "Fault", hint: "whose fault: the caller, a policy (a limit or a deadline), the provider, the network or the gateway", isWide: true, cell: (group) => group.fault },
    { title: "Provider", cell: (group) => group.provider },
    { title: "Model", cell: (group) => group.model },
    { title: "Spans", hint: hint("count"), isFigure: true, sort: sort("count"), cell: (group) => count(group.count) },
    { title: "Counted", hint: hint("counted"), isFigure: true, isWide: true, cell: (group) => (isKnown(group.counted) ? count(Math.round(group.counted)) : null) },
    { title: "Last seen", hint: hint("last_seen"), isTime: true, sort: sort("last_seen"), cell: (group) => ago(group.last_seen, now), cellTitle: (group) => instant(group.last_seen) },
    { title: "First seen", hint: hint("first_seen"), isWide: true, isTime: true, sort: sort("first_seen"), cell: (group) => ago(group.first_seen, now), cellTitle: (group) => instant(group.first_seen) },
    { title: "Reason", isWide: true, words: true, cell: (group) => (group.reason ? h("span", { class: "small" }, group.reason) : h(None)) },
    { title: "Example", isWide: true, cell: (group) => (group.example_trace_id ? h("a", { class: "mono", href: linkTo("trace", { id: group.example_trace_id }) }, group.example_trace_id.slice(0, 8)) : h(None)) },
  ];
  return h(
    "div",
    null,
    h(Table, {
      caption: `Failed attempts by kind, provider and model; ${ORDERS[failures.order]} come first`,
      columns,
      rows: failures.groups,
      keyOf: (group) => `${group.provider} ${group.model} ${group.error_kind}`,
      link: (group) => (group.example_trace_id ? linkTo("trace", { id: group.example_trace_id }) : undefined),
    }),
    failures.truncated ? h("p", { class: "quiet small" }, `And ${count(failures.left_out)} more groups: choose a provider, a model or a shorter range.`) : null,
    h(Sources, { basis: failures.basis, window: failures.window, note: "Spans arrive within seconds, metrics with the next push: Counted can be behind Spans for that long." }),
  );
}
