// Where numbers come from: as a tooltip at the number, and as a list under the screen.
import { h } from "preact";
import { instant } from "../format.js";
import { secondsWords } from "../time_range.js";

/** "metric x, over 5 min"; without a window it is the latest value, or what the formula says. */
export function basisTitle(basis) {
  if (!basis) return "";
  return basis.window_seconds === null ? basis.source : `${basis.source}, over ${secondsWords(basis.window_seconds)}`;
}

/** The same with the formula. */
export function basisWords(basis) {
  if (!basis) return "";
  if (basis.formula) return `${basisTitle(basis)}: ${basis.formula}`;
  return basis.window_seconds === null ? `${basis.source}, the latest value` : basisTitle(basis);
}

const names = { usd_per_hour: "USD per hour", ttft_p95_seconds: "TTFT p95", cost_usd: "cost", total_usd: "total", count: "spans" };

export function nameWords(name) {
  const last = name.includes(".") ? name.slice(name.lastIndexOf(".") + 1) : name;
  const group = name.includes(".") ? `${name.slice(0, name.lastIndexOf(".")).replace(/[._]/g, " ")}: ` : "";
  return group + (names[last] ?? last.replace(/_seconds$/, "").replace(/_usd$/, " in USD").replace(/_/g, " "));
}

/** The time that a response covers, and since when there is data where that is later. */
function windowWords({ from, to, covered_from: covered }) {
  const since = covered !== null && covered > from ? `; the console has data from ${instant(covered).slice(0, 19)} UTC on` : "";
  return `From ${instant(from).slice(0, 19)} to ${instant(to).slice(0, 19)} UTC${since}.`;
}

/** The list of sources; numbers of one source and window share a line. */
export function Sources({ basis, note, window }) {
  const groups = new Map();
  for (const [name, one] of Object.entries(basis ?? {})) {
    const words = basisWords(one);
    groups.set(words, [...(groups.get(words) ?? []), nameWords(name)]);
  }
  if (groups.size === 0 && !note && !window) return null;
  return h(
    "section",
    { class: "sources", "aria-label": "Sources of the numbers" },
    h("h2", null, "Where these numbers come from"),
    window ? h("p", null, windowWords(window)) : null,
    note ? h("p", null, note) : null,
    h(
      "dl",
      null,
      [...groups].flatMap(([words, fields]) => [h("dt", { key: `t${words}` }, fields.join(", ")), h("dd", { key: `d${words}` }, words)]),
    ),
  );
}
