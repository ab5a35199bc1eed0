// The rows and columns of a table: labels and values of instant queries merged and organised as the panel says, or traces.
import { format } from "./units.js";
import { number } from "./results.js";

/** `{columns: [{title, unit, width, isFigure, isLink}], items: [[text]]}`. `now`: Unix seconds. */
export function tableOf(panel, results, now) {
  const isTraces = panel.datasource.type === "tempo";
  const { fields, rows } = isTraces ? traces(results) : organised(panel, merged(panel, results));
  const columns = fields.map((title) => ({ title, isFigure: false, ...settings(panel, title) }));
  return {
    columns: columns.map((column, index) => ({ ...column, isFigure: rows.some((row) => typeof row[index] === "number") && column.unit !== "dateTimeFromNow" })),
    items: rows.map((row) => row.map((value, index) => text(value, columns[index].unit, panel.fieldConfig.defaults, now))),
  };
}

function text(value, unit, defaults, now) {
  if (value === undefined || value === null) return "";
  return typeof value === "number" ? format(value, unit ?? defaults.unit, { decimals: unit ? undefined : defaults.decimals, now }) : value;
}

function settings(panel, title) {
  const override = panel.fieldConfig.overrides.find((each) => each.matcher.id === "byName" && each.matcher.options === title);
  const found = Object.fromEntries((override?.properties ?? []).map(({ id, value }) => [id, value]));
  return { unit: found.unit, decimals: found.decimals, width: found["custom.width"], isLink: found.links !== undefined };
}

/** One row for each set of labels, with the value of each query. */
function merged(panel, results) {
  const rows = new Map();
  for (const { refId } of panel.targets) {
    const name = panel.targets.length > 1 ? `Value #${refId}` : "Value";
    for (const { metric, value } of results[refId]?.data?.result ?? []) {
      const { __name__: _, ...labels } = metric;
      const key = JSON.stringify(Object.entries(labels).sort());
      rows.set(key, { ...rows.get(key), ...labels, [name]: number(value[1]) });
    }
  }
  return [...rows.values()];
}

function organised(panel, rows) {
  const { excludeByName, indexByName, renameByName } = panel.transformations.find(({ id }) => id === "organize").options;
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => !excludeByName[name]);
  names.sort((one, other) => (indexByName[one] ?? Infinity) - (indexByName[other] ?? Infinity));
  const fields = names.map((name) => renameByName[name] ?? name);
  const cells = rows.map((row) => names.map((name) => row[name]));
  for (const { displayName, desc } of [...panel.options.sortBy].reverse()) {
    const index = fields.indexOf(displayName);
    cells.sort((one, other) => compare(one[index], other[index]) * (desc ? -1 : 1));
  }
  return { fields, rows: cells };
}

function compare(one, other) {
  if (one === other) return 0;
  return (one ?? -Infinity) < (other ?? -Infinity) ? -1 : 1;
}

/** The columns that Grafana gives a search in Tempo. */
function traces(results) {
  const found = Object.values(results).flatMap(({ traces: each }) => each ?? []);
  const at = (trace) => Number(BigInt(trace.startTimeUnixNano) / 1000000n);
  return {
    fields: ["Trace ID", "Start time", "Service", "Name", "Duration"],
    rows: found
      .sort((one, other) => at(other) - at(one))
      .map((trace) => [
        trace.traceID,
        new Date(at(trace)).toISOString().replace("T", " ").slice(0, 19),
        trace.rootServiceName ?? "",
        trace.rootTraceName ?? "",
        format((trace.durationMs ?? 0) / 1000, "s"),
      ]),
  };
}
