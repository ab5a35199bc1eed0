// A board: its name, its variables and their values, and its panels where the JSON puts them on Grafana's grid.
import { h } from "preact";
import { Panel } from "./panel.js";

const HIDDEN = 2;

/** `results` by the panel's id, `annotations` by name; `values` of each variable by its name; `note`: what the picture is. */
export function Board({ document: board, results, annotations, values, range, note }) {
  const shown = board.templating.list.filter((variable) => variable.hide !== HIDDEN);
  const rows = Math.max(...board.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  return h(
    "main",
    null,
    h(
      "header",
      null,
      h("div", { class: "bar" }, h("h1", null, board.title), h("span", { class: "quiet" }, board.description)),
      h("div", { class: "bar small" }, h("span", { class: "note" }, note), h("span", { class: "choice range" }, rangeText(range))),
      h(
        "div",
        { class: "bar variables" },
        shown.map((variable) => h(Variable, { key: variable.name, variable, values: values[variable.name] ?? [] })),
        board.annotations.list.filter((each) => each.enable).map(({ name, iconColor }) => h("span", { key: name, class: `mark-key ${iconColor}` }, name)),
      ),
    ),
    h(
      "div",
      { class: "grid", style: { height: `${rows * 38 - 8}px` } },
      board.panels.map((panel) => h(Panel, { key: panel.id, panel, results: results[panel.id], range, marks: marksOf(annotations) })),
    ),
  );
}

/** A variable with the value that it has when the board is opened, and how many there are to choose from. */
function Variable({ variable, values }) {
  const chosen = variable.type === "query" ? "All" : variable.current.text;
  const count = variable.type === "query" ? h("span", { class: "quiet" }, ` of ${values.length}`) : null;
  return h("span", { class: "variable" }, h("span", { class: "quiet small" }, variable.label), h("span", { class: "choice" }, chosen, count));
}

function rangeText({ start, end }) {
  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);
  return `Last ${Math.round((end - start) / 60)} minutes, ${clock(start)} to ${clock(end)} UTC`;
}

/** What happened, as the console's charts mark it: the begin of each alert, each anomaly, each start. */
function marksOf(annotations) {
  return annotations.flatMap(({ name, color, isValueTheTime, result }) =>
    result.flatMap(({ metric, values }) => {
      const title = `${name} ${JSON.stringify(metric)}`;
      const times = isValueTheTime ? [...new Set(values.map(([, value]) => Number(value) / 1000))] : begins(values);
      return times.map((at) => ({ at, title, kind: color }));
    }),
  );
}

function begins(values) {
  const step = 30;
  return values.filter(([at], index) => index === 0 || at - values[index - 1][0] > step).map(([at]) => at);
}
