// The metrics explorer: any family that was received, with the functions that its type allows.
import { h } from "preact";
import { linkWith, open, parameters } from "../address.js";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { ago, count, isKnown } from "../format.js";
import { Sources } from "../parts/basis.js";
import { Chart } from "../parts/chart.js";
import { ComparedChart } from "../parts/compared_chart.js";
import { Head } from "../parts/head.js";
import { Empty, Loaded, SenderCode } from "../parts/states.js";
import { secondsWords, timeRange } from "../time_range.js";
import { ChartControls, chosenChart } from "./chart_controls.js";

export function Metrics({ address }) {
  const result = useApi(apiUrl("metrics"));
  return h(
    "div",
    null,
    h(Head, { title: "Metrics", about: "every family that was received", withRange: true }),
    h(Loaded, { result, what: "metric families" }, (found) => h(Explorer, { found, address })),
  );
}

function Explorer({ found, address }) {
  if (found.families.length === 0) {
    return h(Empty, { title: "No metric yet", code: h(SenderCode) }, "To send metrics here, set the program's OTLP endpoint:");
  }
  const isNamed = address.has("name");
  const family = found.families.find((one) => isChosen(one, address)) ?? (isNamed ? null : firstOf(found.families));
  return h("div", { class: "picker" }, h(FamilyList, { found, family }), family ? h(Drawn, { key: `${family.name} ${family.type}`, family, address }) : h(Empty, { title: `No metric ${address.get("name")} is here` }, "It was not received, or all of it is older than what the console keeps. Choose another one."));
}

/** Several families may have one name: programs differ in its type. */
function isChosen(family, address) {
  return family.name === address.get("name") && [null, family.type].includes(address.get("type"));
}

/** What most people come for, where it is there. */
function firstOf(families) {
  return families.find((one) => one.name === "model_inference_duration_seconds") ?? families.find((one) => one.type.endsWith("histogram")) ?? families[0];
}

function FamilyList({ found, family }) {
  const text = (parameters().get("find") ?? "").toLowerCase();
  const shown = found.families.filter((one) => text === "" || one.name.toLowerCase().includes(text) || one.description.toLowerCase().includes(text));
  return h(
    "div",
    null,
    h(
      "div",
      { class: "filters" },
      h(
        "label",
        { class: "broad" },
        `Find (${shown.length} of ${found.families.length})`,
        h("input", { type: "search", "data-search": "", value: parameters().get("find") ?? "", placeholder: "name or description", autocomplete: "off", spellcheck: false, onInput: (event) => open(linkWith({ find: event.currentTarget.value }), { replace: true }) }),
      ),
    ),
    h(
      "ul",
      { class: "families", "aria-label": "Metric families", tabIndex: 0 },
      shown.map((one) =>
        h(
          "li",
          { key: `${one.name} ${one.type}` },
          h(
            "a",
            { href: linkWith({ name: one.name, type: one.type, fn: undefined, by: undefined, match: undefined, quantile: undefined }), "aria-current": one === family ? "true" : undefined, "data-row": "" },
            one.name,
            h("span", { class: "detail" }, `${typeWords(one)}, ${count(one.series)} series`),
          ),
        ),
      ),
      shown.length === 0 ? h("li", { class: "quiet" }, "No family has this text in its name or description.") : null,
    ),
    found.truncated ? h("p", { class: "quiet small" }, "More families than shown.") : null,
  );
}

export function typeWords(family) {
  const type = family.type === "sum" ? (family.monotonic ? "counter" : "up-down counter") : family.type.replace(/_/g, " ");
  return family.temporality === "delta" ? `${type}, delta` : type;
}

function Drawn({ family, address }) {
  const { isPaused, meta } = useConsole();
  const range = timeRange(address);
  const chosen = chosenChart(family, address);
  const query = { ...range.query, name: family.name, type: family.type, ...chosen.query };
  const isCompared = address.get("compare") === "before";
  const result = useApi(apiUrl("metrics/range", query), { isLive: range.isMoving && !isPaused });
  const annotations = useApi(apiUrl("annotations", range.query), { isLive: range.isMoving && !isPaused });
  const about = [typeWords(family), family.unit ? `unit ${family.unit}` : "no unit", `${count(family.series)} series`, isKnown(family.newest) ? `newest ${ago(family.newest, meta?.now)}` : "", family.services.join(", ")];
  return h(
    "div",
    null,
    h("h2", { class: "mono-head" }, family.name),
    h("p", null, family.description || "The sender gave no description."),
    h("p", { class: "quiet small" }, about.filter(Boolean).join(" · ")),
    h(ChartControls, { family, chosen, compare: `${secondsWords(range.seconds)} before` }),
    h(Loaded, { result, what: "the chart" }, (chart) => {
      if (chart.series.length === 0) return h(Empty, { title: "No point in this range" }, "Choose a longer range, or remove the label filter.");
      return h(
        "div",
        null,
        h(isCompared ? ComparedChart : Chart, { chart, query, range, annotations: annotations.data?.annotations ?? [], title: `${chosen.words} ${family.name}`, height: 300 }),
        chart.truncated ? h("p", { class: "quiet small" }, "More series than shown: those with the largest last value are drawn. Group by fewer labels or filter.") : null,
        h(Sources, { basis: chart.basis, note: `Each value looks back ${chart.range_seconds} s; a value every ${chart.step_seconds} s. Drag over the chart to choose its range; a ring is an exemplar and opens its trace.` }),
      );
    }),
  );
}
