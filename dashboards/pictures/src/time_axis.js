// The time axis below what is drawn as SVG: ticks at round times.
import { h } from "preact";

const STEPS = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600];
const LEAST_PIXELS = 80;

export function TimeAxis({ range, left, width, y }) {
  const seconds = range.end - range.start;
  const step = STEPS.find((each) => (each / seconds) * width >= LEAST_PIXELS) ?? STEPS.at(-1);
  const first = Math.ceil(range.start / step) * step;
  const times = [];
  for (let at = first; at <= range.end; at += step) times.push(at);
  return h(
    "g",
    { class: "time-axis" },
    times.map((at) => h("text", { key: at, x: left + ((at - range.start) / seconds) * width, y, "text-anchor": "middle" }, clock(at, step))),
  );
}

function clock(seconds, step) {
  return new Date(seconds * 1000).toISOString().slice(11, step < 60 ? 19 : 16);
}
