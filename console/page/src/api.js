// Requests to the console's own interface. Every failure becomes one sentence that says what to do.
import { useEffect, useRef, useState } from "preact/hooks";

const REFRESH_MS = 5000;
/** Longer than any query of the console may take: what takes longer has stopped. */
const MOST_MS = 15_000;

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const SESSION_NEEDED = "session-needed";

export function apiUrl(path, values = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === null || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  const text = query.toString();
  return `api/${path}${text ? `?${text}` : ""}`;
}

/** Responses that a later request may not get: the console is busy, has stopped, or is started again. */
const PASSING = [0, 429, 502, 503, 504];

/** Returns the JSON of an address. The caller's signal ends it; so does a console that stopped to respond. */
export async function get(url, signal) {
  const own = new AbortController();
  const stop = () => own.abort();
  signal.addEventListener("abort", stop);
  const timer = window.setTimeout(stop, MOST_MS);
  try {
    const response = await fetch(url, { signal: own.signal, headers: { accept: "application/json" }, credentials: "same-origin" });
    if (response.status === 401) window.dispatchEvent(new Event(SESSION_NEEDED));
    if (!response.ok) throw new ApiError(response.status, await reason(response));
    return await response.json();
  } catch (error) {
    if (error instanceof ApiError || signal.aborted) throw error;
    throw new ApiError(0, "The console does not respond. Is its process still running? This page tries again by itself.");
  } finally {
    window.clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

async function reason(response) {
  let detail = "";
  try {
    const body = await response.json();
    detail = body.detail ?? "";
  } catch {
    detail = "";
  }
  if (response.status === 401) return "This console needs its access token.";
  if (response.status === 404) return detail || "Not found: it may be older than what the console keeps.";
  if (response.status === 503 || response.status === 429) return detail || "The console is busy. This page tries again by itself.";
  return detail || `The console responded with status ${response.status}. Its log has the reason.`;
}

/**
 * Returns `{data, error, isLoading, at, reload}` for an address of the interface, and asks again every 5 s while `isLive`.
 *
 * What failed because the console is busy or away is asked for again in any case. Older data stays while new data is on its way. Null instead of an address asks nothing.
 */
export function useApi(url, { isLive = false } = {}) {
  const [state, setState] = useState({ url: null, data: null, error: null, isLoading: url !== null, at: null });
  const [turn, setTurn] = useState(0);
  const request = useRef(null);
  useEffect(() => {
    if (url === null) return undefined;
    let timer = null;
    let ended = false;
    let isPassing = false;
    const load = async () => {
      request.current?.abort();
      const mine = new AbortController();
      request.current = mine;
      try {
        const data = await get(url, mine.signal);
        if (!ended) setState({ url, data, error: null, isLoading: false, at: Date.now() });
        isPassing = false;
      } catch (error) {
        if (ended || mine.signal.aborted) return;
        isPassing = PASSING.includes(error.status);
        setState((before) => ({ ...before, url, data: before.url === url ? before.data : null, error, isLoading: false }));
      }
      if (!ended && (isLive || isPassing)) timer = window.setTimeout(tick, REFRESH_MS);
    };
    const tick = () => {
      if (document.hidden) timer = window.setTimeout(tick, REFRESH_MS);
      else load();
    };
    setState((before) => ({ ...before, isLoading: true }));
    load();
    return () => {
      ended = true;
      window.clearTimeout(timer);
      request.current?.abort();
    };
  }, [url, isLive, turn]);
  return { ...state, reload: () => setTurn(turn + 1) };
}
