// Values as text, by Grafana's ids of units (documented with its standard options). Three significant figures unless decimals are set.

const SHORT = [
  [1e12, " Tri"],
  [1e9, " Bil"],
  [1e6, " Mil"],
  [1e3, " K"],
];
const SECONDS = [
  [86400, " days"],
  [3600, " hours"],
  [60, " mins"],
  [1, " s"],
  [1e-3, " ms"],
  [1e-6, " µs"],
];
const BYTES = [
  [2 ** 40, " TiB"],
  [2 ** 30, " GiB"],
  [2 ** 20, " MiB"],
  [2 ** 10, " KiB"],
  [1, " B"],
];
const PER_TIME = { reqpm: " req/m", opm: " ops/m", cps: " c/s" };
const AGO = [
  [86400, "day"],
  [3600, "hour"],
  [60, "minute"],
  [1, "second"],
];

/** `now`: Unix seconds, for times that are written as an age. Throws for a unit that no board has used yet. */
export function format(value, unit, { decimals, now } = {}) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  switch (unit) {
    case "none":
    case "":
      return figure(value, decimals);
    case "short":
      return scaled(value, SHORT, decimals, "");
    case "percent":
      return `${figure(value, decimals)}%`;
    case "percentunit":
      return `${figure(value * 100, decimals)}%`;
    case "currencyUSD":
      return `${value < 0 ? "-" : ""}$${scaled(Math.abs(value), SHORT, decimals, "").replace(" ", "")}`;
    case "s":
      return value === 0 ? "0 s" : scaled(value, SECONDS, decimals, " ns", 1e-9);
    case "bytes":
      return value === 0 ? "0 B" : scaled(value, BYTES, decimals, " B");
    case "dateTimeFromNow":
      return age(now - value / 1000);
    default:
      if (unit in PER_TIME) return `${scaled(value, SHORT, decimals, "")}${PER_TIME[unit]}`;
      throw new Error(`no text is known for the unit ${unit}`);
  }
}

/** The values of an axis, with as few decimals as keep them apart. */
export function axisTexts(values, unit) {
  return values.map((value) => (value === null ? "" : format(Number(value.toPrecision(12)), unit)));
}

function figure(value, decimals) {
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  if (decimals !== undefined) return value.toFixed(decimals);
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 100) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}

function scaled(value, units, decimals, smallest, size = 1) {
  const found = units.find(([least]) => Math.abs(value) >= least) ?? [size, smallest];
  return `${figure(value / found[0], decimals)}${found[1]}`;
}

function age(seconds) {
  const [size, name] = AGO.find(([least]) => seconds >= least) ?? AGO.at(-1);
  const count = Math.max(0, Math.round(seconds / size));
  return `${count} ${name}${count === 1 ? "" : "s"} ago`;
}
