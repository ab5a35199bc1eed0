// Pipeline: what senders have queued, dropped and exported; what this console holds; what the doctor found.
import { h } from "preact";
import { linkTo } from "../address.js";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { ago, bytes, clock, count, instant, isKnown } from "../format.js";
import { Sources, basisWords } from "../parts/basis.js";
import { Totals } from "../parts/figures.js";
import { Head } from "../parts/head.js";
import { Empty, Loaded } from "../parts/states.js";
import { Table } from "../parts/table.js";

export function Pipeline() {
  const { isPaused } = useConsole();
  const result = useApi(apiUrl("pipeline"), { isLive: !isPaused });
  return h(
    "div",
    null,
    h(Head, { title: "Pipeline", about: "how telemetry travels, and what was lost on its way" }),
    h(Loaded, { result, what: "the pipeline" }, (pipeline) => h(State, { pipeline })),
  );
}

function State({ pipeline }) {
  const { store, basis } = pipeline;
  const hint = (name) => basisWords(basis[name]);
  return h(
    "div",
    null,
    h(Totals, {
      label: "The console's file",
      items: [
        { title: "File", value: bytes(store.bytes), notes: [`of ${bytes(store.max_bytes)}`], hint: hint("store") },
        { title: "Spans", value: count(store.spans), hint: hint("store") },
        { title: "Log records", value: count(store.log_records), hint: hint("store") },
        { title: "Metric points", value: count(store.points), hint: hint("store") },
        { title: "Series", value: count(store.series), hint: hint("store") },
        { title: "Oldest", value: isKnown(store.oldest) ? clock(store.oldest) : "unknown", hint: hint("store") },
      ],
    }),
    h(Part, { title: "Senders" }, h(Senders, { pipeline, hint })),
    h(Part, { title: "This console's receiver" }, h(Receiver, { store, hint })),
    h(Part, { title: "Doctor" }, h(Doctor, { doctor: pipeline.doctor, file: pipeline.doctor_file })),
    h(Part, { title: "Series per family" }, h(FamilyTable, { pipeline, hint })),
    h(Sources, { basis }),
  );
}

function Part({ title, children }) {
  return h("section", { class: "section" }, h("h2", { class: "part-title" }, title), children);
}

function Senders({ pipeline, hint }) {
  if (pipeline.deliveries.length === 0) {
    return h(Empty, { title: "No sender reports its queue" }, "A gateway pushes metrics of its own delivery, gatewayz_telemetry_*; so does an application with this project's otel package, as telemetry_*. Other programs have none.");
  }
  const columns = [
    { title: "Service", isName: true, cell: (row) => h("span", null, row.service, h("span", { class: "kind" }, ` ${row.instance ?? ""}`)) },
    { title: "Signal", cell: (row) => row.signal },
    { title: "Queued", hint: hint("deliveries"), isFigure: true, cell: (row) => count(row.queued_items) },
    { title: "Queued bytes", isFigure: true, isWide: true, cell: (row) => bytes(row.queued_bytes) },
    { title: "Exported", isFigure: true, cell: (row) => count(row.exported) },
    { title: "Dropped", isFigure: true, cell: (row) => h(Dropped, { dropped: row.dropped }) },
    { title: "Retries", isFigure: true, isWide: true, cell: (row) => count(row.retries) },
    { title: "Newest", isWide: true, isTime: true, cell: (row) => (isKnown(row.newest_sample) ? ago(row.newest_sample, pipeline.at) : null), cellTitle: (row) => instant(row.newest_sample) },
  ];
  return h(Table, { caption: "What senders report about their telemetry", columns, rows: pipeline.deliveries, keyOf: (row) => `${row.service} ${row.instance} ${row.signal}` });
}

function Dropped({ dropped }) {
  const reasons = Object.entries(dropped);
  if (reasons.length === 0) return h("span", { class: "unknown" }, "unknown");
  const lost = reasons.filter(([, value]) => value > 0);
  const sum = reasons.reduce((total, [, value]) => total + value, 0);
  return h("span", { class: sum > 0 ? "broken" : undefined }, count(sum), lost.map(([reason, value]) => h("span", { key: reason, class: "detail" }, `${reason} ${count(value)}`)));
}

function Receiver({ store, hint }) {
  const columns = [
    { title: "Signal", isName: true, cell: (row) => row.signal },
    { title: "Received", hint: hint("store"), isFigure: true, cell: (row) => count(row.received) },
    { title: "Sent back", hint: "429 or 503: the sender keeps and repeats them", isFigure: true, cell: (row) => count(row.refused) },
    { title: "Deleted", hint: "because of age, rows or bytes", isFigure: true, cell: (row) => count(row.deleted) },
  ];
  return h(Table, { caption: "What this console received since its file was made", columns, rows: store.signals, keyOf: (row) => row.signal });
}

function Doctor({ doctor, file }) {
  if (!doctor) {
    return h(Empty, { title: "No result of the doctor is stored", code: `gatewayz doctor --json > ${file}` }, "It follows one request through gateway, Collector and stores, and names the hop that is broken; beside `gatewayz serve --console` add --otlp off. This screen shows what is stored beside the console's file, whose folder is in the first line that the console prints:");
  }
  const isBad = (finding) => ["fail", "failed", "error", "broken"].includes(finding.status.toLowerCase());
  const columns = [
    { title: "Result", cell: (finding) => h("span", { class: isBad(finding) ? "broken" : undefined }, finding.status) },
    { title: "Check", isName: true, words: true, cell: (finding) => h("span", null, finding.title, h("span", { class: "detail" }, finding.detail)) },
  ];
  return h("div", null, h("p", { class: "quiet" }, `from ${instant(doctor.at).slice(0, 19)} UTC`), h(Table, { caption: "Findings of the doctor", columns, rows: doctor.findings, keyOf: (finding) => `${finding.title} ${finding.detail}` }));
}

function FamilyTable({ pipeline, hint }) {
  if (pipeline.families.length === 0) return h(Empty, { title: "No metric yet" }, "Families appear here with the first metrics that arrive.");
  const isAnyKnown = pipeline.families.some((row) => isKnown(row.overflow));
  const overflow = { title: "Overflow", hint: "measurements beyond the sender's series limit", isFigure: true, cell: (row) => (isKnown(row.overflow) ? h("span", { class: row.overflow > 0 ? "broken" : undefined }, count(row.overflow)) : null) };
  const columns = [
    { title: "Family", isName: true, words: true, cell: (row) => row.name },
    { title: "Series", hint: hint("families"), isFigure: true, cell: (row) => count(row.series) },
    ...(isAnyKnown ? [overflow] : []),
  ];
  return h(
    "div",
    null,
    isAnyKnown ? null : h("p", { class: "quiet small" }, "No sender reported measurements beyond its series limit (overflow)."),
    h(Table, { caption: "Series per family, the largest first", columns, rows: pipeline.families, keyOf: (row) => row.name, link: (row) => linkTo("metrics", { name: row.name }) }),
    pipeline.families_truncated ? h("p", { class: "quiet small" }, "More families than shown.") : null,
  );
}
