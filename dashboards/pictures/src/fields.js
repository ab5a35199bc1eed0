// What a panel's field settings make of a value: its text, its colour, and the name of its series.
import { COLOURS, colour } from "../../../console/page/src/theme.js";
import { format } from "./units.js";

/** Grafana's names of colours, in the console's palette. */
const NAMED = { green: "series-6", yellow: "series-4", orange: "series-4", red: "broken", blue: "series-1" };
const LABEL = /\{\{\s*(\w+)\s*\}\}/g;

export function named(name) {
  return colour(NAMED[name] ?? "quiet");
}

/** The colour of the last step that the value reaches. */
export function stepColour(value, thresholds) {
  const reached = thresholds.steps.filter((step) => step.value === null || value >= step.value);
  return named(reached.at(-1)?.color);
}

/** `{text, colour}` of a value: what its mapping says, else its unit and thresholds. */
export function shown(value, defaults, now) {
  const mapping = defaults.mappings.find((each) => each.type === "value" && String(value) in each.options);
  if (mapping) {
    const found = mapping.options[String(value)];
    return { text: found.text, colour: named(found.color) };
  }
  return {
    text: format(value, defaults.unit, { decimals: defaults.decimals, now }),
    colour: stepColour(value, defaults.thresholds),
  };
}

/** The colour of each series: the one that the panel sets for its name, else the next of the palette. */
export function seriesColours(panel, items) {
  const set = panel.fieldConfig.overrides.filter(({ matcher }) => matcher.id === "byRegexp");
  return items.map(({ name }, index) => {
    const found = set.find(({ matcher }) => new RegExp(matcher.options.slice(1, -1)).test(name));
    const value = found?.properties.find(({ id }) => id === "color").value;
    return value ? named(value.fixedColor) : colour(`series-${(index % COLOURS) + 1}`);
  });
}

/** The name of a series: its legend, else its labels. */
export function seriesName(labels, legend) {
  if (legend) return legend.replace(LABEL, (_, label) => labels[label] ?? "").trim();
  const pairs = Object.entries(labels).filter(([name]) => name !== "__name__");
  return pairs.length ? `{${pairs.map(([name, value]) => `${name}="${value}"`).join(", ")}}` : (labels.__name__ ?? "Value");
}
