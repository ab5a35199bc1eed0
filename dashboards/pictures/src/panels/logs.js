// Log lines, the newest first, with their time and level.
import { h } from "preact";

const NANOSECONDS = 1000000n;

export function logLines(results) {
  const lines = Object.values(results).flatMap(({ data }) =>
    (data?.result ?? []).flatMap(({ stream, values }) => values.map(([at, line]) => ({ at: BigInt(at), line, level: stream.level ?? stream.detected_level ?? "" }))),
  );
  return lines.sort((one, other) => (one.at < other.at ? 1 : -1));
}

export function Logs({ items, size }) {
  return h(
    "div",
    { class: "log-lines", style: { height: `${size.height}px` } },
    items.map(({ at, line, level }, index) =>
      h(
        "div",
        { key: index, class: `log-line ${level}`, "data-series": index },
        h("span", { class: "quiet" }, `${new Date(Number(at / NANOSECONDS)).toISOString().replace("T", " ").slice(0, 23)} `),
        line,
      ),
    ),
  );
}
