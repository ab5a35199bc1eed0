// A chart beside one of the time before it.

/** Returns the chart whose series have `before`: what the series with the same labels had, at the same place of its time. */
export function withBefore(chart, earlier) {
  const known = new Map(earlier.series.map((series) => [key(series), series.values]));
  const length = chart.times.length;
  const aligned = (values) => Array.from({ length }, (_, index) => values?.[values.length - length + index] ?? null);
  return { ...chart, series: chart.series.map((series) => ({ ...series, before: aligned(known.get(key(series))) })) };
}

function key(series) {
  return JSON.stringify(Object.entries(series.labels).sort());
}
