// How a family is drawn: function, quantile, grouping, one label filter. All of it is in the address.
import { h } from "preact";
import { linkWith, open, parameters } from "../address.js";

const NAMES = { value: "Value", rate: "Rate per second", increase: "Increase", average: "Mean", quantile: "Quantile", buckets: "Measurements by bucket", count: "Measurements per second" };
const QUANTILES = ["0.5", "0.9", "0.95", "0.99"];
const FEW_SERIES = 12;
const USUAL_LABELS = ["provider", "path", "model", "status", "signal", "plan", "operation"];

/** Returns what the address chooses, or what suits the family: `{fn, quantile, by, match, query, words}`. */
export function chosenChart(family, address) {
  const asked = address.get("fn");
  const fn = family.functions.includes(asked) ? asked : family.functions[0];
  const quantile = QUANTILES.includes(address.get("quantile")) ? address.get("quantile") : "0.95";
  const by = address.get("by") ?? usualGrouping(family);
  const match = address.get("match") ?? "";
  const labels = by === "none" ? [] : by === "each" ? ["*"] : by.split(",");
  const query = { fn, by: labels, match: match.split(",").map((part) => part.trim()).filter((part) => /^[^=!]+!?=/.test(part)) };
  if (fn === "quantile") query.q = quantile;
  return { fn, quantile, by, match, query, words: fn === "quantile" ? `p${Number(quantile) * 100} of` : `${NAMES[fn]} of` };
}

function usualGrouping(family) {
  if (family.series <= FEW_SERIES && family.type === "gauge") return "each";
  return USUAL_LABELS.find((label) => family.labels.includes(label)) ?? "none";
}

export function ChartControls({ family, chosen, compare }) {
  const compared = parameters().get("compare") === "before";
  return h(
    "div",
    { class: "filters section" },
    h(Choice, { title: "Show", name: "fn", value: chosen.fn, values: family.functions, words: (name) => NAMES[name] }),
    chosen.fn === "quantile" ? h(Choice, { title: "Quantile", name: "quantile", value: chosen.quantile, values: QUANTILES, words: (text) => `p${Number(text) * 100}` }) : null,
    h(Choice, { title: "By", name: "by", value: chosen.by, values: groupings(family, chosen.by), words: byWords }),
    h(
      "label",
      { class: "broad" },
      "Only series with",
      h("input", {
        value: chosen.match,
        placeholder: family.labels.length ? `${family.labels[0]}=value` : "this family has no labels",
        autocomplete: "off",
        spellcheck: false,
        onChange: (event) => open(linkWith({ match: event.currentTarget.value.trim() })),
      }),
    ),
    h("a", { class: "button", href: linkWith({ compare: compared ? undefined : "before" }), "aria-current": compared ? "true" : undefined }, compared ? `Not with the ${compare}` : `Compare with the ${compare}`),
  );
}

function groupings(family, current) {
  const pairs = family.labels.length > 1 ? family.labels.slice(0, 6).flatMap((one, index) => family.labels.slice(index + 1, 6).map((other) => `${one},${other}`)) : [];
  return [...new Set(["none", "each", ...family.labels, ...pairs, current])];
}

function byWords(by) {
  if (by === "none") return "all series as one";
  return by === "each" ? "each series" : by.replace(/,/g, " and ");
}

function Choice({ title, name, value, values, words }) {
  return h(
    "label",
    { class: "choose" },
    title,
    h("select", { value, onChange: (event) => open(linkWith({ [name]: event.currentTarget.value })) }, values.map((one) => h("option", { key: one, value: one }, words(one)))),
  );
}
