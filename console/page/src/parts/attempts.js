// The attempts of a request: where each went, how it ended and why, what it cost and at which price.
import { h } from "preact";
import { count, duration, isKnown, usd } from "../format.js";
import { basisWords } from "./basis.js";
import { None, Table } from "./table.js";

export function AttemptTable({ attempts, basis }) {
  const hint = (name) => basisWords(basis[`attempts.${name}`] ?? basis.attempts);
  const columns = [
    { title: "Attempt", cell: (one) => (isKnown(one.number) ? `${one.number}` : "unknown") },
    { title: "Provider", isName: true, cell: (one) => h("span", null, one.provider ?? "unknown", h("span", { class: "detail" }, one.upstream_model ?? one.model)) },
    { title: "Ended", words: true, cell: (one) => h(Ending, { one }) },
    { title: "Duration", hint: hint("duration_seconds"), isFigure: true, cell: (one) => duration(one.duration_seconds) },
    { title: "TTFT", hint: hint("ttft_seconds"), isFigure: true, isWide: true, cell: (one) => (isKnown(one.ttft_seconds) ? duration(one.ttft_seconds) : h(None)) },
    { title: "Longest gap", isFigure: true, isWide: true, cell: (one) => (isKnown(one.longest_gap_seconds) ? duration(one.longest_gap_seconds) : h(None)) },
    { title: "Tokens in / out", hint: hint("input_tokens"), isFigure: true, isWide: true, cell: (one) => h(Tokens, { one }) },
    { title: "Cost", hint: hint("cost_usd"), isFigure: true, isWide: true, cell: (one) => h(Cost, { one }) },
    { title: "Price per million", hint: "Cost divided by input and output tokens, times a million", isFigure: true, isWide: true, cell: (one) => (isKnown(one.usd_per_million_tokens) ? usd(one.usd_per_million_tokens) : h(None)) },
  ];
  return h(Table, { caption: "Attempts of the request, in their order", columns, rows: attempts, keyOf: (one) => one.span_id });
}

function Ending({ one }) {
  if (one.status === "success") return "success";
  const kind = [one.error_kind, one.fault ? `fault: ${one.fault}` : null, one.http_status ? `HTTP ${one.http_status}` : null].filter(Boolean);
  return h(
    "span",
    null,
    h("span", { class: one.status === "error" ? "broken" : undefined }, one.status ?? "unknown"),
    kind.length ? h("span", { class: "detail" }, kind.join(" · ")) : null,
    one.reason ? h("span", { class: "detail" }, one.reason) : null,
    one.hint ? h("span", { class: "detail" }, one.hint) : null,
  );
}

function Tokens({ one }) {
  if (!isKnown(one.input_tokens) && !isKnown(one.output_tokens)) return h(None);
  const details = [
    one.cached_tokens ? `${count(one.cached_tokens)} cached` : null,
    one.reasoning_tokens ? `${count(one.reasoning_tokens)} reasoning` : null,
    one.usage_estimated ? "estimated" : null,
  ].filter(Boolean);
  return h("span", null, `${count(one.input_tokens)} / ${count(one.output_tokens)}`, details.length ? h("span", { class: "detail" }, details.join(", ")) : null);
}

function Cost({ one }) {
  if (!isKnown(one.cost_usd)) return one.status === "success" ? "unknown" : h(None);
  const details = [one.cost_source, isKnown(one.reported_cost_usd) ? `reported ${usd(one.reported_cost_usd)}` : null, one.exposure_usd ? `up to ${usd(one.exposure_usd)} more` : null].filter(Boolean);
  return h("span", null, usd(one.cost_usd), details.length ? h("span", { class: "detail" }, details.join(", ")) : null);
}

