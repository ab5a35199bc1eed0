// One request: what happened, why each attempt failed, what it cost, its spans and its log lines.
import { h } from "preact";
import { apiUrl, useApi } from "../api.js";
import { clock, count, duration, instant, isKnown, usd } from "../format.js";
import { AttemptTable } from "../parts/attempts.js";
import { Sources } from "../parts/basis.js";
import { Copyable } from "../parts/copy.js";
import { Facts } from "../parts/figures.js";
import { Head } from "../parts/head.js";
import { LogTable } from "../parts/log_table.js";
import { Empty, Loaded } from "../parts/states.js";
import { Waterfall } from "../parts/waterfall.js";

export function RequestDetail({ address }) {
  const id = address.get("id") ?? "";
  const result = useApi(apiUrl(`traces/${encodeURIComponent(id)}`));
  if (result.error?.status === 404) {
    return h(
      "div",
      null,
      h(Head, { title: "Request" }),
      h(Empty, { title: "Nothing of this trace is here" }, "It may be older than what the console keeps, not sampled, or not here yet: telemetry arrives a few seconds after the request.", [
        h("button", { class: "button", type: "button", onClick: result.reload }, "Look again"),
      ]),
    );
  }
  return h(Loaded, { result, what: "the trace" }, (trace) => h(Detail, { trace, address }));
}

function Detail({ trace, address }) {
  const request = trace.request;
  const root = trace.spans[0];
  const title = request ? `${request.method ?? ""} ${request.path ?? ""} ${request.status ?? ""}`.trim() : (root?.name ?? "Trace");
  const isBroken = request ? request.outcome === "error" : trace.spans.some((span) => span.status === "error");
  return h(
    "div",
    null,
    h(Head, {
      title: title || "Request",
      about: h("span", { class: isBroken ? "broken" : undefined }, request?.outcome ?? (isBroken ? "error" : "")),
      aside: trace.links.map((link) => h("a", { key: link.url, class: "button", href: safeUrl(link.url), target: "_blank", rel: "noopener noreferrer" }, link.label)),
    }),
    h("p", { class: "trace-id" }, "Trace ", h(Copyable, { text: trace.trace_id, what: "the trace id" })),
    h("div", { class: "section" }, h(Facts, { items: facts(trace) })),
    trace.attempts.length ? h(Section, { title: `Attempts (${trace.attempts.length})` }, h(AttemptTable, { attempts: trace.attempts, basis: trace.basis })) : null,
    trace.spans.length
      ? h(Section, { title: `Spans (${trace.spans.length}${trace.spans_truncated ? ", more are kept" : ""})` }, h(Waterfall, { trace, selected: address.get("span") }))
      : h(Section, { title: "Spans" }, h(Empty, { title: "No span of this trace is here" }, "The gateway did not sample it, or its spans were not exported. Its log lines are below.")),
    h(
      Section,
      { title: `Log lines (${trace.logs.length}${trace.logs_truncated ? ", more are kept" : ""})` },
      trace.logs.length ? h(LogTable, { rows: trace.logs, caption: "Log lines of the trace, the oldest first", withTrace: false }) : h(Empty, { title: "No log line of this trace is here" }, "Programs that export their logs by OTLP with a trace id show them here."),
    ),
    h(Sources, { basis: trace.basis }),
  );
}

function Section({ title, children }) {
  return h("section", { class: "section" }, h("h2", null, title), children);
}

function facts(trace) {
  const request = trace.request;
  const spent = [
    ["Started (UTC)", h("span", { title: instant(trace.at) }, clock(trace.at, { withMilliseconds: true }))],
    ["Duration", duration(request?.duration_seconds ?? trace.duration_seconds)],
    ["Services", trace.services.join(", ")],
  ];
  if (!request) return spent;
  return [
    ...spent,
    ["Overhead of the gateway", isKnown(request.overhead_seconds) ? duration(request.overhead_seconds) : undefined],
    ["Model", request.model ?? undefined],
    ["Provider", request.provider ?? (request.cached ? "none: from the cache" : undefined)],
    ["Error kind", request.error_kind ? h("span", { class: "broken" }, request.error_kind) : undefined],
    ["Limit", request.limit_type ?? undefined],
    ["Tokens in / out", isKnown(request.input_tokens) ? `${count(request.input_tokens)} / ${count(request.output_tokens)}${request.usage_estimated ? " (estimated)" : ""}` : undefined],
    ["Cached input", isKnown(request.cached_tokens) ? count(request.cached_tokens) : undefined],
    ["Reasoning", isKnown(request.reasoning_tokens) ? count(request.reasoning_tokens) : undefined],
    ["Cost of all attempts", request.model ? `${usd(request.cost_usd)}${request.cost_source ? ` (${request.cost_source})` : ""}` : undefined],
    ["May cost beyond that", isKnown(request.exposure_usd) ? usd(request.exposure_usd) : undefined],
    ["Key", request.key_id ? `${request.key_id} (${request.plan ?? "unknown"})` : undefined],
    ["Streamed", request.stream === null ? undefined : request.stream ? "yes" : "no"],
    ...Object.entries(request.tags).map(([name, value]) => [`Tag ${name}`, value]),
  ];
}

/** Links come from the console's configuration; anything but http and https leads nowhere. */
function safeUrl(text) {
  return /^https?:\/\//i.test(text) ? text : undefined;
}
