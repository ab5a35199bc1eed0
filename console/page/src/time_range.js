// The range of time that a screen shows: one that ends now and moves on, or a fixed one.
import { parameters } from "./address.js";

export const RANGES = {
  "5m": 300,
  "15m": 900,
  "1h": 3600,
  "6h": 21600,
  "24h": 86400,
  "7d": 604800,
};
/** Of the interface; also far less than a date of the browser can have. */
const MOST_SECONDS = 2 ** 33;

export const DEFAULT_RANGE = "15m";

/**
 * Returns the range of the address: `seconds` that end now, or `from` and `to` in Unix seconds.
 *
 * `query` holds the parameters of the interface: the console's clock decides what "now" is, not the browser's.
 */
export function timeRange(address = parameters()) {
  const from = Number(address.get("from"));
  const to = Number(address.get("to"));
  if (from > 0 && to > from && to <= MOST_SECONDS) return { from, to, name: "", isMoving: false, seconds: to - from, query: { from, to } };
  const name = Object.hasOwn(RANGES, address.get("range")) ? address.get("range") : DEFAULT_RANGE;
  return { name, isMoving: true, seconds: RANGES[name], query: { range: RANGES[name] } };
}

/** Returns the words for a number of seconds, such as "last 15 min". */
export function rangeWords(range) {
  return range.isMoving ? `last ${secondsWords(range.seconds)}` : "fixed range";
}

export function secondsWords(seconds) {
  if (seconds >= 172800 && seconds % 86400 === 0) return `${seconds / 86400} d`;
  if (seconds >= 3600 && seconds % 3600 === 0) return `${seconds / 3600} h`;
  if (seconds >= 60) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds)} s`;
}
