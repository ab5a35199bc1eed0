// The foot of the page: what this console holds, and what it is not.
import { h } from "preact";
import { ago, bytes, instant } from "../format.js";
import { secondsWords } from "../time_range.js";

export function Foot({ meta }) {
  const found = meta.data;
  if (!found) return h("footer", { class: "foot" }, "Gatewayz console");
  const limits = [
    found.limits.max_age_seconds ? `${secondsWords(found.limits.max_age_seconds)}` : null,
    found.limits.max_bytes ? bytes(found.limits.max_bytes) : null,
  ].filter(Boolean);
  return h(
    "footer",
    { class: "foot" },
    h(
      "p",
      null,
      found.oldest === null ? "Nothing received yet. " : `Holds telemetry from ${instant(found.oldest).slice(0, 19)} UTC; the newest arrived ${ago(found.newest, found.now)}. `,
      limits.length ? `It keeps at most ${limits.join(" and ")}. ` : "",
      `Times are UTC. Version ${found.version}.`,
    ),
    h("p", null, found.not_for),
  );
}
