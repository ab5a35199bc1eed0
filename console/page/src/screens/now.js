// Now: a row per provider and per model, the broken ones first.
import { h } from "preact";
import { linkTo } from "../address.js";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { UNKNOWN, ago, change, clock, count, duration, isKnown, number, percent, points, usd } from "../format.js";
import { Sources, basisWords } from "../parts/basis.js";
import { Totals } from "../parts/figures.js";
import { Search } from "../parts/filters.js";
import { Head } from "../parts/head.js";
import { OverviewCharts } from "../parts/overview_charts.js";
import { Sparkline } from "../parts/sparkline.js";
import { Empty, Loaded, SenderCode } from "../parts/states.js";
import { None, Table } from "../parts/table.js";

const OLD_SECONDS = 120;
const LEVELS = { red: "broken", amber: "degraded", green: "healthy", unknown: "unknown" };

export function Now({ address }) {
  const { isPaused, meta } = useConsole();
  const find = address.get("find") ?? "";
  const result = useApi(apiUrl("now", { find }), { isLive: !isPaused });
  return h(
    "div",
    null,
    h(Head, { title: "Now", about: result.data ? `at ${clock(result.data.at)} UTC` : "" }),
    h(Loaded, { result, what: "the state of providers and models" }, (now) => h(State, { now, meta, find })),
  );
}

function State({ now, meta, find }) {
  if (now.rows.length === 0 && find === "") {
    const others = meta?.services ?? [];
    if (others.length === 0) {
      return h(Empty, { title: "No telemetry yet", code: h(SenderCode) }, "Send OTLP to this console's receiver: from the gateway, a Collector or any OpenTelemetry program. This page fills by itself.");
    }
    return h(
      Empty,
      { title: "No provider or model has reported" },
      `This screen shows what a gateway reports. Telemetry of ${others.slice(0, 5).join(", ")} is here:`,
      [h("a", { href: linkTo("traces") }, "traces"), ", ", h("a", { href: linkTo("logs") }, "logs"), ", ", h("a", { href: linkTo("metrics") }, "metrics"), "."],
    );
  }
  const isOld = isKnown(now.newest_sample) && now.at - now.newest_sample > OLD_SECONDS;
  return h(
    "div",
    null,
    isOld ? h("p", { class: "stale", role: "status" }, `The newest metric is from ${ago(now.newest_sample, now.at)}: the gateway stopped, or its telemetry does not arrive.`) : null,
    h(Totals, { label: "The gateway as a whole", items: totals(now) }),
    find || hasMore(now) ? h("div", { class: "filters" }, h(Search, { name: "find", title: "Find a provider or model", placeholder: "a part of its name" })) : null,
    find && now.rows.length === 0 ? h("p", { class: "quiet" }, "No provider or model has this in its name. ", h("a", { href: linkTo("now") }, "Show all"), ".") : null,
    h(Table, { caption: "Providers and models, the broken ones first", class: "now", columns: columns(now.basis, firstStep(now.rows)), rows: now.rows, keyOf: (row) => `${row.kind} ${row.name}`, link: rowLink }),
    hasMore(now) ? h("p", { class: "quiet small" }, moreWords(now)) : null,
    h(OverviewCharts),
    h(Sources, { basis: now.basis }),
  );
}

/** What the figures are compared with; the window of each is as long as that of its figure. */
function totals({ totals: all, totals_before: before, basis }) {
  const hint = (name) => basisWords(basis[`totals.${name}`]);
  const notes = (text, minutes) => [text === UNKNOWN ? `${minutes} min before: unknown` : `${text} on ${minutes} min before`];
  return [
    { title: "Requests per minute", value: number(all.requests_per_minute), notes: notes(change(all.requests_per_minute, before.requests_per_minute), 5), hint: hint("requests_per_minute") },
    { title: "5xx share", value: percent(all.error_share), notes: notes(points(all.error_share, before.error_share), 5), hint: hint("error_share"), isBroken: all.error_share > 0.05 },
    { title: "p95", value: duration(all.p95_seconds), notes: notes(change(all.p95_seconds, before.p95_seconds), 5), hint: hint("p95_seconds") },
    { title: "In progress", value: count(all.in_progress), hint: hint("in_progress") },
    { title: "Tokens per minute", value: count(isKnown(all.tokens_per_minute) ? Math.round(all.tokens_per_minute) : null), notes: notes(change(all.tokens_per_minute, before.tokens_per_minute), 5), hint: hint("tokens_per_minute") },
    { title: "USD per hour", value: usd(all.usd_per_hour), notes: notes(change(all.usd_per_hour, before.usd_per_hour), 10), hint: hint("usd_per_hour") },
  ];
}

function hasMore(now) {
  return Object.keys(now.left_out).length > 0;
}

/** "And 2,900 more providers and models: 12 degraded, 2,888 healthy." */
function moreWords({ left_out: counts }) {
  const levels = Object.keys(LEVELS).filter((level) => counts[level]);
  const sum = levels.reduce((total, level) => total + counts[level], 0);
  return `And ${count(sum)} more providers and models, none worse than these: ${levels.map((level) => `${count(counts[level])} ${LEVELS[level]}`).join(", ")}.`;
}

function rowLink(row) {
  return linkTo("failures", { [row.kind]: row.name });
}

const LEAST_STEPS = 10;

/** Returns from which step on any row has a value, so that the small charts of all rows begin there. */
function firstStep(rows) {
  const steps = Math.max(0, ...rows.map((row) => row.spark.attempts.length));
  const known = rows.map((row) => row.spark.attempts.findIndex(isKnown)).filter((index) => index >= 0);
  return Math.max(0, Math.min(steps - LEAST_STEPS, ...known));
}

function columns(basis, since) {
  const hint = (name) => basisWords(basis[name] ?? basis[`rows.${name}`]);
  return [
    { title: "Name", isName: true, cell: (row) => h(Name, { row }) },
    { title: "Health", hint: hint("health") || hint("health.score"), cell: (row) => h(HealthCell, { row }), cellTitle: (row) => healthWords(row.health) },
    { title: "Breaker", hint: hint("breakers"), isWide: true, cell: (row) => h(Breakers, { row }) },
    { title: "Errors", hint: hint("errors") || hint("errors.rate"), cell: (row) => h(ErrorsCell, { errors: row.errors }) },
    { title: "p95", hint: hint("p95_seconds"), isFigure: true, isWide: true, cell: (row) => duration(row.p95_seconds) },
    { title: "TTFT p95", hint: hint("ttft_p95_seconds"), isFigure: true, isWide: true, cell: (row) => duration(row.ttft_p95_seconds) },
    { title: "Attempts/min", hint: hint("attempts_per_minute"), isFigure: true, isWide: true, cell: (row) => number(row.attempts_per_minute) },
    { title: "USD/hour", hint: hint("usd_per_hour"), isFigure: true, isWide: true, cell: (row) => usd(row.usd_per_hour) },
    { title: "Attempts", hint: hint("spark"), isWide: true, cell: (row) => h(Sparkline, { spark: row.spark, since }) },
    { title: "Newest failure", hint: hint("newest_failure"), cell: (row) => h(Newest, { failure: row.newest_failure }) },
  ];
}

function Name({ row }) {
  const isReason = row.level === "red" || row.level === "amber";
  return h(
    "span",
    null,
    h("span", { class: `mark ${row.level}`, "aria-hidden": "true" }),
    row.name,
    h("span", { class: "kind" }, ` ${row.kind}`),
    h("span", { class: "hidden-text" }, `, ${LEVELS[row.level]}`),
    isReason && row.reasons.length ? h("span", { class: row.level === "red" ? "detail one-line broken" : "detail one-line", title: row.reasons.join("; ") }, row.reasons.join("; ")) : null,
  );
}

function HealthCell({ row }) {
  if (row.kind === "model") {
    if (!isKnown(row.uptime_24h)) return h("span", { class: "unknown" }, "unknown");
    return h("span", null, percent(row.uptime_24h), h("span", { class: "detail" }, "uptime 24 h"));
  }
  const health = row.health;
  if (!health || !isKnown(health.score)) return h("span", { class: "unknown" }, "unknown");
  const latency = isKnown(health.latency_score) ? health.latency_score.toFixed(2) : "unknown";
  return h(
    "span",
    null,
    health.score.toFixed(2),
  h("span", { class: "detail wide terms" }, `up ${percent(health.availability)}, latency ${latency}`),
  );
}

/** The score with its three terms; that of errors is left to it, because the column Errors is beside it. */
function healthWords(health) {
  if (!health || !isKnown(health.score)) return undefined;
  const latency = isKnown(health.latency_score) ? health.latency_score.toFixed(2) : "unknown";
  return `${health.score.toFixed(2)}: up ${percent(health.availability)}, errors ${percent(health.error_rate)}, latency ${latency}`;
}

const STATES = { closed: "closed", open: "open", half_open: "half open" };

function Breakers({ row }) {
  if (row.breakers.length === 0) return h("span", { class: "unknown" }, "unknown");
  const disturbed = ["open", "half_open"].flatMap((state) => row.breakers.filter((breaker) => breaker.state === state));
  if (disturbed.length === 0) return h("span", { class: "quiet" }, "closed");
  const names = disturbed.map((breaker) => (row.kind === "model" ? breaker.provider : breaker.model) ?? "");
  const [first] = disturbed;
  const more = disturbed.length > 1 ? ` +${disturbed.length - 1}` : "";
  const all = disturbed.map((breaker, index) => `${STATES[breaker.state]} ${names[index]}`).join(", ");
  return h("span", { title: all }, h("span", { class: first.state === "open" ? "broken" : undefined }, STATES[first.state], more), h("span", { class: "detail one-line short" }, names[0]));
}

function ErrorsCell({ errors }) {
  if (!isKnown(errors.rate)) {
    return errors.attempts === 0 ? h("span", { class: "quiet" }, "no attempts") : h("span", { class: "unknown" }, "unknown");
  }
  const more = errors.by_cause.length > 2 ? ` +${errors.by_cause.length - 2}` : "";
  return h(
    "span",
    { class: errors.rate > 0 ? "causes" : "causes quiet" },
    percent(errors.rate),
    errors.by_cause.slice(0, 2).map((cause, index) => h("span", { key: cause.error_kind, class: index ? "detail wide" : "cause" }, `${cause.error_kind} ${percent(cause.share)}${index === 1 ? more : ""}`)),
  );
}

function Newest({ failure }) {
  if (!failure) return h(None);
  return h(
    "a",
    { href: linkTo("trace", { id: failure.trace_id }), title: `${failure.error_kind ?? "unknown"}, trace ${failure.trace_id}` },
    clock(failure.at),
  );
}
