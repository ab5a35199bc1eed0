// What the servers returned, as series on a common time axis. A point that is missing or not a number is null.
import { seriesName } from "./fields.js";

/** The series of all queries of a panel: `{name, labels, values}` at `times`. */
export function panelSeries(panel, results, range) {
  const times = timesOf(range);
  const series = panel.targets.flatMap((target) => {
    const { result = [] } = results[target.refId]?.data ?? {};
    return result.map((each) => ({
      name: seriesName(each.metric, target.legendFormat),
      labels: each.metric,
      isInstant: each.value !== undefined,
      values: each.value === undefined ? onAxis(each.values, times, range.step) : [number(each.value[1])],
    }));
  });
  return { times, series: series.filter((each) => each.values.some((value) => value !== null)) };
}

/** The exemplars of a panel as the console's charts draw them. */
export function panelExemplars(results) {
  return Object.values(results).flatMap(({ exemplars = [] }) =>
    exemplars.flatMap(({ exemplars: found }) =>
      found.map((each) => ({ at: each.timestamp, value: Number(each.value), trace_id: each.labels.trace_id ?? "", labels: {} })),
    ),
  );
}

/** The last value that is known. */
export function last({ values }) {
  return values.filter((value) => value !== null).at(-1) ?? null;
}

export function timesOf({ start, end, step }) {
  return Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, index) => start + index * step);
}

function onAxis(points, times, step) {
  const values = times.map(() => null);
  for (const [at, text] of points) values[Math.round((at - times[0]) / step)] = number(text);
  return values;
}

export function number(text) {
  const value = Number(text);
  return Number.isNaN(value) ? null : value;
}
