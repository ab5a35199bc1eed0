// Fields that filter a screen. Each change goes into the address, so the view has a link and Back undoes it.
import { h } from "preact";
import { linkWith, open, parameters } from "../address.js";

function apply(values) {
  open(linkWith({ cursor: undefined, ...values }));
}

/** A choice among the values that occur; one that is set by the address stays even where it does not occur. */
export function Choose({ name, title, values, words = (value) => value, all = "all" }) {
  const current = parameters().get(name) ?? "";
  const shown = current && !values.includes(current) ? [current, ...values] : values;
  return h(
    "label",
    { class: "choose" },
    title,
    h(
      "select",
      { value: current, onChange: (event) => apply({ [name]: event.currentTarget.value }) },
      h("option", { value: "" }, all),
      shown.map((value) => h("option", { key: value, value }, words(value))),
    ),
  );
}

/** Free text; applied with Enter or when the field is left. */
export function Search({ name = "q", title, placeholder }) {
  const current = parameters().get(name) ?? "";
  const change = (event) => {
    const value = event.currentTarget.value.trim();
    if (value !== current) apply(isTraceId(value) ? { screen: "trace", id: value.toLowerCase(), [name]: undefined } : { [name]: value });
  };
  return h(
    "label",
    { class: "broad" },
    title,
    h("input", { type: "search", value: current, placeholder, onChange: change, "data-search": "", autocomplete: "off", spellcheck: false, maxLength: 400 }),
  );
}

/** Smallest and largest value of a number. */
export function Between({ name, title, unit, scale = 1 }) {
  return h(
    "label",
    { class: "narrow" },
    `${title} (${unit})`,
    h("span", { class: "pair" }, h(Bound, { name: `${name}_min`, title, edge: "at least", scale }), "–", h(Bound, { name: `${name}_max`, title, edge: "at most", scale })),
  );
}

function Bound({ name, title, edge, scale }) {
  const text = parameters().get(name);
  const change = (event) => {
    const value = event.currentTarget.value.trim();
    apply({ [name]: value === "" || Number.isNaN(Number(value)) ? undefined : Number(value) / scale });
  };
  return h("input", {
    inputMode: "decimal",
    "aria-label": `${title} ${edge}`,
    placeholder: edge === "at least" ? "min" : "max",
    value: text === null ? "" : String(Number((Number(text) * scale).toPrecision(12))),
    onChange: change,
  });
}

/** The filters in force, each with a link that removes it. */
export function Chips({ names, words = {} }) {
  const address = parameters();
  const set = names.filter((name) => address.has(name));
  if (set.length === 0) return null;
  return h(
    "ul",
    { class: "chips", "aria-label": "Filters in force" },
    set.map((name) =>
      h(
        "li",
        { key: name, class: "chip" },
        `${words[name] ?? name.replace(/_/g, " ")}: ${address.get(name)}`,
        h("a", { href: linkWith({ [name]: undefined, cursor: undefined }), "aria-label": `Remove the filter ${name}` }, "×"),
      ),
    ),
    h("li", null, h("a", { href: linkWith(Object.fromEntries([...set, "cursor"].map((name) => [name, undefined]))) }, "Remove all")),
  );
}

export function isTraceId(text) {
  return /^[0-9a-f]{32}$/i.test(text.trim());
}
