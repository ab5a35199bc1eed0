// A text with a button that copies it.
import { h } from "preact";
import { useState } from "preact/hooks";

export function Copyable({ text, what }) {
  const [state, setState] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setState("copied");
    } catch {
      select(document.getElementById(`copy-${text}`));
      setState("selected: press Ctrl-C");
    }
    window.setTimeout(() => setState(""), 2500);
  };
  return h(
    "span",
    null,
    h("code", { id: `copy-${text}` }, text),
    " ",
    h("button", { class: "button", type: "button", onClick: copy, "aria-label": `Copy ${what}` }, "Copy"),
    h("span", { role: "status", class: "quiet small" }, state ? ` ${state}` : ""),
  );
}

function select(element) {
  if (element) window.getSelection().selectAllChildren(element);
}
