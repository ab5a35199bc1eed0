// Numbers and times as text. What is not known is "unknown", never 0 and never blank. No line breaks between a number and its unit.

export const UNKNOWN = "unknown";

const NO_BREAK = "\u00a0";

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export function isKnown(value) {
  return value !== null && value !== undefined && !Number.isNaN(value);
}

export function count(value) {
  if (!isKnown(value)) return UNKNOWN;
  return Number.isInteger(value) ? whole.format(value) : number(value);
}

/** A count with its noun: 1 event, 2 events. */
export function counted(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** A number with four significant figures at most. */
export function number(value) {
  if (!isKnown(value)) return UNKNOWN;
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return whole.format(value);
  if (size < 0.0001) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

export function percent(share) {
  if (!isKnown(share)) return UNKNOWN;
  const value = share * 100;
  if (value === 0 || value === 100) return `${value}${NO_BREAK}%`;
  if (value < 0.1) return `<${NO_BREAK}0.1${NO_BREAK}%`;
  if (value > 99.9) return `>${NO_BREAK}99.9${NO_BREAK}%`;
  return `${value.toFixed(1)}${NO_BREAK}%`;
}

/** How a number changed against an earlier one: a share of the earlier one, or how many times it. */
export function change(value, before) {
  if (!isKnown(value) || !isKnown(before)) return UNKNOWN;
  if (value === before) return "unchanged";
  if (before <= 0) return before === 0 ? "was 0" : UNKNOWN;
  const grown = (value - before) / before;
  if (value >= before * 10) return `${number(Math.round((value / before) * 10) / 10)} times`;
  return signed(grown * 100, `${NO_BREAK}%`);
}

/** How a share changed, in percentage points: 10 % after 8 % is +2.0 points. */
export function points(share, before) {
  if (!isKnown(share) || !isKnown(before)) return UNKNOWN;
  return share === before ? "unchanged" : signed((share - before) * 100, `${NO_BREAK}points`);
}

function signed(amount, unit) {
  const size = Math.abs(amount);
  const sign = amount < 0 ? "-" : "+";
  return size < 0.05 ? `${sign}<${NO_BREAK}0.1${unit}` : `${sign}${size.toFixed(1)}${unit}`;
}

/** Money keeps its small amounts: a call costs far less than a cent. */
export function usd(value) {
  if (!isKnown(value)) return UNKNOWN;
  if (value === 0) return "$0";
  const size = Math.abs(value);
  if (size >= 1000) return `$${whole.format(value)}`;
  if (size >= 1) return `$${value.toFixed(2)}`;
  if (size >= 0.01) return `$${value.toFixed(4)}`;
  return `$${Number(value.toPrecision(3)).toFixed(Math.min(9, Math.ceil(-Math.log10(size)) + 2))}`;
}

export function duration(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  const size = Math.abs(seconds);
  if (size === 0) return `0${NO_BREAK}ms`;
  if (size < 0.001) return `${(seconds * 1e6).toFixed(0)}${NO_BREAK}µs`;
  if (size < 0.01) return `${(seconds * 1e3).toFixed(1)}${NO_BREAK}ms`;
  if (size < 1) return `${(seconds * 1e3).toFixed(0)}${NO_BREAK}ms`;
  if (size < 10) return `${seconds.toFixed(2)}${NO_BREAK}s`;
  if (size < 120) return `${seconds.toFixed(1)}${NO_BREAK}s`;
  if (size < 7200) return `${(seconds / 60).toFixed(0)}${NO_BREAK}min`;
  return `${(seconds / 3600).toFixed(1)}${NO_BREAK}h`;
}

export function bytes(value) {
  if (!isKnown(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)}${NO_BREAK}${units[unit]}`;
}

/** A value with the unit that its family declares (UCUM, as OTLP has it). */
export function withUnit(value, unit) {
  if (!isKnown(value)) return UNKNOWN;
  if (unit === "s") return duration(value);
  if (unit === "ms") return duration(value / 1000);
  if (unit === "By") return bytes(value);
  if (unit === "USD") return usd(value);
  if (unit === "1" || unit === "" || unit === undefined || unit === null) return number(value);
  if (unit.startsWith("1/")) return number(value) + unit.slice(1);
  return `${number(value)}${NO_BREAK}${unit.replace(/[{}]/g, "")}`;
}

const pad = (value, width = 2) => String(value).padStart(width, "0");

/** Whether a date can have this time. */
function isTime(seconds) {
  return isKnown(seconds) && Math.abs(seconds) <= 8.64e12;
}

/** 14:02:07 for a Unix time in seconds, in UTC as log lines have it; with the day where it is not today. */
export function clock(seconds, { withMilliseconds = false, now = Date.now() } = {}) {
  if (!isTime(seconds)) return UNKNOWN;
  const at = new Date(seconds * 1000);
  let text = `${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}:${pad(at.getUTCSeconds())}`;
  if (withMilliseconds) text += `.${pad(at.getUTCMilliseconds(), 3)}`;
  const isToday = new Date(now).toISOString().slice(0, 10) === at.toISOString().slice(0, 10);
  return isToday ? text : `${at.toISOString().slice(5, 10)} ${text}`;
}

export function instant(seconds) {
  return isTime(seconds) ? new Date(seconds * 1000).toISOString().replace("T", " ").replace("Z", " UTC") : UNKNOWN;
}

/** The ends of a fixed range in UTC; the day is named once where both have the same. */
export function endsWords({ from, to }) {
  const [begin, end] = [instant(from), instant(to)].map((text) => text.slice(0, 19));
  return `${begin} – ${begin.slice(0, 10) === end.slice(0, 10) ? end.slice(11) : end} UTC`;
}

export function ago(at, now = Date.now() / 1000) {
  if (!isKnown(at)) return UNKNOWN;
  const seconds = Math.max(0, now - at);
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

const TIME_UNITS = [
  [1, "s"],
  [0.001, "ms"],
  [0.000001, "µs"],
];

/** Values of an axis: all with one unit, so that they can be compared at a glance. */
export function axisTexts(values, unit) {
  const most = Math.max(...values.map((value) => Math.abs(value ?? 0)));
  if (unit !== "s") return values.map((value) => (value === null ? "" : withUnit(value, unit)));
  const [size, name] = TIME_UNITS.find(([least]) => most >= least) ?? TIME_UNITS.at(-1);
  return values.map((value) => (value === null ? "" : `${Number((value / size).toPrecision(6))}${NO_BREAK}${name}`));
}
