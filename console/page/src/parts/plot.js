// uPlot with the page's colours. Marks are elements over the canvas: links can be clicked, and the style sheet draws them.
import UPlot from "uplot";
import { axisTexts, clock, withUnit } from "../format.js";
import { COLOURS, colour, colourName } from "../theme.js";

const LEAST_BRUSH_PIXELS = 8;

/** Of the labels of an axis of bytes: round numbers of KiB, MiB, GiB. */
const BINARY_STEPS = Array.from({ length: 41 }, (_, power) => 2 ** power);

/** So few would hardly be seen as a line. */
const FEW_VALUES = 3;

/**
 * Returns `{update(data), fit(), destroy()}`. `read()` returns the latest chart, exemplars and annotations. `texts` writes the values
 * of an axis, `bounds` may set its least and most value, `strokes` the colours of lines; `onDraw(plot)` follows each drawing.
 */
export function createPlot({ holder, data, chart, isStacked, height, read, onHover, onBrush, onExemplar, onDraw, texts = axisTexts, bounds = {}, strokes = [] }) {
  const marks = new Map();
  const options = {
    width: Math.max(200, holder.clientWidth),
    height,
    legend: { show: false },
    padding: [10, 26, 0, 0], // Half of the widest label of a time, which may stand at the end.
    cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
    scales: { x: { time: true }, y: { range: (plot, low, high) => valueRange(low, high, read(), bounds) } },
    axes: axes(chart.unit, texts),
    series: [{}, ...chart.series.map((series, index) => line(series, index, isStacked, strokes[index])), ...chart.series.flatMap((series, index) => (series.before ? [earlier(series, index)] : []))],
    bands: isStacked ? chart.series.slice(1).map((_, index) => ({ series: [index + 2, index + 1] })) : [],
    tzDate: (seconds) => UPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    hooks: {
      setCursor: [(plot) => onHover(plot.cursor.idx ?? null)],
      setSelect: [(plot) => brush(plot, onBrush)],
      draw: [(plot) => placeMarks(plot, marks, read(), onExemplar), (plot) => onDraw?.(plot)],
    },
  };
  const plot = new UPlot(options, data, holder);
  return {
    update: (next) => plot.setData(next),
    fit: () => {
      const width = Math.max(200, holder.clientWidth);
      if (width !== plot.width) plot.setSize({ width, height });
    },
    destroy: () => plot.destroy(),
  };
}

function line(series, index, isStacked, stroke = colour(colourName(series, index))) {
  const { values } = series;
  return { stroke, dash: index >= COLOURS ? [5, 3] : undefined, width: isStacked ? 1 : 1.5, fill: isStacked ? `${stroke}33` : undefined, points: { show: values.filter((value) => value !== null).length <= FEW_VALUES, size: 4 }, spanGaps: false };
}

/** The line of the time before: of the same colour, thin and dotted. */
function earlier(series, index) {
  return { stroke: colour(colourName(series, index)), dash: [1, 4], width: 1.5, points: { show: false }, spanGaps: false };
}

function axes(unit, texts) {
  const shared = { stroke: colour("quiet"), font: `11px ${colour("font")}`, ticks: { show: false }, grid: { stroke: colour("grid"), width: 1 } };
  return [
    { ...shared, grid: { show: false }, space: 80, size: 26, values: (plot, times) => times.map((time) => tick(time, times)) },
    { ...shared, size: sizeOfLabels, gap: 6, space: 36, incrs: unit === "By" ? BINARY_STEPS : undefined, values: (plot, values) => texts(values, unit) },
  ];
}

/** Returns the width that the longest label needs. */
function sizeOfLabels(plot, labels) {
  const longest = (labels ?? []).reduce((length, label) => Math.max(length, label.length), 0);
  return Math.max(34, longest * 6.4 + 12);
}

function tick(time, times) {
  const step = times.length > 1 ? times[1] - times[0] : 60;
  const text = clock(time);
  return step >= 60 ? text.replace(/:\d\d$/, "") : text;
}

/** Returns the bounds of the values: from 0 unless there are negative ones, with room for exemplars that are drawn at their value. */
function valueRange(low, high, { chart, exemplars }, bounds) {
  let most = high ?? 1;
  if (isAtValue(chart)) for (const exemplar of exemplars) most = Math.max(most, exemplar.value);
  const least = bounds.least ?? Math.min(0, low ?? 0);
  if (bounds.most !== undefined) return [least, bounds.most];
  if (most <= least) most = least + 1;
  return [least, most + (most - least) * 0.08];
}

/** A quantile or a mean of measurements has their unit; a rate has not, so there its exemplars lie on the axis. */
function isAtValue(chart) {
  return chart.function === "quantile" || chart.function === "average";
}

function brush(plot, onBrush) {
  if (plot.select.width < LEAST_BRUSH_PIXELS) return;
  const from = plot.posToVal(plot.select.left, "x");
  const to = plot.posToVal(plot.select.left + plot.select.width, "x");
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  onBrush(from, to);
}

/** Marks stay the same elements from one drawing to the next: one that is pressed must still be there when it is released. */
function placeMarks(plot, marks, { chart, exemplars, annotations }, onExemplar) {
  const { min, max } = plot.scales.x;
  const left = new Set(marks.keys());
  const place = (key, time, make) => {
    if (time < min || time > max) return null;
    const mark = marks.get(key) ?? make();
    if (!marks.has(key)) {
      marks.set(key, mark);
      plot.over.append(mark);
    }
    left.delete(key);
    mark.style.left = `${plot.valToPos(time, "x")}px`;
    return mark;
  };
  for (const one of annotations) place(`annotation ${one.at} ${one.title}`, one.at, () => annotationMark(one));
  for (const one of exemplars) {
    const mark = place(`exemplar ${one.at} ${one.value} ${one.trace_id}`, one.at, () => exemplarMark(one, chart, onExemplar));
    if (mark) mark.style.top = `${plot.valToPos(isAtValue(chart) ? one.value : 0, "y")}px`;
  }
  for (const key of left) {
    marks.get(key).remove();
    marks.delete(key);
  }
}

function annotationMark(annotation) {
  const mark = document.createElement("div");
  mark.className = `annotation ${annotation.kind}`;
  return mark;
}

function exemplarMark(exemplar, chart, onExemplar) {
  const mark = document.createElement("span");
  mark.className = "exemplar";
  mark.title = `${withUnit(exemplar.value, chart.unit.replace(/\/s$/, ""))} at ${clock(exemplar.at)}: open the trace`;
  // The plot would take the press for the start of a brush.
  mark.addEventListener("mousedown", (event) => event.stopPropagation());
  mark.addEventListener("click", () => onExemplar(exemplar));
  return mark;
}
