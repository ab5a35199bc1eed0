// Log records as a table; a record opens to all of its fields.
import { h } from "preact";
import { linkTo } from "../address.js";
import { clock, instant } from "../format.js";
import { Attributes } from "./attributes.js";
import { Table } from "./table.js";

const ERROR_SEVERITY = 17;
const MOST_PREVIEWED = 60;

/** Fields that tell lines of the gateway apart at a glance. */
const PREVIEWED = ["outcome", "provider", "model", "error_kind", "reason", "duration_ms", "cost_usd"];

export function LogTable({ rows, caption, withTrace = true }) {
  const columns = [
    { title: "Time (UTC)", isTime: true, cell: (row) => clock(row.at, { withMilliseconds: true }), cellTitle: (row) => instant(row.at) },
    { title: "Severity", cell: (row) => h("span", { class: row.severity_number >= ERROR_SEVERITY ? "broken" : undefined }, row.severity || "none") },
    { title: "Message", words: true, cell: (row) => h(Message, { row }) },
    { title: "Logger", isWide: true, cell: (row) => row.logger },
    { title: "Service", isWide: true, cell: (row) => row.service },
  ];
  if (withTrace) {
    columns.push({ title: "Trace", isWide: true, cell: (row) => (row.trace_id ? h("a", { href: linkTo("trace", { id: row.trace_id }) }, row.trace_id.slice(0, 8)) : h("span", { class: "quiet" }, "none")) });
  }
  return h(Table, { caption, columns, rows, keyOf: (row) => row.id, class: "lines" });
}

function Message({ row }) {
  const all = { ...row.attributes, ...row.fields };
  if (Object.keys(all).length === 0) return row.message;
  return h(
    "details",
    null,
    h("summary", { "data-row": "" }, row.message, PREVIEWED.filter((name) => isShort(all[name])).map((name) => h("span", { key: name, class: "quiet" }, ` ${name}=${all[name]}`))),
    h(Attributes, { values: all }),
  );
}

function isShort(value) {
  return typeof value === "number" || (typeof value === "string" && value !== "" && value.length <= MOST_PREVIEWED);
}
