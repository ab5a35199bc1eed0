// Attributes of any shape as a list of names and values: text, numbers, arrays, nested maps.
import { h } from "preact";

export function attributeText(value) {
  if (value === null || value === undefined) return "null";
  if (typeof value === "string") return value;
  return JSON.stringify(value, null, typeof value === "object" && Object.keys(value).length > 3 ? 1 : 0);
}

export function Attributes({ values, without = [] }) {
  const names = Object.keys(values)
    .filter((name) => !without.includes(name))
    .sort();
  if (names.length === 0) return h("p", { class: "quiet small" }, "no attributes");
  return h(
    "dl",
    { class: "attributes" },
    names.flatMap((name) => [h("dt", { key: `t${name}` }, name), h("dd", { key: `d${name}` }, attributeText(values[name]))]),
  );
}
