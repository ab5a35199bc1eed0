// A small chart in a row: attempts as bars, the failed part in red.
import { h } from "preact";
import { count, counted, isKnown } from "../format.js";
import { secondsWords } from "../time_range.js";

const WIDTH = 84;
const HEIGHT = 24;
const MOST_BARS = 28;

/** `since`: the first step that is drawn; the words count all of them. */
export function Sparkline({ spark, since = 0 }) {
  const size = Math.max(1, Math.ceil((spark.attempts.length - since) / MOST_BARS));
  const all = merge(spark.attempts.slice(since), size);
  const bad = merge(spark.failed.slice(since), size);
  const most = Math.max(1, ...all.map((value) => value ?? 0));
  const width = WIDTH / Math.max(1, all.length);
  const bars = all.flatMap((value, index) => {
    if (!isKnown(value) || value <= 0) return [];
    const failed = Math.min(value, bad[index] ?? 0);
    const x = index * width;
    const whole = scaled(value, most);
    const part = failed > 0 ? Math.max(2, scaled(failed, most)) : 0;
    const gap = width > 3 ? 1 : 0;
    return [
      h("rect", { class: "all", x, y: HEIGHT - whole, width: width - gap, height: whole }),
      part ? h("rect", { class: "bad", x, y: HEIGHT - part, width: width - gap, height: part }) : null,
    ];
  });
  return h(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img", "aria-label": words(spark) },
    h("line", { class: "base", x1: 0, y1: HEIGHT - 0.5, x2: WIDTH, y2: HEIGHT - 0.5 }),
    bars,
  );
}

function scaled(value, most) {
  return Math.max(1, (value / most) * (HEIGHT - 1));
}

function merge(values, size) {
  const merged = [];
  for (let index = 0; index < values.length; index += size) {
    const known = values.slice(index, index + size).filter(isKnown);
    merged.push(known.length ? known.reduce((sum, value) => sum + value, 0) : null);
  }
  return merged;
}

function words(spark) {
  const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
  const time = secondsWords(spark.step_seconds * spark.attempts.length);
  return `Last ${time}: ${counted(Math.round(sum(spark.attempts)), "attempt")}, ${count(Math.round(sum(spark.failed)))} failed`;
}
