// The top bar: screens, the field that jumps to a trace, pause, theme, help.
import { h } from "preact";
import { linkTo, open } from "../address.js";
import { useConsole } from "../context.js";
import { SCREENS, hiddenScreens } from "../screens.js";
import { switchTheme } from "../theme.js";
import { isTraceId } from "./filters.js";

export function Top({ name, openHelp }) {
  const { isPaused, setPaused } = useConsole();
  const current = hiddenScreens[name]?.under ?? name;
  return h(
    "header",
    { class: "top" },
    h(
      "div",
      { class: "top-row" },
      h("a", { class: "brand", href: "./" }, "Gatewayz console"),
      h(
        "nav",
        { class: "nav", "aria-label": "Screens" },
        Object.entries(SCREENS).map(([key, screen]) => h("a", { key, href: linkTo(key), "aria-current": key === current ? "page" : undefined }, screen.title)),
      ),
      h(
        "div",
        { class: "tools" },
        h(Jump),
        h("button", { class: "button plain", type: "button", "aria-pressed": String(isPaused), title: "Stop or start refreshing (p)", onClick: () => setPaused(!isPaused) }, isPaused ? "Paused" : "Live"),
        h("button", { class: "button plain", type: "button", title: "Light or dark", onClick: switchTheme }, "Theme"),
        h("button", { class: "button plain", type: "button", title: "Keys (?)", "aria-label": "Help", onClick: openHelp }, "?"),
      ),
    ),
  );
}

function Jump() {
  const submit = (event) => {
    event.preventDefault();
    const field = event.currentTarget.elements.jump;
    const text = field.value.trim();
    if (!text) return;
    open(isTraceId(text) ? linkTo("trace", { id: text.toLowerCase() }) : linkTo("requests", { q: text }));
    field.value = "";
    field.blur();
  };
  return h(
    "form",
    { role: "search", onSubmit: submit },
    h("input", { id: "jump", name: "jump", type: "search", placeholder: "Trace id or text", "aria-label": "Open a trace id, or search the requests", autocomplete: "off", spellcheck: false, maxLength: 400 }),
  );
}
