// The live tail: rows as they arrive, with a filter and a pause.
import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { linkWith } from "../address.js";
import { apiUrl, useApi } from "../api.js";
import { useConsole } from "../context.js";
import { count, counted } from "../format.js";
import { Sources } from "../parts/basis.js";
import { Chips, Choose, Search } from "../parts/filters.js";
import { Head } from "../parts/head.js";
import { LogTable } from "../parts/log_table.js";
import { Empty } from "../parts/states.js";
import { Table } from "../parts/table.js";
import { facetValues } from "./facets.js";
import { requestColumns, requestLink } from "./requests.js";

const MOST_ROWS = 300;
const DRAW_MS = 250;
const RETRY_MS = 5000;
const FILTERS = { requests: ["q", "outcome", "provider", "model", "status"], logs: ["q", "severity", "logger", "service"] };

export function Tail({ address }) {
  const { isPaused, setPaused } = useConsole();
  const kind = address.get("kind") === "logs" ? "logs" : "requests";
  const filters = Object.fromEntries(FILTERS[kind].map((name) => [name, address.get(name)]));
  const tail = useTail(apiUrl("tail", { kind, ...filters }), isPaused);
  const facets = useApi(apiUrl("facets"));
  const waiting = tail.waiting > 0 ? `, ${count(tail.waiting)} new` : "";
  const kinds = h(
    "div",
    { class: "choices", role: "group", "aria-label": "What is shown" },
    Object.keys(FILTERS).map((name) => h("a", { key: name, href: linkWith({ kind: name, ...Object.fromEntries(FILTERS[kind].map((one) => [one, undefined])) }), "aria-current": name === kind ? "true" : undefined }, name)),
  );
  const pause = h("button", { class: "button", type: "button", "aria-pressed": String(isPaused), onClick: () => setPaused(!isPaused) }, isPaused ? `Go on${waiting}` : "Pause");
  return h(
    "div",
    null,
    h(Head, { title: "Tail", about: tail.state, aside: [kinds, pause] }),
    h(
      "div",
      { class: "filters" },
      h(Search, { title: "Text or trace id", placeholder: "words of the line, all must occur" }),
      kind === "requests"
        ? ["outcome", "provider", "model", "status"].map((name) => h(Choose, { key: name, name, title: name, values: facetValues(facets, name) }))
        : [
            h(Choose, { key: "severity", name: "severity", title: "severity", values: ["DEBUG", "INFO", "WARN", "ERROR"], words: (name) => `${name} and above` }),
            h(Choose, { key: "logger", name: "logger", title: "logger", values: facetValues(facets, "logger") }),
          ],
    ),
    h(Chips, { names: FILTERS[kind], words: { q: "text" } }),
    tail.skipped ? h("p", { class: "quiet" }, `${counted(tail.skipped, "row")} arrived faster than could be shown, or while it was paused. ${kind === "requests" ? "Requests" : "Logs"} has all.`) : null,
    tail.rows.length === 0
      ? h(Empty, { title: "Waiting for the next row" }, "Rows appear as they arrive. If none do, send a request, or remove a filter.")
      : kind === "requests"
        ? h(Table, { caption: "Requests as they end, the newest first", columns: requestColumns(), rows: tail.rows, keyOf: (row) => row.id, link: requestLink })
        : h(LogTable, { rows: tail.rows, caption: "Log records as they arrive, the newest first" }),
    h(Sources, { note: `The newest ${MOST_ROWS} rows that arrived while this view was open: ${kind === "requests" ? "the gateway's one log line per request" : "log records"}, received over OTLP.` }),
  );
}

/** Reads the stream. While paused it goes on to read, keeps the newest rows, and shows none of them. */
function useTail(url, isPaused) {
  const [shown, setShown] = useState({ rows: [], waiting: 0, skipped: 0, state: "connecting" });
  const arrived = useRef([]);
  const paused = useRef(isPaused);
  paused.current = isPaused;
  const take = useRef(() => {});
  useEffect(() => {
    arrived.current = [];
    setShown({ rows: [], waiting: 0, skipped: 0, state: "connecting" });
    let source = null;
    let retry = null;
    let surplus = 0;
    const state = (words) => setShown((before) => ({ ...before, state: words }));
    const skip = (rows) => rows > 0 && setShown((before) => ({ ...before, skipped: before.skipped + rows }));
    const add = (event) => {
      arrived.current.push(JSON.parse(event.data));
      if (arrived.current.length <= MOST_ROWS) return;
      surplus += arrived.current.length - MOST_ROWS;
      arrived.current.splice(0, arrived.current.length - MOST_ROWS);
    };
    const connect = () => {
      source = new EventSource(url);
      source.addEventListener("open", () => state("connected"));
      source.addEventListener("error", () => {
        state("not connected; it tries again");
        // A browser gives up where the response was an error: of a console that is busy, or of a proxy while it starts.
        if (source.readyState === EventSource.CLOSED) retry = window.setTimeout(connect, RETRY_MS);
      });
      source.addEventListener("request", add);
      source.addEventListener("log", add);
      source.addEventListener("skipped", (event) => skip(JSON.parse(event.data).rows));
    };
    connect();
    take.current = () => {
      const count = arrived.current.length + surplus;
      if (count === 0) return;
      if (paused.current) return void setShown((before) => (before.waiting === count ? before : { ...before, waiting: count }));
      const rows = arrived.current.splice(0).reverse();
      skip(surplus);
      surplus = 0;
      setShown((before) => ({ ...before, rows: [...rows, ...before.rows].slice(0, MOST_ROWS), waiting: 0 }));
    };
    const timer = window.setInterval(() => take.current(), DRAW_MS);
    return () => {
      window.clearInterval(timer);
      window.clearTimeout(retry);
      source.close();
    };
  }, [url]);
  useEffect(() => take.current(), [isPaused]);
  return shown;
}
