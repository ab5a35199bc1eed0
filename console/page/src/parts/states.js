// What a screen shows while it has nothing to show: loading, failed, empty. Each says what to do.
import { h } from "preact";
import { useConsole } from "../context.js";

export function Loading({ what }) {
  return h("p", { class: "loading", role: "status" }, `Loading ${what} …`);
}

export function Failed({ error, retry }) {
  return h(
    "div",
    { class: "message failed", role: "alert" },
    h("h2", null, "This could not be loaded"),
    h("p", null, error.message),
    h("p", null, h("button", { class: "button", type: "button", onClick: retry }, "Try again")),
  );
}

export function Empty({ title, children, code }) {
  return h(
    "div",
    { class: "message" },
    h("h2", null, title),
    ...[children].flat().map((text) => h("p", null, text)),
    code ? h("pre", null, code) : null,
  );
}

/** Shows `children(data)` once there is data; older data stays in view with a note when a refresh fails. */
export function Loaded({ result, what, children }) {
  const { data, error, isLoading, reload } = result;
  if (data === null) {
    if (error) return h(Failed, { error, retry: reload });
    return isLoading ? h(Loading, { what }) : null;
  }
  return h(
    "div",
    null,
    error ? h("p", { class: "stale", role: "status" }, `Not up to date: ${error.message}`) : null,
    children(data),
  );
}

/** How a gateway sends to this console, wherever it listens. */
export function SenderCode() {
  const { meta } = useConsole();
  return `OTEL_EXPORTER_OTLP_ENDPOINT=${meta?.otlp_url ?? "http://127.0.0.1:4318"} gatewayz serve`;
}
