// Which service calls which: circles with the mean duration, where it is known, and the rate, ringed by the shares that succeeded and failed.
import { h } from "preact";
import { named } from "../fields.js";
import { format } from "../units.js";

const RADIUS = 24;
const LABEL = 30;

/** `{client, server, total, failed, seconds}` of the time range, where there were calls. */
export function edgesOf(results) {
  const edges = new Map();
  for (const { edges: found = {} } of Object.values(results)) {
    for (const [measure, result] of Object.entries(found)) {
      for (const { metric, value } of result) {
        const key = `${metric.client} ${metric.server}`;
        edges.set(key, { client: metric.client, server: metric.server, ...edges.get(key), [measure]: Number(value[1]) });
      }
    }
  }
  return [...edges.values()].filter(({ total = 0 }) => total > 0).sort((one, other) => other.total - one.total);
}

export function NodeGraph({ items, size, range }) {
  const seconds = range.end - range.start;
  const nodes = placed(items, size);
  return h(
    "svg",
    { width: size.width, height: size.height },
    items.map(({ client, server }) => {
      const [from, to] = [nodes.get(client), nodes.get(server)];
      return h("line", { key: `${client} ${server}`, class: "edge", x1: from.x, y1: from.y, x2: to.x, y2: to.y });
    }),
    [...nodes].map(([name, node]) => h(Node, { key: name, name, ...node, seconds })),
  );
}

function Node({ name, x, y, total, failed, time, seconds }) {
  const length = 2 * Math.PI * RADIUS;
  const share = total ? failed / total : 0;
  return h(
    "g",
    { "data-series": name },
    h("circle", { class: "node", cx: x, cy: y, r: RADIUS }),
    h("circle", { cx: x, cy: y, r: RADIUS, fill: "none", stroke: named("green"), "stroke-width": 3 }),
    h("circle", { cx: x, cy: y, r: RADIUS, fill: "none", stroke: named("red"), "stroke-width": 3, "stroke-dasharray": `${share * length} ${length}`, transform: `rotate(-90 ${x} ${y})` }),
    h("text", { class: "node-main", x, y: y - 1 }, total && time ? format(time / total, "s") : ""),
    h("text", { class: "node-main", x, y: y + 12 }, total ? `${format(total / seconds, "none")} r/s` : ""),
    h("text", { class: "node-name", x, y: y + RADIUS + 14 }, name),
  );
}

/** Callers in a column at the left, what they call in columns beside it. A node sums the calls that reach it. */
function placed(edges, { width, height }) {
  const clients = [...new Set(edges.map(({ client }) => client))];
  const servers = [...new Set(edges.map(({ server }) => server))].filter((name) => !clients.includes(name));
  const perColumn = Math.max(1, Math.floor(height / (2 * RADIUS + LABEL)));
  const columns = Math.max(1, Math.ceil(servers.length / perColumn));
  const nodes = new Map();
  clients.forEach((name, index) => nodes.set(name, { x: width * 0.14, y: ((index + 0.5) / clients.length) * height }));
  servers.forEach((name, index) => {
    const column = index % columns;
    const inColumn = Math.ceil((servers.length - column) / columns);
    const row = Math.floor(index / columns);
    nodes.set(name, { x: width * (0.4 + (0.6 * (column + 0.5)) / columns), y: ((row + 0.5) / inColumn) * (height - LABEL / 2) - 2 });
  });
  for (const [name, node] of nodes) {
    const own = edges.filter(({ server }) => server === name);
    const sum = (measure) => own.reduce((all, edge) => all + (edge[measure] ?? 0), 0);
    Object.assign(node, { total: sum("total"), failed: sum("failed"), time: sum("seconds") });
  }
  return nodes;
}
