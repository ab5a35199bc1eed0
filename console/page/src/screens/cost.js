// Cost: of today, the month or a range, taken apart by provider, model, source, plan and key.
import { h } from "preact";
import { linkTo, linkWith } from "../address.js";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { UNKNOWN, change, count, instant, isKnown, percent, usd } from "../format.js";
import { Sources, basisWords } from "../parts/basis.js";
import { Chart } from "../parts/chart.js";
import { ShareBar, Totals } from "../parts/figures.js";
import { Head } from "../parts/head.js";
import { Empty, Loaded } from "../parts/states.js";
import { Table } from "../parts/table.js";
import { rangeWords, secondsWords, timeRange } from "../time_range.js";

const PERIODS = { today: "today (UTC)", month: "this month (UTC)", range: "range" };
const EARLIER = { today: "yesterday until this time", month: "last month until this time", range: "the same length before" };

export function Cost({ address }) {
  const { isPaused } = useConsole();
  const range = timeRange(address);
  const period = Object.hasOwn(PERIODS, address.get("period")) ? address.get("period") : "today";
  const query = period === "range" ? { period, ...range.query } : { period };
  const result = useApi(apiUrl("cost", query), { isLive: !isPaused && (period !== "range" || range.isMoving) });
  const choice = h(
    "div",
    { class: "choices", role: "group", "aria-label": "Period" },
    Object.entries(PERIODS).map(([name, words]) => h("a", { key: name, href: linkWith({ period: name }), "aria-current": name === period ? "true" : undefined }, words)),
  );
  return h(
    "div",
    null,
    h(Head, {
      title: "Cost",
      about: period === "range" ? rangeWords(range) : PERIODS[period],
      withRange: period === "range",
      aside: [choice, h("a", { class: "button", href: apiUrl("cost.csv", { ...query, bom: true }), download: "cost.csv" }, "CSV")],
    }),
    h(Loaded, { result, what: "the cost" }, (report) => h(Report, { report })),
  );
}

function Report({ report }) {
  if (!isKnown(report.total_usd) && !isKnown(report.requests_total_usd)) {
    return h(Empty, { title: "No cost is known for this period" }, "It comes from the gateway's cost metrics and request lines. Send a request that a provider charges for, or choose another period.");
  }
  return h(
    "div",
    null,
    h(Totals, { label: "Cost of the period", items: totals(report) }),
    h(CostChart, { report }),
    h(
      "div",
      { class: "columns broad section" },
      h(Part, { title: "By provider", name: "provider", report, counted: "Attempts", filter: "provider" }),
      h(Part, { title: "By model", name: "model", report, counted: "Attempts", filter: "model" }),
      h(Part, { title: "By plan", name: "plan", report, counted: "Requests", filter: "plan" }),
      h(Part, { title: "By key", name: "key", report, counted: "Requests", filter: "key_id" }),
      h(Part, { title: "By source of the number", name: "source", report, filter: "cost_source" }),
    ),
    h(Sources, { basis: report.basis, window: report.window, note: noteWords(report) }),
  );
}

function CostChart({ report: { chart } }) {
  const times = chart?.times ?? [];
  const from = times.length ? Math.floor(times[0] / 60) * 60 : null;
  const annotations = useApi(from === null ? null : apiUrl("annotations", { from, to: Math.ceil(times.at(-1) / 60) * 60 }));
  if (chart === null) return null;
  return h("div", { class: "section" }, h(Chart, { chart, annotations: annotations.data?.annotations ?? [], title: `USD per ${secondsWords(chart.step_seconds)} by provider, stacked`, isStacked: true, height: 200 }));
}

function noteWords({ before: { window } }) {
  const earlier = `Compared with ${instant(window.from).slice(0, 19)} to ${instant(window.to).slice(0, 19)} UTC, where the console holds all of it.`;
  return `${earlier} Request lines arrive within seconds, metrics with the next push: the first total can be behind the second for that long. This is no invoice and no ledger: the gateway's database is (gatewayz usage, and gatewayz usage --invoice FILE to compare with a provider's).`;
}

function totals(report) {
  const hint = (name) => basisWords(report.basis[name]);
  const earlier = EARLIER[report.period];
  const changed = change(report.total_usd, report.before.total_usd);
  return [
    { title: "Total", value: usd(report.total_usd), notes: [changed === UNKNOWN ? `${earlier}: unknown` : `${changed} on ${earlier} (${usd(report.before.total_usd)})`, isKnown(report.requests_total_usd) ? `by request lines: ${usd(report.requests_total_usd)}` : ""], hint: hint("total_usd") },
    { title: "Input from caches", value: percent(report.cached_share), hint: hint("cached_share") },
    { title: "Estimated share", value: percent(report.estimated_share), hint: hint("estimated_share") },
    { title: "Unpriced share", value: percent(report.unpriced_share), notes: [isKnown(report.unpriced_tokens) ? `${count(report.unpriced_tokens)} tokens` : ""], hint: hint("unpriced_share") },
    { title: "May come on top", value: usd(report.exposure_usd), notes: ["work that was abandoned at a provider"], hint: hint("exposure_usd") },
  ];
}

function Part({ title, name, report, counted, filter }) {
  const rows = report[`by_${name}`];
  const before = report.before[`by_${name}`];
  const hint = basisWords(report.basis[`by_${name}`]);
  if (rows.length === 0) return h("section", null, h("h2", null, title), h("p", { class: "quiet" }, "unknown: nothing reported it"));
  const columns = [
    { title: name, isName: true, cell: (row) => row.name || "none" },
    { title: "USD", hint, isFigure: true, cell: (row) => usd(row.cost_usd) },
    { title: "Share", hint, cell: (row) => h("span", null, percent(row.share), h(ShareBar, { share: row.share })) },
  ];
  if (before) {
    const was = (row) => before[row.name] ?? 0;
    columns.push({ title: "Change", hint: `against ${EARLIER[report.period]}`, isFigure: true, isWide: true, cell: (row) => change(row.cost_usd, was(row)), cellTitle: (row) => `${usd(was(row))} before` });
  }
  if (counted) {
    columns.push(
      { title: "Tokens in / out", hint, isFigure: true, isWide: true, cell: (row) => (isKnown(row.input_tokens) || isKnown(row.output_tokens) ? `${count(row.input_tokens)} / ${count(row.output_tokens)}` : null) },
      { title: counted, hint, isFigure: true, isWide: true, cell: (row) => (isKnown(row.requests) ? count(row.requests) : null) },
    );
  }
  return h("section", null, h("h2", { class: "part-title" }, title), h(Table, { caption: `Cost ${title.toLowerCase()}`, columns, rows, keyOf: (row) => row.name, link: (row) => linkTo("requests", { [filter]: row.name }) }));
}
