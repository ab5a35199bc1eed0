// Light or dark: the system's setting until the person chooses; the choice is kept in this browser.

const KEY = "gatewayz-console-theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

export const THEME_CHANGED = "theme-changed";

export function applyTheme() {
  const chosen = stored();
  const name = chosen ?? (dark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = name;
  window.dispatchEvent(new Event(THEME_CHANGED));
}

export function currentTheme() {
  return document.documentElement.dataset.theme;
}

export function switchTheme() {
  const next = currentTheme() === "dark" ? "light" : "dark";
  try {
    window.localStorage.setItem(KEY, next);
  } catch {
    document.documentElement.dataset.chosenTheme = next; // Storage is off: the choice holds until the page is closed.
  }
  applyTheme();
}

/** Returns a colour of the style sheet: canvases cannot read it by themselves. */
export function colour(name) {
  return window.getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Lines beyond so many have the same colours again, dashed. */
export const COLOURS = 8;

/** Returns the name of a line's colour: red is what failed, and nothing else. */
export function colourName(series, index) {
  return series.labels.status === "error" ? "broken" : `series-${(index % COLOURS) + 1}`;
}

function stored() {
  try {
    return window.localStorage.getItem(KEY);
  } catch {
    return document.documentElement.dataset.chosenTheme ?? null;
  }
}

dark.addEventListener("change", applyTheme);
