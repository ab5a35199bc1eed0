// One panel: its frame and title, and inside what its type draws, or its no-data text.
import { h } from "preact";
import { last, panelSeries } from "./results.js";
import { tableOf } from "./rows.js";
import { BarGauge } from "./panels/bar_gauge.js";
import { Gauge } from "./panels/gauge.js";
import { Heatmap } from "./panels/heatmap.js";
import { Logs, logLines } from "./panels/logs.js";
import { NodeGraph, edgesOf } from "./panels/node_graph.js";
import { PieChart } from "./panels/pie_chart.js";
import { Stat } from "./panels/stat.js";
import { StateTimeline } from "./panels/state_timeline.js";
import { Table } from "./panels/table.js";
import { TimeSeries } from "./panels/time_series.js";

const GAP = 8;
const ROW = 38;
const COLUMNS = 24;
const SIDE = 16;
const WIDTH = 1280;
const TITLE = 30;
const PADDING = 8;

const COLUMN = (WIDTH - 2 * SIDE + GAP) / COLUMNS;

/** By the type: what draws it, and what of the results it draws, whose `items` are empty where there is nothing. */
const DRAWN = {
  stat: [Stat, singles],
  gauge: [Gauge, singles],
  bargauge: [BarGauge, singles],
  piechart: [PieChart, singles],
  timeseries: [TimeSeries, courses],
  heatmap: [Heatmap, courses],
  "state-timeline": [StateTimeline, courses],
  table: [Table, (panel, results, range) => tableOf(panel, results, range.end)],
  logs: [Logs, (panel, results) => ({ items: logLines(results) })],
  nodeGraph: [NodeGraph, (panel, results) => ({ items: edgesOf(results) })],
};

export function Panel({ panel, results, range, marks }) {
  const { x, y, w, h: rows } = panel.gridPos;
  const box = { left: SIDE + x * COLUMN, top: y * ROW, width: w * COLUMN - GAP, height: rows * ROW - GAP };
  const size = { width: box.width - 2 * PADDING - 2, height: box.height - TITLE - PADDING - 2 };
  if (!(panel.type in DRAWN)) throw new Error(`${panel.title}: nothing draws panels of the type ${panel.type}`);
  const [Drawing, read] = DRAWN[panel.type];
  const data = read(panel, results, range);
  const isEmpty = data.items.length === 0;
  const style = Object.fromEntries(Object.entries(box).map(([name, value]) => [name, `${value}px`]));
  return h(
    "section",
    { class: "panel", style, "data-id": panel.id, "data-type": panel.type, "data-state": isEmpty ? "empty" : "data" },
    h("h2", { class: "panel-title" }, panel.title),
    h(
      "div",
      { class: "body", style: { height: `${size.height}px` } },
      isEmpty ? h("p", { class: "no-data" }, panel.fieldConfig.defaults.noValue) : h(Drawing, { panel, results, range, marks, size, ...data }),
    ),
  );
}

function courses(panel, results, range) {
  const { times, series } = panelSeries(panel, results, range);
  return { times, items: series };
}

/** Each series as its last value. */
function singles(panel, results, range) {
  const { series } = panelSeries(panel, results, range);
  return { items: series.map((each) => ({ ...each, value: last(each) })) };
}
