// The address bar is the state: every screen, filter and range is a query parameter, so that each view has a permanent link.
import { useEffect, useState } from "preact/hooks";
import { rememberPlace } from "./place.js";

const CHANGED = "address-changed";

/** The parameters that stay when another screen is opened. */
const KEPT = ["range", "from", "to"];

export function parameters() {
  return new URLSearchParams(window.location.search);
}

/** Returns the link to a screen; `undefined`, `null` and "" leave a parameter out. */
export function linkTo(screen, values = {}) {
  const current = parameters();
  const found = new URLSearchParams();
  if (screen !== "now") found.set("screen", screen);
  for (const name of KEPT) if (current.has(name) && !(name in values)) found.set(name, current.get(name));
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== "") found.set(name, String(value));
  }
  const query = found.toString();
  return query ? `?${query}` : "./";
}

/** Returns the link to the same screen with some parameters changed. */
export function linkWith(values) {
  const current = parameters();
  const { screen: before = "now", ...rest } = Object.fromEntries(current);
  const { screen = before, ...changed } = values;
  return linkTo(screen, { ...rest, from: undefined, to: undefined, ...keptTimes(current, values), ...changed });
}

function keptTimes(current, values) {
  if ("range" in values) return {};
  return { from: current.get("from"), to: current.get("to") };
}

export function open(link, { replace = false } = {}) {
  if (!replace) rememberPlace(link);
  window.history[replace ? "replaceState" : "pushState"](null, "", link);
  window.dispatchEvent(new Event(CHANGED));
}

/** Returns the current parameters and draws again whenever they change. */
export function useAddress() {
  const [found, setFound] = useState(parameters);
  useEffect(() => {
    const update = () => setFound(parameters());
    window.addEventListener("popstate", update);
    window.addEventListener(CHANGED, update);
    return () => {
      window.removeEventListener("popstate", update);
      window.removeEventListener(CHANGED, update);
    };
  }, []);
  return found;
}

/** Opens links of the page in place. Those with a modifier key, a target or another path are left to the browser. */
export function followLinks(event) {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button !== 0 || link.target || link.hasAttribute("download")) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== window.location.origin || url.pathname !== window.location.pathname || url.hash) return;
  event.preventDefault();
  open(link.getAttribute("href"));
  window.scrollTo(0, 0);
}
