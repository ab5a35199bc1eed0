// Lines by the console's chart code, below them the legend with the last value of each series.
import { h } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { linesOf } from "../../../../console/page/src/parts/chart.js";
import { createPlot } from "../../../../console/page/src/parts/plot.js";
import { COLOURS } from "../../../../console/page/src/theme.js";
import { named, seriesColours } from "../fields.js";
import { last, panelExemplars } from "../results.js";
import { axisTexts, format } from "../units.js";

const MOST_EXEMPLARS = 40;
const LEGEND_SHARE = 0.35;

export function TimeSeries({ panel, results, marks, size, times, items }) {
  const holder = useRef(null);
  const legend = useRef(null);
  const { defaults } = panel.fieldConfig;
  const strokes = seriesColours(panel, items);
  const isStacked = defaults.custom.stacking.mode === "normal";
  useLayoutEffect(() => {
    const exemplars = shownExemplars(results, items);
    const step = Math.ceil(exemplars.length / MOST_EXEMPLARS) || 1;
    const chart = { times, series: items, unit: defaults.unit === "bytes" ? "By" : defaults.unit, function: exemplars.length ? "quantile" : "rate" };
    createPlot({
      holder: holder.current,
      data: linesOf(chart, isStacked),
      chart,
      isStacked,
      height: size.height - legend.current.offsetHeight,
      texts: (values) => axisTexts(values, defaults.unit),
      bounds: { least: defaults.min, most: defaults.max },
      strokes,
      onDraw: (plot) => drawLevels(plot, defaults),
      read: () => ({ chart, exemplars: exemplars.filter((_, index) => index % step === 0), annotations: marks }),
      onHover: () => {},
    });
  }, []);
  const { calcs } = panel.options.legend;
  return h(
    "div",
    null,
    h("div", { ref: holder, class: "plot" }),
    h(
      "div",
      { ref: legend, class: "series-list", style: { maxHeight: `${size.height * LEGEND_SHARE}px` } },
      items.map((item, index) =>
        h(
          "span",
          { key: item.name, "data-series": item.name },
          h("span", { class: index < COLOURS ? "swatch" : "swatch dashed", style: { background: strokes[index] } }),
          item.name,
          calcs.includes("lastNotNull") ? h("span", { class: "last" }, ` ${format(last(item), defaults.unit, { decimals: defaults.decimals })}`) : null,
        ),
      ),
    ),
  );
}

/** Exemplars; those above all lines lie at the highest value: Grafana's scale does not grow to them. */
function shownExemplars(results, items) {
  const most = Math.max(...items.flatMap(({ values }) => values.map((value) => value ?? 0)));
  return panelExemplars(results).map((each) => ({ ...each, value: Math.min(each.value, most) }));
}

/** The thresholds, as dashed lines where the panel has them drawn. */
function drawLevels(plot, { thresholds, custom }) {
  if ((custom.thresholdsStyle?.mode ?? "off") === "off") return;
  plot.over.querySelectorAll(".level").forEach((each) => each.remove());
  for (const { value, color } of thresholds.steps) {
    const top = value === null ? -1 : plot.valToPos(value, "y");
    if (top < 0) continue; // Grafana's scale does not grow to a threshold either.
    const level = document.createElement("div");
    level.className = "level";
    level.style.top = `${top}px`;
    level.style.borderColor = named(color);
    plot.over.append(level);
  }
}
