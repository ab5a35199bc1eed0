// Where numbers come from: as a tooltip at the number, and as a list under the screen.
import { h } from "preact";
import { secondsWords } from "../time_range.js";

export function basisWords(basis) {
  if (!basis) return "";
  const window = basis.window_seconds === null ? "latest value or all that is kept" : `over ${secondsWords(basis.window_seconds)}`;
  return `${basis.source}, ${window}${basis.formula ? `: ${basis.formula}` : ""}`;
}

const names = { usd_per_hour: "USD per hour", ttft_p95_seconds: "TTFT p95", cost_usd: "cost", total_usd: "total" };

export function nameWords(name) {
  const last = name.includes(".") ? name.slice(name.lastIndexOf(".") + 1) : name;
  const group = name.includes(".") ? `${name.slice(0, name.lastIndexOf(".")).replace(/[._]/g, " ")}: ` : "";
  return group + (names[last] ?? last.replace(/_seconds$/, "").replace(/_usd$/, " in USD").replace(/_/g, " "));
}

/** The list of sources; numbers of one source and window share a line. */
export function Sources({ basis, note }) {
  const groups = new Map();
  for (const [name, one] of Object.entries(basis ?? {})) {
    const words = basisWords(one);
    groups.set(words, [...(groups.get(words) ?? []), nameWords(name)]);
  }
  if (groups.size === 0 && !note) return null;
  return h(
    "section",
    { class: "sources", "aria-label": "Sources of the numbers" },
    h("h2", null, "Where these numbers come from"),
    note ? h("p", null, note) : null,
    h(
      "dl",
      null,
      [...groups].flatMap(([words, fields]) => [h("dt", { key: `t${words}` }, fields.join(", ")), h("dd", { key: `d${words}` }, words)]),
    ),
  );
}
