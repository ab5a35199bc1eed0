// Where a screen was scrolled to and which row was opened, kept in the entry of the history: Back leads to the same row.

const REMEMBER_MS = 150;
const MOST_MS = 5000;
const TAKEN_OVER = ["pointerdown", "wheel", "keydown", "touchstart"];

/** Notes the place in the entry of the history; `link` is what is about to be opened. */
export function rememberPlace(link = null) {
  const row = rowOf(link) ? link : (document.activeElement?.closest?.("[data-row]")?.getAttribute("href") ?? null);
  window.history.replaceState({ y: window.scrollY, row }, "");
}

/** Restores the place of an entry when it is opened again, as soon as its rows are there and unless somebody goes on before that. */
export function keepPlace() {
  let timer = null;
  let cancel = null;
  window.history.scrollRestoration = "manual";
  const restore = (place) => {
    window.clearTimeout(timer);
    cancel?.();
    if (place === null) window.scrollTo(0, 0);
    else cancel = whenThere(place, () => (cancel = null));
  };
  window.addEventListener("popstate", (event) => restore(event.state));
  window.addEventListener("scroll", () => {
    window.clearTimeout(timer);
    if (cancel === null) timer = window.setTimeout(() => rememberPlace(), REMEMBER_MS);
  });
  if (window.history.state !== null) restore(window.history.state);
}

function rowOf(link) {
  return link === null ? undefined : [...document.querySelectorAll("[data-row]")].find((row) => row.getAttribute("href") === link);
}

function whenThere({ y, row }, done) {
  const end = () => {
    observer.disconnect();
    window.clearTimeout(timer);
    for (const name of TAKEN_OVER) window.removeEventListener(name, end, true);
    done();
  };
  const look = () => {
    const found = rowOf(row);
    const isThere = document.documentElement.scrollHeight - window.innerHeight >= y && !document.querySelector("main .loading");
    if (!isThere) return;
    end();
    window.scrollTo(0, y);
    found?.focus({ preventScroll: true });
  };
  const observer = new MutationObserver(look);
  observer.observe(document.body, { childList: true, subtree: true });
  for (const name of TAKEN_OVER) window.addEventListener(name, end, true);
  let timer = window.setTimeout(() => {
    // The screen is drawn by now: the one before it does not count.
    look();
    timer = window.setTimeout(end, MOST_MS);
  });
  return end;
}
