// The frame around the screens: who may read, which screen the address names, keys that work everywhere.
import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { linkTo, open, useAddress } from "./address.js";
import { apiUrl, useApi } from "./api.js";
import { ConsoleContext } from "./context.js";
import { focusSearch, moveSelection, useKeys } from "./keyboard.js";
import { isTraceId } from "./parts/filters.js";
import { Foot } from "./parts/foot.js";
import { Help } from "./parts/help.js";
import { Top } from "./parts/top.js";
import { screenOf } from "./screens.js";
import { SessionForm, useSession } from "./session.js";

export function App() {
  const address = useAddress();
  const session = useSession();
  const [isPaused, setPaused] = useState(false);
  const [isHelpOpen, setHelpOpen] = useState(false);
  const meta = useApi(session.isOpen ? apiUrl("meta") : null, { isLive: !isPaused });
  const name = address.get("screen") ?? "now";
  const screen = screenOf(name);
  useTitle(screen?.title ?? "Not found", name);
  useKeys({
    "/": focusSearch,
    j: () => moveSelection(1),
    k: () => moveSelection(-1),
    p: () => setPaused(!isPaused),
    "?": () => setHelpOpen(true),
  });
  usePastedTraceId();
  if (session.isOpen === false) return h(SessionForm, { session });
  const body = screen
    ? h(screen.view, { key: `${name} ${address.get("id") ?? ""}`, address })
    : h("p", null, "There is no such screen. ", h("a", { href: "./" }, "Open the overview"), ".");
  return h(
    ConsoleContext.Provider,
    { value: { meta: meta.data, isPaused, setPaused } },
    h("a", { class: "skip", href: "#main" }, "Skip to the content"),
    h(Top, { address, name, openHelp: () => setHelpOpen(true) }),
    h("main", { id: "main", tabIndex: -1 }, session.isOpen ? body : null),
    h(Foot, { meta }),
    h(Help, { isOpen: isHelpOpen, close: () => setHelpOpen(false) }),
  );
}

function useTitle(title, name) {
  const first = useRef(true);
  useEffect(() => {
    document.title = `${title} · Gatewayz console`;
    // A new screen begins at its top for keyboards and screen readers too.
    if (!first.current) document.getElementById("main")?.focus({ preventScroll: true });
    first.current = false;
  }, [title, name]);
}

/** A trace id that is pasted outside a field opens its trace. */
function usePastedTraceId() {
  useEffect(() => {
    const onPaste = (event) => {
      if (event.target.closest?.("input, textarea")) return;
      const text = event.clipboardData?.getData("text/plain") ?? "";
      if (isTraceId(text)) open(linkTo("trace", { id: text.trim().toLowerCase() }));
    };
    document.addEventListener("paste", onPaste);
    return () => document.removeEventListener("paste", onPaste);
  }, []);
}
