// Cost: of today, the month or a range, taken apart by provider, model, source, plan and key.
import { h } from "preact";
import { linkTo, linkWith } from "../address.js";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { count, isKnown, percent, usd } from "../format.js";
import { Sources, basisWords } from "../parts/basis.js";
import { Chart } from "../parts/chart.js";
import { ShareBar, Totals } from "../parts/figures.js";
import { Head } from "../parts/head.js";
import { Empty, Loaded } from "../parts/states.js";
import { Table } from "../parts/table.js";
import { rangeWords, secondsWords, timeRange } from "../time_range.js";

const STEPS = [60, 300, 900, 1800, 3600, 7200, 21600, 86400];
const MOST_STEPS = 100;
const PERIODS = { today: "today (UTC)", month: "this month (UTC)", range: "range" };

export function Cost({ address }) {
  const { isPaused } = useConsole();
  const range = timeRange(address);
  const period = address.get("period") in PERIODS ? address.get("period") : "today";
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
      aside: [choice, h("a", { class: "button", href: apiUrl("cost.csv", query), download: "cost.csv" }, "CSV")],
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
    h(CostChart, { window: report.window }),
    h(
      "div",
      { class: "columns section" },
      h(Part, { title: "By provider", name: "provider", rows: report.by_provider, counted: "Attempts", filter: "provider", basis: report.basis }),
      h(Part, { title: "By model", name: "model", rows: report.by_model, counted: "Attempts", filter: "model", basis: report.basis }),
      h(Part, { title: "By plan", name: "plan", rows: report.by_plan, counted: "Requests", filter: "plan", basis: report.basis }),
      h(Part, { title: "By key", name: "key", rows: report.by_key, counted: "Requests", filter: "key_id", basis: report.basis }),
      h(Part, { title: "By source of the number", name: "source", rows: report.by_source, counted: "Attempts", filter: "cost_source", basis: report.basis }),
    ),
    h(Sources, { basis: report.basis, window: report.window, note: "This is no invoice and no ledger: the gateway's database is (gatewayz usage, gatewayz invoice)." }),
  );
}

/** The steps do not overlap, so that the areas add up to the total. */
function CostChart({ window }) {
  const { meta } = useConsole();
  const seconds = Math.max(60, window.to - Math.max(window.from, window.covered_from ?? meta?.oldest ?? 0));
  const step = STEPS.find((one) => seconds / one <= MOST_STEPS) ?? STEPS.at(-1);
  // A minute is fine enough for a chart of a day, and keeps the address the same between refreshes.
  const to = Math.ceil(window.to / 60) * 60;
  const query = { name: "gatewayz_cost_usd_total", fn: "increase", by: "provider", from: to - Math.ceil(seconds / step) * step, to, step, window: step, exemplars: false };
  const chart = useApi(apiUrl("metrics/range", query));
  const annotations = useApi(apiUrl("annotations", { from: query.from, to }));
  if (chart.data === null || chart.data.series.length === 0) return null;
  return h("div", { class: "section" }, h(Chart, { chart: chart.data, annotations: annotations.data?.annotations ?? [], title: `USD per ${secondsWords(step)} by provider, stacked`, isStacked: true, height: 200 }));
}

function totals(report) {
  const hint = (name) => basisWords(report.basis[name]);
  return [
    { title: "Total", value: usd(report.total_usd), note: isKnown(report.requests_total_usd) ? `request lines: ${usd(report.requests_total_usd)}` : "", hint: hint("total_usd") },
    { title: "Input from caches", value: percent(report.cached_share), hint: hint("cached_share") },
    { title: "Estimated share", value: percent(report.estimated_share), hint: hint("estimated_share") },
    { title: "Unpriced share", value: percent(report.unpriced_share), note: isKnown(report.unpriced_tokens) ? `${count(report.unpriced_tokens)} tokens` : "", hint: hint("unpriced_share") },
    { title: "May come on top", value: usd(report.exposure_usd), note: "abandoned work", hint: hint("exposure_usd") },
  ];
}

function Part({ title, name, rows, counted, filter, basis }) {
  const hint = basisWords(basis[`by_${name}`]);
  if (rows.length === 0) return h("section", null, h("h2", null, title), h("p", { class: "quiet" }, "unknown: nothing reported it"));
  const columns = [
    { title: name, isName: true, cell: (row) => row.name || "none" },
    { title: "USD", hint, isFigure: true, cell: (row) => usd(row.cost_usd) },
    { title: "Share", hint, cell: (row) => h("span", null, percent(row.share), h(ShareBar, { share: row.share })) },
    { title: "Tokens in / out", hint, isFigure: true, isWide: true, cell: (row) => (isKnown(row.input_tokens) || isKnown(row.output_tokens) ? `${count(row.input_tokens)} / ${count(row.output_tokens)}` : null) },
    { title: counted, hint, isFigure: true, isWide: true, cell: (row) => (isKnown(row.requests) ? count(row.requests) : null) },
  ];
  return h("section", null, h("h2", { class: "part-title" }, title), h(Table, { caption: `Cost ${title.toLowerCase()}`, columns, rows, keyOf: (row) => row.name, link: (row) => linkTo("requests", { [filter]: row.name }) }));
}
